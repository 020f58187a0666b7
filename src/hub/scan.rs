//! A finite reading of what is kept: from a start to the end of the stream as it was when the
//! reading began, a page at a time.

use std::sync::Arc;

use super::Start;
use super::seek::Seek;
use super::shared::Shared;
use super::stream::{Cursor, Page};
use crate::event::{Event, Gap};
use crate::filter::Filter;

/// Which part of the history is read.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Where it begins.
    pub start: Start,
    /// Nothing that is younger, in milliseconds since 1970.
    pub until: Option<u64>,
    /// At most so many events.
    pub limit: usize,
    /// Whether the oldest or the newest comes first.
    pub order: Order,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest.
    Ascending,
    /// The newest.
    Descending,
}

/// A page of a reading.
#[derive(Debug)]
pub enum Scanned {
    /// Events, in the order asked for.
    Events(Vec<Arc<Event>>),
    /// Events that were lost before they could be read.
    Gap(Gap),
}

/// A reading under way.
#[derive(Debug)]
pub struct Scan {
    shared: Arc<Shared>,
    filter: Filter,
    range: Range,
    seek: Option<Seek>,
    lost: Option<Gap>,
    /// Everything up to here is read already, or not wanted.
    from: Cursor,
    /// Everything after this is.
    to: u64,
}

impl Scan {
    pub(super) fn new(shared: Arc<Shared>, range: Range, filter: Filter) -> Self {
        let stream = shared.stream();
        let (from, lost) = stream.begin(range.start, &filter);
        let seek = Seek::begin(&stream, range.start, &filter);
        let to = stream.head().ordinal;
        drop(stream);
        Self { shared, filter, range, seek, lost, from, to }
    }

    /// Returns the ordinal of the event after which the reading begins; for one that has not begun.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.from.ordinal
    }

    /// Returns what was lost before that.
    #[must_use]
    pub fn lost(&self) -> Option<&Gap> {
        self.lost.as_ref()
    }
}

impl Iterator for Scan {
    type Item = Scanned;

    /// Returns the next page; it may be empty where the filter selects nothing.
    fn next(&mut self) -> Option<Scanned> {
        if self.range.limit == 0 {
            return None;
        }
        if let Some(seek) = &mut self.seek {
            if let Some(ordinal) = seek.step(&self.shared, &self.filter) {
                self.from = Cursor { ordinal, id: None };
                self.seek = None;
            }
            return Some(Scanned::Events(Vec::new()));
        }
        if let Some(gap) = self.lost.take() {
            return Some(Scanned::Gap(gap));
        }
        if self.from.ordinal >= self.to {
            return None;
        }
        let mut events = match self.range.order {
            Order::Ascending => self.page()?,
            Order::Descending => self.page_back(),
        };
        events.retain(|event| self.wants(event));
        events.truncate(self.range.limit);
        self.range.limit -= events.len();
        Some(match self.lost.take() {
            Some(gap) => Scanned::Gap(gap),
            None => Scanned::Events(events),
        })
    }
}

impl Scan {
    fn page(&mut self) -> Option<Vec<Arc<Event>>> {
        match self.shared.stream().page(self.from) {
            Page::Events(mut events) => {
                events.retain(|event| event.ordinal <= self.to);
                let last = events.last()?;
                self.from = Cursor { ordinal: last.ordinal, id: Some(last.id) };
                // Ids only grow, so that nothing after this is wanted either.
                if !self.in_time(last) {
                    self.to = self.from.ordinal;
                }
                Some(events)
            }
            Page::Gap(gap, behind) => {
                self.from = behind;
                self.lost = Some(gap);
                Some(Vec::new())
            }
            Page::End | Page::Over => None,
        }
    }

    fn page_back(&mut self) -> Vec<Arc<Event>> {
        let mut events = self.shared.stream().page_back(self.to);
        events.retain(|event| event.ordinal > self.from.ordinal);
        if let Some(oldest) = events.last() {
            self.to = oldest.ordinal - 1;
        } else {
            // All of this was kept when the reading began.
            let missed = Some(self.to - self.from.ordinal);
            self.lost = Some(Gap { missed, after: self.from.id, before: None });
            self.to = self.from.ordinal;
        }
        events
    }

    fn wants(&self, event: &Event) -> bool {
        self.in_time(event) && self.shared.selects(&self.filter, event)
    }

    fn in_time(&self, event: &Event) -> bool {
        self.range.until.is_none_or(|until| event.id.ms <= until)
    }
}
