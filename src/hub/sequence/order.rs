//! Gives events their ids and positions, and gathers them until they are sent as a segment.

use std::sync::Arc;

use crate::event::{Draft, Event, EventId};
use crate::hub::history::memory::{FULL_BYTES, FULL_EVENTS};
use crate::hub::history::segment::Segment;
use crate::redact::Redacted;

/// The end of the stream, and events that are not in a segment yet.
#[derive(Debug, Default)]
pub(in crate::hub) struct Order {
    last: EventId,
    position: u64,
    /// Position of the last event of an earlier process.
    start: u64,
    pending: Vec<Arc<Event>>,
    pending_weight: usize,
}

/// What a publisher has to do once it has released the lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[must_use]
pub(in crate::hub) enum PumpAction {
    /// Nothing: the pump is awake.
    #[default]
    Nothing,
    /// Wake the pump: this is the first event since the last segment.
    Wake,
    /// Send the segment now: it is full.
    Flush,
}

impl Order {
    /// Goes on after an event of an earlier process.
    pub(in crate::hub) fn after(position: u64, last: Option<EventId>) -> Self {
        Self { last: last.unwrap_or_default(), position, start: position, ..Self::default() }
    }

    /// Makes a draft the next event of the stream.
    pub(in crate::hub) fn publish(
        &mut self,
        draft: Redacted<Draft>,
        now: u64,
    ) -> (Arc<Event>, PumpAction) {
        self.last = self.last.next(now);
        self.position += 1;
        let event = Arc::new(draft.into_inner().stamp(self.last));
        let first = self.pending.is_empty();
        self.pending_weight += event.weight();
        self.pending.push(Arc::clone(&event));
        let full = self.pending_weight >= FULL_BYTES || self.pending.len() >= FULL_EVENTS;
        let action = match (full, first) {
            (true, _) => PumpAction::Flush,
            (false, true) => PumpAction::Wake,
            (false, false) => PumpAction::Nothing,
        };
        (event, action)
    }

    /// Adds an event of another time, under the id that it had then if that is possible.
    pub(in crate::hub) fn restore(&mut self, event: Event) {
        self.last = if event.id > self.last { event.id } else { self.last.next(event.id.ms) };
        self.position += 1;
        let event = Event { id: self.last, ..event };
        self.pending_weight += event.weight();
        self.pending.push(Arc::new(event));
    }

    /// Makes a segment of the events that were published since the last one.
    pub(in crate::hub) fn take_segment(&mut self) -> Option<Arc<Segment>> {
        let events = std::mem::take(&mut self.pending);
        self.pending_weight = 0;
        let first = self.position + 1 - events.len() as u64;
        (!events.is_empty()).then(|| Arc::new(Segment::new(first, events)))
    }

    /// Returns whether as many events are pending as fit into a segment.
    pub(in crate::hub) fn is_full(&self) -> bool {
        self.pending_weight >= FULL_BYTES || self.pending.len() >= FULL_EVENTS
    }

    /// Returns the number of events since the start.
    pub(in crate::hub) fn count(&self) -> u64 {
        self.position - self.start
    }

    /// Returns the position of the newest event, and its id if there is one.
    pub(in crate::hub) fn head(&self) -> (u64, Option<EventId>) {
        (self.position, (self.position > 0).then_some(self.last))
    }
}
