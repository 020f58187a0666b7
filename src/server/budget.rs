//! Memory that all connections of a server may use together for requests that are not complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;

use crate::problem::NoRoom;

/// A number of bytes that many share. Lock-free; it never waits.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    used: AtomicUsize,
    /// Counts those who found no room.
    refused: Counter,
}

/// Bytes that one connection uses of a [`Budget`]; returned when dropped.
///
/// One user may exceed the budget if the others leave room: a message that is larger than the
/// budget still passes. All together use the budget and one message at most.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(max: usize, refused: Counter) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0), refused })
    }

    /// Returns a share of no bytes.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), used: AtomicUsize::new(0) }
    }
}

impl Share {
    /// Takes more bytes.
    ///
    /// # Errors
    ///
    /// If the others use all of the budget.
    pub(super) fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let own = self.used.load(Relaxed);
        let more = |used: usize| (used.saturating_sub(own) < self.budget.max).then(|| used + bytes);
        if self.budget.used.fetch_update(Relaxed, Relaxed, more).is_err() {
            self.budget.refused.inc();
            return Err(NoRoom);
        }
        self.used.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Returns some of the bytes.
    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        self.budget.used.fetch_sub(bytes, Relaxed);
    }

    /// Returns all of the bytes.
    pub(super) fn release(&self) {
        self.give_back(self.used.load(Relaxed));
    }

    /// Takes bytes for as long as a buffer of them exists.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(super) fn hold(self: &Arc<Self>, bytes: Bytes) -> Result<Bytes, NoRoom> {
        self.take(bytes.len())?;
        Ok(Bytes::from_owner(Held { bytes, share: Arc::clone(self) }))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

/// A buffer that counts.
struct Held {
    bytes: Bytes,
    share: Arc<Share>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.give_back(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_and_exceed_the_budget_by_one_of_them_at_most() {
        let budget = Budget::new(10, Counter::default());
        let (a, b) = (Arc::new(budget.share()), budget.share());
        assert_eq!(a.take(6), Ok(()));
        let held = a.hold(Bytes::from_static(b"larger than the budget")).expect("b uses nothing");
        assert_eq!(b.take(1), Err(NoRoom));
        assert_eq!(budget.refused.get(), 1);
        assert_eq!(a.take(1), Ok(()), "those of its own do not count");
        drop(held);
        assert_eq!(b.take(4), Ok(()));
        drop(a);
        assert_eq!(budget.used.load(Relaxed), 4);
        b.release();
        assert_eq!(budget.used.load(Relaxed), 0);
    }
}
