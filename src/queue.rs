//! A queue bounded by number and by bytes, whose senders never block.
//!
//! An item is accepted while fewer items and fewer bytes wait than the [`Bound`] allows. The item
//! that crosses the byte bound is still accepted, so that an item of any size fits into an empty
//! queue; at most the bound and one item wait.
//!
//! [`Backlog`] is the queue for a single owner, [`channel`] the queue between tasks. The lock inside
//! a channel is held for a push or a pop and never across an await.

mod backlog;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::Notify;
use tokio::task::coop;

pub use backlog::{Backlog, Bound, Weigh};

/// Creates a channel with one sender and one receiver.
#[must_use]
pub fn channel<T: Weigh>(bound: Bound) -> (Sender<T>, Receiver<T>) {
    let state = State { backlog: Backlog::new(bound), reader: None, writer: None, open: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Notify::new() });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// The sending end of a [`channel`]. It is shared by reference.
#[derive(Debug)]
pub struct Sender<T: Weigh> {
    shared: Arc<Shared<T>>,
}

/// The receiving end of a [`channel`]. Dropping it drops the items that wait.
#[derive(Debug)]
pub struct Receiver<T: Weigh> {
    shared: Arc<Shared<T>>,
}

/// Why an item was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// As many items or bytes wait as the bound allows.
    #[error("the queue is full")]
    Full,
    /// The receiver is gone.
    #[error("nothing reads the queue any more")]
    Closed,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Wakes tasks in [`Sender::room`], one after the other.
    room: Notify,
}

#[derive(Debug)]
struct State<T> {
    backlog: Backlog<T>,
    /// The task in [`Receiver::poll_recv`].
    reader: Option<Waker>,
    /// The task in [`Sender::poll_room`].
    writer: Option<Waker>,
    /// Whether both ends exist.
    open: bool,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl<T: Weigh> Sender<T> {
    /// Adds an item, unless the queue is full or closed.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the item is dropped.
    pub fn try_send(&self, item: T) -> Result<(), SendError> {
        let weight = item.weight();
        let mut state = self.shared.state();
        if !state.open {
            return Err(SendError::Closed);
        }
        if !state.backlog.has_room() {
            return Err(SendError::Full);
        }
        state.backlog.push_weighed(weight, item);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Waits until the queue has room for an item, and returns `true`, or until the receiver is
    /// gone, and returns `false`. The room is not reserved. Tasks are served in the order in which
    /// they began to wait. Cancel safe.
    pub async fn room(&self) -> bool {
        loop {
            let mut notified = pin!(self.shared.room.notified());
            // Registers before the state is read, so that no notification is missed.
            notified.as_mut().enable();
            let (open, has_room) = {
                let state = self.shared.state();
                (state.open, state.backlog.has_room())
            };
            if !open {
                return false;
            }
            if has_room {
                // There may be room for more than one.
                self.shared.room.notify_one();
                return true;
            }
            notified.await;
        }
    }

    /// Polls as [`Sender::room`] does, for a single task: the waker of the last call is woken.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.shared.state();
        if !state.open || state.backlog.has_room() {
            return Poll::Ready(state.open);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.shared.state().open
    }
}

impl<T: Weigh> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.open = false;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl<T: Weigh> Receiver<T> {
    /// Returns the oldest item, or `None` once the sender is gone and the queue is empty. Cancel
    /// safe.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls as [`Receiver::recv`] does.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // A queue that is never empty must not keep its task from yielding.
        let budget = ready!(coop::poll_proceed(cx));
        let mut state = self.shared.state();
        let was_full = !state.backlog.has_room();
        if let Some(item) = state.backlog.pop() {
            budget.made_progress();
            let has_room = was_full && state.backlog.has_room();
            let writer = if has_room { state.writer.take() } else { None };
            drop(state);
            if has_room {
                writer.into_iter().for_each(Waker::wake);
                self.shared.room.notify_one();
            }
            return Poll::Ready(Some(item));
        }
        if !state.open {
            budget.made_progress();
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T: Weigh> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.open = false;
        let bound = state.backlog.bound();
        let rest = std::mem::replace(&mut state.backlog, Backlog::new(bound));
        let writer = state.writer.take();
        drop(state);
        // Outside of the lock: dropping an item may run code of its own.
        drop(rest);
        writer.into_iter().for_each(Waker::wake);
        self.shared.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};

    use super::*;

    const BOUND: Bound = Bound { items: 4, bytes: 100 };

    #[test]
    fn queue_is_bounded_by_number_and_by_bytes() {
        let (sender, mut receiver) = channel(BOUND);
        let accepted = (0..10).filter(|_| sender.try_send(1).is_ok()).count();
        assert_eq!(accepted, 4);
        while let Some(Some(_)) = receiver.recv().now_or_never() {}
        let accepted = (0..10).filter(|_| sender.try_send(50).is_ok()).count();
        assert_eq!(accepted, 2);
        assert_eq!(receiver.recv().now_or_never(), Some(Some(50)));
        assert_eq!(sender.try_send(1000), Ok(()), "an item of any size fits");
        assert_eq!(sender.try_send(1), Err(SendError::Full));
    }

    #[tokio::test]
    async fn task_is_woken_when_bytes_are_taken() {
        let (sender, mut receiver) = channel(BOUND);
        assert!(sender.room().await);
        sender.try_send(1000).expect("the queue is empty");
        sender.try_send(1).expect_err("bytes are at the bound");
        let mut room = pin!(sender.room());
        assert!(poll!(room.as_mut()).is_pending());
        let mut ready = pin!(poll_fn(|cx| sender.poll_room(cx)));
        assert!(poll!(ready.as_mut()).is_pending());
        receiver.recv().await.expect("an item");
        assert!(room.await && ready.await);
        drop(receiver);
        assert!(!sender.room().await && sender.is_closed());
        assert_eq!(sender.try_send(1), Err(SendError::Closed));
    }

    #[tokio::test]
    async fn all_waiting_tasks_find_room_for_small_items_after_a_large_one() {
        let (sender, mut receiver) = channel(BOUND);
        sender.try_send(1000).expect("the queue is empty");
        let mut tasks: Vec<_> = (0..4).map(|_| Box::pin(sender.room())).collect();
        for task in &mut tasks {
            assert!(poll!(task.as_mut()).is_pending());
        }
        // A task that gives up passes its turn on.
        drop(tasks.remove(0));
        receiver.recv().await.expect("an item");
        for task in tasks {
            assert_eq!(task.now_or_never(), Some(true));
        }
    }

    #[tokio::test]
    async fn waiting_receiver_is_woken_by_an_item_and_by_the_end() {
        let (sender, mut receiver) = channel(BOUND);
        let mut next = Box::pin(receiver.recv());
        assert!(poll!(next.as_mut()).is_pending());
        sender.try_send(7).expect("there is room");
        assert_eq!(next.await, Some(7));
        sender.try_send(8).expect("there is room");
        drop(sender);
        assert_eq!(receiver.recv().await, Some(8), "what waits is still received");
        assert_eq!(receiver.recv().await, None);
    }
}
