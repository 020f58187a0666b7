//! The values that cross the hub: what happened ([`Event`]), what is about to ([`Draft`]) and
//! what a listener gets to read ([`Delivery`](crate::hub::Delivery) is made of these).
//!
//! Plain data: no clock, no I/O, no JSON of events (that is `wire`). A value that exists is valid.

mod id;
mod routing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use id::{ConnectionId, EventId, InvalidConnectionId, InvalidEventId};
pub use routing::{Channel, InvalidChannel, InvalidUser, Presence, Routing, User};

use crate::json::Json;

/// One thing that happened, as every listener sees it. Nobody changes it once it has its id.
#[derive(Debug)]
pub struct Event {
    /// Names the event in the stream; strictly increasing.
    pub id: EventId,
    /// Whose event it is.
    pub connection: ConnectionId,
    /// What happened.
    pub body: EventBody,
}

/// An event before the hub has given it an id.
#[derive(Debug)]
pub struct Draft {
    /// Whose event it will be.
    pub connection: ConnectionId,
    /// What happened.
    pub body: EventBody,
}

/// What happened to a connection.
#[derive(Debug)]
pub enum EventBody {
    /// It registered.
    Connect(Box<Connect>),
    /// A message passed.
    Message(Message),
    /// It ended, in whatever way.
    Close(Box<Close>),
    /// Its user came into a channel, with this as the first connection there.
    Join(Box<Presence>),
    /// Its user left a channel, with this as the last connection there.
    Leave(Box<Presence>),
    /// So many messages passed that the tap had no room for. Nobody's event: its connection is
    /// [`ConnectionId::nobody`], and every listener is told.
    Lost(u64),
}

/// The name of what happened, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A connection registered.
    Connect,
    /// A message passed.
    Message,
    /// A connection ended.
    Close,
    /// A user came into a channel.
    Join,
    /// A user left a channel.
    Leave,
    /// Messages passed unseen.
    Gap,
}

/// How a connection came.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The other end of its TCP connection.
    pub remote: SocketAddr,
    /// Path and query that it asked for.
    pub path: String,
    /// Request headers worth knowing, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// What the server behind answered, in proxy mode.
    pub answer: Option<Box<Answer>>,
    /// Whose connection it is, if somebody who may say so has said it.
    pub user: Option<User>,
}

/// What the server behind wstap answered to a handshake.
#[derive(Debug, Clone)]
pub struct Answer {
    /// URL of that server.
    pub upstream: Arc<str>,
    /// HTTP status; 101 where the connection became a WebSocket.
    pub status: u16,
    /// From the request to the answer.
    pub time: Duration,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
    /// `Sec-WebSocket-Extensions`.
    pub extensions: Option<String>,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Which way it went.
    pub direction: Direction,
    /// Text or binary; `None` for what cannot be read as a frame.
    pub opcode: Option<Opcode>,
    /// Bytes of its payload.
    pub size: u64,
    /// The payload.
    pub body: Body,
    /// True for one that wstap itself has put between those of the client or server.
    pub synthetic: bool,
    /// How it passed, where wstap only looked on.
    pub frame_info: Option<FrameInfo>,
    /// For whom it is, if it was published to a channel or to users.
    pub routing: Option<Box<Routing>>,
}

/// How a message passed on its way between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameInfo {
    /// Bytes of all its frames on the wire.
    pub wire: u64,
    /// Frames.
    pub fragments: u32,
    /// Whether it was compressed.
    pub compressed: bool,
    /// What is odd about it, such as `compressed, not decoded`.
    pub note: Option<Box<str>>,
}

/// What a message carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// A JSON object with its client's own `connectionId`: it is passed on as it came.
    Object(Json),
    /// Any other JSON value; text that is no JSON is a JSON string.
    Value(Json),
    /// Bytes.
    Binary(Box<[u8]>),
    /// Nothing is kept of it; a note says why.
    Absent,
}

/// How a connection ended.
#[derive(Debug, Clone)]
pub struct Close {
    /// Close code as RFC 6455 section 7.4 has it; 1005 where the frame had none, 1006 where there
    /// was no close frame.
    pub code: u16,
    /// Reason of the close frame, or what the tap knows.
    pub reason: String,
    /// True if both sides exchanged close frames.
    pub clean: bool,
    /// Who ended it.
    pub by: ClosedBy,
    /// From registration to end.
    pub duration: Duration,
    /// Messages in and out.
    pub messages: Flow,
    /// Payload bytes in and out.
    pub bytes: Flow,
    /// What the wire says of it, in proxy mode.
    pub wire: Option<TransportStats>,
    /// The handshake, if that is what the server behind has refused: then there was no `connect`.
    pub refused: Option<Box<Connect>>,
}

/// What passed on the wire of a connection, and how long nothing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportStats {
    /// Bytes each way, from the end of the handshake.
    pub bytes: Flow,
    /// From the last byte of the client to the end.
    pub client_silence: Duration,
    /// From the last byte of the server to the end.
    pub server_silence: Duration,
    /// What is odd about the close frame that began the end.
    pub note: Option<Box<str>>,
}

/// A number for each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// Client to server.
    pub inward: u64,
    /// Server to client.
    pub outward: u64,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Client to server.
    In,
    /// Server to client.
    Out,
}

/// Kind of a WebSocket frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// A ping, which a tap shows on demand.
    Ping,
    /// A pong, likewise.
    Pong,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The WebSocket client.
    Client,
    /// The server behind wstap.
    Server,
    /// wstap itself: an order, a rule, a shutdown.
    Tap,
    /// Nobody said so: a reset, a vanished peer.
    Network,
}

/// Events that a listener lost for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// How many; `None` where nobody can know.
    pub missed: Option<u64>,
    /// The last event before the gap, as far as it is known.
    pub after: Option<EventId>,
    /// The first event after the gap, if there is one yet.
    pub before: Option<EventId>,
}

impl Draft {
    /// Makes the draft an event.
    #[must_use]
    pub fn stamp(self, id: EventId) -> Event {
        Event { id, connection: self.connection, body: self.body }
    }
}

impl Event {
    /// Returns what kind of event this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.body {
            EventBody::Connect(_) => Kind::Connect,
            EventBody::Message(_) => Kind::Message,
            EventBody::Close(_) => Kind::Close,
            EventBody::Join(_) => Kind::Join,
            EventBody::Leave(_) => Kind::Leave,
            EventBody::Lost(_) => Kind::Gap,
        }
    }

    /// Returns the direction of a message; the other kinds have none.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match &self.body {
            EventBody::Message(message) => Some(message.direction),
            _ => None,
        }
    }

    /// Returns the channel that it belongs to, if any.
    #[must_use]
    pub fn channel(&self) -> Option<&Channel> {
        match &self.body {
            EventBody::Message(message) => message.routing.as_ref()?.channel.as_ref(),
            EventBody::Join(presence) | EventBody::Leave(presence) => Some(&presence.channel),
            EventBody::Connect(_) | EventBody::Close(_) | EventBody::Lost(_) => None,
        }
    }

    /// Returns about how many bytes of memory it takes to keep this event: what
    /// `--history-bytes` counts.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// The event itself, its reference counts, a place in the ring, and what an allocator
        /// adds to two small allocations.
        const FIXED: usize = size_of::<Event>() + 2 * size_of::<usize>() + size_of::<usize>() + 32;
        FIXED
            + match &self.body {
                EventBody::Connect(connect) => connect.weight(),
                EventBody::Message(message) => {
                    message.body.len() + message.routing.as_ref().map_or(0, |it| it.weight())
                }
                EventBody::Join(presence) | EventBody::Leave(presence) => presence.weight(),
                EventBody::Close(close) => {
                    let refused = close.refused.as_ref().map_or(0, |connect| connect.weight());
                    size_of::<Close>() + close.reason.len() + refused
                }
                EventBody::Lost(_) => 0,
            }
    }
}

impl Connect {
    fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(_, value)| value.len() + 40);
        let answer = self.answer.as_ref().map_or(0, |answer| {
            let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            size_of::<Answer>() + text(&answer.subprotocol) + text(&answer.extensions)
        });
        let user = self.user.as_ref().map_or(0, |user| user.as_str().len());
        size_of::<Self>() + self.path.len() + headers.sum::<usize>() + answer + user
    }
}

impl Message {
    /// Returns the same message once more, but for whom it is and how it passed.
    pub(crate) fn copied(&self) -> Self {
        let body = self.body.clone();
        Self { body, frame_info: None, routing: None, ..*self }
    }

    /// Makes a message as a client of wstap sends it, or is sent it.
    #[must_use]
    pub fn new(direction: Direction, opcode: Opcode, size: usize, body: Body) -> Self {
        let (opcode, size) = (Some(opcode), size as u64);
        Self { direction, opcode, size, body, synthetic: false, frame_info: None, routing: None }
    }
}

impl Body {
    /// Returns how many bytes are kept of it.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Object(json) | Self::Value(json) => json.as_str().len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Absent => 0,
        }
    }

    /// Returns whether nothing is kept of it: an empty binary message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Kind {
    /// All kinds, in the order in which a connection meets them.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Message, Self::Close, Self::Join, Self::Leave, Self::Gap];

    /// Returns the name in JSON and in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Message => "message",
            Self::Close => "close",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Gap => "gap",
        }
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

impl ClosedBy {
    /// Returns the name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Tap => "tap",
            Self::Network => "network",
        }
    }
}
