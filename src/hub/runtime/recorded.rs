//! Events of a recording as the history of a hub, and events picked out of history.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::event::{ConnectionId, Event, EventId};
use crate::hub::connections::recorded::RecordedConnection;
use crate::hub::history::store::Question;
use crate::hub::pieces::in_pieces;
use crate::hub::runtime::shared::Shared;
use crate::hub::{Hub, Start};

/// Picks events out of what is kept.
#[derive(Debug)]
pub struct Pick {
    shared: Arc<Shared>,
    question: Question<Vec<Arc<Event>>>,
}

impl Pick {
    /// Polls for those of some events that are still kept, in the order of the ids. While it is
    /// pending, the ids stay the same.
    pub fn poll(&mut self, cx: &mut Context<'_>, ids: &[EventId]) -> Poll<Vec<Arc<Event>>> {
        let Self { shared, question } = self;
        question.poll(cx, || shared.store.events(ids))
    }
}

impl Hub {
    /// Adds an event of another time to the history, after redaction. It keeps its id, unless one
    /// that is not smaller is there already. Listeners that are subscribed already are not told, so
    /// this comes before them.
    pub fn restore(&self, event: Event) {
        let settings = self.shared.settings();
        let redaction = &settings.redaction;
        let mut draft = redaction.draft(&redaction.id(event.connection), event.body).into_inner();
        let full = {
            let mut sequence = self.shared.sequence();
            draft.handshake = sequence.state.restored.follow(&draft.connection, &draft.body);
            if settings.recording {
                let handshake = draft.handshake.as_ref();
                let recorded = &mut sequence.state.recorded;
                recorded.follow(event.id.ms, &draft.connection, handshake, &draft.body);
            }
            sequence.order.restore(draft.stamp(event.id));
            sequence.order.is_full()
        };
        if full {
            self.shared.flush();
        }
    }

    /// Returns where a listener begins that does not say: with what happens from now on, and in a
    /// recording with the oldest event.
    #[must_use]
    pub fn beginning(&self) -> Start {
        if self.shared.settings().recording { Start::Oldest } else { Start::Now }
    }

    /// Returns the id of the oldest event that is kept.
    #[must_use]
    pub fn oldest(&self) -> Option<EventId> {
        self.shared.flush();
        self.shared.store.oldest()
    }

    /// Returns up to `limit` connections of a recording whose numbers are greater than `after`, in
    /// the order of their first events.
    #[must_use]
    pub fn recorded_after(&self, after: u64, limit: usize) -> Vec<Arc<RecordedConnection>> {
        in_pieces(limit, |last: Option<&Arc<RecordedConnection>>, wanted| {
            let after = last.map_or(after, |connection| connection.number);
            self.shared.sequence().state.recorded.after(after, wanted)
        })
    }

    /// Returns the last connection of a recording that had an id.
    #[must_use]
    pub fn recorded(&self, id: &ConnectionId) -> Option<Arc<RecordedConnection>> {
        self.shared.sequence().state.recorded.newest(id).cloned()
    }

    /// Returns the number of connections of a recording.
    #[must_use]
    pub fn recorded_count(&self) -> usize {
        self.shared.sequence().state.recorded.len()
    }

    /// Picks events by their ids.
    #[must_use]
    pub fn pick(&self) -> Pick {
        Pick { shared: Arc::clone(&self.shared), question: Question::default() }
    }
}
