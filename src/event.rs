//! The values that cross the hub: an [`Event`], and the [`Draft`] of one without an id.
//!
//! Plain data: no clock, no I/O, no JSON of events (`wire` writes it). A value that exists is valid.

mod connection;
mod exchange;
mod handshake;
mod id;
mod message;
mod routing;
mod secret;

pub use connection::{
    Answer, Close, ClosedBy, Connect, EventStream, Flow, Transport, TransportStats,
};
pub use exchange::Exchange;
pub use handshake::Handshake;
pub use id::{ConnectionId, EventId, InvalidConnectionId, InvalidEventId};
pub use message::{Body, Direction, EventFields, FrameInfo, Message, Opcode};
pub use routing::{Channel, InvalidChannel, InvalidUser, Presence, Routing, User};
pub use secret::{ClientSecret, InvalidClientSecret};

use std::sync::Arc;

/// One event, as every listener sees it. It does not change once it has its id.
#[derive(Debug)]
pub struct Event {
    /// Names the event in the stream; strictly increasing.
    pub id: EventId,
    /// The connection that the event belongs to.
    pub connection: ConnectionId,
    /// The handshake of that connection, as far as it is known.
    pub handshake: Option<Arc<Handshake>>,
    /// What happened.
    pub body: EventBody,
}

/// An event before the hub has given it an id.
#[derive(Debug)]
pub struct Draft {
    /// The connection that the event will belong to.
    pub connection: ConnectionId,
    /// The handshake of that connection, as far as it is known.
    pub handshake: Option<Arc<Handshake>>,
    /// What happened.
    pub body: EventBody,
}

/// The body of an event, by kind.
#[derive(Debug)]
pub enum EventBody {
    /// The connection registered.
    Connect(Box<Connect>),
    /// A message passed.
    Message(Message),
    /// The connection ended, in whatever way.
    Close(Box<Close>),
    /// Its user joined a channel with this as the first connection.
    Join(Box<Presence>),
    /// Its user left a channel with this as the last connection.
    Leave(Box<Presence>),
    /// A plain request passed, in proxy mode. The connection is [`ConnectionId::nobody`].
    Request(Box<Exchange>),
    /// The number of messages that passed and that the tap had no room for. The connection is
    /// [`ConnectionId::nobody`], and every listener receives the event.
    Lost(u64),
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A connection registered.
    Connect,
    /// A message passed.
    Message,
    /// A connection ended.
    Close,
    /// A user joined a channel.
    Join,
    /// A user left a channel.
    Leave,
    /// A plain request passed.
    Request,
    /// Messages passed that the tap had no room for.
    Gap,
}

/// Events that a listener lost for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The number of events; `None` if it is unknown.
    pub missed: Option<u64>,
    /// The last event before the gap, as far as it is known.
    pub after: Option<EventId>,
    /// The first event after the gap, if there is one yet.
    pub before: Option<EventId>,
}

impl Draft {
    /// Makes the draft of an event of a connection whose handshake is not known.
    #[must_use]
    pub fn new(connection: ConnectionId, body: EventBody) -> Self {
        Self { connection, handshake: None, body }
    }

    /// Makes the draft an event.
    #[must_use]
    pub fn stamp(self, id: EventId) -> Event {
        let Self { connection, handshake, body } = self;
        Event { id, connection, handshake, body }
    }
}

impl Event {
    /// Makes the event of a gap: so many messages passed unseen.
    #[must_use]
    pub(crate) fn lost(missed: u64, id: EventId) -> Self {
        Draft::new(ConnectionId::nobody(), EventBody::Lost(missed)).stamp(id)
    }

    /// Returns the kind of the event.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.body {
            EventBody::Connect(_) => Kind::Connect,
            EventBody::Message(_) => Kind::Message,
            EventBody::Close(_) => Kind::Close,
            EventBody::Join(_) => Kind::Join,
            EventBody::Leave(_) => Kind::Leave,
            EventBody::Request(_) => Kind::Request,
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
            EventBody::Connect(_)
            | EventBody::Close(_)
            | EventBody::Request(_)
            | EventBody::Lost(_) => None,
        }
    }

    fn handshake_weight(&self) -> usize {
        self.handshake.as_ref().map_or(0, |handshake| handshake.weight())
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
                EventBody::Connect(connect) => connect.weight() + self.handshake_weight(),
                EventBody::Message(message) => {
                    let routing = message.routing.as_ref().map_or(0, |it| it.weight());
                    let fields = message.event.as_ref().map_or(0, |it| it.weight());
                    message.body.len() + routing + fields
                }
                EventBody::Join(presence) | EventBody::Leave(presence) => presence.weight(),
                EventBody::Close(close) => {
                    let refused = close.refused.as_ref().map_or(0, |connect| connect.weight());
                    // Without a `connect` it is counted here.
                    let own = if refused > 0 { self.handshake_weight() } else { 0 };
                    size_of::<Close>() + close.reason.len() + refused + own
                }
                EventBody::Request(exchange) => exchange.weight(),
                EventBody::Lost(_) => 0,
            }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Message,
        Self::Close,
        Self::Join,
        Self::Leave,
        Self::Request,
        Self::Gap,
    ];

    /// Returns the name in JSON and in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Message => "message",
            Self::Close => "close",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Request => "request",
            Self::Gap => "gap",
        }
    }
}
