//! The one order of all events: ids, history, what waits to be sent, and who is registered.
//! Everything here stands under one lock, which is never held across an await, so that state and
//! its announcement change together.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::batch::Batch;
use super::channels::Channels;
use super::history::{History, Place};
use super::registry::Registry;
use super::{Settings, Start};
use crate::event::{ConnectionId, Draft, Event, EventId, Gap};
use crate::filter::Filter;
use crate::redact::Redacted;

/// Batches that the broadcast channel holds. A listener further behind is fed from history, so
/// this only has to cover what is published while one round of all listeners is served; in the
/// measured worst case (1,000 listeners saturated on one core) that was 3 batches.
pub(super) const RING: usize = 64;

/// Memory that the batches in the channel may hold, beside their rendered forms. The channel
/// itself holds weak references, so that a listener that never reads pins nothing.
const WINDOW_BYTES: usize = 8 << 20;

/// A batch is sent before it is this heavy, even if the pump has had no turn yet.
const FULL_BATCH_BYTES: usize = 256 << 10;

/// The same in events.
const FULL_BATCH_EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct Stream {
    last: EventId,
    ordinal: u64,
    pub(super) history: History,
    pending: Vec<Arc<Event>>,
    pending_weight: usize,
    window: VecDeque<Arc<Batch>>,
    window_weight: usize,
    pub(super) registry: Registry,
    pub(super) channels: Channels,
    /// Connection ids that were made.
    made: u64,
    /// Nobody registers any more.
    pub(super) stopping: bool,
    /// Nothing is published any more: a listener that has read everything is done.
    pub(super) over: bool,
}

/// How far a listener has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Ordinal of the last event that it was given or that its filter let pass.
    pub(super) ordinal: u64,
    /// Its id, if there is one.
    pub(super) id: Option<EventId>,
}

/// What comes after a cursor.
#[derive(Debug)]
pub(super) enum Page {
    /// These events, and maybe more.
    Events(Vec<Arc<Event>>),
    /// First of all a loss; the cursor stands behind it.
    Gap(Gap, Cursor),
    /// Nothing yet.
    End,
    /// Nothing, and nothing will.
    Over,
}

/// What the publisher has to do once it has let go of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use]
pub(super) enum Next {
    /// Nothing: the pump is awake.
    Nothing,
    /// Wake the pump: this is the first event since the last batch.
    Wake,
    /// Send the batch now: it is full.
    Flush,
}

impl Stream {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            last: EventId::default(),
            ordinal: 0,
            history: History::new(settings.history),
            pending: Vec::new(),
            pending_weight: 0,
            window: VecDeque::new(),
            window_weight: 0,
            registry: Registry::default(),
            channels: Channels::default(),
            made: 0,
            stopping: false,
            over: false,
        }
    }

    /// Makes a draft the next event of the stream.
    pub(super) fn publish(&mut self, draft: Redacted<Draft>, now: u64) -> (Arc<Event>, Next) {
        self.last = self.last.next(now);
        self.ordinal += 1;
        let event = Arc::new(draft.into_inner().stamp(self.last, self.ordinal));
        self.history.push(Arc::clone(&event));
        let first = self.pending.is_empty();
        self.pending_weight += event.weight();
        self.pending.push(Arc::clone(&event));
        let full =
            self.pending_weight >= FULL_BATCH_BYTES || self.pending.len() >= FULL_BATCH_EVENTS;
        let next = match (full, first) {
            (true, _) => Next::Flush,
            (false, true) => Next::Wake,
            (false, false) => Next::Nothing,
        };
        (event, next)
    }

    /// Keeps an event of another time, under the id that it had then if that is possible. Nobody is
    /// told of it.
    pub(super) fn restore(&mut self, event: Event) {
        self.last = if event.id > self.last { event.id } else { self.last.next(event.id.ms) };
        self.ordinal += 1;
        self.history.push(Arc::new(Event { id: self.last, ordinal: self.ordinal, ..event }));
    }

    /// Returns an id for a connection that may ask for any: that one if it is free.
    pub(super) fn free_id(&mut self, wish: Option<ConnectionId>, now: u64) -> ConnectionId {
        match wish {
            Some(id) if self.registry.get(&id).is_none() => id,
            wish => {
                self.made += 1;
                let made = ConnectionId::made(now, self.made);
                wish.map_or(made.clone(), |id| id.another(&made))
            }
        }
    }

    /// Makes a batch of all that was published since the last one. Without anybody to read it
    /// (`wanted`) there is none.
    pub(super) fn take_batch(&mut self, wanted: bool) -> Option<Weak<Batch>> {
        let events = std::mem::take(&mut self.pending);
        let weight = std::mem::take(&mut self.pending_weight);
        if events.is_empty() {
            return None;
        }
        if !wanted {
            self.window.clear();
            self.window_weight = 0;
            return None;
        }
        let batch = Arc::new(Batch::new(events));
        self.window_weight += weight;
        let weak = Arc::downgrade(&batch);
        self.window.push_back(batch);
        while self.window.len() > RING || self.window_weight > WINDOW_BYTES && self.window.len() > 1
        {
            let oldest = self.window.pop_front().expect("it has more than one");
            self.window_weight -= oldest.weight();
        }
        Some(weak)
    }

    /// Returns where the stream ends now.
    pub(super) fn head(&self) -> Cursor {
        Cursor { ordinal: self.ordinal, id: (self.ordinal > 0).then_some(self.last) }
    }

    /// Finds where a listener begins, and what it has lost by then.
    pub(super) fn begin(&self, start: Start, filter: &Filter) -> (Cursor, Option<Gap>) {
        let head = self.head();
        match start {
            Start::Now => (head, None),
            Start::Oldest => (Cursor { ordinal: self.before_history(), id: None }, None),
            Start::Unknown => (head, Some(Gap { missed: None, after: None, before: None })),
            Start::After(id) if Some(id) == head.id => (head, None),
            Start::After(id) if head.id.is_none_or(|head| id > head) => {
                (head, Some(Gap { missed: None, after: Some(id), before: None }))
            }
            Start::After(id) => {
                let (ordinal, exact) = match self.history.place(id) {
                    Place::Exact(ordinal) => (ordinal, true),
                    Place::Between(ordinal) => (ordinal, false),
                    Place::Before => (self.before_history(), false),
                };
                let gap = Gap { missed: None, after: Some(id), before: self.id_after(ordinal) };
                (Cursor { ordinal, id: Some(id) }, (!exact).then_some(gap))
            }
            // What an expression selects is sought without the lock.
            Start::Last(_) if filter.expression.is_some() => (head, None),
            Start::Last(count) => {
                let wanted = self
                    .history
                    .back_from(self.ordinal)
                    .filter(|event| filter.selects_fields(event));
                let first = wanted.take(count).last();
                let ordinal = first.map_or(self.ordinal, |event| event.ordinal - 1);
                (Cursor { ordinal, id: None }, None)
            }
            Start::Since(ms) => {
                let kept = self.history.before_time(ms);
                let ordinal = kept.unwrap_or_else(|| self.before_history());
                let evicted = self.history.evicted().is_some_and(|evicted| evicted.ms >= ms);
                let gap = Gap { missed: None, after: None, before: self.id_after(ordinal) };
                (Cursor { ordinal, id: None }, (kept.is_none() && evicted).then_some(gap))
            }
        }
    }

    /// Returns what comes after a cursor: a page of it.
    pub(super) fn page(&self, cursor: Cursor) -> Page {
        if cursor.ordinal >= self.ordinal {
            return if self.over { Page::Over } else { Page::End };
        }
        let kept_from = self.before_history();
        if cursor.ordinal < kept_from {
            let behind = Cursor { ordinal: kept_from, id: self.history.evicted() };
            let missed = Some(kept_from - cursor.ordinal);
            return Page::Gap(
                Gap { missed, after: cursor.id, before: self.id_after(kept_from) },
                behind,
            );
        }
        Page::Events(one_page(self.history.from(cursor.ordinal + 1)))
    }

    /// Returns a page of the events up to an ordinal, the newest first.
    pub(super) fn page_back(&self, last: u64) -> Vec<Arc<Event>> {
        one_page(self.history.back_from(last))
    }

    /// Returns the ordinal before the oldest event that is kept.
    pub(super) fn before_history(&self) -> u64 {
        self.history.oldest().map_or(self.ordinal, |oldest| oldest.ordinal - 1)
    }

    fn id_after(&self, ordinal: u64) -> Option<EventId> {
        self.history.from(ordinal + 1).next().map(|event| event.id)
    }
}

/// Events that are read from history at once: enough to amortise the lock, few enough that a
/// listener who stops reading holds little.
const PAGE_EVENTS: usize = 256;

/// The same in bytes; an event that is larger is a page of its own.
const PAGE_BYTES: usize = 256 << 10;

fn one_page<'a>(events: impl Iterator<Item = &'a Arc<Event>>) -> Vec<Arc<Event>> {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        let fits = bytes < PAGE_BYTES;
        bytes += event.weight();
        fits
    };
    events.take(PAGE_EVENTS).take_while(fits).cloned().collect()
}
