//! The hub: connections publish into it, listeners read out of it.
//!
//! It knows neither HTTP nor WebSocket. State stands under a std mutex, since all that is done
//! under it is short and never awaits; what has to be told to many is told by a tokio broadcast
//! channel, by one task, the pump, which sends all that was published since its last turn as one
//! batch.

mod batch;
mod connection;
mod history;
mod inbox;
mod recorded;
mod registry;
mod scan;
mod shared;
mod stream;
mod subscription;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::code::Code;
use crate::event::{
    By, Close, Connect, ConnectionId, Direction, Draft, Event, EventId, Flow, Message, What,
};
use crate::filter::Filter;
use crate::metrics::{Metrics, Numbers};

pub use batch::Selection;
pub use connection::Connection;
pub use history::Retention;
pub use registry::{CloseOrder, Ending, Entry, Orders, Outgoing};
pub use scan::{Order, Range, Scan, Scanned};
pub use subscription::{About, Delivery, Listener, Subscription};

use shared::Shared;
use stream::Next;
use subscription::Signal;

/// What a hub is told when it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much history is kept.
    pub history: Retention,
    /// At most so many WebSocket connections, registered or not.
    pub max_connections: usize,
    /// At most so many listeners.
    pub max_listeners: usize,
    /// What a second connection of the same id does.
    pub duplicate_id: DuplicateId,
    /// How often an idle listener gets a sign of life.
    pub heartbeat: Duration,
    /// Whether it shows a recording: then nobody connects.
    pub recording: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history: Retention { events: 100_000, bytes: 64 << 20, age: None },
            max_connections: 10_000,
            max_listeners: 10_000,
            duplicate_id: DuplicateId::Replace,
            heartbeat: Duration::from_secs(15),
            recording: false,
        }
    }
}

/// What a second live connection with the same id does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateId {
    /// It takes the place of the first, which is closed.
    Replace,
    /// It is refused.
    Reject,
}

/// Where in the stream a listener begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// After the event with this id.
    After(EventId),
    /// After an event that nobody can know: its id was no id.
    Unknown,
    /// With the last so many events that its filter selects.
    Last(usize),
    /// With what is not older than this, in milliseconds since 1970.
    Since(u64),
}

/// Why the hub lets somebody not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many as there may be.
    #[error("there are as many connections or listeners as this server takes; try again later")]
    Full,
    /// The hub is stopping.
    #[error("this server is stopping; try again in a moment")]
    Stopping,
    /// The id belongs to a live connection.
    #[error("another live connection is registered under this connectionId")]
    Taken,
    /// The hub shows a recording.
    #[error("this server shows a recording; nobody connects to it")]
    Recording,
}

/// Why a message does not reach a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// There is no such connection.
    #[error("no connection is registered under this connectionId")]
    NotFound,
    /// Its client reads slower than it is sent to.
    #[error("the client does not keep up with what it is sent; try again later")]
    QueueFull,
    /// It is a client of wstap itself, and not relayed to a server.
    #[error("there is no server behind this connection; to=client is right")]
    NoServer,
}

/// The connection's end has been told already: it was replaced, or the hub stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this connection has ended")]
pub struct Ended;

/// What a client is told whose id a newer connection has taken.
const REPLACED: &str = "replaced by a newer connection with the same connectionId";

/// What clients are told when the hub stops.
const STOPPING: &str = "the server is stopping";

/// The hub. A handle: clones are the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

impl Hub {
    /// Makes a hub and starts its two tasks, which end with [`Hub::shutdown`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { shared: Shared::start(settings) }
    }

    /// Returns what the hub was told when it was made.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Returns the counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Returns the numbers of this moment.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let listeners = self.listeners();
        let stream = self.shared.stream();
        Numbers {
            connections: stream.registry.len(),
            listeners: listeners.len(),
            history_events: stream.history.len(),
            history_bytes: stream.history.weight(),
            max_lag: listeners.iter().map(|seen| seen.lag).max().unwrap_or(0),
        }
    }

    /// Returns the id of the newest event and the number of all events so far.
    #[must_use]
    pub fn head(&self) -> (Option<EventId>, u64) {
        let head = self.shared.stream().head();
        (head.id, head.ordinal)
    }

    /// Returns a token that is cancelled when the hub begins to stop.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.shared.stopping
    }

    /// Runs a task that serves somebody. A shutdown waits for it, and ends it after its grace.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.shared.stopped.clone();
        self.shared.serving.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stopped.cancelled() => {}
            }
        });
    }

    /// Takes one of the `max_connections` places, for a socket that may register later.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`], [`Refused::Stopping`] or [`Refused::Recording`].
    pub fn seat(&self) -> Result<Seat, Refused> {
        if self.shared.settings.recording {
            return Err(Refused::Recording);
        }
        if self.shared.stopping.is_cancelled() {
            return Err(Refused::Stopping);
        }
        let permit =
            Arc::clone(&self.shared.seats).try_acquire_owned().map_err(|_| Refused::Full)?;
        Ok(Seat { _permit: permit })
    }

    /// Returns whether a connection may register under an id, as far as can be said now.
    ///
    /// # Errors
    ///
    /// [`Refused::Taken`] or [`Refused::Stopping`].
    pub fn may_connect(&self, id: &ConnectionId) -> Result<(), Refused> {
        self.shared.may_connect(&self.shared.stream(), id)
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
    ) -> Result<(Connection, Orders), Refused> {
        let now = now_ms();
        let (entry, orders) = Entry::new(id.clone(), connect.clone(), now);
        let mut stream = self.shared.stream();
        self.shared.may_connect(&stream, &id)?;
        let mut next = Next::Nothing;
        if let Some(old) = stream.registry.get(&id).cloned() {
            let (code, reason) = (Code::Replaced.close(), REPLACED.to_owned());
            // Whether its client answers the close frame is not waited for.
            let ending =
                Ending { code, reason: reason.clone(), clean: false, by: By::Tap, wire: None };
            next = self.shared.end(&mut stream, &old, ending, now);
            old.order_close(CloseOrder { code, reason });
        }
        stream.registry.insert(Arc::clone(&entry));
        let draft = Draft { connection: id, what: What::Connect(Box::new(connect)) };
        next = next.max(self.shared.publish(&mut stream, draft, now).1);
        drop(stream);
        self.shared.announce(next);
        self.shared.metrics.connections_opened.inc();
        Ok((Connection::new(Arc::clone(&self.shared), entry), orders))
    }

    /// Registers a connection that is relayed to a server: under the id that it asks for, or, if it
    /// asks for none or another has it, one that is made. Nobody is replaced or refused for that.
    ///
    /// # Errors
    ///
    /// [`Refused::Stopping`].
    pub fn connect_relayed(
        &self,
        wish: Option<ConnectionId>,
        connect: Connect,
    ) -> Result<(Connection, Orders), Refused> {
        let now = now_ms();
        let mut stream = self.shared.stream();
        if stream.stopping {
            return Err(Refused::Stopping);
        }
        let id = stream.free_id(wish, now);
        let (entry, orders) = Entry::new(id.clone(), connect.clone(), now);
        stream.registry.insert(Arc::clone(&entry));
        let draft = Draft { connection: id, what: What::Connect(Box::new(connect)) };
        let next = self.shared.publish(&mut stream, draft, now).1;
        drop(stream);
        self.shared.announce(next);
        self.shared.metrics.connections_opened.inc();
        Ok((Connection::new(Arc::clone(&self.shared), entry), orders))
    }

    /// Publishes that the server behind has refused a handshake: a `close` without a `connect`.
    pub fn refused(&self, wish: Option<ConnectionId>, connect: Connect, by: By, reason: String) {
        let now = now_ms();
        let close = Close {
            code: crate::code::absent::ABNORMAL,
            reason,
            clean: false,
            by,
            duration: Duration::ZERO,
            messages: Flow::default(),
            bytes: Flow::default(),
            wire: None,
            refused: Some(Box::new(connect)),
        };
        let mut stream = self.shared.stream();
        let draft =
            Draft { connection: stream.free_id(wish, now), what: What::Close(Box::new(close)) };
        let next = self.shared.publish(&mut stream, draft, now).1;
        drop(stream);
        self.shared.announce(next);
    }

    /// Returns the registered connections.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Entry>> {
        let mut all = self.shared.stream().registry.all();
        all.sort_by(|a, b| a.since_ms().cmp(&b.since_ms()).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Returns a registered connection.
    #[must_use]
    pub fn connection(&self, id: &ConnectionId) -> Option<Arc<Entry>> {
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
        let mut stream = self.shared.stream();
        let entry = stream.registry.get(id).cloned().ok_or(Undelivered::NotFound)?;
        let direction = message.direction;
        if direction == Direction::In && !entry.relayed() {
            return Err(Undelivered::NoServer);
        }
        let Some(place) = entry.place_in_queue() else {
            self.shared.metrics.queue_refusals.inc();
            return Err(Undelivered::QueueFull);
        };
        place.send((direction, outgoing));
        let (now, size) = (now_ms(), message.size);
        let before = self.shared.empty_inbox(&mut stream, now);
        let draft = Draft { connection: id.clone(), what: What::Message(message) };
        let (event, next) = self.shared.publish(&mut stream, draft, now);
        drop(stream);
        self.shared.announce(before.max(next));
        entry.count(direction, 1, size, now);
        self.shared.metrics.sent_bytes.inc_by(size);
        Ok(event.id)
    }

    /// Orders a connection to close. Its `close` event follows when it has.
    ///
    /// # Errors
    ///
    /// [`Undelivered::NotFound`].
    pub fn close(&self, id: &ConnectionId, order: CloseOrder) -> Result<(), Undelivered> {
        let entry = self.connection(id).ok_or(Undelivered::NotFound)?;
        entry.order_close(order);
        Ok(())
    }

    /// Lets a listener in.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] or [`Refused::Stopping`].
    pub fn subscribe(
        &self,
        start: Start,
        filter: Filter,
        about: About,
    ) -> Result<Subscription, Refused> {
        let max = self.shared.settings.max_listeners;
        let now = now_ms();
        let listener = self.shared.listeners.enter(about, now, max).ok_or(Refused::Full)?;
        let mut stream = self.shared.stream();
        stream.history.evict(now);
        let begin = stream.begin(start, &filter);
        // Who has nothing to catch up with is live at once, also where no history is kept.
        let live = (begin.0.ordinal == stream.head().ordinal).then(|| self.shared.live.subscribe());
        let stopping = stream.stopping;
        drop(stream);
        self.shared.metrics.listeners_opened.inc();
        let subscription =
            Subscription::new(Arc::clone(&self.shared), listener, filter, begin, live);
        if stopping { Err(Refused::Stopping) } else { Ok(subscription) }
    }

    /// Begins a finite reading of what is kept.
    #[must_use]
    pub fn scan(&self, range: Range, filter: Filter) -> Scan {
        self.shared.stream().history.evict(now_ms());
        Scan::new(Arc::clone(&self.shared), range, filter)
    }

    /// Returns all listeners, and how far each has read.
    #[must_use]
    pub fn listeners(&self) -> Vec<Seen> {
        let listeners = self.shared.listeners.all();
        let stream = self.shared.stream();
        let head = stream.head();
        let seen = |listener: Arc<Listener>| {
            let ordinal = listener.position();
            let position = match head.ordinal.saturating_sub(ordinal) {
                0 => head.id,
                _ => stream
                    .history
                    .from(ordinal)
                    .next()
                    .filter(|e| e.ordinal == ordinal)
                    .map(|e| e.id),
            };
            Seen { position, lag: head.ordinal.saturating_sub(ordinal), listener }
        };
        listeners.into_iter().map(seen).collect()
    }

    /// Ends a listener's stream. Returns whether there was one of that number.
    #[must_use]
    pub fn dismiss(&self, number: u64) -> bool {
        let Some(listener) = self.shared.listeners.get(number) else { return false };
        listener.dismiss();
        self.shared.signal(Signal::Look);
        true
    }

    /// Returns one event that is kept.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<Arc<Event>> {
        let mut stream = self.shared.stream();
        stream.history.evict(now_ms());
        stream.history.get(id).cloned()
    }
}

/// A listener, and how far it has read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The listener.
    pub listener: Arc<Listener>,
    /// The last event that it has passed, if that is still known.
    pub position: Option<EventId>,
    /// How many events it has not been given yet.
    pub lag: u64,
}

/// One of the `max_connections` places; free again when dropped.
#[derive(Debug)]
pub struct Seat {
    _permit: OwnedSemaphorePermit,
}

impl Hub {
    /// Stops: nobody is let in any more, connections are closed with 1001 and their `close` events
    /// published, then the streams of the listeners end. Returns when all are gone, or after
    /// `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        let deadline = tokio::time::Instant::now() + grace;
        let entries = {
            let mut stream = shared.stream();
            stream.stopping = true;
            stream.registry.all()
        };
        shared.stopping.cancel();
        let (code, reason) = (Code::Stopping.close(), STOPPING.to_owned());
        for entry in &entries {
            entry.order_close(CloseOrder { code, reason: reason.clone() });
        }
        shared.connected.close();
        // Half of the time for the clients to answer; the rest for the listeners to read of it.
        let _ = tokio::time::timeout(grace / 2, shared.connected.wait()).await;
        {
            let mut stream = shared.stream();
            for entry in stream.registry.all() {
                let ending =
                    Ending { code, reason: reason.clone(), clean: false, by: By::Tap, wire: None };
                let _ = shared.end(&mut stream, &entry, ending, now_ms());
            }
            stream.over = true;
        }
        shared.flush();
        shared.signal(Signal::Over);
        shared.listening.close();
        shared.serving.close();
        shared.tasks.close();
        let served = async { tokio::join!(shared.listening.wait(), shared.serving.wait()) };
        let _ = tokio::time::timeout_at(deadline, served).await;
        shared.stopped.cancel();
        shared.serving.wait().await;
        shared.tasks.wait().await;
    }
}

/// Returns milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
