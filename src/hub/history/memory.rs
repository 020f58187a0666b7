//! The store in memory: a ring of segments, bounded by number, bytes and age of events, without a
//! hole.
//!
//! Bounds hold for each event: the oldest events of the first segment may be gone while the segment
//! is still there. Small segments are joined as they age, so that a stream of single events does not
//! keep a segment for each. Every call is O(log n) in what is kept, and amortised O(1) for each
//! appended event; what falls out is freed after the lock is released.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::segment::Segment;
use super::store::{Answer, Appended, Before, Cursor, Found, Mark, Page, Store};
use crate::event::{Event, EventId, Gap};

/// How much history is kept. All three bounds hold at once.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes, as [`Event::weight`] counts them.
    pub bytes: usize,
    /// Nothing older than this; `None` is no limit.
    pub age: Option<Duration>,
}

/// A segment of at least this many events is not joined with others.
pub(in crate::hub) const FULL_EVENTS: usize = 1024;

/// The same in bytes: with [`FULL_EVENTS`] what a reader takes at once.
pub(in crate::hub) const FULL_BYTES: usize = 256 << 10;

/// So many neighbours of one level are joined into one of the next: an event is moved twice before
/// its segment is full, and at most 64 small segments stand at the end.
const JOINED: usize = 32;

/// The level of a segment that is not joined any more.
const FULL: u8 = u8::MAX;

/// The store in memory.
#[derive(Debug)]
pub(in crate::hub) struct Memory {
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    retention: Retention,
    /// Segments with consecutive positions, each with the number of times that it was joined.
    segments: VecDeque<(u8, Arc<Segment>)>,
    /// Events up to this position are gone.
    floor: u64,
    /// Position of the newest event.
    head: u64,
    /// The last event that fell out.
    evicted: Option<EventId>,
    /// Sum of the weights of the events that are kept.
    weight: usize,
    /// Weight of the events of the first segment that are gone.
    gone: usize,
}

impl Memory {
    pub(in crate::hub) fn new(retention: Retention) -> Self {
        Self::after(retention, 0, None)
    }

    /// Makes a store for what comes after a position and the id of the event there.
    pub(in crate::hub) fn after(
        retention: Retention,
        position: u64,
        last: Option<EventId>,
    ) -> Self {
        let ring = Ring {
            retention,
            segments: VecDeque::new(),
            floor: position,
            head: position,
            evicted: last,
            weight: 0,
            gone: 0,
        };
        Self { ring: Mutex::new(ring) }
    }

    /// Returns one event.
    pub(in crate::hub) fn event(&self, id: EventId) -> Option<Arc<Event>> {
        let ring = self.lock();
        let (position, event) = ring.last_until(id)?;
        (event.id == id && position > ring.floor).then(|| Arc::clone(event))
    }

    /// Returns the position and the id of the last event that is not kept.
    pub(in crate::hub) fn beginning(&self) -> (u64, Option<EventId>) {
        let ring = self.lock();
        (ring.floor, ring.evicted)
    }

    /// Returns the id of the event after a position.
    pub(in crate::hub) fn id_after(&self, position: u64) -> Option<EventId> {
        self.lock().id_after(position)
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics while it holds this lock")
    }
}

impl Store for Memory {
    fn append(&self, segment: &Arc<Segment>, now: u64) -> Appended {
        let mut ring = self.lock();
        ring.head = segment.last();
        ring.weight += segment.weight();
        let full = segment.events().len() >= FULL_EVENTS / 4 || segment.weight() >= FULL_BYTES / 4;
        ring.segments.push_back((if full { FULL } else { 0 }, Arc::clone(segment)));
        let gone = ring.evict(now);
        let joined = ring.join();
        drop(ring);
        drop((gone, joined));
        Appended::Now
    }

    fn page(&self, cursor: Cursor) -> Answer<Page> {
        let ring = self.lock();
        Answer::Known(if cursor.position >= ring.head {
            Page::End
        } else if cursor.position < ring.floor {
            let behind = Cursor { position: ring.floor, id: ring.evicted };
            let missed = Some(ring.floor - cursor.position);
            Page::Gap(Gap { missed, after: cursor.id, before: ring.id_after(ring.floor) }, behind)
        } else {
            let next = ring.segment(cursor.position + 1).expect("it is kept");
            Page::Events(Arc::clone(next))
        })
    }

    fn before(&self, position: u64) -> Answer<Before> {
        let ring = self.lock();
        let kept = position > ring.floor && position <= ring.head;
        let segment = kept.then(|| ring.segment(position).cloned()).flatten();
        Answer::Known(segment.map_or(Before::Nothing, Before::Events))
    }

    fn find(&self, mark: Mark) -> Answer<Found> {
        Answer::Known(self.lock().find(mark))
    }

    fn events(&self, ids: &[EventId]) -> Answer<Vec<Arc<Event>>> {
        Answer::Known(ids.iter().filter_map(|id| self.event(*id)).collect())
    }

    fn bounds(&self) -> (u64, u64) {
        let ring = self.lock();
        (ring.floor, ring.head)
    }

    fn id_at(&self, position: u64) -> Option<EventId> {
        let ring = self.lock();
        if position <= ring.floor {
            return ring.evicted.filter(|_| position == ring.floor);
        }
        Some(ring.segment(position)?.at(position)?.id)
    }

    fn oldest(&self) -> Option<EventId> {
        let ring = self.lock();
        ring.id_after(ring.floor)
    }

    fn size(&self) -> (usize, usize) {
        let ring = self.lock();
        (ring.len(), ring.weight)
    }

    fn evict(&self, now: u64) {
        let gone = self.lock().evict(now);
        drop(gone);
    }
}

impl Ring {
    fn len(&self) -> usize {
        usize::try_from(self.head - self.floor).expect("what is kept is in memory")
    }

    /// Returns the segment that holds a position.
    fn segment(&self, position: u64) -> Option<&Arc<Segment>> {
        let n = self.segments.partition_point(|(_, segment)| segment.last() < position);
        self.segments.get(n).map(|(_, segment)| segment)
    }

    /// Returns the last event whose id is at most `id`, also if it is gone but its segment is not.
    fn last_until(&self, id: EventId) -> Option<(u64, &Arc<Event>)> {
        let n = self.segments.partition_point(|(_, segment)| segment.events()[0].id <= id);
        let (_, segment) = self.segments.get(n.checked_sub(1)?)?;
        let after = segment.events().partition_point(|event| event.id <= id);
        Some((segment.first() + after as u64 - 1, &segment.events()[after - 1]))
    }

    fn id_after(&self, position: u64) -> Option<EventId> {
        Some(self.segment(position + 1)?.at(position + 1)?.id)
    }

    fn find(&self, mark: Mark) -> Found {
        match mark {
            Mark::Oldest => Found { cursor: Cursor { position: self.floor, id: None }, lost: None },
            Mark::After(id) => {
                let found = self.last_until(id).filter(|(position, _)| *position > self.floor);
                let (position, exact) = match found {
                    Some((position, event)) => (position, event.id == id),
                    None => (self.floor, self.evicted == Some(id)),
                };
                let gap = Gap { missed: None, after: Some(id), before: self.id_after(position) };
                let cursor = Cursor { position, id: Some(id) };
                Found { cursor, lost: (!exact).then_some(gap) }
            }
            Mark::Since(ms) => {
                let before = ms.checked_sub(1).map(|ms| EventId { ms, seq: u64::MAX });
                let kept = before
                    .and_then(|before| self.last_until(before))
                    .map(|(position, _)| position)
                    .filter(|position| *position > self.floor);
                let position = kept.unwrap_or(self.floor);
                let evicted = self.evicted.is_some_and(|evicted| evicted.ms >= ms);
                let gap = Gap { missed: None, after: None, before: self.id_after(position) };
                Found {
                    cursor: Cursor { position, id: None },
                    lost: (kept.is_none() && evicted).then_some(gap),
                }
            }
        }
    }

    /// Drops what is over a bound at `now`, and returns segments that are to be freed without the
    /// lock.
    fn evict(&mut self, now: u64) -> Vec<Arc<Segment>> {
        let Retention { events, bytes, age } = self.retention;
        let oldest = age.map_or(0, |age| {
            now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
        });
        let mut freed = Vec::new();
        while let Some((_, front)) = self.segments.front() {
            let rest = usize::try_from(front.last() - self.floor).expect("it is in memory");
            let weight = front.weight() - self.gone;
            let whole = self.len() - rest >= events
                || self.weight - weight >= bytes
                || front.last_id().ms < oldest;
            if whole && rest > 0 {
                (self.floor, self.evicted) = (front.last(), Some(front.last_id()));
                self.weight -= weight;
            } else {
                let front = Arc::clone(front);
                while let Some(event) = front.at(self.floor + 1) {
                    let over = self.len() > events || self.weight > bytes || event.id.ms < oldest;
                    if !over {
                        return freed;
                    }
                    (self.floor, self.evicted) = (self.floor + 1, Some(event.id));
                    self.weight -= event.weight();
                    self.gone += event.weight();
                }
            }
            self.gone = 0;
            freed.extend(self.segments.pop_front().map(|(_, segment)| segment));
        }
        // A ring that a flood has grown shrinks again.
        if self.segments.capacity() > 1024 && self.segments.len() < self.segments.capacity() / 8 {
            self.segments.shrink_to_fit();
        }
        freed
    }

    /// Joins the newest segments if there are enough of one level, and returns the parts.
    fn join(&mut self) -> Vec<(u8, Arc<Segment>)> {
        let mut parts = Vec::new();
        while let Some(start) = self.segments.len().checked_sub(JOINED) {
            let last = self.segments.range(start..);
            let level = self.segments[start].0;
            if level == FULL || last.clone().any(|(other, _)| *other != level) {
                break;
            }
            let events: usize = last.clone().map(|(_, segment)| segment.events().len()).sum();
            let weight: usize = last.clone().map(|(_, segment)| segment.weight()).sum();
            if events > FULL_EVENTS || weight > FULL_BYTES {
                self.segments.range_mut(start..).for_each(|(level, _)| *level = FULL);
                break;
            }
            let joined = Segment::joined(last.map(|(_, segment)| segment));
            parts.extend(self.segments.drain(start..));
            self.segments.push_back((level + 1, Arc::new(joined)));
        }
        parts
    }
}

#[cfg(test)]
mod tests;
