//! What relays have seen, until it is published. Traffic never waits for it.
//!
//! A lock of its own, held for as long as it takes to append, and a bound: messages that do not fit
//! are counted, in their place, and become a gap that every listener is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::event::{Draft, EventBody};
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::connections::own_drafts::OwnDrafts;
use crate::redact::Redacted;

/// Memory that may wait to become events. The pump empties it thousands of times a second; this is
/// what may pass while the machine has no time for it.
const MAX_BYTES: usize = 16 << 20;

/// The same in messages.
const MAX_DRAFTS: usize = 64 << 10;

/// Drafts that are published at once, under the lock of the sequence.
const PIECE_DRAFTS: usize = 512;

/// The same in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// What counts for a message beside its payload.
const FIXED: usize = size_of::<Waiting>() + 64;

/// A connection may have so many times as much in the inbox as is free. One that floods leaves a ninth
/// of it free, four leave a thirty-third, which is 2,000 messages: what others send is not lost.
const SHARE: usize = 8;

/// A draft, and the connection that it is of; a loss is that of no connection.
type Waiting = (Option<Arc<ConnectionHandle>>, Redacted<Draft>);

#[derive(Debug, Default)]
pub(in crate::hub) struct Inbox {
    queue: Mutex<Queue>,
}

/// Drafts in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    drafts: VecDeque<Waiting>,
    bytes: usize,
    /// Drafts that were put in and taken out so far.
    taken_in: u64,
    taken_out: u64,
}

/// What a relay has to do after it has put something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::hub) enum InboxAction {
    /// Nothing: the pump is awake.
    Nothing,
    /// Wake the pump.
    Wake,
    /// Much is waiting: send some of it, if no other does.
    Send,
}

impl Inbox {
    /// Takes the drafts out of `from`, as many as fit, and returns how many did not.
    pub(in crate::hub) fn put(
        &self,
        handle: &Arc<ConnectionHandle>,
        from: &mut Vec<Redacted<Draft>>,
    ) -> (InboxAction, u64) {
        let mut queue = self.lock();
        let first = queue.drafts.is_empty();
        let mut lost = 0;
        for draft in from.drain(..) {
            lost += queue.put(handle, draft);
        }
        let much = queue.bytes >= MAX_BYTES / 8 || queue.drafts.len() >= MAX_DRAFTS / 8;
        let action = match (much, first) {
            (true, _) => InboxAction::Send,
            (false, true) => InboxAction::Wake,
            (false, false) => InboxAction::Nothing,
        };
        (action, lost)
    }

    /// Takes the next piece out.
    pub(in crate::hub) fn take(&self) -> Vec<Waiting> {
        let mut queue = self.lock();
        let mut weight = 0;
        let fits = |(_, draft): &&Waiting| {
            let fits = weight < PIECE_BYTES;
            weight += self::weight(draft);
            fits
        };
        let count = queue.drafts.iter().take(PIECE_DRAFTS).take_while(fits).count();
        let piece: Vec<_> = queue.drafts.drain(..count).collect();
        for (handle, draft) in &piece {
            if let Some(handle) = handle {
                handle.waiting().take_out(self::weight(draft));
            }
        }
        queue.bytes -= piece.iter().map(|(_, draft)| self::weight(draft)).sum::<usize>();
        queue.taken_out += count as u64;
        if queue.drafts.is_empty() {
            // What a burst has taken is given back.
            queue.drafts.shrink_to(PIECE_DRAFTS);
        }
        piece
    }

    /// Returns whether another message of a usual size has room.
    pub(in crate::hub) fn has_room(&self) -> bool {
        let queue = self.lock();
        queue.bytes < MAX_BYTES && queue.drafts.len() < MAX_DRAFTS
    }

    pub(in crate::hub) fn is_empty(&self) -> bool {
        self.lock().drafts.is_empty()
    }

    /// Returns the number of drafts that were put in so far.
    pub(in crate::hub) fn taken_in(&self) -> u64 {
        self.lock().taken_in
    }

    /// Returns whether fewer than `count` drafts were taken out so far.
    pub(in crate::hub) fn is_before(&self, count: u64) -> bool {
        self.lock().taken_out < count
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }
}

/// Returns what a draft counts for.
fn weight(draft: &Draft) -> usize {
    match &draft.body {
        EventBody::Message(message) => FIXED + message.body.len(),
        _ => 0,
    }
}

impl Queue {
    /// Returns 1 for a draft that was lost.
    fn put(&mut self, handle: &Arc<ConnectionHandle>, draft: Redacted<Draft>) -> u64 {
        let weight = weight(&draft);
        if weight > 0 && !self.fits(weight, handle.waiting()) {
            return self.lose();
        }
        handle.waiting().put_in(weight);
        self.bytes += weight;
        self.taken_in += 1;
        self.drafts.push_back((Some(Arc::clone(handle)), draft));
        0
    }

    /// Returns whether a message has room, in the inbox and in the share of its connection.
    fn fits(&self, weight: usize, own: &OwnDrafts) -> bool {
        let bytes = MAX_BYTES.saturating_sub(self.bytes);
        let drafts = MAX_DRAFTS.saturating_sub(self.drafts.len());
        let (own_drafts, own_bytes) = own.counts();
        weight <= bytes
            && drafts > 0
            && own_bytes + weight <= SHARE * bytes
            && own_drafts < SHARE * drafts
    }

    fn lose(&mut self) -> u64 {
        let before = match self.drafts.back().map(|(_, draft)| &draft.body) {
            Some(EventBody::Lost(missed)) => *missed,
            _ => 0,
        };
        if before > 0 {
            self.drafts.pop_back();
        } else {
            self.taken_in += 1;
        }
        self.drafts.push_back((None, Redacted::lost(before + 1)));
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Connect, Direction, Handshake, Message, Opcode};
    use crate::hub::connections::handle::ConnectionInfo;
    use crate::redact::Redaction;

    fn handle() -> Arc<ConnectionHandle> {
        let remote = "127.0.0.1:1".parse().expect("an address");
        let (path, headers) = ("/".to_owned(), Vec::new());
        let connect = Connect { remote, path, headers, answer: None, user: None };
        let info = ConnectionInfo {
            id: "a".parse().expect("an id"),
            handshake: Arc::new(Handshake::of(&connect)),
            connect: Redaction::default().connect(connect),
            since_ms: 0,
            number: 1,
        };
        ConnectionHandle::new(info, None, None).0
    }

    fn message(size: usize) -> Redacted<Draft> {
        let body = Body::Binary(vec![0; size].into());
        let message = Message::new(Direction::In, Opcode::Binary, size, body);
        Redaction::default().draft(&"a".parse().expect("an id"), EventBody::Message(message))
    }

    #[test]
    fn messages_that_do_not_fit_are_counted_in_their_place() {
        let (inbox, handle) = (Inbox::default(), handle());
        let mut drafts: Vec<_> = (0..5).map(|_| message(MAX_BYTES / 4)).collect();
        let (action, lost) = inbox.put(&handle, &mut drafts);
        assert_eq!((action, lost), (InboxAction::Send, 2));
        assert!(drafts.is_empty() && inbox.has_room());
        let (_, lost) = inbox.put(&handle, &mut vec![message(MAX_BYTES)]);
        assert_eq!(lost, 1);
        let until = inbox.taken_in();
        let mut kinds = Vec::new();
        while inbox.is_before(until) {
            let piece = inbox.take();
            kinds.extend(piece.iter().map(|it| matches!(it.1.body, EventBody::Lost(3))));
        }
        assert_eq!(kinds, [false, false, false, true]);
        assert!(inbox.is_empty());
        assert_eq!(inbox.put(&handle, &mut vec![message(1)]), (InboxAction::Wake, 0));
        assert_eq!(inbox.put(&handle, &mut vec![message(1)]), (InboxAction::Nothing, 0));
    }

    #[test]
    fn message_of_another_connection_has_room_beside_those_that_flood() {
        let inbox = Inbox::default();
        let floods: Vec<_> = (0..4).map(|_| handle()).collect();
        for _ in 0..MAX_DRAFTS / 100 {
            for flood in &floods {
                let (_, _) = inbox.put(flood, &mut (0..100).map(|_| message(1)).collect());
            }
        }
        let quiet = handle();
        let (_, lost) = inbox.put(&quiet, &mut (0..1000).map(|_| message(1)).collect());
        assert_eq!(lost, 0);
        while !inbox.is_empty() {
            inbox.take();
        }
        assert!(floods.iter().chain([&quiet]).all(|handle| handle.waiting().counts() == (0, 0)));
    }

    #[test]
    fn it_is_taken_out_in_pieces() {
        let (inbox, handle) = (Inbox::default(), handle());
        let (_, lost) = inbox.put(&handle, &mut (0..2000).map(|_| message(1)).collect());
        assert_eq!(lost, 0);
        let sizes: Vec<_> = std::iter::repeat_with(|| inbox.take().len()).take(5).collect();
        assert_eq!(sizes, [512, 512, 512, 464, 0]);
    }
}
