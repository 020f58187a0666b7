//! Counts what a relayed connection has in the inbox of the hub.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a connection has in the inbox. Changed under the lock of the inbox only.
#[derive(Debug, Default)]
pub(in crate::hub) struct OwnDrafts {
    drafts: AtomicUsize,
    bytes: AtomicUsize,
}

impl OwnDrafts {
    pub(in crate::hub) fn put_in(&self, weight: usize) {
        self.drafts.fetch_add(1, Relaxed);
        self.bytes.fetch_add(weight, Relaxed);
    }

    pub(in crate::hub) fn take_out(&self, weight: usize) {
        self.drafts.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(weight, Relaxed);
    }

    /// Returns the drafts and their bytes.
    pub(in crate::hub) fn counts(&self) -> (usize, usize) {
        (self.drafts.load(Relaxed), self.bytes.load(Relaxed))
    }
}
