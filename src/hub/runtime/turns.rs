//! Turns for work whose amount a client chooses.
//!
//! A task that yields after a millisecond lets others run. A thousand such tasks do not: a message of
//! a quiet client waits until each of them has had its millisecond. So such work needs a turn, and
//! there are as many turns as the runtime has workers. Tasks that wait for a turn do so outside of the
//! queues of the runtime, in the order in which they came; it does not matter whether one client has
//! one connection or opens a new one for each request.
//!
//! A turn that ends is free for the next task at once, until turns have been used for a millisecond.
//! From then on they come back after the tasks that are ready have run. A turn is not held while its
//! task waits for anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::{CancellationToken, PollSemaphore};

/// How long turns are used before all tasks that are ready get their turn.
const USED: Duration = Duration::from_millis(1);

/// The turns of a hub.
#[derive(Debug)]
pub(in crate::hub) struct TurnPool {
    free: Arc<Semaphore>,
    /// Nanoseconds for which turns have been used since the last rest.
    used: AtomicU64,
    /// Turns that are free after the next rest.
    resting: AtomicUsize,
    wake: Notify,
}

impl TurnPool {
    /// Creates as many turns as the runtime has workers, or one outside of a runtime.
    pub(in crate::hub) fn new() -> Arc<Self> {
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Arc::new(Self {
            free: Arc::new(Semaphore::new(workers)),
            used: AtomicU64::new(0),
            resting: AtomicUsize::new(0),
            wake: Notify::new(),
        })
    }

    /// Returns a place to wait for turns, which has no turn yet.
    pub(in crate::hub) fn turns(self: &Arc<Self>) -> Turns {
        Turns { pool: Arc::clone(self), free: PollSemaphore::new(Arc::clone(&self.free)) }
    }

    /// Gives turns back after a rest, until the hub has stopped. Then all work goes on without turns:
    /// it is about to end.
    pub(in crate::hub) async fn run(&self, stopped: CancellationToken) {
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = stopped.cancelled() => return self.free.close(),
            }
            tokio::task::yield_now().await;
            self.used.store(0, Relaxed);
            self.free.add_permits(self.resting.swap(0, Relaxed));
        }
    }

    fn end(&self, used: Duration) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.used.fetch_add(nanos(used), Relaxed);
        if before.saturating_add(nanos(used)) < nanos(USED) {
            self.free.add_permits(1);
        } else {
            self.resting.fetch_add(1, Relaxed);
            self.wake.notify_one();
        }
    }
}

/// Takes turns for one task, one after the other.
#[derive(Debug)]
pub(crate) struct Turns {
    pool: Arc<TurnPool>,
    free: PollSemaphore,
}

impl Turns {
    /// Polls for a turn. Drop it before the task waits for anything else, and take another one to go
    /// on after about a millisecond.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let pool = match self.free.poll_acquire(cx) {
            Poll::Ready(Some(permit)) => {
                permit.forget();
                Some(Arc::clone(&self.pool))
            }
            // The hub has stopped.
            Poll::Ready(None) => None,
            // No other task waits for a thread that is no worker.
            Poll::Pending if Handle::try_current().is_err() => None,
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Turn { pool, began: Instant::now() })
    }

    /// Gives the place in the queue up. A task that goes on to wait for a peer would be given a turn
    /// that it does not use.
    pub(crate) fn give_up(&mut self) {
        self.free = PollSemaphore::new(Arc::clone(&self.pool.free));
    }

    /// Waits for a turn. Cancel safe.
    pub(crate) async fn take(&mut self) -> Turn {
        std::future::poll_fn(|cx| self.poll_take(cx)).await
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn {
    pool: Option<Arc<TurnPool>>,
    began: Instant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.end(self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_that_were_used_for_a_millisecond_come_back_after_a_rest() {
        let pool = TurnPool::new();
        let stopped = CancellationToken::new();
        let giver = tokio::spawn({
            let (pool, stopped) = (Arc::clone(&pool), stopped.clone());
            async move { pool.run(stopped).await }
        });
        let mut turns = pool.turns();
        for _ in 0..100 {
            let _short = turns.take().await;
        }
        let turn = turns.take().await;
        std::thread::sleep(USED);
        drop(turn);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(turns.poll_take(&mut cx).is_pending());
        let _next =
            tokio::time::timeout(Duration::from_secs(20), turns.take()).await.expect("soon");
        stopped.cancel();
        giver.await.expect("no panic");
        assert!(pool.turns().poll_take(&mut cx).is_ready(), "the hub has stopped");
    }

    /// Whoever waits comes first, however many new ones ask.
    #[tokio::test]
    async fn turns_are_given_in_order() {
        let pool = TurnPool::new();
        let (mut first, mut second, mut third) = (pool.turns(), pool.turns(), pool.turns());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(turn) = first.poll_take(&mut cx) else { panic!("it is free") };
        assert!(second.poll_take(&mut cx).is_pending());
        assert!(third.poll_take(&mut cx).is_pending());
        pool.used.store(0, Relaxed);
        drop(turn);
        pool.free.add_permits(pool.resting.swap(0, Relaxed));
        assert!(first.poll_take(&mut cx).is_pending());
        assert!(third.poll_take(&mut cx).is_pending());
        // Its turn goes to the next one.
        second.give_up();
        assert!(third.poll_take(&mut cx).is_ready());
    }
}
