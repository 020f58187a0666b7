//! A registered connection, as its session holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::handle::{CloseRequest, ConnectionHandle, Ending};
use super::queue::Outgoing;
use crate::event::{ConnectionId, Direction, Draft, EventBody, EventId, Message};
use crate::hub::clock::now_ms;
use crate::hub::refusal::{Ended, Undelivered};
use crate::hub::runtime::inbox::InboxAction;
use crate::hub::runtime::shared::Shared;
use crate::hub::runtime::turns::Turns;
use crate::hub::sequence::record::Record;
use crate::redact::Redacted;

/// A connection in more channels than this needs a turn to end.
const FEW_CHANNELS: usize = 32;

/// A registered connection, held by its session. Dropping it publishes the `close` event, if that
/// was not done.
#[derive(Debug)]
pub struct Connection {
    pub(in crate::hub) shared: Arc<Shared>,
    /// The id that its client uses.
    id: ConnectionId,
    pub(in crate::hub) handle: Arc<ConnectionHandle>,
    /// Whether it has published since it settled.
    unsettled: AtomicBool,
    /// A shutdown waits until this is dropped.
    _token: TaskTrackerToken,
}

impl Connection {
    pub(in crate::hub) fn new(
        shared: Arc<Shared>,
        id: ConnectionId,
        handle: Arc<ConnectionHandle>,
    ) -> Self {
        let token = shared.connected.token();
        let unsettled = AtomicBool::new(false);
        Self { shared, id, handle, unsettled, _token: token }
    }

    /// Returns the id that its client uses.
    #[must_use]
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// Returns the id that it is registered and shown under: its own, unless redaction hides part of
    /// that.
    #[must_use]
    pub fn redacted_id(&self) -> &ConnectionId {
        &self.handle.id
    }

    /// Returns whether its end takes so long that it needs a turn: it leaves many channels.
    pub(crate) fn is_costly_to_end(&self) -> bool {
        self.handle.lock_channels().len() > FEW_CHANNELS
    }

    /// Returns a place to wait for turns.
    pub(crate) fn turns(&self) -> Turns {
        self.shared.turns.turns()
    }

    /// Makes a draft of a message of this connection, after redaction. Takes no lock.
    #[must_use]
    pub fn draft(&self, message: Message) -> Redacted<Draft> {
        let settings = self.shared.settings();
        let draft = settings.redaction.draft(&self.handle.id, EventBody::Message(message));
        draft.after(Arc::clone(&self.handle.handshake))
    }

    /// Publishes a message of this connection and returns its id.
    ///
    /// # Errors
    ///
    /// [`Ended`] if the `close` event has been published already.
    pub fn publish(&self, message: Message) -> Result<EventId, Ended> {
        let (direction, size) = (message.direction, message.size);
        let draft = self.draft(message);
        let handle = &self.handle;
        let decide = |_: &_| if handle.ended() { Err(Ended) } else { Ok([Record::Event(draft)]) };
        let id = self.shared.submit(decide)?;
        self.unsettled.store(true, Relaxed);
        handle.count(direction, 1, size, id.ms);
        self.shared.metrics.received_bytes.inc_by(size);
        Ok(id)
    }

    /// Sends what this connection has published to the listeners now, if no other connection
    /// publishes at the same time. A session calls it before it waits for its client. Without it the
    /// events are sent in the next turn of a task of the hub.
    pub fn settle(&self) {
        if self.unsettled.load(Relaxed) {
            self.unsettled.store(false, Relaxed);
            self.shared.settle(self.handle.number);
        }
    }

    /// Sends a message to its client, and publishes it.
    ///
    /// # Errors
    ///
    /// [`Undelivered::NotFound`] once its session is ending, or [`Undelivered::QueueFull`].
    pub fn send(&self, outgoing: Outgoing, message: Message) -> Result<EventId, Undelivered> {
        self.shared.send_to(&self.handle, outgoing, message)
    }

    /// Waits until there is room for another message to its client. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Ended`] once its session is ending: nothing is sent any more.
    pub async fn room(&self) -> Result<(), Ended> {
        if self.handle.room().await { Ok(()) } else { Err(Ended) }
    }

    /// Requests it to close. Its `close` event follows when it has.
    ///
    /// # Errors
    ///
    /// [`Ended`].
    pub fn close(&self, request: CloseRequest) -> Result<(), Ended> {
        if self.handle.ended() {
            return Err(Ended);
        }
        self.handle.request_close(request);
        Ok(())
    }

    /// Returns whether an event would be read or kept. If not, what passes need not be looked at.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.shared.wanted()
    }

    /// Returns whether what is offered now has room. What is offered beyond that is lost, and counted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.inbox.has_room()
    }

    /// Takes messages that have passed already, and never waits: listeners are told a gap in place of
    /// those that do not fit. `drafts` is empty afterwards.
    pub fn offer(&self, drafts: &mut Vec<Redacted<Draft>>) {
        if self.handle.ended() {
            return drafts.clear();
        }
        let (action, lost) = self.shared.inbox.put(&self.handle, drafts);
        self.shared.metrics.unseen_messages.inc_by(lost);
        match action {
            InboxAction::Nothing => {}
            InboxAction::Wake => self.shared.wake.notify_one(),
            InboxAction::Send => self.shared.try_flush(),
        }
    }

    /// Counts messages that have passed, also those that were not looked at.
    pub fn passed(&self, direction: Direction, messages: u64, bytes: u64) {
        self.handle.count(direction, messages, bytes, now_ms());
        let counter = match direction {
            Direction::In => &self.shared.metrics.received_bytes,
            Direction::Out => &self.shared.metrics.sent_bytes,
        };
        counter.inc_by(bytes);
    }

    /// Notes the time from a ping to its pong.
    pub fn round_trip(&self, time: Duration) {
        self.handle.set_round_trip(time);
    }

    /// Publishes the `close` event, unless that has been done: by a replacement or a shutdown.
    pub fn end(&self, ending: Ending) {
        self.shared.end(&self.handle, ending);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end(Ending::lost("its session ended without a close"));
    }
}
