//! What inlets do with a hub: register connections, find them, send to them and close them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::connection::Connection;
use super::handle::{CloseRequest, ConnectionHandle, ConnectionInfo, Ending, Mailbox};
use super::queue::Outgoing;
use crate::code::Code;
use crate::code::absent;
use crate::event::{
    ClientSecret, Close, ClosedBy, Connect, ConnectionId, Direction, EventBody, EventId, Exchange,
    Flow, Handshake, Message, Transport, User,
};
use crate::hub::Hub;
use crate::hub::clock::now_ms;
use crate::hub::pieces::in_pieces;
use crate::hub::refusal::{Refused, Undelivered};
use crate::hub::runtime::places::Place;
use crate::hub::runtime::shared::Shared;
use crate::hub::sequence::decide;
use crate::hub::sequence::record::Record;
use crate::hub::sequence::state::State;
use crate::metrics::Limit;
use crate::redact::Redacted;

/// Returns the order to close a connection whose id that of another client has taken.
fn replaced() -> CloseRequest {
    let reason = "replaced by a newer connection with the same connectionId".to_owned();
    CloseRequest { code: Code::Replaced.close(), reason }
}

/// Returns the order to close a connection whose client has connected again. The client gave it up, or
/// its attempts overtook each other; the code is one after which it may come back.
fn resumed() -> CloseRequest {
    let reason = "replaced by a newer connection of the same client".to_owned();
    CloseRequest { code: Code::Timeout.close(), reason }
}

impl Hub {
    /// Takes one of the `max_connections` permits, for a socket that may register later.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`], [`Refused::Stopping`] or [`Refused::Recording`].
    pub fn permit(&self) -> Result<ConnectionPermit, Refused> {
        let settings = self.shared.settings();
        if settings.recording {
            return Err(Refused::Recording);
        }
        if self.shared.stopping.is_cancelled() {
            return Err(Refused::Stopping);
        }
        let permit = self.shared.permits.take(settings.max_connections).ok_or_else(|| {
            self.shared.metrics.limited(Limit::Connections).inc();
            Refused::Full
        })?;
        Ok(ConnectionPermit { _place: permit })
    }

    /// Returns whether a connection may register under an id, as far as can be said now.
    ///
    /// # Errors
    ///
    /// [`Refused::Taken`] or [`Refused::Stopping`].
    pub fn may_connect(&self, id: &ConnectionId) -> Result<(), Refused> {
        let settings = self.shared.settings();
        let id = settings.redaction.id(id.clone());
        let sequence = self.shared.sequence();
        decide::may_connect(&sequence.state, &settings, &id)
    }

    /// Registers a connection: its `connect` event is published. A connection that has the id
    /// already is replaced, and its `close` event comes first, or else the new one is refused.
    ///
    /// # Errors
    ///
    /// [`Refused::Taken`] or [`Refused::Stopping`].
    pub fn connect(
        &self,
        id: ConnectionId,
        connect: Connect,
    ) -> Result<(Connection, Mailbox), Refused> {
        let (connection, mailbox, _) = self.register(id, None, connect)?;
        Ok((connection, mailbox))
    }

    /// Registers a connection as [`Hub::connect`] does, for a client that has chosen a secret. If the
    /// connection that has the id already was registered with the same secret, it is the client's own
    /// and replaced in any case, with a close code after which a client comes back. Returns in
    /// addition whether there was such a connection.
    ///
    /// # Errors
    ///
    /// As [`Hub::connect`].
    pub fn connect_with_secret(
        &self,
        id: ConnectionId,
        secret: ClientSecret,
        connect: Connect,
    ) -> Result<(Connection, Mailbox, bool), Refused> {
        self.register(id, Some(secret), connect)
    }

    fn register(
        &self,
        id: ConnectionId,
        secret: Option<ClientSecret>,
        connect: Connect,
    ) -> Result<(Connection, Mailbox, bool), Refused> {
        let (shared, settings) = (&self.shared, self.shared.settings());
        let redaction = &settings.redaction;
        // The same id is always shown alike, so this one tells connections apart as well.
        let (own, id) = (id.clone(), redaction.id(id));
        let user = connect.user.clone();
        let (handle, mailbox) = shared.handle(id, redaction.connect(connect), user, secret);
        // Redaction takes its time, and is done before the lock is taken. Whether the client of the
        // old connection answers the close frame is not waited for.
        let endings = [replaced(), resumed()].map(|CloseRequest { code, reason }| {
            let ending = Ending { code, reason, clean: false, by: ClosedBy::Tap, wire: None };
            redaction.close(ending.close())
        });
        let opened = opened(&handle);
        let mut resumes = false;
        shared.submit(|state| {
            let old = decide::connect(state, &settings, &handle)?;
            resumes = old.as_ref().is_some_and(|old| old.has_client_of(&handle));
            let [replaced_close, resumed_close] = endings;
            let closed = old.map(|old| {
                old.request_close(if resumes { resumed() } else { replaced() });
                Record::Closed(old, if resumes { resumed_close } else { replaced_close })
            });
            Ok(closed.into_iter().chain([opened]))
        })?;
        shared.metrics.connections_opened.inc();
        Ok((Connection::new(Arc::clone(shared), own, handle), mailbox, resumes))
    }

    /// Registers a connection that is relayed to a server, or has no id of its own: under the id that
    /// it asks for, or, if it asks for none or another has it, under a generated one. It replaces no
    /// connection and is not refused for its id.
    ///
    /// # Errors
    ///
    /// [`Refused::Stopping`].
    pub fn connect_with_generated_id(
        &self,
        wish: Option<ConnectionId>,
        connect: Connect,
    ) -> Result<(Connection, Mailbox), Refused> {
        let (shared, settings) = (&self.shared, self.shared.settings());
        let redaction = &settings.redaction;
        let user = connect.user.clone();
        let connect = redaction.connect(connect);
        for id in candidates(wish.map(|id| redaction.id(id))) {
            let (handle, mailbox) = shared.handle(id.clone(), connect.clone(), user.clone(), None);
            let opened = opened(&handle);
            let registered = shared.submit(|state: &State| {
                if state.stopping {
                    return Err(Some(Refused::Stopping));
                }
                if state.connection(&handle.id).is_some() { Err(None) } else { Ok([opened]) }
            });
            match registered {
                Ok(_) => {
                    shared.metrics.connections_opened.inc();
                    return Ok((Connection::new(Arc::clone(shared), id, handle), mailbox));
                }
                Err(Some(refused)) => return Err(refused),
                // The id is taken.
                Err(None) => {}
            }
        }
        unreachable!("there are always more candidates")
    }

    /// Publishes that the upstream server has refused a handshake: a `close` without a `connect`.
    pub fn refused(
        &self,
        wish: Option<ConnectionId>,
        connect: Connect,
        by: ClosedBy,
        reason: String,
    ) {
        let (shared, settings) = (&self.shared, self.shared.settings());
        let redaction = &settings.redaction;
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
        let body = EventBody::Close(Box::new(close));
        let draft = redaction.draft(&ConnectionId::nobody(), body);
        let handshake = match &draft.body {
            EventBody::Close(close) => close.refused.as_ref().map(|connect| Handshake::of(connect)),
            _ => None,
        };
        let draft = match handshake {
            Some(handshake) => draft.after(Arc::new(handshake)),
            None => draft,
        };
        let wish = wish.map(|id| redaction.id(id));
        shared.observe(|state| {
            let free = |id: &ConnectionId| state.connection(id).is_none();
            let id = candidates(wish).find(free).expect("there are always more candidates");
            Record::Event(draft.of(id))
        });
    }

    /// Publishes a plain request that has passed.
    pub fn exchanged(&self, exchange: Exchange) {
        let body = EventBody::Request(Box::new(exchange));
        let draft = self.shared.settings().redaction.draft(&ConnectionId::nobody(), body);
        self.shared.observe(|_| Record::Event(draft));
    }

    /// Counts a plain request that has passed, or failed.
    pub fn count_request(&self, failed: bool) {
        let metrics = &self.shared.metrics;
        metrics.requests.inc();
        if failed {
            metrics.failed_requests.inc();
        }
    }

    /// Returns all registered connections, in the order of registration.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnectionHandle>> {
        self.connections_after(0, usize::MAX)
    }

    /// Returns up to `limit` registered connections whose numbers are greater than `after`, in the
    /// order of registration. See [`ConnectionInfo::number`].
    #[must_use]
    pub fn connections_after(&self, after: u64, limit: usize) -> Vec<Arc<ConnectionHandle>> {
        in_pieces(limit, |last: Option<&Arc<ConnectionHandle>>, wanted| {
            let after = last.map_or(after, |handle| handle.number);
            self.shared.sequence().state.connections(after, wanted)
        })
    }

    /// Returns a registered connection.
    #[must_use]
    pub fn connection(&self, id: &ConnectionId) -> Option<Arc<ConnectionHandle>> {
        self.shared.sequence().state.connection(id).cloned()
    }

    /// Sends a message to the client of a connection, or to the server that it is relayed to, as its
    /// direction says, and publishes it.
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
        let handle = self.connection(id).ok_or(Undelivered::NotFound)?;
        self.shared.send_to(&handle, outgoing, message)
    }

    /// Requests a connection to close. Its `close` event follows when it has.
    ///
    /// # Errors
    ///
    /// [`Undelivered::NotFound`].
    pub fn close(&self, id: &ConnectionId, request: CloseRequest) -> Result<(), Undelivered> {
        let handle = self.connection(id).ok_or(Undelivered::NotFound)?;
        handle.request_close(request);
        Ok(())
    }
}

fn opened(handle: &Arc<ConnectionHandle>) -> Record {
    let draft = handle.connect.clone().draft(handle.id.clone());
    Record::Opened(Arc::clone(handle), draft.after(Arc::clone(&handle.handshake)))
}

/// Returns the ids that a connection may have, the wished one first. Generated ones cannot be
/// predicted, so that a client cannot take the place of another by its id.
fn candidates(wish: Option<ConnectionId>) -> impl Iterator<Item = ConnectionId> {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let generated = std::iter::repeat_with({
        let wish = wish.clone();
        move || {
            // SipHash with a secret key: without it the next one cannot be computed.
            let made = ConnectionId::made(now_ms(), KEY.hash_one(COUNT.fetch_add(1, Relaxed)));
            wish.as_ref().map_or(made.clone(), |id| id.another(&made))
        }
    });
    wish.into_iter().chain(generated)
}

impl Shared {
    fn handle(
        &self,
        id: ConnectionId,
        connect: Redacted<Connect>,
        user: Option<User>,
        secret: Option<ClientSecret>,
    ) -> (Arc<ConnectionHandle>, Mailbox) {
        let number = self.registered.fetch_add(1, Relaxed) + 1;
        let handshake = Arc::new(Handshake::of(&connect));
        let info = ConnectionInfo { id, connect, handshake, since_ms: now_ms(), number };
        ConnectionHandle::new(info, user, secret)
    }

    /// Puts a message into the queue of a connection, and publishes it.
    pub(in crate::hub) fn send_to(
        &self,
        handle: &ConnectionHandle,
        outgoing: Outgoing,
        message: Message,
    ) -> Result<EventId, Undelivered> {
        let (direction, size) = (message.direction, message.size);
        let draft = self.settings().redaction.draft(&handle.id, EventBody::Message(message));
        let draft = draft.after(Arc::clone(&handle.handshake));
        if handle.relayed() {
            // What has passed before comes first.
            self.empty_inbox_of(handle);
        }
        let id = self.submit(|_| {
            if handle.connect.transport() == Transport::Sse && !handle.ended() {
                return Err(Undelivered::EventStream);
            }
            if handle.ended() || handle.is_unread() {
                return Err(Undelivered::NotFound);
            }
            if direction == Direction::In && !handle.relayed() {
                return Err(Undelivered::NoServer);
            }
            if !handle.put(direction, outgoing) {
                self.metrics.queue_refusals.inc();
                return Err(Undelivered::QueueFull);
            }
            Ok([Record::Event(draft)])
        })?;
        handle.count(direction, 1, size, now_ms());
        self.metrics.sent_bytes.inc_by(size);
        Ok(id)
    }
}

/// One of the `max_connections` permits. It is given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _place: Place,
}
