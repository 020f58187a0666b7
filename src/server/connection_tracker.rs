//! Tracks the connections of a server and asks them to end.
//!
//! A connection is polled for every event that it delivers, so tracking must cost nothing until the
//! server stops: a flag that each poll reads, and the wakers of all connections, stored once.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// All connections of a server.
#[derive(Debug, Default)]
pub(super) struct ConnectionTracker {
    asked: AtomicU8,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    last: u64,
    by_number: HashMap<u64, Waker>,
}

/// A request to all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// End after the current request.
    Finish = 1,
    /// End now.
    Leave = 2,
}

/// A connection that can end after its current request.
pub(super) trait Finish: Future {
    fn finish(self: Pin<&mut Self>);
}

impl ConnectionTracker {
    /// Asks all connections, present and future.
    pub(super) fn ask(&self, ask: Ask) {
        self.asked.store(ask as u8, Relaxed);
        // The lock orders this with `serve`: a connection is in the table or sees the flag.
        for waker in self.lock().by_number.values() {
            waker.wake_by_ref();
        }
    }

    /// Runs a connection until it ends or is asked to end. Must be a task of its own: the waker of
    /// the first poll is stored.
    pub(super) async fn serve<C: Finish>(&self, connection: C) -> Option<C::Output> {
        let mut connection = pin!(connection);
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let _entry = self.enter(waker);
        let mut finishing = false;
        poll_fn(|cx| {
            match self.asked.load(Relaxed) {
                asked if asked >= Ask::Leave as u8 => return Poll::Ready(None),
                asked if asked >= Ask::Finish as u8 && !finishing => {
                    finishing = true;
                    connection.as_mut().finish();
                }
                _ => {}
            }
            connection.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn enter(&self, waker: Waker) -> TrackedConnection<'_> {
        let mut wakers = self.lock();
        wakers.last += 1;
        let number = wakers.last;
        wakers.by_number.insert(number, waker);
        TrackedConnection { tracker: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().expect("nothing panics while it holds this lock")
    }
}

struct TrackedConnection<'a> {
    tracker: &'a ConnectionTracker,
    number: u64,
}

impl Drop for TrackedConnection<'_> {
    fn drop(&mut self) {
        self.tracker.lock().by_number.remove(&self.number);
    }
}
