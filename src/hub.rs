//! The hub: connections publish into it, listeners read out of it.
//!
//! It knows neither HTTP nor WebSocket. State stands under a std mutex, since all that is done
//! under it is short and never awaits; what has to be told to many is told by a tokio broadcast
//! channel, by one task, the pump, which sends all that was published since its last turn as one
//! batch.

mod authorizations;
mod batch;
mod channels;
mod connecting;
mod connection;
mod delivered;
mod expressions;
mod history;
mod inbox;
mod membership;
mod publishing;
mod queue;
mod recorded;
mod registry;
mod room;
mod scan;
mod seek;
mod shared;
mod stream;
mod subscription;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::auth::Authority;
use crate::code::Code;
use crate::event::{ClosedBy, Event, EventId};
use crate::filter::Filter;
use crate::metrics::{Metrics, Numbers};
use crate::redact::Redaction;

pub use batch::Selection;
pub use connecting::ConnectionPermit;
pub use connection::Connection;
pub use delivered::Delivered;
pub use history::Retention;
pub use membership::{Credential, NotAllowed};
pub use publishing::Publication;
pub use queue::{Outgoing, Queued};
pub use registry::{CloseRequest, ConnectionHandle, Ending, Mailbox};
pub use room::{ChannelInside, ChannelRules, ChannelSeen, Declared};
pub use scan::{Order, Range, Scan, Scanned};
pub use subscription::{About, Delivery, Listener, Subscription};

use shared::Shared;
use subscription::{Signal, Source};

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
    /// What is hidden of everything before it is kept or shown.
    pub redaction: Redaction,
    /// Whether it shows a recording: then nobody connects.
    pub recording: bool,
    /// Channels that have rules of their own; the first that fits counts.
    pub channels: Vec<Declared>,
    /// At most so many channels at one time.
    pub max_channels: usize,
    /// What becomes of a client that does not keep up with its channels.
    pub slow_client: SlowClient,
    /// Who says what the tokens for private channels are worth.
    pub authority: Option<Arc<dyn Authority>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history: Retention { events: 100_000, bytes: 64 << 20, age: None },
            max_connections: 10_000,
            max_listeners: 10_000,
            duplicate_id: DuplicateId::Replace,
            heartbeat: Duration::from_secs(15),
            redaction: Redaction::default(),
            recording: false,
            channels: Vec::new(),
            max_channels: 100_000,
            slow_client: SlowClient::Drop,
            authority: None,
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

/// What becomes of a client whose queue is full when something is published to its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowClient {
    /// It does not get that message, and stays.
    Drop,
    /// It is closed.
    Close,
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
        let mut numbers = Numbers {
            connections: stream.registry.len(),
            listeners: listeners.len(),
            history_events: stream.history.len(),
            history_bytes: stream.history.weight(),
            max_lag: listeners.iter().map(|seen| seen.lag).max().unwrap_or(0),
            ..Numbers::default()
        };
        stream.channels.count(&mut numbers);
        numbers
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
        let about = About { query: self.shared.settings.redaction.query(about.query), ..about };
        let listener = self.shared.listeners.enter(about, now, max).ok_or(Refused::Full)?;
        let mut stream = self.shared.stream();
        stream.history.evict(now);
        let begin = stream.begin(start, &filter);
        let source = Source::begin(&self.shared, &stream, start, &filter, begin.0);
        let stopping = stream.stopping;
        drop(stream);
        let subscription =
            Subscription::new(Arc::clone(&self.shared), listener, filter, begin, source);
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
            entry.request_close(CloseRequest { code, reason: reason.clone() });
        }
        shared.connected.close();
        // Half of the time for the clients to answer; the rest for the listeners to read of it.
        let _ = tokio::time::timeout(grace / 2, shared.connected.wait()).await;
        {
            let mut stream = shared.stream();
            for entry in stream.registry.all() {
                let ending = Ending {
                    code,
                    reason: reason.clone(),
                    clean: false,
                    by: ClosedBy::Tap,
                    wire: None,
                };
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
