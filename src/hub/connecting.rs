//! What inlets do with a hub: let connections in, find them, send to them and close them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::queue::Outgoing;
use super::registry::{CloseRequest, ConnectionHandle, Ending, Mailbox};
use super::shared::Shared;
use super::stream::Next;
use super::{Connection, Hub, Refused, Undelivered, now_ms};
use crate::code::Code;
use crate::code::absent;
use crate::event::{
    Close, ClosedBy, Connect, ConnectionId, Direction, EventBody, EventId, Flow, Message,
};

/// What a client is told whose id a newer connection has taken.
const REPLACED: &str = "replaced by a newer connection with the same connectionId";

impl Hub {
    /// Takes one of the `max_connections` places, for a socket that may register later.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`], [`Refused::Stopping`] or [`Refused::Recording`].
    pub fn seat(&self) -> Result<ConnectionPermit, Refused> {
        if self.shared.settings.recording {
            return Err(Refused::Recording);
        }
        if self.shared.stopping.is_cancelled() {
            return Err(Refused::Stopping);
        }
        let permit =
            Arc::clone(&self.shared.seats).try_acquire_owned().map_err(|_| Refused::Full)?;
        Ok(ConnectionPermit { _permit: permit })
    }

    /// Returns whether a connection may register under an id, as far as can be said now.
    ///
    /// # Errors
    ///
    /// [`Refused::Taken`] or [`Refused::Stopping`].
    pub fn may_connect(&self, id: &ConnectionId) -> Result<(), Refused> {
        let id = self.shared.settings.redaction.id(id.clone());
        self.shared.may_connect(&self.shared.stream(), &id)
    }

    /// Registers a connection: its `connect` event is published. A connection that has the id
    /// already is replaced, its `close` event comes first, or else the new one is refused.
    ///
    /// # Errors
    ///
    /// [`Refused::Taken`] or [`Refused::Stopping`].
    pub fn connect(
        &self,
        id: ConnectionId,
        connect: Connect,
    ) -> Result<(Connection, Mailbox), Refused> {
        let (now, redaction) = (now_ms(), &self.shared.settings.redaction);
        // The same id is always shown alike, so that this one tells them apart as well.
        let (own, id) = (id.clone(), redaction.id(id));
        let user = connect.user.clone();
        let connect = redaction.connect(connect);
        let (entry, orders) = ConnectionHandle::new(id.clone(), connect.clone(), user, now);
        let mut stream = self.shared.stream();
        self.shared.may_connect(&stream, &id)?;
        let mut next = Next::Nothing;
        if let Some(old) = stream.registry.get(&id).cloned() {
            let (code, reason) = (Code::Replaced.close(), REPLACED.to_owned());
            // Whether its client answers the close frame is not waited for.
            let ending = Ending {
                code,
                reason: reason.clone(),
                clean: false,
                by: ClosedBy::Tap,
                wire: None,
            };
            next = self.shared.end(&mut stream, &old, ending, now);
            old.request_close(CloseRequest { code, reason });
        }
        stream.registry.insert(Arc::clone(&entry));
        stream.channels.index_user(&entry);
        next = next.max(self.shared.publish(&mut stream, connect.draft(id), now).1);
        drop(stream);
        self.shared.announce(next);
        self.shared.metrics.connections_opened.inc();
        Ok((Connection::new(Arc::clone(&self.shared), own, entry), orders))
    }

    /// Registers a connection that is relayed to a server, or has no id of its own: under the id that
    /// it asks for, or, if it asks for none or another has it, one that is made. Nobody is replaced or refused for that.
    ///
    /// # Errors
    ///
    /// [`Refused::Stopping`].
    pub fn connect_with_generated_id(
        &self,
        wish: Option<ConnectionId>,
        connect: Connect,
    ) -> Result<(Connection, Mailbox), Refused> {
        let (now, redaction) = (now_ms(), &self.shared.settings.redaction);
        let user = connect.user.clone();
        let (wish, connect) = (wish.map(|id| redaction.id(id)), redaction.connect(connect));
        let mut stream = self.shared.stream();
        if stream.stopping {
            return Err(Refused::Stopping);
        }
        let id = stream.free_id(wish, now);
        let (entry, orders) = ConnectionHandle::new(id.clone(), connect.clone(), user, now);
        stream.registry.insert(Arc::clone(&entry));
        stream.channels.index_user(&entry);
        let next = self.shared.publish(&mut stream, connect.draft(id.clone()), now).1;
        drop(stream);
        self.shared.announce(next);
        self.shared.metrics.connections_opened.inc();
        Ok((Connection::new(Arc::clone(&self.shared), id, entry), orders))
    }

    /// Publishes that the server behind has refused a handshake: a `close` without a `connect`.
    pub fn refused(
        &self,
        wish: Option<ConnectionId>,
        connect: Connect,
        by: ClosedBy,
        reason: String,
    ) {
        let (now, redaction) = (now_ms(), &self.shared.settings.redaction);
        let wish = wish.map(|id| redaction.id(id));
        let close = Close {
            code: absent::ABNORMAL,
            reason,
            clean: false,
            by,
            duration: Duration::ZERO,
            messages: Flow::default(),
            bytes: Flow::default(),
            wire: None,
            refused: Some(Box::new(connect)),
        };
        let draft = redaction.draft(&ConnectionId::nobody(), EventBody::Close(Box::new(close)));
        let mut stream = self.shared.stream();
        let draft = draft.of(stream.free_id(wish, now));
        let next = self.shared.publish(&mut stream, draft, now).1;
        drop(stream);
        self.shared.announce(next);
    }

    /// Returns the registered connections.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnectionHandle>> {
        let mut all = self.shared.stream().registry.all();
        all.sort_by(|a, b| a.since_ms().cmp(&b.since_ms()).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Returns a registered connection.
    #[must_use]
    pub fn connection(&self, id: &ConnectionId) -> Option<Arc<ConnectionHandle>> {
        self.shared.stream().registry.get(id).cloned()
    }

    /// Sends a message to the client of a connection, or to the server behind it, as its direction
    /// says, and publishes it.
    ///
    /// # Errors
    ///
    /// If there is no such connection, or its queue is full.
    pub fn send(
        &self,
        id: &ConnectionId,
        outgoing: Outgoing,
        message: Message,
    ) -> Result<EventId, Undelivered> {
        let entry = self.connection(id).ok_or(Undelivered::NotFound)?;
        self.shared.send(&entry, outgoing, message)
    }

    /// Orders a connection to close. Its `close` event follows when it has.
    ///
    /// # Errors
    ///
    /// [`Undelivered::NotFound`].
    pub fn close(&self, id: &ConnectionId, order: CloseRequest) -> Result<(), Undelivered> {
        let entry = self.connection(id).ok_or(Undelivered::NotFound)?;
        entry.request_close(order);
        Ok(())
    }
}

impl Shared {
    /// Puts something into the queue of a connection, and publishes it.
    pub(super) fn send(
        &self,
        entry: &ConnectionHandle,
        outgoing: Outgoing,
        message: Message,
    ) -> Result<EventId, Undelivered> {
        let (direction, size) = (message.direction, message.size);
        let draft = self.settings.redaction.draft(&entry.id, EventBody::Message(message));
        let mut stream = self.stream();
        if entry.ended() || entry.is_unread() {
            return Err(Undelivered::NotFound);
        }
        if direction == Direction::In && !entry.relayed() {
            return Err(Undelivered::NoServer);
        }
        if !entry.put(direction, outgoing) {
            self.metrics.queue_refusals.inc();
            return Err(Undelivered::QueueFull);
        }
        let now = now_ms();
        let before = self.empty_inbox(&mut stream, now);
        let (event, next) = self.publish(&mut stream, draft, now);
        drop(stream);
        self.announce(before.max(next));
        entry.count(direction, 1, size, now);
        self.metrics.sent_bytes.inc_by(size);
        Ok(event.id)
    }
}

/// One of the `max_connections` places; free again when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
}
