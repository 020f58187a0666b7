//! How what relays have seen reaches the stream. While the log on disk is behind, it stays in the inbox
//! or is lost.

use std::sync::atomic::Ordering::Relaxed;

use super::inbox::Part;
use super::shared::Shared;
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::sequence::Sequence;
use crate::hub::sequence::apply::Applied;
use crate::hub::sequence::record::Record;
use crate::hub::sequence::state::State;
use crate::redact::Redacted;

impl Shared {
    /// Publishes what was in the inbox, in pieces.
    pub(in crate::hub) fn empty_inbox(&self) {
        let until = self.inbox.taken_in();
        while self.send_before(until) {}
    }

    /// Publishes a piece of the first `until` drafts that were put into the inbox. Returns whether there
    /// may be more.
    pub(in crate::hub) fn send_before(&self, until: u64) -> bool {
        self.send(&mut self.window(), Some(Part::Before(until)))
    }

    /// Publishes what was in the inbox of one connection. What others have in the inbox does not hold it
    /// up. While the log is behind, it is lost instead.
    pub(in crate::hub) fn empty_inbox_of(&self, handle: &ConnectionHandle) {
        let until = self.inbox.taken_in();
        if self.is_log_behind() {
            self.metrics.unseen_messages.inc_by(self.inbox.lose(handle, until));
        }
        while self.send(&mut self.window(), Some(Part::Of(handle, until))) {}
    }

    /// Moves a piece of what relays have seen into the stream. Returns whether there was one.
    pub(super) fn take_piece(&self, sequence: &mut Sequence, part: Part<'_>, now: u64) -> bool {
        let cx = self.context(now);
        let mut applied = Applied::default();
        let piece = self.inbox.take(part);
        let any = !piece.is_empty();
        if !matches!(part, Part::Of(..)) {
            let missed = self.unpublished.swap(0, Relaxed);
            if missed > 0 {
                sequence.apply(&cx, Record::Event(Redacted::lost(missed)), &mut applied);
            }
        }
        for (handle, draft) in piece {
            // Nothing follows the `close` of a connection.
            if !handle.is_some_and(|handle| handle.ended()) {
                sequence.apply(&cx, Record::Event(draft), &mut applied);
            }
        }
        any
    }

    /// Publishes an event of a relay that is not of a registered connection. While the log is behind, it
    /// is counted, and becomes a gap.
    pub(in crate::hub) fn observe(&self, decide: impl FnOnce(&State) -> Record) {
        if self.is_log_behind() {
            self.unpublished.fetch_add(1, Relaxed);
            return;
        }
        let decided: Result<_, std::convert::Infallible> = self.submit(|state| Ok([decide(state)]));
        let Ok(_) = decided;
    }
}
