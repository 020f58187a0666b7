//! Messages: their payloads and how they passed.

use super::routing::Routing;
use crate::json::Json;

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Its direction.
    pub direction: Direction,
    /// Text or binary; `None` for bytes that are not a valid frame.
    pub opcode: Option<Opcode>,
    /// Bytes of its payload.
    pub size: u64,
    /// The payload.
    pub body: Body,
    /// True for a message that wstap itself has sent to the client or the server.
    pub synthetic: bool,
    /// How it passed, if it was relayed.
    pub frame_info: Option<FrameInfo>,
    /// The recipients, if it was published to a channel or to users.
    pub routing: Option<Box<Routing>>,
    /// The fields of an event of an event stream, if it has any beside its data.
    pub event: Option<Box<EventFields>>,
}

/// How a message passed on its way between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameInfo {
    /// Bytes of all its frames on the wire; of an event of an event stream, of its lines.
    pub wire: u64,
    /// Frames.
    pub fragments: u32,
    /// Whether it was compressed.
    pub compressed: bool,
    /// Whether the body is its beginning only: it is larger than the limit. Text is then a JSON string,
    /// even if it is the beginning of another JSON value.
    pub truncated: bool,
    /// An anomaly, such as `compressed, not decoded`.
    pub note: Option<Box<str>>,
}

/// The fields of an event of an event stream, beside its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFields {
    /// The event name, unless it is `message`.
    pub name: Option<Box<str>>,
    /// The last event id, as the client has it with this event.
    pub id: Option<Box<str>>,
}

/// The payload of a message.
#[derive(Debug, Clone)]
pub enum Body {
    /// A JSON object with its client's own `connectionId`, passed on as it came.
    Object(Json),
    /// Any other JSON value; text that is not JSON is a JSON string.
    Value(Json),
    /// Bytes.
    Binary(Box<[u8]>),
    /// Not kept; a note says why.
    Absent,
}

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Client to server.
    In,
    /// Server to client.
    Out,
}

/// The kind of a WebSocket frame. Events of an event stream are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// A ping; the tap shows it on demand.
    Ping,
    /// A pong, likewise.
    Pong,
}

impl EventFields {
    /// Makes the fields of a name and an id that are empty if there is none; `None` without both.
    #[must_use]
    pub fn of(name: &str, id: &str) -> Option<Box<Self>> {
        let own = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        let name = if name == "message" { "" } else { name };
        let fields = Self { name: own(name), id: own(id) };
        (fields != Self::default()).then(|| Box::new(fields))
    }

    pub(super) fn weight(&self) -> usize {
        let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + length(&self.name) + length(&self.id)
    }
}

impl Message {
    /// Returns whether its body is its beginning only.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.frame_info.as_ref().is_some_and(|frame_info| frame_info.truncated)
    }

    /// Returns a copy without routing and frame information.
    pub(crate) fn copied(&self) -> Self {
        let body = self.body.clone();
        Self { body, frame_info: None, routing: None, event: None, ..*self }
    }

    /// Makes a message of a client of wstap, or to one.
    #[must_use]
    pub fn new(direction: Direction, opcode: Opcode, size: usize, body: Body) -> Self {
        let (opcode, size) = (Some(opcode), size as u64);
        Self {
            direction,
            opcode,
            size,
            body,
            synthetic: false,
            frame_info: None,
            routing: None,
            event: None,
        }
    }
}

impl Body {
    /// Returns the number of bytes that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Object(json) | Self::Value(json) => json.as_str().len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Absent => 0,
        }
    }

    /// Returns whether no byte is kept, as of an empty binary message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Direction {
    /// Returns the name in JSON and in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Opcode {
    /// Returns the name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}
