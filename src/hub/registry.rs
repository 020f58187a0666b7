//! Who is here: the registered connections, what is known of each, and the way back to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::queue::{Outgoing, Queue, Queued, queue};

use crate::code::absent;
use crate::event::{
    Channel, Close, ClosedBy, Connect, ConnectionId, Direction, Flow, TransportStats, User,
};
use crate::redact::Redacted;

/// The order to close a connection, with what the close frame says.
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
    /// Reason of the close frame, or what is known.
    pub reason: String,
    /// Whether both sides sent a close frame.
    pub clean: bool,
    /// Who ended it.
    pub by: ClosedBy,
    /// What the wire says of it, if wstap only looked on.
    pub wire: Option<TransportStats>,
}

impl Ending {
    /// The end that nobody announced.
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

/// A registered connection, shared by its session, the registry and whoever lists it.
#[derive(Debug)]
pub struct ConnectionHandle {
    /// The name that it is shown under.
    pub id: ConnectionId,
    /// How it came.
    pub connect: Redacted<Connect>,
    since: Instant,
    since_ms: u64,
    ended: AtomicBool,
    messages: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    last_ms: AtomicU64,
    round_trip_us: AtomicU64,
    queue: Queue,
    user: OnceLock<User>,
    channels: Mutex<BTreeSet<Channel>>,
    close: Mutex<Option<oneshot::Sender<CloseRequest>>>,
}

/// The receiving end of what others want from a connection.
#[derive(Debug)]
pub struct Mailbox {
    /// What to send, and which way: out to the client, or in to the server behind.
    pub queue: Queued,
    /// The order to close; comes at most once, and past a full queue.
    pub close: oneshot::Receiver<CloseRequest>,
}

impl ConnectionHandle {
    pub(super) fn new(
        id: ConnectionId,
        connect: Redacted<Connect>,
        user: Option<User>,
        now_ms: u64,
    ) -> (Arc<Self>, Mailbox) {
        let (queue, queued) = queue();
        let (close, closing) = oneshot::channel();
        let user = user.map_or_else(OnceLock::new, OnceLock::from);
        let entry = Self {
            id,
            connect,
            since: Instant::now(),
            since_ms: now_ms,
            ended: AtomicBool::new(false),
            messages: Default::default(),
            bytes: Default::default(),
            last_ms: AtomicU64::new(now_ms),
            round_trip_us: AtomicU64::new(0),
            queue,
            user,
            channels: Mutex::default(),
            close: Mutex::new(Some(close)),
        };
        (Arc::new(entry), Mailbox { queue: queued, close: closing })
    }

    /// Returns when it registered, in milliseconds since 1970.
    #[must_use]
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Returns when its last message passed, or when it registered, in milliseconds since 1970.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.last_ms.load(Relaxed)
    }

    /// Returns the messages that passed so far.
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

    pub(super) fn set_round_trip(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us.store(us.max(1), Relaxed);
    }

    /// Whether its end is told already. Written and read under the lock of the stream.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn count(&self, direction: Direction, messages: u64, bytes: u64, now_ms: u64) {
        self.messages[direction as usize].fetch_add(messages, Relaxed);
        self.bytes[direction as usize].fetch_add(bytes, Relaxed);
        self.last_ms.store(now_ms, Relaxed);
    }

    /// Returns whether it runs through wstap to a server of its own.
    #[must_use]
    pub fn relayed(&self) -> bool {
        self.connect.answer.is_some()
    }

    /// Puts something into the queue to the connection. Returns whether there was room.
    pub(super) fn put(&self, direction: Direction, outgoing: Outgoing) -> bool {
        self.queue.put(direction, outgoing)
    }

    /// Waits until there is room in the queue to the connection. Returns whether anybody reads it
    /// still. Cancel safe.
    pub(super) async fn room(&self) -> bool {
        self.queue.room().await
    }

    /// Returns whether nobody reads the queue any more: its session is ending.
    pub(super) fn is_unread(&self) -> bool {
        self.queue.is_unread()
    }

    /// Returns whose connection it is, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.user.get()
    }

    /// Says whose connection it is; what was said first counts.
    pub(super) fn set_user(&self, user: User) {
        let _ = self.user.set(user);
    }

    /// Returns the channels that it is in, in order.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.lock_channels().iter().cloned().collect()
    }

    /// The channels that it is in. Changed under the lock of the stream only.
    pub(super) fn lock_channels(&self) -> MutexGuard<'_, BTreeSet<Channel>> {
        self.channels.lock().expect("nothing panics while it holds this lock")
    }

    /// Tells the session to close. Only the first order counts.
    pub(super) fn request_close(&self, order: CloseRequest) {
        let sender = self.close.lock().expect("nothing panics while it holds this lock").take();
        if let Some(sender) = sender {
            // Without a receiver the session has ended already.
            let _ = sender.send(order);
        }
    }

    pub(super) fn close_event(&self, ending: Ending) -> Close {
        Close {
            code: ending.code,
            reason: ending.reason,
            clean: ending.clean,
            by: ending.by,
            duration: self.since.elapsed(),
            messages: self.messages(),
            bytes: self.bytes(),
            wire: ending.wire,
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

/// The registered connections by id. Guarded by the lock of the stream, so that the table and the
/// events that tell of it change together.
#[derive(Debug, Default)]
pub(super) struct Registry {
    by_id: HashMap<ConnectionId, Arc<ConnectionHandle>>,
}

impl Registry {
    pub(super) fn get(&self, id: &ConnectionId) -> Option<&Arc<ConnectionHandle>> {
        self.by_id.get(id)
    }

    pub(super) fn insert(&mut self, entry: Arc<ConnectionHandle>) {
        self.by_id.insert(entry.id.clone(), entry);
    }

    /// Removes this entry, unless another has taken its id.
    pub(super) fn remove(&mut self, entry: &Arc<ConnectionHandle>) {
        if self.by_id.get(&entry.id).is_some_and(|held| Arc::ptr_eq(held, entry)) {
            self.by_id.remove(&entry.id);
        }
        // A table that a flood has blown up gets small again.
        if self.by_id.capacity() > 1024 && self.by_id.len() < self.by_id.capacity() / 8 {
            self.by_id.shrink_to_fit();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn all(&self) -> Vec<Arc<ConnectionHandle>> {
        self.by_id.values().cloned().collect()
    }
}
