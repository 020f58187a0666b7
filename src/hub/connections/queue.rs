//! The way back to a connection: a queue that refuses what is too much, and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::delivered::Delivered;
use crate::event::{Channel, Direction, User};

/// Messages that wait for a connection to take them; what is more is refused. Enough for a burst.
const MESSAGES: usize = 256;

/// Bytes that may wait likewise, so that it is a bound that one may call memory: 256 messages of
/// 1 MiB are none. The message that goes over it is taken, so that any message fits.
const BYTES: usize = 4 << 20;

/// Something for a client, or for the server behind a relayed connection.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// What has happened in a channel, or was published to its user.
    Delivered(Arc<Delivered>),
    /// The users who are in a channel that it has just come into.
    Present(Channel, Arc<[User]>),
    /// It is in this channel no more: what it came in with has run out.
    Expelled(Channel),
}

impl Outgoing {
    /// Returns about how many bytes wait with it. What is shared by many counts for each.
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Delivered(delivered) => delivered.weight(),
            Self::Present(_, users) => users.len() * size_of::<User>(),
            Self::Expelled(_) => 0,
        }
    }
}

/// The end that others put something into.
#[derive(Debug)]
pub(in crate::hub) struct Queue {
    sender: mpsc::Sender<(Direction, Outgoing)>,
    waiting: Arc<AtomicUsize>,
}

/// The end that a session reads.
#[derive(Debug)]
pub struct Queued {
    receiver: mpsc::Receiver<(Direction, Outgoing)>,
    waiting: Arc<AtomicUsize>,
}

pub(in crate::hub) fn queue() -> (Queue, Queued) {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let waiting = Arc::<AtomicUsize>::default();
    (Queue { sender, waiting: Arc::clone(&waiting) }, Queued { receiver, waiting })
}

impl Queue {
    /// Puts something in, unless that would be too much. Returns whether it was taken.
    pub(in crate::hub) fn put(&self, direction: Direction, outgoing: Outgoing) -> bool {
        if self.waiting.load(Relaxed) >= BYTES {
            return false;
        }
        let weight = outgoing.weight();
        let Ok(place) = self.sender.try_reserve() else { return false };
        self.waiting.fetch_add(weight, Relaxed);
        place.send((direction, outgoing));
        true
    }

    /// Waits until there is room. Returns whether anybody reads it still. Cancel safe.
    pub(super) async fn room(&self) -> bool {
        while let Ok(place) = self.sender.reserve().await {
            drop(place);
            if self.waiting.load(Relaxed) < BYTES {
                return true;
            }
            // Nobody is told when bytes go; who has so many of them waiting has time.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }

    /// Returns whether nobody reads it any more.
    pub(in crate::hub) fn is_unread(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Queued {
    /// Returns what comes next, and which way: out to the client, or in to the server behind.
    /// `None` after the end of the connection. Cancel safe.
    pub async fn next(&mut self) -> Option<(Direction, Outgoing)> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns what comes next, if something is there.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Direction, Outgoing)>> {
        let polled = self.receiver.poll_recv(cx);
        if let Poll::Ready(Some((_, outgoing))) = &polled {
            self.waiting.fetch_sub(outgoing.weight(), Relaxed);
        }
        polled
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
        assert_eq!(taken, MESSAGES);
        for _ in 0..taken {
            queued.next().await.expect("a message");
        }
        let large = || Outgoing::Binary(vec![0; BYTES / 4].into());
        let taken = (0..1000).filter(|_| queue.put(Direction::Out, large())).count();
        assert_eq!(taken, 4);
        queued.next().await.expect("a message");
        assert!(queue.put(Direction::Out, Outgoing::Binary(vec![0; 2 * BYTES].into())));
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
