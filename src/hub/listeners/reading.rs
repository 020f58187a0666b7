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
    /// It begins after this cursor, and some events before it are lost.
    At(Cursor, Option<Gap>),
    /// The store looks for it.
    Find(Mark, Question<Found>),
    /// The events that the filter selects have to be counted from the end.
    Seek(Seek),
}

impl Begin {
    /// Finds the beginning as far as that takes no time.
    pub(in crate::hub) fn new(shared: &Shared, start: Start, filter: &Filter) -> Self {
        // Events that were published before are in the store now, or on their way to be sent.
        if !matches!(start, Start::Now) {
            if !shared.is_log_behind() {
                shared.empty_inbox();
            }
            shared.flush();
        }
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
        let (cursor, lost) = match self {
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
