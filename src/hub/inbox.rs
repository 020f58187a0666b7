//! Where relays leave what passed, so that traffic never waits for the tap.
//!
//! A lock of its own, held for as long as it takes to append, and a bound: what does not fit is
//! counted, in its place, and becomes a gap that every listener is told.

use std::sync::{Mutex, MutexGuard};

use crate::event::{Draft, EventBody};
use crate::redact::Redacted;

/// Memory that may wait to become events. The pump empties it thousands of times a second; this
/// is what may pass while the machine has no time for it.
const MAX_BYTES: usize = 16 << 20;

/// The same in messages.
const MAX_DRAFTS: usize = 64 << 10;

/// What counts for a message beside its payload.
const FIXED: usize = size_of::<Draft>() + 64;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
}

/// Drafts in the order in which they came.
#[derive(Debug, Default)]
struct Waiting {
    drafts: Vec<Redacted<Draft>>,
    bytes: usize,
}

/// What whoever put something in has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Then {
    /// Nothing: the pump is on its way.
    Nothing,
    /// Wake the pump.
    Wake,
    /// Empty it, if that is possible without waiting.
    Empty,
}

impl Inbox {
    /// Takes the drafts out of `from`, as many as fit, and returns how many did not.
    pub(super) fn put(&self, from: &mut Vec<Redacted<Draft>>) -> (Then, u64) {
        let mut waiting = self.lock();
        let first = waiting.drafts.is_empty();
        let mut lost = 0;
        for draft in from.drain(..) {
            lost += waiting.put(draft);
        }
        let much = waiting.bytes >= MAX_BYTES / 8 || waiting.drafts.len() >= MAX_DRAFTS / 8;
        let then = match (much, first) {
            (true, _) => Then::Empty,
            (false, true) => Then::Wake,
            (false, false) => Then::Nothing,
        };
        (then, lost)
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Vec<Redacted<Draft>> {
        let mut waiting = self.lock();
        waiting.bytes = 0;
        std::mem::take(&mut waiting.drafts)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds this lock")
    }
}

impl Waiting {
    /// Returns 1 for a draft that was lost.
    fn put(&mut self, draft: Redacted<Draft>) -> u64 {
        if let EventBody::Message(message) = &draft.body {
            let weight = FIXED + message.body.len();
            if self.bytes + weight > MAX_BYTES || self.drafts.len() >= MAX_DRAFTS {
                return self.lose();
            }
            self.bytes += weight;
        }
        // Connects and closes are few, bounded by the connections, and what a listener needs most.
        self.drafts.push(draft);
        0
    }

    fn lose(&mut self) -> u64 {
        let before = match self.drafts.last().map(|draft| &draft.body) {
            Some(EventBody::Lost(missed)) => *missed,
            _ => 0,
        };
        if before > 0 {
            self.drafts.pop();
        }
        self.drafts.push(Redacted::lost(before + 1));
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, ConnectionId, Direction, Message, Opcode};
    use crate::redact::Redaction;

    fn message(size: usize) -> Redacted<Draft> {
        let body = Body::Binary(vec![0; size].into());
        let message = Message::new(Direction::In, Opcode::Binary, size, body);
        Redaction::default().draft(&ConnectionId::made(0, 0), EventBody::Message(message))
    }

    #[test]
    fn what_does_not_fit_is_counted_in_its_place() {
        let inbox = Inbox::default();
        let mut drafts: Vec<_> = (0..5).map(|_| message(MAX_BYTES / 4)).collect();
        let (then, lost) = inbox.put(&mut drafts);
        assert_eq!((then, lost), (Then::Empty, 2));
        assert!(drafts.is_empty());
        let (_, lost) = inbox.put(&mut vec![message(MAX_BYTES)]);
        assert_eq!(lost, 1);
        let taken = inbox.take();
        let kinds: Vec<_> =
            taken.iter().map(|draft| matches!(draft.body, EventBody::Lost(3))).collect();
        assert_eq!(kinds, [false, false, false, true]);
        assert_eq!(inbox.put(&mut vec![message(1)]), (Then::Wake, 0));
        assert_eq!(inbox.put(&mut vec![message(1)]), (Then::Nothing, 0));
    }
}
