//! A registered connection: what is known of it ([`ConnectionInfo`]), and the way back to it, which
//! only the node has that its client is connected to ([`ConnectionHandle`] and [`Mailbox`]).

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::own_drafts::OwnDrafts;
use super::queue::{Outgoing, Queue, Queued, queue};

use crate::auth::Grant;
use crate::code::absent;
use crate::event::{
    Channel, ClientSecret, Close, ClosedBy, Connect, ConnectionId, Direction, Flow, Handshake,
    TransportStats, User,
};
use crate::hub::clock::now_ms;
use crate::redact::Redacted;

/// A request to close a connection, with the content of the close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseRequest {
    /// Close code.
    pub code: u16,
    /// Reason, at most 123 bytes.
    pub reason: String,
}

/// How a connection ended, as its session saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Close code; 1005 for a close frame without one, 1006 for none.
    pub code: u16,
    /// Reason of the close frame, or a description of the cause.
    pub reason: String,
    /// Whether both sides sent a close frame.
    pub clean: bool,
    /// Which side ended it.
    pub by: ClosedBy,
    /// Transport statistics of a relayed connection.
    pub wire: Option<TransportStats>,
}

impl Ending {
    /// Makes the ending of a connection that ended without a close frame.
    #[must_use]
    pub fn lost(reason: impl Into<String>) -> Self {
        Self {
            code: absent::ABNORMAL,
            reason: reason.into(),
            clean: false,
            by: ClosedBy::Network,
            wire: None,
        }
    }
}

/// What is known of a connection, on every node alike. It does not change.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The id that it is shown under.
    pub id: ConnectionId,
    /// How it came.
    pub connect: Redacted<Connect>,
    /// The part of it that its events are selected by.
    pub handshake: Arc<Handshake>,
    /// When it registered, in milliseconds since 1970.
    pub since_ms: u64,
    /// Counts the connections of this node from 1, in the order of registration.
    pub number: u64,
}

/// A token that was shown, and what it grants.
pub(in crate::hub) struct ChannelAuthorization {
    pub(in crate::hub) token: Box<str>,
    pub(in crate::hub) grant: Grant,
}

impl std::fmt::Debug for ChannelAuthorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stands in no log.
        f.debug_struct("ChannelAuthorization").field("grant", &self.grant).finish_non_exhaustive()
    }
}

/// The user of a connection: named by a trusted party when it registered, or by a token while that is
/// valid.
#[derive(Debug, Default)]
struct Identity {
    trusted: Option<User>,
    granted: Option<Arc<ChannelAuthorization>>,
    /// Whether that token is no longer valid, although it has not expired.
    withdrawn: bool,
}

impl Identity {
    fn named(&self) -> Option<User> {
        let granted = || self.granted.as_ref().and_then(|token| token.grant.user.clone());
        self.trusted.clone().or_else(granted)
    }
}

/// How many times a connection may enter and leave channels at once. Each move may write an event to
/// the history of all, so a client that enters and leaves all channels that it may be in, five times
/// in a row, pushes at most a tenth of the default history out.
const MOVES: u32 = 10_000;

/// Moves a second that come back.
const MOVES_PER_SECOND: u32 = 200;

#[derive(Debug)]
struct Moves {
    left: u32,
    at_ms: u64,
}

/// A live connection of this node, shared by its session, the registry and readers of lists.
#[derive(Debug)]
pub struct ConnectionHandle {
    info: Arc<ConnectionInfo>,
    since: Instant,
    /// By which its client can replace it, whatever holds for others.
    secret: Option<ClientSecret>,
    ended: AtomicBool,
    messages: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    last_ms: AtomicU64,
    round_trip_us: AtomicU64,
    identity: Mutex<Identity>,
    channels: Mutex<BTreeSet<Channel>>,
    moves: Mutex<Moves>,
    waiting: OwnDrafts,
    queue: Queue,
    close: Mutex<Option<oneshot::Sender<CloseRequest>>>,
}

impl Deref for ConnectionHandle {
    type Target = ConnectionInfo;

    fn deref(&self) -> &ConnectionInfo {
        &self.info
    }
}

/// The receiving end of what others want from a connection.
#[derive(Debug)]
pub struct Mailbox {
    /// Messages to send, and their direction: out to the client, or in to the upstream server.
    pub queue: Queued,
    /// The request to close; comes at most once, and overtakes a full queue.
    pub close: oneshot::Receiver<CloseRequest>,
}

impl ConnectionHandle {
    pub(in crate::hub) fn new(
        info: ConnectionInfo,
        user: Option<User>,
        secret: Option<ClientSecret>,
    ) -> (Arc<Self>, Mailbox) {
        let (queue, queued) = queue();
        let (close, closing) = oneshot::channel();
        let since_ms = info.since_ms;
        let handle = Self {
            info: Arc::new(info),
            since: Instant::now(),
            secret,
            ended: AtomicBool::new(false),
            messages: Default::default(),
            bytes: Default::default(),
            last_ms: AtomicU64::new(since_ms),
            round_trip_us: AtomicU64::new(0),
            identity: Mutex::new(Identity { trusted: user, ..Identity::default() }),
            channels: Mutex::default(),
            moves: Mutex::new(Moves { left: MOVES, at_ms: since_ms }),
            waiting: OwnDrafts::default(),
            queue,
            close: Mutex::new(Some(close)),
        };
        (Arc::new(handle), Mailbox { queue: queued, close: closing })
    }

    /// Returns whether another connection has the same client: both have shown the same secret.
    pub(in crate::hub) fn has_client_of(&self, other: &Self) -> bool {
        let (own, other) = (self.secret.as_ref(), other.secret.as_ref());
        own.zip(other).is_some_and(|(own, other)| own.matches(other))
    }

    /// Returns when it registered, in milliseconds since 1970.
    #[must_use]
    pub fn since_ms(&self) -> u64 {
        self.info.since_ms
    }

    /// Returns when its last message passed, or when it registered, in milliseconds since 1970.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.last_ms.load(Relaxed)
    }

    /// Returns the number of messages that passed so far.
    #[must_use]
    pub fn messages(&self) -> Flow {
        flow(&self.messages)
    }

    /// Returns the payload bytes that passed so far.
    #[must_use]
    pub fn bytes(&self) -> Flow {
        flow(&self.bytes)
    }

    /// Returns the time from the last ping to its pong, once there was one.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip_us.load(Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    pub(in crate::hub) fn set_round_trip(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us.store(us.max(1), Relaxed);
    }

    /// Returns whether its `close` has been published. Written and read under the lock of the
    /// sequence where the order matters.
    pub(in crate::hub) fn ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(in crate::hub) fn set_ended(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(in crate::hub) fn count(
        &self,
        direction: Direction,
        messages: u64,
        bytes: u64,
        now_ms: u64,
    ) {
        self.messages[direction as usize].fetch_add(messages, Relaxed);
        self.bytes[direction as usize].fetch_add(bytes, Relaxed);
        self.last_ms.store(now_ms, Relaxed);
    }

    /// Returns whether it is relayed to an upstream server.
    #[must_use]
    pub fn relayed(&self) -> bool {
        self.connect.answer.is_some()
    }

    /// Puts a message into the queue to the connection. Returns whether there was room.
    pub(in crate::hub) fn put(&self, direction: Direction, outgoing: Outgoing) -> bool {
        self.queue.put(direction, outgoing)
    }

    /// Waits until there is room in the queue to the connection. Returns false once its session is
    /// ending. Cancel safe.
    pub(in crate::hub) async fn room(&self) -> bool {
        self.queue.room().await
    }

    /// Returns whether its session has dropped the mailbox: it is ending.
    pub(in crate::hub) fn is_unread(&self) -> bool {
        self.queue.is_unread()
    }

    /// Returns the user of the connection, if a trusted party or a valid token names one.
    #[must_use]
    pub fn user(&self) -> Option<User> {
        self.user_at(now_ms())
    }

    /// Returns the user at a time in milliseconds since 1970.
    pub(in crate::hub) fn user_at(&self, now_ms: u64) -> Option<User> {
        let identity = self.lock_identity();
        identity.trusted.clone().or_else(|| {
            let granted = identity.granted.as_ref()?;
            let ended = identity.withdrawn || granted.grant.expired(now_ms / 1000);
            if ended { None } else { granted.grant.user.clone() }
        })
    }

    /// Returns the user that it is indexed under: also if the token that named it has expired.
    pub(in crate::hub) fn named(&self) -> Option<User> {
        self.lock_identity().named()
    }

    /// Sets the token that names its user. A trusted party that has named one has the last word.
    /// Returns the user that it was indexed under before, and is from now on.
    pub(in crate::hub) fn set_granted(
        &self,
        token: Arc<ChannelAuthorization>,
    ) -> (Option<User>, Option<User>) {
        let mut identity = self.lock_identity();
        let before = identity.named();
        (identity.granted, identity.withdrawn) = (Some(token), false);
        (before, identity.named())
    }

    /// Notes that a token is no longer valid. The connection has no user then, if that token named it.
    pub(in crate::hub) fn withdraw(&self, token: &str) {
        let mut identity = self.lock_identity();
        if identity.granted.as_ref().is_some_and(|granted| &*granted.token == token) {
            identity.withdrawn = true;
        }
    }

    fn lock_identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns the channels that it is in, in order.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.lock_channels().iter().cloned().collect()
    }

    /// The channels that it is in. Changed under the lock of the sequence only.
    pub(in crate::hub) fn lock_channels(&self) -> MutexGuard<'_, BTreeSet<Channel>> {
        self.channels.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns what it has in the inbox of the hub.
    pub(in crate::hub) fn waiting(&self) -> &OwnDrafts {
        &self.waiting
    }

    /// Takes so many moves into and out of channels from its budget. Returns whether they were
    /// there.
    pub(in crate::hub) fn take_moves(&self, count: usize, now_ms: u64) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let mut moves = self.moves.lock().expect("nothing panics while it holds this lock");
        let elapsed = now_ms.saturating_sub(moves.at_ms);
        let back = elapsed.saturating_mul(u64::from(MOVES_PER_SECOND)) / 1000;
        if back > 0 {
            let left = u64::from(moves.left).saturating_add(back).min(u64::from(MOVES));
            moves.left = u32::try_from(left).unwrap_or(MOVES);
            moves.at_ms = now_ms;
        }
        match moves.left.checked_sub(count) {
            Some(left) => moves.left = left,
            None => return false,
        }
        true
    }

    /// Requests the session to close. Only the first request counts.
    pub(in crate::hub) fn request_close(&self, request: CloseRequest) {
        let sender = self.close.lock().expect("nothing panics while it holds this lock").take();
        if let Some(sender) = sender {
            // Without a receiver the session has ended already.
            let _ = sender.send(request);
        }
    }

    /// Returns whether its session has been told to close. Its `close` follows.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.close.lock().expect("nothing panics while it holds this lock").is_none()
    }

    /// Returns the time since it registered.
    pub(in crate::hub) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Ending {
    /// Makes the `close` of a connection, without its duration and counts.
    pub(in crate::hub) fn close(self) -> Close {
        Close {
            code: self.code,
            reason: self.reason,
            clean: self.clean,
            by: self.by,
            duration: Duration::ZERO,
            messages: Flow::default(),
            bytes: Flow::default(),
            wire: self.wire,
            refused: None,
        }
    }
}

fn flow(pair: &[AtomicU64; 2]) -> Flow {
    Flow {
        inward: pair[Direction::In as usize].load(Relaxed),
        outward: pair[Direction::Out as usize].load(Relaxed),
    }
}
