//! What was recorded, as the history of a hub; and events picked out of history by their place.

use std::sync::Arc;

use super::{Hub, Start};
use crate::event::Event;

impl Hub {
    /// Adds an event of another time to the history, without what is to be hidden of it. It keeps
    /// its id, unless one that is not smaller is there already; its ordinal is that of this stream.
    /// Listeners that are here already are not told, so that this comes before them.
    pub fn restore(&self, event: Event) {
        let redaction = &self.shared.settings.redaction;
        let shown = redaction.draft(&redaction.id(event.connection), event.body).into_inner();
        self.shared.stream().restore(shown.stamp(event.id, 0));
    }

    /// Returns where a listener begins that does not say: with what happens from now on, and where
    /// nothing more does, with the oldest event.
    #[must_use]
    pub fn beginning(&self) -> Start {
        if self.shared.settings.recording { Start::Oldest } else { Start::Now }
    }

    /// Returns those of some events, by their ordinals, that are still kept.
    #[must_use]
    pub fn pick(&self, ordinals: &[u64]) -> Vec<Arc<Event>> {
        let stream = self.shared.stream();
        let kept = |ordinal: &u64| {
            let event = stream.history.from(*ordinal).next();
            event.filter(|event| event.ordinal == *ordinal).cloned()
        };
        ordinals.iter().filter_map(kept).collect()
    }
}
