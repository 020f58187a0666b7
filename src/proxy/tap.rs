//! The tap of a relayed connection: a reader for each direction, and the cause of the end.
//!
//! It reads bytes after they have passed. A reader that fails is dropped; the connection goes on
//! without it. Work is done in turns: a turn of the relay has a budget of bytes that are read and
//! inflated. Bytes that it does not reach are kept, and nothing more is read off their direction
//! until they are done.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::held::Share;
use super::messages::{is_violation, message, unreadable, words};
use crate::code::absent;
use crate::event::{ClosedBy, Direction, Draft, EventBody, Flow, Message, TransportStats};
use crate::frame::{Boundaries, Extensions, Reader, Seen, Side};
use crate::hub::{CloseRequest, Connection, Ending};
use crate::redact::Redacted;

thread_local! {
    static DRAFTS: RefCell<Vec<Redacted<Draft>>> = const { RefCell::new(Vec::new()) };
}

/// Violations in a row after which a direction is not shown any more. A peer that does not speak
/// WebSocket would fill the stream with them, one for every few bytes.
const VIOLATIONS: u32 = 32;

/// Bytes that a turn reads and inflates, which takes about a millisecond.
const BUDGET: usize = 1 << 20;

/// Bytes of messages that are handed to the hub at once: fewer than wait in its inbox, so that the
/// messages of one read do not all exist beside it.
const HANDED: usize = 256 << 10;

/// Settings of a tap.
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
    /// `None` if a direction cannot be read any more.
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
    /// Consecutive violations of the protocol.
    violations: [u32; 2],
    /// Bytes that have passed and are not read yet, and whether they are events.
    behind: [(Vec<u8>, bool); 2],
    /// What is left of the budget of this turn.
    budget: usize,
    /// Memory of the incomplete messages.
    share: Share,
}

/// A close frame, and its anomaly.
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
    pub(super) fn new(
        connection: Connection,
        extensions: &str,
        settings: TapSettings,
        share: Share,
    ) -> Self {
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
            behind: [(Vec::new(), false), (Vec::new(), false)],
            budget: BUDGET,
            share,
        }
    }

    /// Begins a turn: reads on where the last one stopped.
    pub(super) fn begin_turn(&mut self) {
        self.budget = BUDGET;
        for direction in [Direction::In, Direction::Out] {
            let (bytes, shown) = std::mem::take(&mut self.behind[direction as usize]);
            self.advance(direction, &bytes, shown);
        }
    }

    /// Returns whether bytes of a direction may be read in this turn.
    pub(super) fn may_read(&self, direction: Direction) -> bool {
        self.budget > 0 && self.is_up_to_date(direction)
    }

    /// Returns whether another turn has to follow.
    pub(super) fn needs_turn(&self) -> bool {
        self.budget == 0 || self.behind.iter().any(|(bytes, _)| !bytes.is_empty())
    }

    fn is_up_to_date(&self, direction: Direction) -> bool {
        self.behind[direction as usize].0.is_empty()
    }

    /// Reads a copy of bytes that came. With `shown` they were passed on, and are events.
    pub(super) fn feed(&mut self, direction: Direction, bytes: &[u8], shown: bool) {
        let n = direction as usize;
        self.bytes[n] += bytes.len() as u64;
        self.last[n] = Instant::now();
        self.advance(direction, bytes, shown);
    }

    /// Reads bytes as far as the budget goes, and keeps the others.
    fn advance(&mut self, direction: Direction, bytes: &[u8], shown: bool) {
        if bytes.is_empty() {
            return;
        }
        let mut read = bytes.len();
        self.guard(direction, |tap, reader| read = tap.read(reader, direction, bytes, shown));
        if read < bytes.len() {
            self.behind[direction as usize] = (bytes[read..].to_vec(), shown);
        }
        let held = self.readers.iter().flatten().map(Reader::held).sum();
        if !self.share.resize(held)
            && let Some(reader) = &mut self.readers[direction as usize]
        {
            reader.drop_payload();
        }
    }

    /// Runs the reader of a direction, and drops it if it panics.
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

    fn read(
        &mut self,
        reader: &mut Reader,
        direction: Direction,
        bytes: &[u8],
        shown: bool,
    ) -> usize {
        let n = direction as usize;
        let wanted = shown && self.violations[n] < VIOLATIONS && self.connection.wanted();
        DRAFTS.with_borrow_mut(|drafts| {
            drafts.clear();
            let connection = &self.connection;
            let (closes, first) = (&mut self.closes, &mut self.first);
            let (violations, budget) = (&mut self.violations[n], &mut self.budget);
            let (mut size, mut room) = (0, wanted && connection.has_room());
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
                    message(direction, &seen, room)
                } else {
                    let note = "protocol violation: one after the other; nothing more of this direction is shown";
                    Some(unreadable(direction, note))
                };
                if let Some(message) = message {
                    let draft = connection.draft(message);
                    if let EventBody::Message(message) = &draft.body {
                        size += message.body.len();
                    }
                    drafts.push(draft);
                    if size >= HANDED {
                        connection.offer(drafts);
                        (size, room) = (0, connection.has_room());
                    }
                }
            };
            let before = reader.counts();
            let read = if wanted {
                reader.feed_within(bytes, budget, each)
            } else {
                reader.skim(bytes, each);
                bytes.len()
            };
            let passed = reader.counts();
            if shown && passed.messages > before.messages {
                let (messages, bytes) =
                    (passed.messages - before.messages, passed.decoded - before.decoded);
                connection.passed(direction, messages, bytes);
            }
            if !drafts.is_empty() {
                connection.offer(drafts);
            }
            read
        })
    }

    /// Publishes a message that no reader has read.
    fn offer(&self, message: Message) {
        self.connection.offer(&mut vec![self.connection.draft(message)]);
    }

    /// Returns whether a message may be injected after the bytes fed in a direction.
    pub(super) fn between_messages(&self, direction: Direction) -> bool {
        self.is_up_to_date(direction) && self.boundaries(direction).is_some_and(Boundaries::open)
    }

    /// Returns whether a place for a message may still come in a direction.
    pub(super) fn takes_messages(&self, direction: Direction) -> bool {
        self.boundaries(direction).is_some_and(|boundaries| !boundaries.over())
    }

    /// Returns the first place for a message in the next bytes of a direction, which is up to date.
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

    /// Publishes that injected messages found no place before the end of a direction.
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
        for direction in [Direction::In, Direction::Out] {
            // Their close frames and counts matter, and their payloads would take time.
            let (bytes, _) = std::mem::take(&mut self.behind[direction as usize]);
            self.advance(direction, &bytes, false);
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

#[cfg(test)]
mod tests {
    use super::super::held::Held;
    use super::*;
    use crate::event::{Answer, Connect};
    use crate::hub::{Hub, Order, Range, Scanned, Settings, Start};

    /// A tap of a connection to a hub of its own.
    fn tap(hub: &Hub, extensions: &str) -> Tap {
        let answer = Answer {
            upstream: "ws://a".into(),
            status: 101,
            time: Duration::ZERO,
            subprotocol: None,
            extensions: None,
            ..Answer::default()
        };
        let connect = Connect {
            remote: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            headers: Vec::new(),
            answer: Some(Box::new(answer)),
            user: None,
        };
        let (connection, _mailbox) = hub.connect_with_generated_id(None, connect).expect("room");
        let settings = TapSettings { control: false, max_message_bytes: 1 << 20 };
        Tap::new(connection, extensions, settings, Held::new(1 << 20).share())
    }

    /// Compressed messages of a server that inflate to a mebibyte each.
    fn bombs(count: usize) -> Vec<u8> {
        let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
        let mut bytes = Vec::new();
        for _ in 0..count {
            let mut message = Vec::with_capacity(4096);
            let flush = flate2::FlushCompress::Sync;
            deflate.compress_vec(&vec![b'x'; 1 << 20], &mut message, flush).expect("room");
            let length = u16::try_from(message.len() - 4).expect("it is small");
            bytes.extend_from_slice(&[0xC2, 126]);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&message[..usize::from(length)]);
        }
        bytes
    }

    #[tokio::test]
    async fn turn_inflates_no_more_than_its_budget_and_the_next_ones_read_the_rest() {
        let hub = Hub::new(Settings::default());
        let mut tap = tap(&hub, "permessage-deflate");
        let bytes = bombs(40);
        assert!(bytes.len() < 64 << 10, "one read of a relay");
        tap.begin_turn();
        tap.feed(Direction::Out, &bytes, true);
        let mut turns = 1;
        while tap.needs_turn() {
            assert!(!tap.may_read(Direction::Out));
            let behind = !tap.is_up_to_date(Direction::Out);
            assert!(!(behind && tap.between_messages(Direction::Out)), "bytes have passed unread");
            let read = hub.connections()[0].messages().outward;
            assert!(read <= 4 * turns, "{read} messages after {turns} turns");
            tap.begin_turn();
            turns += 1;
        }
        assert!(tap.may_read(Direction::Out) && tap.between_messages(Direction::Out));
        assert_eq!(hub.connections()[0].messages().outward, 40);
    }

    #[tokio::test]
    async fn close_frame_that_is_behind_is_read_at_the_end() {
        let hub = Hub::new(Settings::default());
        let mut tap = tap(&hub, "permessage-deflate");
        let bytes = [bombs(20), b"\x88\x02\x03\xf3".to_vec()].concat();
        tap.feed(Direction::Out, &bytes, true);
        assert!(tap.needs_turn());
        tap.end();
        drop(tap);
        assert_eq!(closes(&hub), [1011]);
    }

    fn closes(hub: &Hub) -> Vec<u16> {
        let range =
            Range { start: Start::Oldest, until: None, limit: 100, order: Order::Ascending };
        let mut codes = Vec::new();
        for scanned in hub.scan(range, crate::filter::Filter::default()) {
            let Scanned::Events(events) = scanned else { continue };
            codes.extend(events.iter().filter_map(|event| match &event.body {
                EventBody::Close(close) => Some(close.code),
                _ => None,
            }));
        }
        codes
    }

    #[tokio::test]
    async fn reader_that_panics_is_dropped_and_the_other_reads_on() {
        let hub = Hub::new(Settings::default());
        let mut tap = tap(&hub, "");
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
