//! A registered connection, as its session holds it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::registry::ConnectionHandle;
use super::shared::Shared;
use super::{CloseRequest, Ended, Ending, Outgoing, Undelivered, now_ms};
use crate::event::{ConnectionId, Direction, Draft, EventBody, EventId, Message};
use crate::redact::Redacted;

/// A registered connection in the hand of its session. Whatever happens to the session, dropping
/// this publishes the `close` event if nothing else has.
#[derive(Debug)]
pub struct Connection {
    pub(super) shared: Arc<Shared>,
    /// What its client calls itself.
    id: ConnectionId,
    pub(super) entry: Arc<ConnectionHandle>,
    /// A shutdown waits until this is dropped.
    _token: TaskTrackerToken,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, id: ConnectionId, entry: Arc<ConnectionHandle>) -> Self {
        let token = shared.connected.token();
        Self { shared, id, entry, _token: token }
    }

    /// Returns the id that its client calls itself by.
    #[must_use]
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// Returns the id that it is registered and shown under: its own, unless redaction hides part
    /// of that.
    #[must_use]
    pub fn redacted_id(&self) -> &ConnectionId {
        &self.entry.id
    }

    /// Makes a draft of a message of this connection: without what is to be hidden. That may take
    /// a while, and no lock is held meanwhile.
    #[must_use]
    pub fn draft(&self, message: Message) -> Redacted<Draft> {
        self.shared.settings.redaction.draft(&self.entry.id, EventBody::Message(message))
    }

    /// Publishes a message of this connection and returns its id.
    ///
    /// # Errors
    ///
    /// [`Ended`] if the `close` event has been published already: nothing comes after that.
    pub fn publish(&self, message: Message) -> Result<EventId, Ended> {
        let (direction, size, now) = (message.direction, message.size, now_ms());
        let draft = self.draft(message);
        let mut stream = self.shared.stream();
        if self.entry.ended() {
            return Err(Ended);
        }
        let (event, next) = self.shared.publish(&mut stream, draft, now);
        drop(stream);
        self.shared.announce(next);
        self.entry.count(direction, 1, size, now);
        self.shared.metrics.received_bytes.inc_by(size);
        Ok(event.id)
    }

    /// Sends a message to its client, and publishes it.
    ///
    /// # Errors
    ///
    /// [`Undelivered::NotFound`] once its session is ending, or [`Undelivered::QueueFull`].
    pub fn send(&self, outgoing: Outgoing, message: Message) -> Result<EventId, Undelivered> {
        self.shared.send(&self.entry, outgoing, message)
    }

    /// Waits until there is room for another message to its client. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Ended`], also while the end is only on its way: nothing is sent any more.
    pub async fn room(&self) -> Result<(), Ended> {
        if self.entry.room().await { Ok(()) } else { Err(Ended) }
    }

    /// Orders it to close. Its `close` event follows when it has.
    ///
    /// # Errors
    ///
    /// [`Ended`].
    pub fn close(&self, order: CloseRequest) -> Result<(), Ended> {
        if self.entry.ended() {
            return Err(Ended);
        }
        self.entry.request_close(order);
        Ok(())
    }

    /// Returns whether anybody would see or keep what passes. If not, it need not be read.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.shared.wanted()
    }

    /// Takes messages that have passed already, and never waits: what does not fit is told to the
    /// listeners as a gap. `drafts` is empty afterwards.
    pub fn offer(&self, drafts: &mut Vec<Redacted<Draft>>) {
        if self.entry.ended() {
            return drafts.clear();
        }
        self.shared.offer(drafts);
    }

    /// Counts messages that have passed, also those that nobody wanted to see.
    pub fn passed(&self, direction: Direction, messages: u64, bytes: u64) {
        self.entry.count(direction, messages, bytes, now_ms());
        let counter = match direction {
            Direction::In => &self.shared.metrics.received_bytes,
            Direction::Out => &self.shared.metrics.sent_bytes,
        };
        counter.inc_by(bytes);
    }

    /// Notes the time from a ping to its pong.
    pub fn round_trip(&self, time: Duration) {
        self.entry.set_round_trip(time);
    }

    /// Publishes the `close` event, unless that has been done: by a replacement or a shutdown.
    pub fn end(&self, ending: Ending) {
        let mut stream = self.shared.stream();
        let next = self.shared.end(&mut stream, &self.entry, ending, now_ms());
        drop(stream);
        self.shared.announce(next);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end(Ending::lost("its session ended without a word"));
    }
}
