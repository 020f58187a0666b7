//! The names that an expression may begin with: the keys of an event's full JSON. Most are made of
//! the event as it is; only [`Variable::Message`] and [`Variable::Fields`] need its body read.

use std::time::Duration;

use super::cost::{self, Meter};
use super::error::{Answer, EvalError};
use super::reading::Reading;
use super::value::Value;
use crate::event::{
    Body, Close, Connect, Event, EventBody, Flow, FrameInfo, Kind, Message, Routing,
};
use crate::wire;

/// Declares the roots with their names in JSON.
macro_rules! roots {
    ($($root:ident $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Variable { $($root),* }

        impl Variable {
            const ALL: &[(&'static str, Self)] = &[$(($name, Self::$root)),*];
        }
    };
}

roots! {
    Id "id",
    Time "time",
    Kind "kind",
    ConnectionId "connectionId",
    Direction "direction",
    Opcode "opcode",
    Size "size",
    Channel "channel",
    Message "message",
    Encoding "encoding",
    Fields "fields",
    Remote "remote",
    Path "path",
    Headers "headers",
    Close "close",
    Duration "duration",
    Messages "messages",
    Bytes "bytes",
    Subprotocol "subprotocol",
    Extensions "extensions",
    Upstream "upstream",
    Status "status",
    UpstreamTime "upstreamTime",
    Wire "wire",
    Fragments "fragments",
    Compressed "compressed",
    Note "note",
    Synthetic "synthetic",
    User "user",
    To "to",
    Except "except",
    Silence "silence",
}

impl Variable {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, root)| *root)
    }

    /// Returns all names, for a person.
    pub(super) fn names() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Returns whether the body of a message has to be read for it.
    pub(super) fn is_body(self) -> bool {
        matches!(self, Self::Message | Self::Fields)
    }

    /// Returns whether its values may be true or false.
    pub(super) fn may_be_bool(self) -> bool {
        matches!(self, Self::Message | Self::Compressed | Self::Synthetic)
    }

    /// Returns its value in an event; what an event does not have has no answer.
    pub(super) fn of<'a>(
        self,
        event: &'a Event,
        body: Option<&'a Reading>,
        meter: &Meter,
    ) -> Answer<Value<'a>> {
        match self {
            Self::Id => Ok(Value::Text(event.id.to_string().into())),
            Self::Time => Ok(Value::Text(wire::time(event.id.ms).to_string().into())),
            Self::Kind => Ok(Value::text(event.kind().as_str())),
            Self::ConnectionId if event.connection.is_nobody() && event.kind() != Kind::Gap => {
                Ok(Value::Null)
            }
            Self::ConnectionId => Ok(Value::text(event.connection.as_str())),
            _ => match &event.body {
                EventBody::Connect(connect) => self.of_connect(connect),
                EventBody::Message(message) => self.of_message(event, message, body, meter),
                EventBody::Close(close) => self.of_close(close),
                EventBody::Join(presence) | EventBody::Leave(presence) => match self {
                    Self::Channel => Ok(Value::text(presence.channel.as_str())),
                    Self::User => Ok(Value::text(presence.user.as_str())),
                    _ => Err(EvalError),
                },
                EventBody::Lost(_) => Err(EvalError),
            },
        }
    }

    fn of_connect(self, connect: &Connect) -> Answer<Value<'_>> {
        match self {
            Self::Remote => return Ok(Value::Text(connect.remote.to_string().into())),
            Self::Path => return Ok(Value::text(&connect.path)),
            Self::User => {
                return connect.user.as_ref().map(|u| Value::text(u.as_str())).ok_or(EvalError);
            }
            Self::Headers => {
                let headers = connect.headers.iter().rev();
                let entries = headers.map(|(name, value)| ((*name).into(), Value::text(value)));
                return Ok(Value::Map(entries.collect()));
            }
            _ => {}
        }
        let answer = connect.answer.as_ref().ok_or(EvalError)?;
        match self {
            Self::Subprotocol => answer.subprotocol.as_deref().map(Value::text).ok_or(EvalError),
            Self::Extensions => answer.extensions.as_deref().map(Value::text).ok_or(EvalError),
            Self::Upstream => Ok(Value::text(&answer.upstream)),
            Self::Status => Ok(Value::Int(answer.status.into())),
            // To the microsecond, as it is written.
            Self::UpstreamTime => {
                Ok(Value::Double((answer.time.as_secs_f64() * 1e6).round() / 1e6))
            }
            _ => Err(EvalError),
        }
    }

    fn of_frame_info(frame_info: &FrameInfo, root: Self) -> Answer<Value<'_>> {
        match root {
            Self::Wire => Ok(integer(frame_info.wire)),
            Self::Fragments if frame_info.fragments > 1 => Ok(integer(frame_info.fragments.into())),
            Self::Compressed if frame_info.compressed => Ok(Value::Bool(true)),
            Self::Note => frame_info.note.as_deref().map(Value::text).ok_or(EvalError),
            _ => Err(EvalError),
        }
    }

    fn of_message<'a>(
        self,
        event: &'a Event,
        message: &'a Message,
        body: Option<&'a Reading>,
        meter: &Meter,
    ) -> Answer<Value<'a>> {
        match self {
            Self::Direction => Ok(Value::text(message.direction.as_str())),
            Self::Opcode => {
                Ok(message.opcode.map_or(Value::Null, |opcode| Value::text(opcode.as_str())))
            }
            Self::Synthetic if message.synthetic => Ok(Value::Bool(true)),
            Self::Size => Ok(integer(message.size)),
            Self::Channel => {
                Ok(event.channel().map_or(Value::Null, |channel| Value::text(channel.as_str())))
            }
            Self::User | Self::To | Self::Except => {
                self.of_routing(message.routing.as_deref().ok_or(EvalError)?)
            }
            Self::Encoding if matches!(message.body, Body::Binary(_)) => Ok(Value::text("base64")),
            Self::Message | Self::Fields => {
                let whole = body.and_then(|body| body.whole(event)).ok_or(EvalError)?;
                let own_object = matches!(message.body, Body::Object(_));
                match self {
                    Self::Message if !own_object => Ok(whole.into()),
                    Self::Message => {
                        meter.charge(whole.len() * cost::ENTRY)?;
                        Ok(whole.get("message").map_or(Value::Null, Value::from))
                    }
                    _ if !own_object => Err(EvalError),
                    _ => Value::fields(whole, meter),
                }
            }
            other => Self::of_frame_info(message.frame_info.as_ref().ok_or(EvalError)?, other),
        }
    }

    fn of_routing(self, routing: &Routing) -> Answer<Value<'_>> {
        let users = match self {
            Self::To => &routing.to,
            Self::Except => &routing.except,
            _ => {
                let user = routing.user.as_ref().ok_or(EvalError)?;
                return Ok(Value::text(user.as_str()));
            }
        };
        if users.is_empty() {
            return Err(EvalError);
        }
        Ok(Value::List(users.iter().map(|user| Value::text(user.as_str())).collect()))
    }

    fn of_close(self, close: &Close) -> Answer<Value<'_>> {
        let flow =
            |flow: Flow| Value::map([("in", integer(flow.inward)), ("out", integer(flow.outward))]);
        match self {
            Self::Close => Ok(Value::map([
                ("code", Value::Int(close.code.into())),
                ("reason", Value::text(&close.reason)),
                ("clean", Value::Bool(close.clean)),
                ("by", Value::text(close.by.as_str())),
            ])),
            // To the millisecond, as it is written.
            Self::Duration => {
                Ok(Value::Double((close.duration.as_secs_f64() * 1000.0).round() / 1000.0))
            }
            Self::Messages => Ok(flow(close.messages)),
            Self::Bytes => Ok(flow(close.bytes)),
            Self::Wire | Self::Silence | Self::Note => {
                let wire = close.wire.as_ref().ok_or(EvalError)?;
                let seconds =
                    |time: Duration| Value::Double((time.as_secs_f64() * 1000.0).round() / 1000.0);
                match self {
                    Self::Wire => Ok(flow(wire.bytes)),
                    Self::Note => wire.note.as_deref().map(Value::text).ok_or(EvalError),
                    _ => Ok(Value::map([
                        ("in", seconds(wire.client_silence)),
                        ("out", seconds(wire.server_silence)),
                    ])),
                }
            }
            // The handshake that a server refused.
            other => other.of_connect(close.refused.as_ref().ok_or(EvalError)?),
        }
    }
}

fn integer<'a>(number: u64) -> Value<'a> {
    i64::try_from(number).map_or(Value::Uint(number), Value::Int)
}
