//! Events of a recording as the history of a hub, and events picked out of history.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::event::{Event, EventId};
use crate::hub::{Hub, Start};

impl Hub {
    /// Adds an event of another time to the history, after redaction. It keeps its id, unless one
    /// that is not smaller is there already. Listeners that are subscribed already are not told, so
    /// this comes before them.
    pub fn restore(&self, event: Event) {
        let redaction = &self.shared.settings.redaction;
        let mut draft = redaction.draft(&redaction.id(event.connection), event.body).into_inner();
        let full = {
            let mut sequence = self.shared.sequence();
            draft.handshake = sequence.state.restored.follow(&draft.connection, &draft.body);
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
        if self.shared.settings.recording { Start::Oldest } else { Start::Now }
    }

    /// Returns those of some events that are still kept.
    #[must_use]
    pub fn pick(&self, ids: &[EventId]) -> Vec<Arc<Event>> {
        let mut cx = Context::from_waker(Waker::noop());
        let kept = |id: &EventId| match self.shared.store.poll_event(&mut cx, *id) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        };
        ids.iter().filter_map(kept).collect()
    }
}
