//! The tap of a relayed connection: a reader for each direction, and the events of what they read.
//!
//! It reads bytes after they have passed. A reader that fails is dropped; the connection goes on
//! without it. Work is done in turns: a turn of the relay has a budget of bytes that are read and
//! inflated. Bytes that it does not reach are kept, and nothing more is read off their direction
//! until they are done.

mod cause;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use self::cause::{Cause, CloseFrame};
use super::held::Share;
use super::messages::{is_violation, message, unreadable, words};
use crate::event::{ConnectionId, Direction, Draft, EventBody, Flow, Message, TransportStats};
use crate::frame::{Boundaries, Extensions, Reader, Seen, Side};
use crate::hub::{Connection, Turns};
use crate::redact::Redacted;

thread_local! {
    static DRAFTS: RefCell<Vec<Redacted<Draft>>> = const { RefCell::new(Vec::new()) };
}

/// Violations in a row after which a direction is not shown any more. A peer that does not speak
/// WebSocket would fill the stream with them, one for every few bytes.
const VIOLATIONS: u32 = 32;

/// The note of the last violation that is shown.
const REPEATED: &str =
    "protocol violation: one after the other; nothing more of this direction is shown";

/// Bytes that a turn reads and inflates: with messages of a byte, 128 of them, which take an eighth of a
/// millisecond until they are in the inbox of the hub and a piece of it is published.
const BUDGET: usize = 256 << 10;

/// Bytes of messages that are handed to the hub at once: fewer than wait in its inbox, so that the
/// messages of one read do not all exist beside it.
const HANDED: usize = 256 << 10;

/// Settings of a tap.
#[derive(Debug, Clone, Copy)]
pub(super) struct TapSettings {
    /// Whether pings and pongs are events.
    pub(super) control: bool,
    /// A larger message passes, and is kept up to here.
    pub(super) max_message_bytes: usize,
}

/// The tap of one connection.
pub(super) struct Tap {
    connection: Connection,
    /// `None` if a direction cannot be read any more.
    readers: [Option<Reader>; 2],
    /// Why the connection ends.
    cause: Cause,
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
            cause: Cause::default(),
            bytes: [0; 2],
            last: [now; 2],
            published: false,
            violations: [0; 2],
            behind: [(Vec::new(), false), (Vec::new(), false)],
            budget: BUDGET,
            share,
        }
    }

    /// Returns the id of the connection.
    pub(super) fn connection(&self) -> &ConnectionId {
        self.connection.id()
    }

    /// Returns a place to wait for turns.
    pub(super) fn turns(&self) -> Turns {
        self.connection.turns()
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
            let cause = &mut self.cause;
            let (violations, budget) = (&mut self.violations[n], &mut self.budget);
            let (mut size, mut room) = (0, wanted && connection.has_room());
            let each = |seen: Seen<'_>| {
                if let Seen::Close { code, reason, note } = &seen {
                    let reason = reason.to_string();
                    let frame = CloseFrame { code: *code, reason, note: words(*note) };
                    cause.close_frame(direction, frame);
                }
                if !wanted || *violations >= VIOLATIONS {
                    return;
                }
                *violations = if is_violation(&seen) { *violations + 1 } else { 0 };
                let message = if *violations < VIOLATIONS {
                    message(direction, &seen, room)
                } else {
                    let note = REPEATED;
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
                *budget = budget.saturating_sub(bytes.len());
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

    /// Returns the cause of the end, to add to it.
    pub(super) fn cause(&mut self) -> &mut Cause {
        &mut self.cause
    }

    /// Publishes that injected messages found no place before the end of a direction.
    pub(super) fn unplaced(&self, direction: Direction) {
        let note = "messages that wstap was to send here found no place any more, and are not sent";
        self.offer(unreadable(direction, note));
    }

    /// Returns whether both sides have sent a close frame.
    pub(super) fn both_closed(&self) -> bool {
        self.cause.both_closed()
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
        let silence = |n: usize| self.last[n].elapsed();
        let wire = TransportStats {
            bytes: Flow { inward: self.bytes[0], outward: self.bytes[1] },
            client_silence: silence(0),
            server_silence: silence(1),
            note: None,
            comments: None,
        };
        self.connection.end(self.cause.ending(wire));
    }
}

#[cfg(test)]
mod tests;
