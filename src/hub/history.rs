//! What this node keeps of the stream in memory: a ring of events, bounded by number, bytes and
//! age, without a hole. Knows no lock and no clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, EventId};

/// How much history is kept. All three bounds hold at once.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// At most so many events.
    pub events: usize,
    /// At most so many bytes, as [`Event::weight`] counts them.
    pub bytes: usize,
    /// Nothing older than this; `None` is no limit.
    pub age: Option<Duration>,
}

/// The ring. Its events have consecutive ordinals.
#[derive(Debug)]
pub(super) struct History {
    retention: Retention,
    events: VecDeque<Arc<Event>>,
    weight: usize,
    /// The last event that went out of it.
    evicted: Option<EventId>,
}

/// Where an id stands in the history.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The event with this ordinal has the id, and everything after it is kept.
    Exact(u64),
    /// No event that is known has the id; those up to this ordinal come before it.
    Between(u64),
    /// The id is older than what is kept.
    Before,
}

impl History {
    pub(super) fn new(retention: Retention) -> Self {
        Self { retention, events: VecDeque::new(), weight: 0, evicted: None }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn push(&mut self, event: Arc<Event>) {
        let now = event.id.ms;
        self.weight += event.weight();
        self.events.push_back(event);
        self.evict(now);
    }

    /// Lets go of what is over a bound at `now`, milliseconds since 1970.
    pub(super) fn evict(&mut self, now: u64) {
        let oldest = self.retention.age.map_or(0, |age| {
            now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
        });
        while let Some(front) = self.events.front() {
            let over = self.events.len() > self.retention.events
                || self.weight > self.retention.bytes
                || front.id.ms < oldest;
            if !over {
                break;
            }
            self.weight -= front.weight();
            self.evicted = Some(front.id);
            self.events.pop_front();
        }
    }

    pub(super) fn oldest(&self) -> Option<&Arc<Event>> {
        self.events.front()
    }

    /// Returns the last event that was kept once and is no more.
    pub(super) fn evicted(&self) -> Option<EventId> {
        self.evicted
    }

    pub(super) fn get(&self, id: EventId) -> Option<&Arc<Event>> {
        let at = self.events.partition_point(|event| event.id < id);
        self.events.get(at).filter(|event| event.id == id)
    }

    /// Iterates over the events with ordinals from `first` on that are kept.
    pub(super) fn from(&self, first: u64) -> impl Iterator<Item = &Arc<Event>> {
        let skip = self.oldest().map_or(0, |oldest| first.saturating_sub(oldest.ordinal));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.events.len());
        self.events.range(skip..)
    }

    /// Iterates backwards over the events with ordinals up to `last` that are kept.
    pub(super) fn back_from(&self, last: u64) -> impl Iterator<Item = &Arc<Event>> {
        let end = self.oldest().map_or(0, |oldest| (last + 1).saturating_sub(oldest.ordinal));
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(self.events.len());
        self.events.range(..end).rev()
    }

    /// Finds an id that is not after the newest event.
    pub(super) fn place(&self, id: EventId) -> Place {
        let at = self.events.partition_point(|event| event.id <= id);
        match at.checked_sub(1).map(|before| &self.events[before]) {
            Some(event) if event.id == id => Place::Exact(event.ordinal),
            Some(event) => Place::Between(event.ordinal),
            None => match self.oldest() {
                Some(oldest) if self.evicted == Some(id) => Place::Exact(oldest.ordinal - 1),
                _ => Place::Before,
            },
        }
    }

    /// Returns the ordinal of the last kept event that is older than `ms`, if there is one.
    pub(super) fn before_time(&self, ms: u64) -> Option<u64> {
        let at = self.events.partition_point(|event| event.id.ms < ms);
        at.checked_sub(1).map(|before| self.events[before].ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Direction, Draft, EventBody, Message, Opcode};
    use proptest::prelude::*;

    fn event(ordinal: u64, ms: u64, size: usize) -> Arc<Event> {
        let body = Body::Binary(vec![0; size].into());
        let message = Message::new(Direction::In, Opcode::Binary, 0, body);
        let draft =
            Draft { connection: "a".parse().expect("an id"), body: EventBody::Message(message) };
        Arc::new(draft.stamp(EventId { ms, seq: 0 }, ordinal))
    }

    fn unlimited() -> Retention {
        Retention { events: usize::MAX, bytes: usize::MAX, age: None }
    }

    fn ordinals<'a>(events: impl Iterator<Item = &'a Arc<Event>>) -> Vec<u64> {
        events.map(|event| event.ordinal).collect()
    }

    #[test]
    fn an_id_is_found_between_others_and_at_the_edges() {
        let mut history = History::new(Retention { events: 3, ..unlimited() });
        assert_eq!(history.place(EventId::default()), Place::Before);
        for ordinal in 1..=5 {
            history.push(event(ordinal, ordinal * 10, 1));
        }
        let place = |ms| history.place(EventId { ms, seq: 0 });
        assert_eq!(place(10), Place::Before);
        assert_eq!(place(20), Place::Exact(2));
        assert_eq!(place(25), Place::Before);
        assert_eq!(place(30), Place::Exact(3));
        assert_eq!(place(45), Place::Between(4));
        assert_eq!(place(50), Place::Exact(5));
        assert_eq!(history.before_time(30), None);
        assert_eq!(history.before_time(31), Some(3));
    }

    #[test]
    fn old_events_go_by_age() {
        let age = Some(Duration::from_millis(15));
        let mut history = History::new(Retention { age, ..unlimited() });
        for ordinal in 1..=3 {
            history.push(event(ordinal, ordinal * 10, 1));
        }
        assert_eq!(ordinals(history.from(0)), [2, 3]);
        history.evict(46);
        assert_eq!((history.len(), history.weight()), (0, 0));
        assert_eq!(history.evicted(), Some(EventId { ms: 30, seq: 0 }));
    }

    #[test]
    fn an_event_heavier_than_the_whole_history_is_not_kept() {
        let mut history = History::new(Retention { bytes: 1000, ..unlimited() });
        history.push(event(1, 1, 10));
        history.push(event(2, 2, 5000));
        assert_eq!((history.len(), history.weight()), (0, 0));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list(
            max_events in 0usize..20,
            max_bytes in 0usize..6000,
            sizes in prop::collection::vec(0usize..700, 0..60),
            first in 0u64..70,
        ) {
            let mut history = History::new(Retention { events: max_events, bytes: max_bytes, age: None });
            let mut list: Vec<Arc<Event>> = Vec::new();
            for (n, size) in sizes.into_iter().enumerate() {
                let event = event(n as u64 + 1, n as u64 / 3, size);
                history.push(Arc::clone(&event));
                list.push(event);
                while list.len() > max_events || list.iter().map(|e| e.weight()).sum::<usize>() > max_bytes {
                    list.remove(0);
                }
            }
            prop_assert_eq!(history.weight(), list.iter().map(|e| e.weight()).sum::<usize>());
            prop_assert_eq!(ordinals(history.from(first)), ordinals(list.iter().filter(|e| e.ordinal >= first)));
            prop_assert_eq!(
                ordinals(history.back_from(first)),
                ordinals(list.iter().rev().filter(|e| e.ordinal <= first))
            );
        }
    }
}
