//! Reads the full JSON of an event, as [`full`](super::full) writes it.

mod line;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::line::Line;
pub use self::line::Unreadable;
use super::field::Field;
use super::json::string;
use crate::code::absent;
use crate::event::{
    Answer, Body, Close, ClosedBy, Connect, ConnectionId, Direction, Draft, Event, EventBody,
    EventFields, EventStream, Exchange, Flow, FrameInfo, Gap, Message, Opcode, Presence, Routing,
    Transport, TransportStats,
};
use crate::json::Json;

/// A line of a recording.
#[derive(Debug)]
pub enum Recorded {
    /// An event. Its ordinal is 0: the hub gives it one.
    Event(Event),
    /// Events that the recorder has lost.
    Gap(Gap),
}

/// The remote address of a connection whose address is unknown.
pub(super) const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Reads the full JSON of an event or a gap.
///
/// # Errors
///
/// If it is none.
pub fn read(text: &str) -> Result<Recorded, Unreadable> {
    let line: Line<'_> = serde_json::from_str(text)
        .map_err(|fault| Unreadable(format!("this is no event of wstap ({fault})")))?;
    let kind = line.text(Field::Kind)?;
    let kind = kind
        .ok_or_else(|| Unreadable("this is no event of wstap (missing field `kind`)".to_owned()))?;
    if kind == "gap" {
        return line.gap();
    }
    let id = line.parsed(Field::Id)?.ok_or_else(|| Unreadable::lacks("id"))?;
    let connection = match line.raw(Field::ConnectionId) {
        // It was published without a connection.
        None if kind == "request" || line.routing()?.is_some() => Some(ConnectionId::nobody()),
        _ => line.parsed(Field::ConnectionId)?,
    };
    let connection = connection.ok_or_else(|| Unreadable::lacks("connectionId"))?;
    let body = match &*kind {
        "connect" => EventBody::Connect(Box::new(line.connect()?)),
        "message" => EventBody::Message(line.message(&connection)?),
        "close" => EventBody::Close(Box::new(line.closing()?)),
        "join" => EventBody::Join(Box::new(line.presence()?)),
        "leave" => EventBody::Leave(Box::new(line.presence()?)),
        "request" => EventBody::Request(Box::new(line.exchange()?)),
        other => return Err(Unreadable(format!("there is no kind of events {other:?}"))),
    };
    Ok(Recorded::Event(Draft::new(connection, body).stamp(id)))
}

/// Returns the header fields that an event keeps, in their order.
pub(super) fn worth_knowing(value: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let known = [
        "user-agent",
        "origin",
        "sec-websocket-protocol",
        "x-forwarded-for",
        "traceparent",
        "last-event-id",
    ];
    known.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

/// Returns the routing of a message, if it has one. Invalid names are left out.
pub(super) fn routing(
    channel: Option<&str>,
    user: Option<&str>,
    to: &[String],
    except: &[String],
) -> Option<Box<Routing>> {
    let users = |users: &[String]| users.iter().filter_map(|user| user.parse().ok()).collect();
    let routing = Routing {
        channel: channel.and_then(|channel| channel.parse().ok()),
        user: user.and_then(|user| user.parse().ok()),
        to: users(to),
        except: users(except),
    };
    (routing != Routing::default()).then(|| Box::new(routing))
}

/// `close` of a close event.
#[derive(Deserialize)]
struct CloseLine {
    code: Option<u16>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    clean: bool,
    by: Option<String>,
}

/// A number for each direction.
#[derive(Deserialize)]
struct FlowLine<T> {
    #[serde(rename = "in")]
    inward: T,
    #[serde(rename = "out")]
    outward: T,
}

impl Line<'_> {
    fn seconds(&self, field: Field) -> Result<Duration, Unreadable> {
        Ok(seconds(self.get(field)?))
    }

    fn flow(&self, field: Field) -> Result<Flow, Unreadable> {
        Ok(self.get::<FlowLine<u64>>(field)?.as_ref().map(FlowLine::flow).unwrap_or_default())
    }

    fn gap(&self) -> Result<Recorded, Unreadable> {
        let missed = self.get(Field::Missed)?;
        Ok(match (self.parsed(Field::Id)?, missed) {
            (Some(at), Some(missed)) => {
                let draft = Draft::new(ConnectionId::nobody(), EventBody::Lost(missed));
                Recorded::Event(draft.stamp(at))
            }
            (_, missed) => {
                let (after, before) = (self.parsed(Field::After)?, self.parsed(Field::Before)?);
                Recorded::Gap(Gap { missed, after, before })
            }
        })
    }

    fn connect(&self) -> Result<Connect, Unreadable> {
        let answer = match self.text(Field::Upstream)? {
            Some(upstream) => Some(Box::new(Answer {
                upstream: upstream.into_owned().into(),
                status: self.get(Field::Status)?.unwrap_or(101),
                time: self.seconds(Field::UpstreamTime)?,
                subprotocol: self.owned(Field::Subprotocol)?,
                extensions: self.owned(Field::Extensions)?,
                body: self.owned(Field::Answer)?,
                hint: self.owned(Field::Hint)?,
                event_stream: self.event_stream()?.map(Box::new),
            })),
            None => None,
        };
        let headers: BTreeMap<String, String> = self.get(Field::Headers)?.unwrap_or_default();
        Ok(Connect {
            remote: self.parsed(Field::Remote)?.unwrap_or(UNKNOWN),
            path: self.owned(Field::Path)?.unwrap_or_else(|| "/".to_owned()),
            headers: worth_knowing(|name| headers.get(name).cloned()),
            answer,
            user: self.parsed(Field::User)?,
        })
    }

    fn event_stream(&self) -> Result<Option<EventStream>, Unreadable> {
        if self.text(Field::Transport)?.as_deref() != Some(Transport::Sse.as_str()) {
            return Ok(None);
        }
        Ok(Some(EventStream {
            method: self.owned(Field::Method)?.unwrap_or_else(|| "GET".to_owned()),
            encoding: self.owned(Field::ContentEncoding)?,
            note: self.owned(Field::Note)?.map(Into::into),
            of_wstap: false,
        }))
    }

    /// Reads a handshake that was refused. It has the `Host` that the upstream got.
    fn refused(&self) -> Result<Connect, Unreadable> {
        let mut connect = self.connect()?;
        let mut headers: BTreeMap<String, String> = self.get(Field::Headers)?.unwrap_or_default();
        connect.headers.extend(headers.remove("host").map(|host| ("host", host)));
        Ok(connect)
    }

    fn exchange(&self) -> Result<Exchange, Unreadable> {
        Ok(Exchange {
            remote: self.parsed(Field::Remote)?.unwrap_or(UNKNOWN),
            method: self.owned(Field::Method)?.unwrap_or_else(|| "GET".to_owned()),
            path: self.owned(Field::Path)?.unwrap_or_else(|| "/".to_owned()),
            upstream: self.owned(Field::Upstream)?.map(Into::into),
            status: self.get(Field::Status)?.ok_or_else(|| Unreadable::lacks("status"))?,
            time: self.seconds(Field::UpstreamTime)?,
            duration: self.seconds(Field::Duration)?,
            bytes: self.flow(Field::Bytes)?,
            note: self.owned(Field::Note)?.map(Into::into),
        })
    }

    fn presence(&self) -> Result<Presence, Unreadable> {
        Ok(Presence {
            channel: self.parsed(Field::Channel)?.ok_or_else(|| Unreadable::lacks("channel"))?,
            user: self.parsed(Field::User)?.ok_or_else(|| Unreadable::lacks("user"))?,
        })
    }

    fn routing(&self) -> Result<Option<Box<Routing>>, Unreadable> {
        let users = |field| Ok(self.get::<Vec<String>>(field)?.unwrap_or_default());
        let (channel, user) = (self.text(Field::Channel)?, self.text(Field::User)?);
        let (to, except) = (users(Field::To)?, users(Field::Except)?);
        Ok(routing(channel.as_deref(), user.as_deref(), &to, &except))
    }

    fn message(&self, connection: &ConnectionId) -> Result<Message, Unreadable> {
        let direction = self.text(Field::Direction)?;
        let direction = [Direction::In, Direction::Out]
            .into_iter()
            .find(|it| direction.as_deref() == Some(it.as_str()));
        let opcode = self.text(Field::Opcode)?;
        let opcode = [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong]
            .into_iter()
            .find(|it| opcode.as_deref() == Some(it.as_str()));
        // Of a close `wire` is an object.
        let wire = self.raw(Field::Wire).and_then(|wire| wire.get().parse().ok());
        let frame_info = match wire {
            Some(wire) => Some(FrameInfo {
                wire,
                fragments: self.get(Field::Fragments)?.unwrap_or(1),
                compressed: self.get(Field::Compressed)?.unwrap_or_default(),
                truncated: self.get(Field::Truncated)?.unwrap_or_default(),
                note: self.owned(Field::Note)?.map(Into::into),
            }),
            None => None,
        };
        Ok(Message {
            direction: direction.ok_or_else(|| Unreadable::lacks("direction"))?,
            opcode,
            size: self.number(Field::Size)?.unwrap_or_default(),
            body: self.body(connection)?,
            synthetic: self.get(Field::Synthetic)?.unwrap_or_default(),
            frame_info,
            routing: self.routing()?,
            event: EventFields::of(
                &self.text(Field::Event)?.unwrap_or_default(),
                &self.text(Field::EventId)?.unwrap_or_default(),
            ),
        })
    }

    fn body(&self, connection: &ConnectionId) -> Result<Body, Unreadable> {
        let (message, fields) = (self.raw(Field::Message), self.raw(Field::Fields));
        let (note, wire) = (self.raw(Field::Note), self.raw(Field::Wire));
        let size = self.number(Field::Size)?.unwrap_or_default();
        let raw = message.map_or("null", RawValue::get);
        if self.text(Field::Encoding)?.as_deref() == Some("base64") {
            let base64: Cow<'_, str> =
                serde_json::from_str(raw).map_err(|_| Unreadable::lacks("message"))?;
            let bytes = STANDARD.decode(base64.as_bytes());
            return Ok(Body::Binary(bytes.map_err(|_| Unreadable::lacks("base64"))?.into()));
        }
        // The text `null` has four bytes without white space around it.
        if message.is_none() && fields.is_none() && (note.is_some() || size < 4) {
            return Ok(Body::Absent);
        }
        let own = own_object(connection, message, fields);
        // A message that was not relayed, and is larger than its value, was an object with its id.
        let larger = || -> Result<bool, Unreadable> {
            let synthetic: bool = self.get(Field::Synthetic)?.unwrap_or_default();
            let published = self.raw(Field::Channel).is_some();
            Ok(wire.is_none() && !synthetic && !published && size >= own.len() as u64)
        };
        if fields.is_some() {
            return Ok(Json::parse(&own).map_or(Body::Absent, Body::Object));
        }
        // Both consist of what was parsed as a part of the line.
        if larger()? {
            return Ok(Json::accepted(&own).map_or(Body::Absent, Body::Object));
        }
        Ok(Body::Value(Json::accepted(raw).unwrap_or_else(|| Json::string(raw))))
    }

    fn closing(&self) -> Result<Close, Unreadable> {
        let close: CloseLine = self.get(Field::Close)?.ok_or_else(|| Unreadable::lacks("close"))?;
        let sides = [ClosedBy::Client, ClosedBy::Server, ClosedBy::Tap, ClosedBy::Network];
        let by = sides.into_iter().find(|by| close.by.as_deref() == Some(by.as_str()));
        let wire = self.raw(Field::Wire);
        let wire: Option<FlowLine<u64>> =
            wire.and_then(|wire| serde_json::from_str(wire.get()).ok());
        let wire = match wire {
            Some(wire) => {
                let silence: Option<FlowLine<f64>> = self.get(Field::Silence)?;
                Some(TransportStats {
                    bytes: wire.flow(),
                    client_silence: seconds(silence.as_ref().map(|silence| silence.inward)),
                    server_silence: seconds(silence.as_ref().map(|silence| silence.outward)),
                    note: self.owned(Field::Note)?.map(Into::into),
                    comments: self.get(Field::Comments)?,
                })
            }
            None => None,
        };
        let refused = match self.raw(Field::Path) {
            Some(_) => Some(Box::new(self.refused()?)),
            None => None,
        };
        Ok(Close {
            code: close.code.unwrap_or(absent::ABNORMAL),
            reason: close.reason,
            clean: close.clean,
            by: by.unwrap_or(ClosedBy::Network),
            duration: self.seconds(Field::Duration)?,
            messages: self.flow(Field::Messages)?,
            bytes: self.flow(Field::Bytes)?,
            wire,
            refused,
        })
    }
}

/// Returns the object that a client of hub mode has sent with its own id.
fn own_object(
    connection: &ConnectionId,
    message: Option<&RawValue>,
    fields: Option<&RawValue>,
) -> String {
    let parts = message.map_or(0, |it| it.get().len()) + fields.map_or(0, |it| it.get().len());
    // The names, an id and brackets.
    let mut own = Vec::with_capacity(parts + 64);
    own.extend_from_slice(b"{\"connectionId\":");
    string(connection.as_str(), &mut own);
    let mut own = String::from_utf8(own).expect("JSON is text");
    if let Some(message) = message {
        own.push_str(",\"message\":");
        own.push_str(message.get());
    }
    match fields {
        Some(fields) => {
            own.push(',');
            own.push_str(fields.get().trim_start_matches('{'));
        }
        None => own.push('}'),
    }
    own
}

impl FlowLine<u64> {
    fn flow(&self) -> Flow {
        Flow { inward: self.inward, outward: self.outward }
    }
}

fn seconds(seconds: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
