//! The connections that are being served, and how they are asked to leave.
//!
//! A connection is polled for every event that it delivers, so that leaving must cost nothing
//! until it is wanted: a flag that is read at each poll, and the wakers of all, noted once.

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

/// What the guests are asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// To leave after the request that they are in.
    Finish = 1,
    /// To leave.
    Leave = 2,
}

/// Something that can end after what it is doing now.
pub(super) trait Finish: Future {
    fn finish(self: Pin<&mut Self>);
}

impl ConnectionTracker {
    /// Asks all, those who are here and those who come yet.
    pub(super) fn ask(&self, what: Ask) {
        self.asked.store(what as u8, Relaxed);
        // The lock orders this with `serve`: a guest either is in the table or sees the flag.
        for waker in self.lock().by_number.values() {
            waker.wake_by_ref();
        }
    }

    /// Runs a connection until it ends or is asked to. Has to be a task of its own: its waker is
    /// noted at the first poll and taken to be the same at each.
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
        TrackedConnection { guests: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().expect("nothing panics while it holds this lock")
    }
}

struct TrackedConnection<'a> {
    guests: &'a ConnectionTracker,
    number: u64,
}

impl Drop for TrackedConnection<'_> {
    fn drop(&mut self) {
        self.guests.lock().by_number.remove(&self.number);
    }
}
