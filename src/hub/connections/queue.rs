//! The queue of a connection: what others send to its client, or to the server behind it.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::delivered::Delivered;
use crate::event::{Channel, Direction, User};
use crate::hub::channels::kept::Resumption;
use crate::queue::{self, Bound, Weigh};

/// The most that waits for a connection. 256 messages are enough for a burst; the bound in bytes
/// holds for large messages, of which 256 would be 256 MiB.
const BOUND: Bound = Bound { items: 256, bytes: 4 << 20 };

/// Something for a client, or for the server behind a relayed connection.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// An event of a channel, or a message to the user of the connection.
    Delivered(Arc<Delivered>),
    /// The users in a channel that the connection has just entered.
    Present(Channel, Arc<[User]>),
    /// The messages of a channel that the connection has just entered, after an event that it named.
    Resumed(Channel, Arc<Resumption>),
    /// The connection was removed from this channel: its token has expired.
    Expelled(Channel),
}

impl Weigh for (Direction, Outgoing) {
    /// Content that is shared by several queues counts in each of them.
    fn weight(&self) -> usize {
        match &self.1 {
            Outgoing::Text(text) => text.len(),
            Outgoing::Binary(bytes) => bytes.len(),
            Outgoing::Delivered(delivered) => delivered.event.weight(),
            Outgoing::Present(_, users) => users.len() * size_of::<User>(),
            Outgoing::Resumed(_, resumption) => resumption.weight(),
            Outgoing::Expelled(_) => 0,
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub(in crate::hub) struct Queue(queue::Sender<(Direction, Outgoing)>);

/// The receiving end, which a session reads.
#[derive(Debug)]
pub struct Queued(queue::Receiver<(Direction, Outgoing)>);

pub(in crate::hub) fn queue() -> (Queue, Queued) {
    let (sender, receiver) = queue::channel(BOUND);
    (Queue(sender), Queued(receiver))
}

impl Queue {
    /// Adds an item unless the queue is full or unread. Returns whether it was added.
    pub(in crate::hub) fn put(&self, direction: Direction, outgoing: Outgoing) -> bool {
        self.0.try_send((direction, outgoing)).is_ok()
    }

    /// Waits until there is room. Returns whether a session still reads the queue. Cancel safe.
    pub(super) async fn room(&self) -> bool {
        self.0.room().await
    }

    /// Returns whether no session reads the queue any more.
    pub(in crate::hub) fn is_unread(&self) -> bool {
        self.0.is_closed()
    }
}

impl Queued {
    /// Returns the next item and its direction: out to the client, or in to the server behind.
    /// Returns `None` after the end of the connection. Cancel safe.
    pub async fn next(&mut self) -> Option<(Direction, Outgoing)> {
        self.0.recv().await
    }

    /// Polls as [`Queued::next`] does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Direction, Outgoing)>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_bounded_by_number_and_by_bytes() {
        let (queue, mut queued) = queue();
        let small = || Outgoing::Text("x".to_owned());
        let taken = (0..1000).filter(|_| queue.put(Direction::Out, small())).count();
        assert_eq!(taken, BOUND.items);
        for _ in 0..taken {
            queued.next().await.expect("a message");
        }
        let large = || Outgoing::Binary(vec![0; BOUND.bytes / 4].into());
        let taken = (0..1000).filter(|_| queue.put(Direction::Out, large())).count();
        assert_eq!(taken, 4);
        queued.next().await.expect("a message");
        assert!(queue.put(Direction::Out, Outgoing::Binary(vec![0; 2 * BOUND.bytes].into())));
        assert!(!queue.put(Direction::Out, small()));
    }

    #[tokio::test]
    async fn room_is_waited_for() {
        let (queue, mut queued) = queue();
        let small = || Outgoing::Text("x".to_owned());
        assert!(queue.room().await);
        while queue.put(Direction::Out, small()) {}
        let mut room = std::pin::pin!(queue.room());
        assert!(futures_util::poll!(room.as_mut()).is_pending());
        queued.next().await.expect("a message");
        assert!(room.await);
        assert!(queue.put(Direction::Out, small()));
        drop(queued);
        assert!(!queue.room().await && queue.is_unread());
    }
}
