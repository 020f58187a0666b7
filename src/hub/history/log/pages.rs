//! Segments that were read from the database last. Listeners that resume at the same place share
//! them, and what is rendered of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::hub::history::segment::Segment;

/// Weight of the segments that are held.
const BYTES: usize = 8 << 20;

/// Segments by their first position.
#[derive(Debug, Default)]
pub(super) struct Pages {
    segments: BTreeMap<u64, Arc<Segment>>,
    order: VecDeque<u64>,
    weight: usize,
}

impl Pages {
    /// Returns the segment that holds a position.
    pub(super) fn holding(&self, position: u64) -> Option<Arc<Segment>> {
        let (_, segment) = self.segments.range(..=position).next_back()?;
        (segment.last() >= position).then(|| Arc::clone(segment))
    }

    /// Returns the segment that holds a position, and the first position behind it that is not held,
    /// unless so many segments behind it are, or a quarter of what is held at most.
    pub(super) fn with_ahead(
        &self,
        position: u64,
        segments: usize,
    ) -> Option<(Arc<Segment>, Option<u64>)> {
        let segment = self.holding(position)?;
        let (mut next, mut weight) = (segment.last() + 1, segment.weight());
        for _ in 0..segments {
            if weight > BYTES / 4 {
                break;
            }
            match self.holding(next) {
                Some(ahead) => (next, weight) = (ahead.last() + 1, weight + ahead.weight()),
                None => return Some((segment, Some(next))),
            }
        }
        Some((segment, None))
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn add(&mut self, segment: &Arc<Segment>) {
        self.weight += segment.weight();
        self.order.push_back(segment.first());
        if let Some(other) = self.segments.insert(segment.first(), Arc::clone(segment)) {
            self.weight -= other.weight();
            self.order.retain(|first| *first != segment.first());
            self.order.push_back(segment.first());
        }
        while self.weight > BYTES && self.order.len() > 1 {
            let oldest = self.order.pop_front().and_then(|first| self.segments.remove(&first));
            self.weight -= oldest.map_or(0, |oldest| oldest.weight());
        }
    }
}
