//! The budget of a finite response for events that it does not contain.

use std::time::{Duration, Instant};

use crate::event::Gap;
use crate::wire;

/// The processor time that is left for events that a filter or a text passes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchTime(Duration);

impl SearchTime {
    pub(super) fn new(time: Duration) -> Self {
        Self(time)
    }

    /// Does some work and charges its time.
    pub(super) fn charge<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.0 = self.0.saturating_sub(began.elapsed());
        done
    }

    pub(super) fn is_used_up(self) -> bool {
        self.0.is_zero()
    }
}

/// Appends what a response has no time to read as a gap, in full JSON. Its `after` says how far the
/// response came: `{"kind":"gap","missed":1234,"after":"…","before":null,"unfinished":true}`.
pub(super) fn unfinished(rest: &Gap, out: &mut Vec<u8>) {
    wire::full_gap(rest, out);
    out.pop();
    out.extend_from_slice(b",\"unfinished\":true}");
}
