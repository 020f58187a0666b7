//! Reads the full JSON of an event back: what [`full`](super::full) has written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::code::absent;
use crate::event::{
    Answer, Body, Close, ClosedBy, Connect, ConnectionId, Direction, Draft, Event, EventBody,
    EventId, Flow, FrameInfo, Gap, Message, Opcode, Presence, Routing, TransportStats,
};
use crate::json::Json;

/// What stands in a recording.
#[derive(Debug)]
pub enum Recorded {
    /// An event. Its ordinal is 0: that is another stream's to give.
    Event(Event),
    /// Events that whoever recorded has lost.
    Gap(Gap),
}

/// Why something is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(super) String);

impl Unreadable {
    fn lacks(what: &str) -> Self {
        Self(format!("it has no {what} that can be read"))
    }
}

/// The address of an end that nobody has noted.
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
    if line.kind == "gap" {
        return Ok(line.gap());
    }
    let id = line.id.as_deref().and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Unreadable::lacks("id"))?;
    let connection = match line.connection_id.as_deref() {
        // What was published without a connection.
        None if line.routing().is_some() => Some(ConnectionId::nobody()),
        id => id.and_then(|id| id.parse().ok()),
    };
    let connection: ConnectionId = connection.ok_or_else(|| Unreadable::lacks("connectionId"))?;
    let body = match &*line.kind {
        "connect" => EventBody::Connect(Box::new(line.connect())),
        "message" => EventBody::Message(line.message(&connection)?),
        "close" => EventBody::Close(Box::new(line.closing()?)),
        "join" => EventBody::Join(Box::new(line.presence()?)),
        "leave" => EventBody::Leave(Box::new(line.presence()?)),
        other => return Err(Unreadable(format!("there is no kind of events {other:?}"))),
    };
    Ok(Recorded::Event(Draft { connection, body }.stamp(id)))
}

/// Returns those headers that are worth knowing, in the order in which they are told.
pub(super) fn worth_knowing(value: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let known =
        ["user-agent", "origin", "sec-websocket-protocol", "x-forwarded-for", "traceparent"];
    known.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

/// Returns for whom a message was, if that is told; names that are none are left out.
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

/// All members that any kind of event has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    id: Option<String>,
    connection_id: Option<String>,
    remote: Option<String>,
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    subprotocol: Option<String>,
    extensions: Option<String>,
    upstream: Option<String>,
    status: Option<u16>,
    upstream_time: Option<f64>,
    direction: Option<String>,
    opcode: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    encoding: Option<String>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
    channel: Option<String>,
    user: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    synthetic: bool,
    /// A number of a message, a flow of a close.
    #[serde(borrow)]
    wire: Option<&'a RawValue>,
    fragments: Option<u32>,
    #[serde(default)]
    compressed: bool,
    note: Option<Box<str>>,
    close: Option<CloseLine>,
    duration: Option<f64>,
    messages: Option<FlowLine<u64>>,
    bytes: Option<FlowLine<u64>>,
    silence: Option<FlowLine<f64>>,
    missed: Option<u64>,
    after: Option<String>,
    before: Option<String>,
}

#[derive(Deserialize)]
struct CloseLine {
    code: Option<u16>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    clean: bool,
    by: Option<String>,
}

#[derive(Deserialize)]
struct FlowLine<T> {
    #[serde(rename = "in")]
    inward: T,
    #[serde(rename = "out")]
    outward: T,
}

impl Line<'_> {
    fn gap(&self) -> Recorded {
        let id = |text: &Option<String>| text.as_deref().and_then(|id| id.parse::<EventId>().ok());
        match (id(&self.id), self.missed) {
            (Some(at), Some(missed)) => {
                let draft =
                    Draft { connection: ConnectionId::nobody(), body: EventBody::Lost(missed) };
                Recorded::Event(draft.stamp(at))
            }
            (_, missed) => {
                Recorded::Gap(Gap { missed, after: id(&self.after), before: id(&self.before) })
            }
        }
    }

    fn connect(&self) -> Connect {
        let answer = self.upstream.as_ref().map(|upstream| {
            Box::new(Answer {
                upstream: upstream.as_str().into(),
                status: self.status.unwrap_or(101),
                time: seconds(self.upstream_time),
                subprotocol: self.subprotocol.clone(),
                extensions: self.extensions.clone(),
            })
        });
        let remote = self.remote.as_deref().and_then(|remote| remote.parse().ok());
        Connect {
            remote: remote.unwrap_or(UNKNOWN),
            path: self.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: worth_knowing(|name| self.headers.get(name).cloned()),
            answer,
            user: self.user.as_deref().and_then(|user| user.parse().ok()),
        }
    }

    fn presence(&self) -> Result<Presence, Unreadable> {
        let channel = self.channel.as_deref().and_then(|channel| channel.parse().ok());
        let user = self.user.as_deref().and_then(|user| user.parse().ok());
        Ok(Presence {
            channel: channel.ok_or_else(|| Unreadable::lacks("channel"))?,
            user: user.ok_or_else(|| Unreadable::lacks("user"))?,
        })
    }

    fn routing(&self) -> Option<Box<Routing>> {
        routing(self.channel.as_deref(), self.user.as_deref(), &self.to, &self.except)
    }

    fn message(&self, connection: &ConnectionId) -> Result<Message, Unreadable> {
        let direction = match self.direction.as_deref() {
            Some("in") => Direction::In,
            Some("out") => Direction::Out,
            _ => return Err(Unreadable::lacks("direction")),
        };
        let opcodes = [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong];
        let opcode =
            opcodes.into_iter().find(|opcode| self.opcode.as_deref() == Some(opcode.as_str()));
        let wire = self.wire.and_then(|wire| wire.get().parse().ok());
        let frame_info = wire.map(|wire| FrameInfo {
            wire,
            fragments: self.fragments.unwrap_or(1),
            compressed: self.compressed,
            note: self.note.clone(),
        });
        let body = self.body(connection)?;
        let (size, synthetic, routing) = (self.size, self.synthetic, self.routing());
        Ok(Message { direction, opcode, size, body, synthetic, frame_info, routing })
    }

    fn body(&self, connection: &ConnectionId) -> Result<Body, Unreadable> {
        let raw = self.message.map_or("null", RawValue::get);
        if self.encoding.as_deref() == Some("base64") {
            let base64: Cow<'_, str> =
                serde_json::from_str(raw).map_err(|_| Unreadable::lacks("message"))?;
            let bytes = STANDARD.decode(base64.as_bytes());
            return Ok(Body::Binary(bytes.map_err(|_| Unreadable::lacks("base64"))?.into()));
        }
        // The text `null` has four bytes, but for white space around it.
        if self.message.is_none() && self.fields.is_none() && (self.note.is_some() || self.size < 4)
        {
            return Ok(Body::Absent);
        }
        let own = self.own_object(connection, raw);
        // What wstap has not merely looked on, and is larger than its value, said whose it is.
        if self.fields.is_some()
            || self.wire.is_none()
                && !self.synthetic
                && self.channel.is_none()
                && self.size >= own.len() as u64
        {
            return Ok(Json::parse(&own).map_or(Body::Absent, Body::Object));
        }
        Ok(Body::Value(Json::parse(raw).unwrap_or_else(|| Json::string(raw))))
    }

    /// Returns the object that a client of hub mode has sent with its own id.
    fn own_object(&self, connection: &ConnectionId, raw: &str) -> String {
        let mut own = Vec::from(b"{\"connectionId\":");
        super::plain::string(connection.as_str(), &mut own);
        let mut own = String::from_utf8(own).expect("JSON is text");
        if self.message.is_some() {
            own.push_str(",\"message\":");
            own.push_str(raw);
        }
        if let Some(fields) = self.fields {
            own.push(',');
            own.push_str(fields.get().trim_start_matches('{'));
        } else {
            own.push('}');
        }
        own
    }

    fn closing(&self) -> Result<Close, Unreadable> {
        let close = self.close.as_ref().ok_or_else(|| Unreadable::lacks("close"))?;
        let sides = [ClosedBy::Client, ClosedBy::Server, ClosedBy::Tap, ClosedBy::Network];
        let by = sides.into_iter().find(|by| close.by.as_deref() == Some(by.as_str()));
        let wire =
            self.wire.and_then(|wire| serde_json::from_str::<FlowLine<u64>>(wire.get()).ok());
        let silence = self.silence.as_ref();
        let wire = wire.map(|wire| TransportStats {
            bytes: wire.flow(),
            client_silence: seconds(silence.map(|silence| silence.inward)),
            server_silence: seconds(silence.map(|silence| silence.outward)),
            note: self.note.clone(),
        });
        let flow =
            |flow: &Option<FlowLine<u64>>| flow.as_ref().map(FlowLine::flow).unwrap_or_default();
        Ok(Close {
            code: close.code.unwrap_or(absent::ABNORMAL),
            reason: close.reason.clone(),
            clean: close.clean,
            by: by.unwrap_or(ClosedBy::Network),
            duration: seconds(self.duration),
            messages: flow(&self.messages),
            bytes: flow(&self.bytes),
            wire,
            refused: self.path.is_some().then(|| Box::new(self.connect())),
        })
    }
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
mod tests {
    use super::*;
    use crate::wire::full;
    use proptest::prelude::*;

    fn written(event: &Event) -> String {
        let mut out = Vec::new();
        full(event, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[track_caller]
    fn comes_back(body: EventBody) {
        let connection = match body {
            EventBody::Lost(_) => ConnectionId::nobody(),
            _ => "ä\"b".parse().expect("an id"),
        };
        let event = Draft { connection, body }.stamp(EventId { ms: 1_763_670_000_123, seq: 7 });
        let line = written(&event);
        let Recorded::Event(again) = read(&line).expect("an event") else { panic!("{line}") };
        assert_eq!(written(&again), line);
        assert_eq!(format!("{again:?}"), format!("{event:?}"));
    }

    fn connect() -> Connect {
        let answer = Answer {
            upstream: "ws://localhost:9".into(),
            status: 101,
            time: Duration::from_micros(1500),
            subprotocol: Some("chat".to_owned()),
            extensions: None,
        };
        Connect {
            remote: ([127, 0, 0, 1], 4711).into(),
            path: "/a?b=\"".to_owned(),
            headers: vec![("user-agent", "x".to_owned()), ("origin", "null".to_owned())],
            answer: Some(Box::new(answer)),
            user: Some("ann".parse().expect("a user")),
        }
    }

    fn text(text: &str) -> Message {
        let body = Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text)));
        Message::new(Direction::Out, Opcode::Text, text.len(), body)
    }

    #[test]
    fn every_kind_of_event_comes_back() {
        comes_back(EventBody::Connect(Box::new(connect())));
        comes_back(EventBody::Connect(Box::new(Connect { answer: None, ..connect() })));
        let (channel, user) = ("news".parse().expect("one"), "ann".parse().expect("one"));
        comes_back(EventBody::Join(Box::new(Presence { channel, user })));
        let routing = Routing {
            channel: Some("ä b".parse().expect("one")),
            user: Some("ann".parse().expect("one")),
            to: vec!["b".parse().expect("one"), "c".parse().expect("one")],
            except: vec!["\"".parse().expect("one")],
        };
        comes_back(EventBody::Message(Message { routing: Some(Box::new(routing)), ..text("{}") }));
        comes_back(EventBody::Lost(5));
        for content in
            ["x", "\"x\"", "null", "1.0", "[ 1, 2 ]", "{\"a\":12345678901234567890}", "\"\\ud800\""]
        {
            comes_back(EventBody::Message(text(content)));
        }
        let frame_info = |note: Option<&str>| {
            Some(FrameInfo { wire: 40, fragments: 3, compressed: true, note: note.map(Into::into) })
        };
        comes_back(EventBody::Message(Message {
            frame_info: frame_info(None),
            synthetic: true,
            ..text("[]")
        }));
        let binary = Body::Binary(vec![0, 255].into());
        comes_back(EventBody::Message(Message::new(Direction::In, Opcode::Ping, 2, binary)));
        let absent = Message {
            opcode: None,
            size: 0,
            body: Body::Absent,
            frame_info: frame_info(Some("odd")),
            ..text("")
        };
        comes_back(EventBody::Message(absent));
        let wire = TransportStats {
            bytes: Flow { inward: 1, outward: 2 },
            client_silence: Duration::from_millis(5),
            server_silence: Duration::ZERO,
            note: Some("late".into()),
        };
        let close = Close {
            code: 1006,
            reason: "gone".to_owned(),
            clean: false,
            by: ClosedBy::Server,
            duration: Duration::from_millis(1500),
            messages: Flow { inward: 3, outward: 4 },
            bytes: Flow { inward: 5, outward: 6 },
            wire: Some(wire),
            refused: None,
        };
        comes_back(EventBody::Close(Box::new(close.clone())));
        let refused = Some(Box::new(connect()));
        comes_back(EventBody::Close(Box::new(Close { wire: None, refused, ..close })));
    }

    #[test]
    fn a_clients_own_object_comes_back_as_such() {
        for (own, size) in [
            (r#"{"connectionId":"ä\"b","message":"x"}"#, 0),
            (r#"{"connectionId":"ä\"b","message":{"a":1},"b":2}"#, 0),
            (r#"{"connectionId":"ä\"b","b":[2]}"#, 0),
            (r#"{"connectionId":"ä\"b","message":"x"}"#, 9),
        ] {
            let json = crate::json::object(own, |_, _| {}).expect("an object");
            let size = own.len() + size;
            comes_back(EventBody::Message(Message::new(
                Direction::In,
                Opcode::Text,
                size,
                Body::Object(json),
            )));
        }
    }

    #[test]
    fn a_gap_without_an_id_is_a_listeners() {
        let gap = Gap { missed: None, after: Some(EventId { ms: 1, seq: 2 }), before: None };
        let mut line = Vec::new();
        crate::wire::full_gap(&gap, &mut line);
        let line = String::from_utf8(line).expect("text");
        assert!(matches!(read(&line), Ok(Recorded::Gap(again)) if again == gap));
    }

    #[test]
    fn what_is_no_event_is_told() {
        for (text, part) in [
            ("{}", "missing field `kind`"),
            ("hello", "no event of wstap"),
            (r#"{"kind":"x","id":"1-0","connectionId":"a"}"#, "no kind of events \"x\""),
            (r#"{"kind":"message","id":"1","connectionId":"a"}"#, "no id"),
            (r#"{"kind":"message","id":"1-0"}"#, "no connectionId"),
            (r#"{"kind":"message","id":"1-0","connectionId":"a"}"#, "no direction"),
            (r#"{"kind":"close","id":"1-0","connectionId":"a"}"#, "no close"),
        ] {
            let fault = read(text).expect_err(text).to_string();
            assert!(fault.contains(part), "{part} in {fault}");
        }
    }

    proptest! {
        #[test]
        fn any_text_message_comes_back(content: String) {
            comes_back(EventBody::Message(text(&content)));
        }

        #[test]
        fn what_is_read_is_written_the_same_again(
            size in 0u64..60,
            message in prop::sample::select(vec!["null", "1.0", "\"x\"", "\"\"", "[ 1 ]", "\"AP8=\"", "{\"a\":null}"]),
            more in prop::sample::subsequence(
                vec![
                    "\"fields\":{\"b\":1}", "\"fields\":{}", "\"encoding\":\"base64\"", "\"wire\":9",
                    "\"note\":\"odd\"", "\"synthetic\":true", "\"fragments\":3", "\"compressed\":true",
                ],
                0..8,
            ),
            opcode in prop::sample::select(vec!["\"text\"", "\"binary\"", "\"ping\"", "null"]),
        ) {
            let more: String = more.iter().flat_map(|member| [",", member]).collect();
            let line = format!(
                "{{\"id\":\"1-0\",\"kind\":\"message\",\"connectionId\":\"a\",\"direction\":\"in\",\"opcode\":{opcode},\"size\":{size},\"message\":{message}{more}}}"
            );
            if let Ok(Recorded::Event(event)) = read(&line) {
                let once = written(&event);
                let Ok(Recorded::Event(again)) = read(&once) else { panic!("{once}") };
                prop_assert_eq!(written(&again), once);
            }
        }

        #[test]
        fn any_text_is_read_without_harm(text in "[\\[\\]{}\":,a-z0-9\\\\-]{0,80}") {
            let _ = read(&text);
        }
    }
}
