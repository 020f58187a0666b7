//! Where the stream is kept: the seam between the hub and memory, disk or a broker.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::progress::Progress;
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

/// What comes before a position, for a reader that reads backwards.
#[derive(Debug)]
pub(in crate::hub) enum Before {
    /// A segment that holds the event at that position. It may end behind it.
    Events(Arc<Segment>),
    /// The events down to here are lost; the one at this position is kept, if the position is not the
    /// beginning.
    Hole(u64),
    /// Nothing up to that position is kept any more.
    Nothing,
}

/// The answer of a store.
#[derive(Debug)]
pub(in crate::hub) enum Answer<T> {
    /// It is at hand.
    Known(T),
    /// A thread reads it from disk.
    Coming(oneshot::Receiver<T>),
}

/// A question to a store that is under way.
#[derive(Debug)]
pub(in crate::hub) struct Question<T>(Option<oneshot::Receiver<T>>);

impl<T> Default for Question<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Question<T> {
    /// Asks, unless that was done, and polls for the answer. Of a store whose threads have ended it
    /// never comes.
    pub(in crate::hub) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce() -> Answer<T>,
    ) -> Poll<T> {
        if self.0.is_none() {
            match ask() {
                Answer::Known(answer) => return Poll::Ready(answer),
                Answer::Coming(coming) => self.0 = Some(coming),
            }
        }
        let Some(coming) = &mut self.0 else { return Poll::Pending };
        match Pin::new(coming).poll(cx) {
            Poll::Ready(Ok(answer)) => {
                self.0 = None;
                Poll::Ready(answer)
            }
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Takes segments that are in the store and may be read, in their order.
pub(in crate::hub) type Announce = Box<dyn Fn(&[Arc<Segment>]) + Send + Sync>;

/// When listeners are told of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::hub) enum Appended {
    /// Now: it is in the store.
    Now,
    /// The store says so, by [`Announce`].
    Later,
}

/// Keeps segments in the order of the stream. Implementations lock inside and never block on I/O in
/// these calls: what is not at hand is [`Answer::Coming`].
pub(in crate::hub) trait Store: fmt::Debug + Send + Sync {
    /// Keeps the next segment. `now` is in milliseconds since 1970.
    fn append(&self, segment: &Arc<Segment>, now: u64) -> Appended;

    /// Returns the page after a cursor.
    fn page(&self, cursor: Cursor) -> Answer<Page>;

    /// Returns the segment that holds the event at a position, if that is kept, for a reader that
    /// reads backwards.
    fn before(&self, position: u64) -> Answer<Before>;

    /// Looks for the place where a reader begins.
    fn find(&self, mark: Mark) -> Answer<Found>;

    /// Returns those of some events that are kept, in the order of the ids.
    fn events(&self, ids: &[EventId]) -> Answer<Vec<Arc<Event>>>;

    /// Returns the position before the oldest event that is kept, and of the newest.
    fn bounds(&self) -> (u64, u64);

    /// Returns the id of the event at a position, if that is kept in memory.
    fn id_at(&self, position: u64) -> Option<EventId>;

    /// Returns the id of the oldest event that is kept.
    fn oldest(&self) -> Option<EventId>;

    /// Returns the number of events kept in memory and their weight in bytes.
    fn size(&self) -> (usize, usize);

    /// Drops what is too old at `now`, milliseconds since 1970.
    fn evict(&self, now: u64);

    /// Returns how far the log on disk is; `None` without one.
    fn progress(&self) -> Option<&Progress> {
        None
    }

    /// Sets what is told of segments that [`Appended::Later`] was returned for.
    fn announce_to(&self, announce: Announce) {
        drop(announce);
    }

    /// Writes everything, and releases the files. Takes its time: not for a task.
    fn close(&self) {}
}
