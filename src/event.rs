//! The values that cross the hub: what happened ([`Event`]), what is about to ([`Draft`]) and
//! what a listener gets to read ([`Delivery`](crate::hub::Delivery) is made of these).
//!
//! Plain data: no clock, no I/O, no JSON of events (that is `wire`). A value that exists is valid.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::json::Json;

/// One thing that happened, as every listener sees it. Nobody changes it once it has its id.
#[derive(Debug)]
pub struct Event {
    /// Names the event in the stream; strictly increasing.
    pub id: EventId,
    /// Counts the events of this process from 1 without a hole; what gaps are measured in.
    pub ordinal: u64,
    /// Whose event it is.
    pub connection: ConnectionId,
    /// What happened.
    pub what: What,
}

/// An event before the hub has given it an id.
#[derive(Debug)]
pub struct Draft {
    /// Whose event it will be.
    pub connection: ConnectionId,
    /// What happened.
    pub what: What,
}

/// What happened to a connection.
#[derive(Debug)]
pub enum What {
    /// It registered.
    Connect(Box<Connect>),
    /// A message passed.
    Message(Message),
    /// It ended, in whatever way.
    Close(Box<Close>),
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
    pub passage: Option<Passage>,
}

/// How a message passed on its way between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
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
#[derive(Debug)]
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
    pub by: By,
    /// From registration to end.
    pub duration: Duration,
    /// Messages in and out.
    pub messages: Flow,
    /// Payload bytes in and out.
    pub bytes: Flow,
    /// What the wire says of it, in proxy mode.
    pub wire: Option<Wire>,
    /// The handshake, if that is what the server behind has refused: then there was no `connect`.
    pub refused: Option<Box<Connect>>,
}

/// What passed on the wire of a connection, and how long nothing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
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
pub enum By {
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
    pub fn stamp(self, id: EventId, ordinal: u64) -> Event {
        Event { id, ordinal, connection: self.connection, what: self.what }
    }
}

impl Event {
    /// Returns what kind of event this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.what {
            What::Connect(_) => Kind::Connect,
            What::Message(_) => Kind::Message,
            What::Close(_) => Kind::Close,
            What::Lost(_) => Kind::Gap,
        }
    }

    /// Returns the direction of a message; the other kinds have none.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match &self.what {
            What::Message(message) => Some(message.direction),
            What::Connect(_) | What::Close(_) | What::Lost(_) => None,
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
            + match &self.what {
                What::Connect(connect) => connect.weight(),
                What::Message(message) => message.body.len(),
                What::Close(close) => {
                    let refused = close.refused.as_ref().map_or(0, |connect| connect.weight());
                    size_of::<Close>() + close.reason.len() + refused
                }
                What::Lost(_) => 0,
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
        size_of::<Self>() + self.path.len() + headers.sum::<usize>() + answer
    }
}

impl Message {
    /// Makes a message as a client of wstap sends it, or is sent it.
    #[must_use]
    pub fn new(direction: Direction, opcode: Opcode, size: usize, body: Body) -> Self {
        let (opcode, size) = (Some(opcode), size as u64);
        Self { direction, opcode, size, body, synthetic: false, passage: None }
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

/// Names an event: milliseconds since 1970 and a sequence number within the millisecond, written
/// `1763670000123-0`. The form of a Redis stream id: one cursor that carries the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// Milliseconds since 1970-01-01 UTC.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

impl EventId {
    /// Returns the id for an event at `now` (milliseconds since 1970) that comes after `self`:
    /// also when the clock has stood still or gone back.
    #[must_use]
    pub fn next(self, now: u64) -> Self {
        if now > self.ms {
            Self { ms: now, seq: 0 }
        } else {
            Self { ms: self.ms, seq: self.seq + 1 }
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What is wrong with a text that should be an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is two numbers joined by a hyphen, such as 1700000000000-0")]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or(InvalidEventId)
        };
        let (ms, seq) = text.split_once('-').ok_or(InvalidEventId)?;
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

/// Names a connection: 1 to 128 characters without control characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(Arc<str>);

impl ConnectionId {
    /// The most characters that an id has.
    pub const MAX_CHARS: usize = 128;

    /// Makes an id for a connection that named none: short, and later ones sort behind earlier
    /// ones. `ms` is milliseconds since 1970; `n` tells those of one millisecond apart.
    ///
    /// ```
    /// # use wstap::event::ConnectionId;
    /// assert_eq!(ConnectionId::made(1_763_670_000_123, 5).as_str(), "1kahc9d7v05");
    /// ```
    #[must_use]
    pub fn made(ms: u64, n: u64) -> Self {
        // Crockford's alphabet: digits and letters that nobody mixes up, in the order of ASCII.
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let digit =
            |number: u64, place: u32| char::from(DIGITS[(number >> (5 * place)) as usize % 32]);
        let time = (0..9).rev().map(|place| digit(ms, place));
        let id: String = time.chain([digit(n, 1), digit(n, 0)]).collect();
        Self(id.into())
    }

    /// Makes the id of a connection that was to have one which another has already.
    #[must_use]
    pub(crate) fn another(&self, made: &Self) -> Self {
        let keep = self.0.char_indices().nth(Self::MAX_CHARS - made.0.len() - 1);
        let kept = &self.0[..keep.map_or(self.0.len(), |(at, _)| at)];
        Self(format!("{kept}~{}", made.0).into())
    }

    /// Returns the id of nobody: empty, as no connection's is.
    #[must_use]
    pub fn nobody() -> Self {
        Self("".into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a text that should be a connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connectionId is a string of 1 to 128 characters without control characters")]
pub struct InvalidConnectionId;

impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(text: &str) -> Result<Self, InvalidConnectionId> {
        let fits =
            !text.is_empty() && text.chars().take(Self::MAX_CHARS + 1).count() <= Self::MAX_CHARS;
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidConnectionId)
        }
    }
}

impl Kind {
    /// All kinds, in the order in which a connection meets them.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Message, Self::Close, Self::Gap];

    /// Returns the name in JSON and in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Message => "message",
            Self::Close => "close",
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

impl By {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_after_another_is_greater_even_if_the_clock_goes_back() {
        let first = EventId::default().next(1000);
        let second = first.next(1000);
        let third = second.next(900);
        let fourth = third.next(1001);
        assert_eq!(
            [first, second, third, fourth].map(|id| id.to_string()),
            ["1000-0", "1000-1", "1000-2", "1001-0"]
        );
        assert!(first < second && second < third && third < fourth);
    }

    #[test]
    fn what_is_no_event_id_is_refused() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-0",
            "1-+0",
            "1-0 ",
            " 1-0",
            "a-0",
            "1-0-0",
            "99999999999999999999-0",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn a_connection_id_has_1_to_128_characters_and_no_control_characters() {
        let longest = "ä".repeat(128);
        for text in ["a", "1700000000000", "a b/c", "日本\u{2028}", longest.as_str()] {
            assert_eq!(text.parse::<ConnectionId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let too_long = "a".repeat(129);
        for text in ["", "a\n", "\0", "\u{7f}", "\u{85}", too_long.as_str()] {
            assert_eq!(text.parse::<ConnectionId>(), Err(InvalidConnectionId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_event_id_reads_back_as_it_was_written(ms: u64, seq: u64) {
            let id = EventId { ms, seq };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
