//! Commands on channels, and the frames that members receive: the protocol of channelize, with
//! `publish` and presence added.
//!
//! ```text
//! > {"type":"subscribe","params":{"channels":["a","b"],"token":"…","last":5}}
//! > {"type":"subscribe","params":{"channels":["a"],"after":"1763670000000-0"}}
//! > {"type":"unsubscribe","params":{"channels":["a"]}}
//! > {"type":"publish","params":{"channel":"a","message":{"n":1}}}
//! > {"type":"publish","params":{"channel":"a","message":"AP8=","encoding":"base64"}}
//! < {"channel":"a","data":{"n":1}}
//! < {"channel":"a","id":"1763670000123-0","data":{"n":1}}        with ids
//! < {"channel":"a","type":"resumed","complete":true,"messages":[{"id":"…","data":1}]}
//! < {"channel":"a","type":"presence","users":["ann","bob"]}
//! < {"channel":"a","type":"join","user":"bob"}
//! < {"channel":"a","type":"leave","user":"bob"}
//! < {"channel":"a","error":{"code":"unauthorized","message":"…"}}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::control::{self, Registration};
use super::invalid::{InvalidFrame, MAX_NAMES};
use crate::event::{Body, Channel, Event, EventBody, EventId, User};
use crate::json::Json;

/// A command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Enters channels.
    Subscribe {
        /// The channels.
        channels: Vec<Channel>,
        /// The token for private channels.
        token: Option<String>,
        /// The number of kept messages to deliver first.
        last: usize,
        /// The event after which kept messages are delivered first, in place of `last`.
        after: Option<EventId>,
    },
    /// Leaves channels.
    Unsubscribe {
        /// The channels.
        channels: Vec<Channel>,
    },
    /// Publishes a message to the members of a channel.
    Publish {
        /// The channel.
        channel: Channel,
        /// The message.
        message: Json,
    },
    /// Publishes bytes to the members of a channel.
    PublishBytes {
        /// The channel.
        channel: Channel,
        /// The bytes.
        bytes: Box<[u8]>,
    },
    /// Registers the connection.
    Register(Registration),
    /// Asks for a `pong` with this id, a string or a number.
    Ping(Json),
}

/// The name of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Subscribe,
    Unsubscribe,
    Publish,
    Register,
    Ping,
}

impl Name {
    pub(super) fn read(value: &RawValue) -> Option<Self> {
        Self::of(serde_json::from_str(value.get()).ok()?)
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "subscribe" => Some(Self::Subscribe),
            "unsubscribe" => Some(Self::Unsubscribe),
            "publish" => Some(Self::Publish),
            "register" => Some(Self::Register),
            "ping" => Some(Self::Ping),
            _ => None,
        }
    }

    /// Returns the error for a command of this name that cannot be parsed.
    pub(super) fn invalid(self) -> InvalidFrame {
        InvalidFrame::Command(self.right())
    }

    /// Returns a valid command.
    fn right(self) -> &'static str {
        match self {
            Self::Subscribe => r#"{"type":"subscribe","params":{"channels":["news"]}}"#,
            Self::Unsubscribe => r#"{"type":"unsubscribe","params":{"channels":["news"]}}"#,
            Self::Publish => r#"{"type":"publish","params":{"channel":"news","message":"hello"}}"#,
            Self::Register => {
                r#"{"type":"register","params":{"connectionId":"a","secret":"16 random characters or more"}}"#
            }
            Self::Ping => r#"{"type":"ping","params":{"id":1}}"#,
        }
    }

    /// Parses the parameters of a command.
    pub(super) fn command(self, params: Option<&RawValue>) -> Result<Command, InvalidFrame> {
        let wrong = || self.invalid();
        let params = params.map_or("{}", RawValue::get);
        match self {
            Self::Publish => {
                let said: Publish<'_> = serde_json::from_str(params).map_err(|_| wrong())?;
                let channel = said.channel.parse()?;
                if said.encoding.as_deref() == Some("base64") {
                    let text: String =
                        serde_json::from_str(said.message.get()).map_err(|_| wrong())?;
                    let bytes = STANDARD.decode(text).map_err(|_| InvalidFrame::InvalidBase64)?;
                    return Ok(Command::PublishBytes { channel, bytes: bytes.into() });
                }
                let message = Json::parse(said.message.get()).ok_or_else(wrong)?;
                Ok(Command::Publish { channel, message })
            }
            Self::Register => Ok(Command::Register(Registration::parse(params)?)),
            Self::Ping => control::ping(params).map(Command::Ping).ok_or_else(wrong),
            Self::Subscribe | Self::Unsubscribe => {
                let said: ChannelList = serde_json::from_str(params).map_err(|_| wrong())?;
                if said.channels.is_empty() {
                    return Err(wrong());
                }
                if said.channels.len() > MAX_NAMES {
                    return Err(InvalidFrame::TooManyNames);
                }
                let channels = said.channels.iter().map(|name| name.parse());
                let channels = channels.collect::<Result<Vec<Channel>, _>>()?;
                Ok(match self {
                    Self::Subscribe => {
                        let token = said.token.filter(|token| !token.trim().is_empty());
                        let after = said.after.map(|id| id.parse()).transpose()?;
                        Command::Subscribe { channels, token, last: said.last, after }
                    }
                    _ => Command::Unsubscribe { channels },
                })
            }
        }
    }
}

#[derive(Deserialize)]
struct ChannelList {
    channels: Vec<String>,
    token: Option<String>,
    #[serde(default)]
    last: usize,
    after: Option<String>,
}

#[derive(Deserialize)]
struct Publish<'a> {
    channel: String,
    #[serde(borrow)]
    message: &'a RawValue,
    encoding: Option<String>,
}

/// Returns the frame of a delivery, with the id of its event if the client asked for ids. The channel
/// of a message to a user is `null`.
#[must_use]
pub fn delivery(body: &EventBody, id: Option<EventId>) -> String {
    match body {
        EventBody::Message(message) => {
            let channel = message.routing.as_ref().and_then(|routing| routing.channel.as_ref());
            let channel = channel.map_or("null".to_owned(), |it| json!(it.as_str()).to_string());
            let id = id.map_or(String::new(), |id| format!("\"id\":\"{id}\","));
            format!("{{\"channel\":{channel},{id}\"data\":{}}}", data(&message.body))
        }
        EventBody::Join(presence) | EventBody::Leave(presence) => {
            let name = if matches!(body, EventBody::Join(_)) { "join" } else { "leave" };
            let (channel, user) = (json!(presence.channel.as_str()), json!(presence.user.as_str()));
            format!("{{\"channel\":{channel},\"type\":\"{name}\",\"user\":{user}}}")
        }
        // These are not delivered to members.
        EventBody::Connect(_)
        | EventBody::Close(_)
        | EventBody::Request(_)
        | EventBody::Lost(_) => "{}".to_owned(),
    }
}

/// Returns a payload as the value of `data`, with the member `encoding` behind it if there is one.
fn data(body: &Body) -> String {
    match body {
        Body::Object(json) | Body::Value(json) => json.as_str().to_owned(),
        Body::Binary(bytes) => {
            format!("\"{}\",\"encoding\":\"base64\"", STANDARD.encode(bytes))
        }
        Body::Absent => "null".to_owned(),
    }
}

/// Returns the frame with the messages of a channel after the event that a client named.
#[must_use]
pub fn resumed<'a>(
    channel: &Channel,
    messages: impl IntoIterator<Item = &'a Event>,
    complete: bool,
) -> String {
    let message = |event: &Event| match &event.body {
        EventBody::Message(message) => {
            Some(format!("{{\"id\":\"{}\",\"data\":{}}}", event.id, data(&message.body)))
        }
        _ => None,
    };
    let messages: Vec<String> = messages.into_iter().filter_map(message).collect();
    let (channel, messages) = (json!(channel.as_str()), messages.join(","));
    format!(
        "{{\"channel\":{channel},\"type\":\"resumed\",\"complete\":{complete},\"messages\":[{messages}]}}"
    )
}

/// Returns the frame that reports the removal from a channel. It names the channel besides the error,
/// so that a client that counts answers does not take it for one.
#[must_use]
pub fn expelled(channel: &Channel, error: &str) -> String {
    let error = error.strip_prefix('{').unwrap_or(error);
    format!("{{\"channel\":{},{error}", json!(channel.as_str()))
}

/// Returns the frame that lists the users in a channel for a connection that has entered it.
#[must_use]
pub fn present(channel: &Channel, users: &[User]) -> String {
    let channel = json!(channel.as_str());
    let users: Vec<_> = users.iter().map(User::as_str).collect();
    format!("{{\"channel\":{channel},\"type\":\"presence\",\"users\":{}}}", json!(users))
}
