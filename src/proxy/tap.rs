//! What a relayed connection says, made events of: the reader of each direction, and who ended it.
//!
//! It sees bytes after they have passed, and whatever it makes of them, they have passed. A reader
//! that fails is put aside; the connection goes on without it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::code::absent;
use crate::event::{
    Body, ClosedBy, Direction, Draft, Flow, FrameInfo, Message, Opcode, TransportStats,
};
use crate::frame::{Boundaries, Control, Extensions, Note, Payload, Reader, Seen, Side};
use crate::hub::{CloseRequest, Connection, Ending};
use crate::json::Json;
use crate::redact::Redacted;

thread_local! {
    static DRAFTS: RefCell<Vec<Redacted<Draft>>> = const { RefCell::new(Vec::new()) };
}

/// Violations in a row after which a direction is not shown any more: whoever speaks something
/// else than WebSocket would fill the stream with them, one for every few bytes.
const VIOLATIONS: u32 = 32;

/// What a tap shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct TapSettings {
    /// Whether pings and pongs are events.
    pub(super) control: bool,
    /// A larger message passes, but is not kept.
    pub(super) max_message_bytes: usize,
}

/// The tap of one connection.
pub(super) struct Tap {
    connection: Connection,
    /// `None`: this direction cannot be read any more.
    readers: [Option<Reader>; 2],
    /// The close frame of each side.
    closes: [Option<CloseFrame>; 2],
    /// What began the end.
    first: Option<First>,
    /// The end that was given up, and how long it had taken nothing.
    stuck: Option<(Direction, Duration)>,
    bytes: [u64; 2],
    last: [Instant; 2],
    /// The end is published.
    published: bool,
    /// What came in a row that was against the protocol.
    violations: [u32; 2],
}

/// What a close frame says, and what is odd about it.
#[derive(Debug, Clone)]
struct CloseFrame {
    code: u16,
    reason: String,
    note: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    /// A close frame.
    Close(Direction),
    /// The end of the TCP connection, without a close frame before.
    End(Direction),
    /// The failure of the connection to the sender of a direction, such as a TCP reset.
    Failure(String),
    /// A request to wstap.
    Request(CloseRequest),
}

impl Tap {
    pub(super) fn new(connection: Connection, extensions: &str, settings: TapSettings) -> Self {
        let reader = |side| {
            let extensions = Extensions::negotiated(extensions);
            Some(Reader::new(side, extensions, settings.max_message_bytes, settings.control))
        };
        let now = Instant::now();
        Self {
            connection,
            readers: [reader(Side::Client), reader(Side::Server)],
            closes: [None, None],
            first: None,
            stuck: None,
            bytes: [0; 2],
            last: [now; 2],
            published: false,
            violations: [0; 2],
        }
    }

    /// Reads a copy of bytes that have come. With `shown` they were passed on, and are events.
    pub(super) fn feed(&mut self, direction: Direction, bytes: &[u8], shown: bool) {
        let n = direction as usize;
        self.bytes[n] += bytes.len() as u64;
        self.last[n] = Instant::now();
        self.guard(direction, |tap, reader| tap.read(reader, direction, bytes, shown));
    }

    /// Has the reader of a direction do something, and puts it aside if that panics.
    fn guard(&mut self, direction: Direction, read: impl FnOnce(&mut Self, &mut Reader)) {
        let n = direction as usize;
        let Some(mut reader) = self.readers[n].take() else { return };
        if catch_unwind(AssertUnwindSafe(|| read(self, &mut reader))).is_ok() {
            self.readers[n] = Some(reader);
            return;
        }
        tracing::error!(
            "the reader of a tap failed; this is a fault of wstap, and traffic goes on"
        );
        let note = "the tap failed here; nothing more of this direction is read";
        self.offer(unreadable(direction, note));
    }

    fn read(&mut self, reader: &mut Reader, direction: Direction, bytes: &[u8], shown: bool) {
        let n = direction as usize;
        let wanted = shown && self.violations[n] < VIOLATIONS && self.connection.wanted();
        DRAFTS.with_borrow_mut(|drafts| {
            drafts.clear();
            let connection = &self.connection;
            let (closes, first) = (&mut self.closes, &mut self.first);
            let violations = &mut self.violations[n];
            let each = |seen: Seen<'_>| {
                if let Seen::Close { code, reason, note } = &seen {
                    first.get_or_insert(First::Close(direction));
                    let said = CloseFrame { code: *code, reason: reason.to_string(), note: words(*note) };
                    closes[direction as usize].get_or_insert(said);
                }
                if !wanted || *violations >= VIOLATIONS {
                    return;
                }
                *violations = if is_violation(&seen) { *violations + 1 } else { 0 };
                let message = if *violations < VIOLATIONS {
                    message(direction, &seen)
                } else {
                    let note = "protocol violation: one after the other; nothing more of this direction is shown";
                    Some(unreadable(direction, note))
                };
                if let Some(message) = message {
                    drafts.push(connection.draft(message));
                }
            };
            let before = reader.counts();
            if wanted {
                reader.feed(bytes, each);
            } else {
                reader.skim(bytes, each);
            }
            let passed = reader.counts();
            if shown && passed.messages > before.messages {
                let (messages, bytes) =
                    (passed.messages - before.messages, passed.decoded - before.decoded);
                connection.passed(direction, messages, bytes);
            }
            if !drafts.is_empty() {
                connection.offer(drafts);
            }
        });
    }

    /// Publishes what nobody has read off the wire.
    fn offer(&self, message: Message) {
        self.connection.offer(&mut vec![self.connection.draft(message)]);
    }

    /// Returns whether a message may be put behind what was fed in a direction.
    pub(super) fn between_messages(&self, direction: Direction) -> bool {
        self.boundaries(direction).is_some_and(Boundaries::open)
    }

    /// Returns whether there may ever be a place for a message in a direction.
    pub(super) fn takes_messages(&self, direction: Direction) -> bool {
        self.boundaries(direction).is_some_and(|boundaries| !boundaries.over())
    }

    /// Returns where in the bytes that come next a message may be put for the first time.
    pub(super) fn place(&self, direction: Direction, bytes: &[u8]) -> Option<usize> {
        self.boundaries(direction)?.clone().scan(bytes)
    }

    fn boundaries(&self, direction: Direction) -> Option<&Boundaries> {
        self.readers[direction as usize].as_ref().map(Reader::boundaries)
    }

    /// Notes that wstap itself ends the connection.
    pub(super) fn close_requested(&mut self, request: &CloseRequest) {
        self.first.get_or_insert_with(|| First::Request(request.clone()));
    }

    /// Notes that the sender of a direction has ended its half of the TCP connection.
    pub(super) fn ended(&mut self, direction: Direction) {
        self.first.get_or_insert(First::End(direction));
    }

    /// Notes that the far end of a direction took nothing for a while, and is given up.
    pub(super) fn stuck(&mut self, direction: Direction, time: Duration) {
        let far = match direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        self.stuck = Some((far, time));
    }

    /// Tells that messages of ours found no place before the end of a direction.
    pub(super) fn unplaced(&self, direction: Direction) {
        let note = "messages that wstap was to send here found no place any more, and are not sent";
        self.offer(unreadable(direction, note));
    }

    /// Notes that the connection to the sender of a direction has failed.
    pub(super) fn failed(&mut self, direction: Direction, error: &io::Error) {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable,
            TimedOut,
        };
        let who = name(direction);
        self.first.get_or_insert_with(|| {
            First::Failure(match error.kind() {
                ConnectionReset | ConnectionAborted | BrokenPipe => {
                    format!("the {who} reset the connection")
                }
                TimedOut | HostUnreachable | NetworkUnreachable => {
                    format!("the {who} does not answer any more: {error}")
                }
                _ => format!("the connection to the {who} failed: {error}"),
            })
        });
    }

    /// Returns whether both sides have sent a close frame.
    pub(super) fn both_closed(&self) -> bool {
        self.closes.iter().all(Option::is_some)
    }

    /// Publishes how the connection ended, the first time it is called.
    pub(super) fn end(&mut self) {
        if std::mem::replace(&mut self.published, true) {
            return;
        }
        let clean = self.both_closed();
        let silence = |n: usize| self.last[n].elapsed();
        let mut wire = TransportStats {
            bytes: Flow { inward: self.bytes[0], outward: self.bytes[1] },
            client_silence: silence(0),
            server_silence: silence(1),
            note: None,
        };
        let abnormal = |reason: String| (absent::ABNORMAL, reason);
        let (by, (code, mut reason)) = match self.first.clone() {
            Some(First::Close(from)) => {
                let said = self.closes[from as usize].clone();
                let said = said.map(|said| {
                    wire.note = said.note;
                    (said.code, said.reason)
                });
                (side(from), said.unwrap_or_else(|| abnormal(String::new())))
            }
            Some(First::Request(request)) => (ClosedBy::Tap, (request.code, request.reason)),
            Some(First::End(from)) => {
                let ended =
                    format!("the {} ended the connection without a close frame", name(from));
                (side(from), abnormal(ended))
            }
            Some(First::Failure(reason)) => (ClosedBy::Network, abnormal(reason)),
            None => (ClosedBy::Network, abnormal("the connection broke".to_owned())),
        };
        if let (absent::ABNORMAL, Some((far, time))) = (code, self.stuck) {
            let _ = write!(reason, "; the {} read nothing for {} s", name(far), time.as_secs());
        }
        self.connection.end(Ending { code, reason, clean, by, wire: Some(wire) });
    }
}

/// Returns what the sender of a direction is called.
fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "client",
        Direction::Out => "server",
    }
}

fn side(direction: Direction) -> ClosedBy {
    match direction {
        Direction::In => ClosedBy::Client,
        Direction::Out => ClosedBy::Server,
    }
}

/// Makes a message of what a reader has seen; a close frame is part of the `close` event.
fn message(direction: Direction, seen: &Seen<'_>) -> Option<Message> {
    let (opcode, size, body, frame_info) = match seen {
        Seen::Message { opcode, payload, size, wire, fragments, compressed, note: odd } => {
            let frame_info = FrameInfo {
                wire: *wire,
                fragments: *fragments,
                compressed: *compressed,
                note: words(*odd),
            };
            (Some(*opcode), *size, body(payload), frame_info)
        }
        Seen::Control { kind, payload, wire, note: odd } => {
            let opcode = match kind {
                Control::Ping => Opcode::Ping,
                Control::Pong => Opcode::Pong,
            };
            let frame_info = frame_alone(*wire, words(*odd));
            (Some(opcode), payload.len() as u64, Body::Binary((*payload).into()), frame_info)
        }
        Seen::Reserved { size, wire, note, .. } => {
            (None, *size, Body::Absent, frame_alone(*wire, words(Some(*note))))
        }
        Seen::Unreadable { note } => return Some(unreadable(direction, &note.to_string())),
        Seen::Close { .. } => return None,
    };
    Some(Message {
        direction,
        opcode,
        size,
        body,
        synthetic: false,
        frame_info: Some(frame_info),
        routing: None,
    })
}

fn body(payload: &Payload<'_>) -> Body {
    match payload {
        Payload::Text(text) => Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text))),
        Payload::Bytes(bytes) => Body::Binary((*bytes).into()),
        Payload::Absent => Body::Absent,
    }
}

fn is_violation(seen: &Seen<'_>) -> bool {
    match seen {
        Seen::Reserved { .. } | Seen::Unreadable { .. } => true,
        Seen::Message { note, .. } | Seen::Control { note, .. } | Seen::Close { note, .. } => {
            note.is_some_and(Note::violation)
        }
    }
}

fn frame_alone(wire: u64, note: Option<Box<str>>) -> FrameInfo {
    FrameInfo { wire, fragments: 1, compressed: false, note }
}

fn words(note: Option<Note>) -> Option<Box<str>> {
    note.map(|note| note.to_string().into())
}

fn unreadable(direction: Direction, note: &str) -> Message {
    let frame_info = Some(frame_alone(0, Some(note.into())));
    Message {
        direction,
        opcode: None,
        size: 0,
        body: Body::Absent,
        synthetic: false,
        frame_info,
        routing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Answer, Connect, EventBody};
    use crate::hub::{Hub, Order, Range, Scanned, Settings, Start};

    #[tokio::test]
    async fn a_reader_that_panics_is_put_aside_and_the_other_reads_on() {
        let hub = Hub::new(Settings::default());
        let answer = Answer {
            upstream: "ws://a".into(),
            status: 101,
            time: Duration::ZERO,
            subprotocol: None,
            extensions: None,
        };
        let connect = Connect {
            remote: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            headers: Vec::new(),
            answer: Some(Box::new(answer)),
            user: None,
        };
        let (connection, _orders) = hub.connect_with_generated_id(None, connect).expect("room");
        let settings = TapSettings { control: false, max_message_bytes: 1 << 20 };
        let mut tap = Tap::new(connection, "", settings);
        tap.guard(Direction::In, |_, _| panic!("a fault of the reader, for this test"));
        tap.feed(Direction::In, b"\x81\x80\0\0\0\0", true);
        tap.feed(Direction::Out, b"\x81\x02hi", true);
        tap.end();
        drop(tap);
        let range = Range { start: Start::Oldest, until: None, limit: 10, order: Order::Ascending };
        let mut told = Vec::new();
        for scanned in hub.scan(range, crate::filter::Filter::default()) {
            let Scanned::Events(events) = scanned else { continue };
            told.extend(events.iter().map(|event| match &event.body {
                EventBody::Message(message) => {
                    (message.direction.as_str(), message.opcode.is_some())
                }
                other => {
                    (if matches!(other, EventBody::Close(_)) { "close" } else { "connect" }, true)
                }
            }));
        }
        assert_eq!(told, [("connect", true), ("in", false), ("out", true), ("close", true)]);
    }
}
