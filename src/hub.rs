//! The hub: connections publish into it, listeners read out of it.
//!
//! It knows neither HTTP nor WebSocket. State and order change together under one std mutex (see
//! `sequence`); everything that takes time in proportion to something a client chooses happens
//! outside of it: redaction before, delivery to members after, reading of history beside it.
//!
//! ```text
//!  connections ─command─▶ decide ─Record─▶ apply ─▶ pending ─flush─▶ Segment ─▶ store
//!                                            │                         └──────▶ broadcast ─▶ listeners
//!                                            └─▶ outboxes ─▶ mailboxes of members
//! ```
//!
//! - `sequence` decides commands on the state, orders what was decided, and applies it.
//! - `history` keeps segments; its `Store` is memory.
//! - `listeners` read segments, live or from the store.
//! - `connections` are handles and mailboxes.
//! - `channels` have rules, members and outboxes.
//! - `runtime` is what runs behind: shared state, tasks, inbox, shutdown.

mod channels;
mod clock;
mod connections;
mod history;
mod listeners;
#[cfg(feature = "sqlite")]
mod logged;
mod pieces;
mod refusal;
mod runtime;
mod sequence;
mod settings;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, EventId};
use crate::filter::Filter;
use crate::metrics::{Limit, Metrics, Numbers};

pub use channels::kept::{Kept, Resumption};
pub use channels::membership::Credential;
pub use channels::publishing::Publication;
pub use channels::rules::{ChannelInside, ChannelRules, ChannelSeen, Declared};
pub(crate) use clock::now_ms;
pub use connections::connection::Connection;
pub use connections::delivered::Delivered;
pub use connections::handle::{CloseRequest, ConnectionHandle, ConnectionInfo, Ending, Mailbox};
pub use connections::queue::{Outgoing, Queued};
pub use connections::recorded::{RecordedConnection, RecordedEnd};
pub use connections::registering::ConnectionPermit;
#[cfg(feature = "sqlite")]
pub use history::log::{LogError, LogSettings, LogSync};
pub use history::memory::Retention;
pub use history::progress::{LogStatus, NotKept};
pub use history::segment::{Segment, Selection};
pub use listeners::listener::{About, Delivery, Listener};
pub(crate) use listeners::pace::{Pace, yield_turn};
pub use listeners::reading::Start;
pub use listeners::scan::{Order, Range, Scan, Scanned};
pub use listeners::subscription::Subscription;
pub use refusal::{Ended, MAX_SUBSCRIPTIONS, NotAllowed, Refused, Undelivered};
pub use runtime::live::CurrentSettings;
pub(crate) use runtime::places::{Place, Places};
pub use runtime::recorded::Pick;
pub use settings::{DuplicateId, Settings, SlowClient};

use history::store::Answer;
use listeners::listener::Signal;
use runtime::shared::Shared;
pub(crate) use runtime::turns::{Turn, Turns};

/// The hub. A handle: clones are the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

impl Hub {
    /// Makes a hub and starts its tasks, which end with [`Hub::shutdown`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let shared = Shared::new(settings);
        runtime::tasks::start(&shared);
        Self { shared }
    }

    /// Returns the state of the log on disk; `None` without one.
    #[must_use]
    pub fn log(&self) -> Option<LogStatus> {
        self.shared.store.progress().map(|progress| progress.status().clone())
    }

    /// Waits until an event that was published is where it must be: in the log on disk, if there is
    /// one. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`NotKept`] if the log cannot be written.
    pub async fn kept(&self, id: EventId) -> Result<(), NotKept> {
        match self.receipt(id) {
            None => Ok(()),
            Some(receipt) => receipt.await,
        }
    }

    /// The same; `None` without a log.
    pub(crate) fn receipt(
        &self,
        id: EventId,
    ) -> Option<impl Future<Output = Result<(), NotKept>> + Send + use<>> {
        self.shared.store.progress().map(|progress| progress.kept(id))
    }

    /// Waits until the log on disk has written so much that publishers may go on. `None` if they may.
    pub(crate) fn log_room(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let progress = self.shared.store.progress().filter(|progress| progress.is_behind());
        progress.map(history::progress::Progress::room)
    }

    /// Waits until the log on disk, if there is one, is not behind. Cancel safe.
    pub async fn room_in_log(&self) {
        if let Some(room) = self.log_room() {
            room.await;
        }
    }

    /// Returns the settings that apply now.
    #[must_use]
    pub fn settings(&self) -> CurrentSettings<'_> {
        self.shared.settings()
    }

    /// Returns the counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Returns the current numbers.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let max_lag = self.listeners().iter().map(|seen| seen.lag).max().unwrap_or(0);
        let (history_events, history_bytes) = self.shared.store.size();
        let sequence = self.shared.sequence();
        let mut numbers = Numbers {
            clock_behind: clock::ahead(sequence.order.head().1, now_ms()),
            connections: sequence.state.connection_count(),
            listeners: self.shared.listeners.len(),
            history_events,
            history_bytes,
            max_lag,
            tasks: Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks()),
            log: self.log().map(|log| log.numbers()).unwrap_or_default(),
            ..Numbers::default()
        };
        sequence.state.channels.count(&mut numbers);
        numbers
    }

    /// Returns the id of the newest event and the number of events since the start.
    #[must_use]
    pub fn head(&self) -> (Option<EventId>, u64) {
        let sequence = self.shared.sequence();
        (sequence.order.head().1, sequence.order.count())
    }

    /// Returns a token that is cancelled when the hub begins to stop.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.shared.stopping
    }

    /// Runs a task that serves a client. A shutdown waits for it, and ends it after its grace, before
    /// it does anything more: thousands of tasks may each have frames to handle.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.shared.stopped.clone();
        self.shared.serving.spawn(async move {
            tokio::select! {
                biased;
                () = stopped.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Returns a place to wait for turns: a task needs one for work whose amount a client chooses.
    pub(crate) fn turns(&self) -> Turns {
        self.shared.turns.turns()
    }

    /// Returns the token that is cancelled when the hub is about to stop: before [`Hub::stopping`], or
    /// with it.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.shared.draining
    }

    /// Waits for a turn. Cancel safe.
    pub(crate) async fn turn(&self) -> Turn {
        self.turns().take().await
    }

    /// Subscribes a listener.
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
        let settings = self.shared.settings();
        let now = now_ms();
        let about = About { query: settings.redaction.query(about.query), ..about };
        let listener =
            self.shared.listeners.enter(about, now, settings.max_listeners).ok_or_else(|| {
                self.shared.metrics.limited(Limit::Listeners).inc();
                Refused::Full
            })?;
        self.shared.store.evict(now);
        let subscription = Subscription::new(Arc::clone(&self.shared), listener, start, filter);
        if self.shared.stopping.is_cancelled() { Err(Refused::Stopping) } else { Ok(subscription) }
    }

    /// Begins a finite reading of what is kept.
    #[must_use]
    pub fn scan(&self, range: Range, filter: Filter) -> Scan {
        self.shared.store.evict(now_ms());
        Scan::new(Arc::clone(&self.shared), range, filter)
    }

    /// Compiles a filter expression, or returns the one that others hold of the same text: it is
    /// evaluated once for all of them.
    ///
    /// # Errors
    ///
    /// If the text is not an expression.
    pub fn expression(
        &self,
        source: &str,
    ) -> Result<Arc<crate::filter::Expression>, crate::filter::FilterError> {
        self.shared.expressions.get(source.trim_end())
    }

    /// Returns the expression that is true where two are, or the one of the same text that others
    /// hold.
    ///
    /// # Errors
    ///
    /// If both together are too deep or too costly.
    pub fn both(
        &self,
        one: &crate::filter::Expression,
        other: &crate::filter::Expression,
    ) -> Result<Arc<crate::filter::Expression>, crate::filter::FilterError> {
        self.shared.expressions.both(one, other)
    }

    /// Returns all listeners in the order in which they subscribed, and how far each has read.
    #[must_use]
    pub fn listeners(&self) -> Vec<Seen> {
        self.listeners_after(0, usize::MAX)
    }

    /// Returns up to `limit` listeners with numbers greater than `after`, and how far each has read.
    #[must_use]
    pub fn listeners_after(&self, after: u64, limit: usize) -> Vec<Seen> {
        let (head, id) = self.shared.sequence().order.head();
        let all = pieces::in_pieces(limit, |last: Option<&Arc<Listener>>, wanted| {
            self.shared.listeners.after(last.map_or(after, |it| it.number), wanted)
        });
        let seen = |listener: Arc<Listener>| {
            let position = listener.position();
            let lag = head.saturating_sub(position);
            let id = if lag == 0 { id } else { self.shared.store.id_at(position) };
            Seen { position: id, lag, listener }
        };
        all.into_iter().map(seen).collect()
    }

    /// Ends the stream of a listener. Returns whether there was one with that number.
    #[must_use]
    pub fn dismiss(&self, number: u64) -> bool {
        let Some(listener) = self.shared.listeners.get(number) else { return false };
        listener.dismiss();
        self.shared.signal(Signal::Look);
        true
    }

    /// Returns one event that is kept in memory. [`Hub::find`] looks into the log on disk as well.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<Arc<Event>> {
        // An event that has an id is not in the inbox any more.
        self.shared.flush();
        self.shared.store.evict(now_ms());
        match self.shared.store.events(&[id]) {
            Answer::Known(events) => events.into_iter().next(),
            Answer::Coming(_) => None,
        }
    }

    /// Returns one event that is kept. Cancel safe.
    pub async fn find(&self, id: EventId) -> Option<Arc<Event>> {
        self.shared.flush();
        self.shared.store.evict(now_ms());
        let mut pick = self.pick();
        std::future::poll_fn(|cx| pick.poll(cx, &[id])).await.into_iter().next()
    }
}

/// A listener, and how far it has read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The listener.
    pub listener: Arc<Listener>,
    /// The last event that it has passed, if that is still known.
    pub position: Option<EventId>,
    /// Number of events that it has not been given yet.
    pub lag: u64,
}
