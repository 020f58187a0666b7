//! Where the stream is kept: the seam between the hub and memory, disk or a broker.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::segment::Segment;
use crate::event::{Event, EventId, Gap};

/// How far a reader has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) struct Cursor {
    /// Position of the last event that it was given or that its filter did not select.
    pub(in crate::hub) position: u64,
    /// The id of that event, if it is known.
    pub(in crate::hub) id: Option<EventId>,
}

/// What comes after a cursor.
#[derive(Debug)]
pub(in crate::hub) enum Page {
    /// A segment that holds the next event. It may begin before it.
    Events(Arc<Segment>),
    /// The next events are lost; the cursor stands behind them.
    Gap(Gap, Cursor),
    /// Nothing yet.
    End,
}

/// An event to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) enum Mark {
    /// The oldest that is kept.
    Oldest,
    /// The one after this id.
    After(EventId),
    /// The first that is not older than this, in milliseconds since 1970.
    Since(u64),
}

/// Where reading begins for a [`Mark`], and what is lost before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub) struct Found {
    /// Reading goes on after this.
    pub(in crate::hub) cursor: Cursor,
    /// What can no longer be read.
    pub(in crate::hub) lost: Option<Gap>,
}

/// Keeps segments in the order of the stream. Implementations lock inside and never block on I/O in
/// these calls: what is not at hand is `Pending`, and the waker is called when it is.
pub(in crate::hub) trait Store: fmt::Debug + Send + Sync {
    /// Keeps the next segment. `now` is in milliseconds since 1970.
    fn append(&self, segment: &Arc<Segment>, now: u64);

    /// Returns the page after a cursor.
    fn poll_page(&self, cx: &mut Context<'_>, cursor: Cursor) -> Poll<Page>;

    /// Returns the segment that holds the event at a position, if that is kept, for a reader that
    /// reads backwards.
    fn poll_segment(&self, cx: &mut Context<'_>, position: u64) -> Poll<Option<Arc<Segment>>>;

    /// Looks for the place where a reader begins.
    fn poll_find(&self, cx: &mut Context<'_>, mark: Mark) -> Poll<Found>;

    /// Returns one event.
    fn poll_event(&self, cx: &mut Context<'_>, id: EventId) -> Poll<Option<Arc<Event>>>;

    /// Returns the position before the oldest event that is kept, and of the newest.
    fn bounds(&self) -> (u64, u64);

    /// Returns the id of the event at a position, if that is kept in memory.
    fn id_at(&self, position: u64) -> Option<EventId>;

    /// Returns the number of events kept and their weight in bytes.
    fn size(&self) -> (usize, usize);

    /// Drops what is too old at `now`, milliseconds since 1970.
    fn evict(&self, now: u64);
}
