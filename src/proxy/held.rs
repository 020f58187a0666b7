//! Memory of all taps for messages that are not complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The memory of all taps of a proxy.
#[derive(Debug)]
pub(super) struct Held {
    max: usize,
    used: AtomicUsize,
}

/// The memory of one tap; returned when dropped.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<Held>,
    used: usize,
}

impl Held {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0) })
    }

    /// Returns a share of no bytes.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { held: Arc::clone(self), used: 0 }
    }
}

impl Share {
    /// Changes the share. Returns `false` if it has grown, and the others use all of the memory: one
    /// message may always be read, however large it is.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        if bytes == self.used {
            return true;
        }
        let (grown, before) = (bytes > self.used, self.used);
        self.used = bytes;
        let all = if grown {
            self.held.used.fetch_add(bytes - before, Relaxed)
        } else {
            self.held.used.fetch_sub(before - bytes, Relaxed)
        };
        !grown || all - before < self.held.max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_may_grow_while_the_others_leave_memory() {
        let held = Held::new(10);
        let (mut a, mut b) = (held.share(), held.share());
        assert!(a.resize(100) && a.resize(200), "one alone may exceed the bound");
        assert!(!b.resize(1));
        assert!(a.resize(9) && b.resize(5) && a.resize(8));
        drop(a);
        assert!(b.resize(6));
        drop(b);
        assert_eq!(held.used.load(Relaxed), 0);
    }
}
