//! What relays have seen, until it is published. Traffic never waits for it.
//!
//! A lock of its own, held for as long as it takes to append, and a bound: messages that do not fit
//! are counted, in their place, and become a gap that every listener is told.
//!
//! Each connection has a queue, and the queues are served in turn, as flows are by FQ-CoDel
//! (RFC 8290 section 4): a message of a quiet connection is published with the next piece, however
//! many messages of others wait. Within a piece drafts are in the order in which they came, and so
//! are those of a connection in all pieces.

mod flows;

use std::sync::{Arc, Mutex, MutexGuard};

use self::flows::{MAX_BYTES, MAX_DRAFTS, Piece, Queue, Taken};
use crate::event::Draft;
use crate::hub::connections::handle::ConnectionHandle;
use crate::redact::Redacted;

#[derive(Debug, Default)]
pub(in crate::hub) struct Inbox {
    queue: Mutex<Queue>,
}

/// Which drafts are taken out.
#[derive(Debug, Clone, Copy)]
pub(in crate::hub) enum Part<'a> {
    /// Those of all connections in turn.
    Next,
    /// Those that came among the first of so many.
    Before(u64),
    /// Those of one connection, likewise.
    Of(&'a ConnectionHandle, u64),
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
        if from.is_empty() {
            return (InboxAction::Nothing, 0);
        }
        let mut queue = self.lock();
        let first = queue.count == 0;
        let lost = queue.put(handle, from);
        let much = queue.bytes >= MAX_BYTES / 8 || queue.count >= MAX_DRAFTS / 8;
        let action = match (much, first) {
            (true, _) => InboxAction::Send,
            (false, true) => InboxAction::Wake,
            (false, false) => InboxAction::Nothing,
        };
        (action, lost)
    }

    /// Takes a piece out: nothing if the inbox has nothing of that part.
    pub(in crate::hub) fn take(&self, part: Part<'_>) -> Vec<Taken> {
        let mut piece = Piece::default();
        let mut queue = self.lock();
        match part {
            Part::Next => queue.take_in_turn(&mut piece),
            Part::Before(until) => queue.take_before(until, &mut piece),
            Part::Of(handle, until) => queue.take_of(handle.number, until, &mut piece),
        }
        queue.count -= piece.drafts.len();
        queue.bytes -= piece.bytes;
        if queue.count == 0 {
            queue.clear();
        }
        drop(queue);
        piece.drafts.sort_unstable_by_key(|(number, _)| *number);
        piece.drafts.into_iter().map(|(_, taken)| taken).collect()
    }

    /// Replaces what is of a connection among the first `until` drafts by the number of what is lost,
    /// and returns how many messages that adds.
    pub(in crate::hub) fn lose(&self, handle: &ConnectionHandle, until: u64) -> u64 {
        self.lock().lose(handle.number, until)
    }

    /// Returns whether another message of a usual size has room.
    pub(in crate::hub) fn has_room(&self) -> bool {
        let queue = self.lock();
        queue.bytes < MAX_BYTES && queue.count < MAX_DRAFTS
    }

    pub(in crate::hub) fn is_empty(&self) -> bool {
        self.lock().count == 0
    }

    /// Returns the number of drafts that were put in so far.
    pub(in crate::hub) fn taken_in(&self) -> u64 {
        self.lock().taken_in
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::flows::QUANTUM_DRAFTS;
    use super::*;
    use crate::event::{Body, Connect, Direction, EventBody, Handshake, Message, Opcode};
    use crate::hub::connections::handle::ConnectionInfo;
    use crate::redact::Redaction;

    fn handle(number: u64) -> Arc<ConnectionHandle> {
        let remote = "127.0.0.1:1".parse().expect("an address");
        let (path, headers) = ("/".to_owned(), Vec::new());
        let connect = Connect { remote, path, headers, answer: None, user: None };
        let info = ConnectionInfo {
            id: "a".parse().expect("an id"),
            handshake: Arc::new(Handshake::of(&connect)),
            connect: Redaction::default().connect(connect),
            since_ms: 0,
            number,
        };
        ConnectionHandle::new(info, None, None).0
    }

    fn message(size: usize) -> Redacted<Draft> {
        let body = Body::Binary(vec![0; size].into());
        let message = Message::new(Direction::In, Opcode::Binary, size, body);
        Redaction::default().draft(&"a".parse().expect("an id"), EventBody::Message(message))
    }

    fn pieces(inbox: &Inbox, part: Part<'_>) -> Vec<Vec<Taken>> {
        std::iter::repeat_with(|| inbox.take(part)).take_while(|piece| !piece.is_empty()).collect()
    }

    fn count(inbox: &Inbox, part: Part<'_>) -> usize {
        pieces(inbox, part).iter().map(Vec::len).sum()
    }

    /// Returns the connections of a piece, by their numbers.
    fn numbers(piece: &[Taken]) -> Vec<u64> {
        piece.iter().map(|(handle, _)| handle.as_ref().expect("no loss").number).collect()
    }

    #[test]
    fn messages_that_do_not_fit_are_counted_in_their_place() {
        let (inbox, handle) = (Inbox::default(), handle(1));
        let mut drafts: Vec<_> = (0..5).map(|_| message(MAX_BYTES / 4)).collect();
        let (action, lost) = inbox.put(&handle, &mut drafts);
        assert_eq!((action, lost), (InboxAction::Send, 2));
        assert!(drafts.is_empty() && inbox.has_room());
        let (_, lost) = inbox.put(&handle, &mut vec![message(MAX_BYTES)]);
        assert_eq!(lost, 1);
        let until = inbox.taken_in();
        let mut kinds = Vec::new();
        for piece in pieces(&inbox, Part::Before(until)) {
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
        let floods: Vec<_> = (0..4).map(handle).collect();
        for _ in 0..MAX_DRAFTS / 100 {
            for flood in &floods {
                let (_, _) = inbox.put(flood, &mut (0..100).map(|_| message(1)).collect());
            }
        }
        let quiet = handle(4);
        let (_, lost) = inbox.put(&quiet, &mut (0..1000).map(|_| message(1)).collect());
        assert_eq!(lost, 0);
        pieces(&inbox, Part::Next);
        assert!(inbox.is_empty());
        assert!(floods.iter().chain([&quiet]).all(|handle| handle.waiting().counts() == (0, 0)));
    }

    #[test]
    fn it_is_taken_out_in_pieces() {
        let (inbox, handle) = (Inbox::default(), handle(1));
        let (_, lost) = inbox.put(&handle, &mut (0..2000).map(|_| message(1)).collect());
        assert_eq!(lost, 0);
        let sizes: Vec<_> =
            std::iter::repeat_with(|| inbox.take(Part::Next).len()).take(5).collect();
        assert_eq!(sizes, [512, 512, 512, 464, 0]);
    }

    #[test]
    fn message_of_a_quiet_connection_is_in_the_next_piece() {
        let inbox = Inbox::default();
        for flood in 1..=50 {
            let (_, lost) = inbox.put(&handle(flood), &mut (0..1000).map(|_| message(1)).collect());
            assert_eq!(lost, 0);
        }
        let quiet = handle(99);
        for _ in 0..5 {
            let (_, _) = inbox.put(&quiet, &mut vec![message(1)]);
            let next = [inbox.take(Part::Next), inbox.take(Part::Next)];
            assert!(next.iter().any(|piece| numbers(piece).contains(&99)));
        }
    }

    #[test]
    fn connections_that_come_again_leave_room_for_those_that_wait() {
        let inbox = Inbox::default();
        let (_, _) = inbox.put(&handle(0), &mut (0..1000).map(|_| message(1)).collect());
        let others: Vec<_> = (1..=100).map(handle).collect();
        let mut served = 0;
        for _ in 0..20 {
            for other in &others {
                let (_, _) = inbox.put(other, &mut (0..20).map(|_| message(1)).collect());
            }
            served += numbers(&inbox.take(Part::Next)).iter().filter(|it| **it == 0).count();
        }
        assert!(served >= 4 * QUANTUM_DRAFTS, "{served}");
    }

    #[test]
    fn piece_is_in_the_order_of_arrival() {
        let (inbox, handles) = (Inbox::default(), [1, 2, 3].map(handle));
        for n in [0, 1, 0, 2, 2, 1, 0] {
            let (_, _) = inbox.put(&handles[n], &mut vec![message(1)]);
        }
        assert_eq!(numbers(&inbox.take(Part::Next)), [1, 2, 1, 3, 3, 2, 1]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn parts_are_taken_out_up_to_a_number() {
        let (inbox, first, second) = (Inbox::default(), handle(1), handle(2));
        for handle in [&first, &second, &first] {
            let (_, _) = inbox.put(handle, &mut vec![message(1)]);
        }
        let until = inbox.taken_in();
        let (_, _) = inbox.put(&first, &mut vec![message(1)]);
        assert_eq!(count(&inbox, Part::Of(&first, until)), 2);
        assert_eq!(count(&inbox, Part::Before(until)), 1);
        assert_eq!(numbers(&inbox.take(Part::Next)), [1]);
        assert_eq!((first.waiting().counts(), second.waiting().counts()), ((0, 0), (0, 0)));
    }

    #[test]
    fn connection_taken_out_alone_leaves_the_inbox() {
        let (inbox, quiet) = (Inbox::default(), handle(0));
        let (_, _) = inbox.put(&quiet, &mut vec![message(1)]);
        for number in 1..=1000 {
            let handle = handle(number);
            let (_, _) = inbox.put(&handle, &mut vec![message(1)]);
            assert_eq!(count(&inbox, Part::Of(&handle, inbox.taken_in())), 1);
            assert_eq!(Arc::strong_count(&handle), 1);
        }
        let queue = inbox.lock();
        assert_eq!((queue.flows.len(), queue.places()), (1, 1));
    }

    #[test]
    fn drafts_of_one_connection_become_one_loss() {
        let (inbox, first, second) = (Inbox::default(), handle(1), handle(2));
        for handle in [&first, &second, &first, &first] {
            let (_, _) = inbox.put(handle, &mut vec![message(100)]);
        }
        let until = inbox.taken_in();
        assert_eq!(inbox.lose(&first, until), 3);
        assert_eq!(inbox.lose(&first, until), 0, "they are counted once");
        let taken = inbox.take(Part::Of(&first, until));
        assert!(matches!(&taken[..], [(None, lost)] if matches!(lost.body, EventBody::Lost(3))));
        assert_eq!(first.waiting().counts(), (0, 0));
        assert_eq!(numbers(&inbox.take(Part::Next)), [2]);
        let queue = inbox.lock();
        assert_eq!((queue.count, queue.bytes), (0, 0));
    }
}
