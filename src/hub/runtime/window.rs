//! Bounds for what is held of segments beside the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hub::history::segment::Segment;
use crate::metrics::Sampler;

/// Segments that the broadcast channel holds. A listener further behind reads from the store, so
/// this only has to cover what is published while one round of all listeners is served; in the
/// measured worst case (1,000 listeners saturated on one core) that was 3 segments.
pub(in crate::hub) const RING: usize = 64;

/// Weight of segments whose rendered forms may be held.
const BYTES: usize = 8 << 20;

/// The newest segments of a kind: at most [`RING`], and 8 MiB of events. What is derived of a segment
/// that falls out is dropped. The broadcast channel holds weak references, so that a listener that
/// does not read holds nothing.
#[derive(Debug, Default)]
pub(in crate::hub) struct Window {
    segments: VecDeque<Arc<Segment>>,
    weight: usize,
    /// The connection that has sent the last segment itself, and when.
    settled: Option<(u64, Instant)>,
    /// Chooses the segments whose number of events is observed.
    pub(in crate::hub) sampler: Sampler,
}

/// While several connections publish within this time, their events are left to the pump, which makes
/// one segment of them.
const ALONE: Duration = Duration::from_millis(1);

impl Window {
    pub(in crate::hub) fn push(&mut self, segment: Arc<Segment>) {
        self.weight += segment.weight();
        self.segments.push_back(segment);
        while self.segments.len() > RING || self.weight > BYTES && self.segments.len() > 1 {
            let oldest = self.segments.pop_front().expect("it has more than one");
            self.weight -= oldest.weight();
            oldest.forget();
        }
    }

    /// Returns whether a connection sends what it has published itself: no other has done so just
    /// now.
    pub(in crate::hub) fn may_settle(&mut self, number: u64) -> bool {
        let now = Instant::now();
        let other = self.settled.is_some_and(|(last, at)| last != number && now < at + ALONE);
        self.settled = Some((number, now));
        !other
    }

    pub(in crate::hub) fn clear(&mut self) {
        for segment in self.segments.drain(..) {
            segment.forget();
        }
        self.weight = 0;
    }
}
