//! Where a reading begins.

use std::task::{Context, Poll, ready};

use super::pace::Pace;
use super::seek::Seek;
use crate::event::{EventId, Gap};
use crate::filter::Filter;
use crate::hub::history::store::{Cursor, Found, Mark, Question};
use crate::hub::runtime::shared::Shared;

/// Where in the stream a listener begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// After the event with this id.
    After(EventId),
    /// After an event that is not known: its id was malformed.
    Unknown,
    /// With the last so many events that its filter selects.
    Last(usize),
    /// With what is not older than this, in milliseconds since 1970.
    Since(u64),
}

/// The beginning of a reading, as far as it is known.
#[derive(Debug)]
pub(in crate::hub) enum Begin {
    /// So many drafts were put into the inbox before: they are published first.
    Publish(u64, Start),
    /// It begins after this cursor, and some events before it are lost.
    At(Cursor, Option<Gap>),
    /// The store looks for it.
    Find(Mark, Question<Found>),
    /// The events that the filter selects have to be counted from the end.
    Seek(Seek),
}

/// Pieces of the inbox that a poll publishes: they take a millisecond or two.
const PIECES: usize = 4;

impl Begin {
    /// Finds the beginning as far as that takes no time.
    pub(in crate::hub) fn new(shared: &Shared, start: Start, filter: &Filter) -> Self {
        if matches!(start, Start::Now) {
            return Self::of(shared, start, filter);
        }
        let mut begin = Self::Publish(shared.inbox.taken_in(), start);
        begin.publish(shared, filter);
        begin
    }

    /// Publishes some pieces of what has to come first. Returns whether that was all: then events that
    /// were published before are in the store, or on their way to be sent.
    fn publish(&mut self, shared: &Shared, filter: &Filter) -> bool {
        let Self::Publish(until, start) = *self else { return true };
        let mut more = true;
        for _ in 0..PIECES {
            more = !shared.is_log_behind() && shared.send_before(until);
            if !more {
                break;
            }
        }
        if !more {
            shared.flush();
            *self = Self::of(shared, start, filter);
        }
        !more
    }

    fn of(shared: &Shared, start: Start, filter: &Filter) -> Self {
        let (position, id) = shared.sequence().order.head();
        let head = Cursor { position, id };
        let lost = |after| Gap { missed: None, after, before: None };
        match start {
            Start::Now => Self::At(head, None),
            Start::Unknown => Self::At(head, Some(lost(None))),
            Start::After(id) if Some(id) == head.id => Self::At(head, None),
            Start::After(id) if head.id.is_none_or(|head| id > head) => {
                Self::At(head, Some(lost(Some(id))))
            }
            Start::After(id) => Self::Find(Mark::After(id), Question::default()),
            Start::Oldest => Self::Find(Mark::Oldest, Question::default()),
            Start::Since(ms) => Self::Find(Mark::Since(ms), Question::default()),
            Start::Last(count) => {
                let (floor, _) = shared.store.bounds();
                if filter.selects_all() || count == 0 {
                    let count = u64::try_from(count).unwrap_or(u64::MAX);
                    let position = position.saturating_sub(count).max(floor.min(position));
                    Self::At(Cursor { position, id: None }, None)
                } else {
                    Self::Seek(Seek::new(count, (floor, position)))
                }
            }
        }
    }

    /// Finds the rest.
    pub(in crate::hub) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        filter: &Filter,
        pace: &mut Pace,
    ) -> Poll<(Cursor, Option<Gap>)> {
        if !self.publish(shared, filter) {
            // A thread that is no worker of a runtime may be polling: see `Iterator for Scan`.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (cursor, lost) = match self {
            Self::Publish(..) => unreachable!("it is published"),
            Self::At(cursor, lost) => (*cursor, lost.clone()),
            Self::Find(mark, question) => {
                let found = question.poll(cx, || shared.store.find(*mark));
                let Found { cursor, lost } = ready!(found);
                (cursor, lost)
            }
            Self::Seek(seek) => {
                let position = ready!(seek.poll(cx, shared, filter, pace));
                (Cursor { position, id: None }, None)
            }
        };
        *self = Self::At(cursor, lost.clone());
        Poll::Ready((cursor, lost))
    }
}
