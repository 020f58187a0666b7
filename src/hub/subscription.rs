//! How a listener reads the stream: history first, then live, and history again whenever it has
//! fallen behind. The ordinals of events make the joins safe: a batch is only taken if it is the
//! one that comes next, so that nothing is read twice and nothing is missing without a gap.
//!
//! Its one await point holds no lock and loses nothing when it is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};

use futures_util::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Start;
use super::batch::{Batch, Selection};
use super::seek::Seek;
use super::shared::Shared;
use super::stream::{Cursor, Page, Stream};
use crate::event::{EventId, Gap};
use crate::filter::Filter;

/// What a listener gets to read.
#[derive(Debug)]
pub enum Delivery {
    /// Events, in order.
    Events(Selection),
    /// Events that are lost for good.
    Gap(Gap),
    /// Nothing, but the clock of heartbeats has ticked. For a listener whose filter has let
    /// everything pass, the id up to which it has seen all.
    Pulse(Option<EventId>),
}

/// What goes through the broadcast channel.
#[derive(Debug, Clone)]
pub(super) enum Signal {
    /// The next events; the hub owns them.
    Batch(Weak<Batch>),
    /// The clock of heartbeats has ticked.
    Pulse,
    /// Somebody was dismissed; each looks whether it was meant.
    Look,
    /// There will be no more.
    Over,
}

/// Turns of the loop in one poll before others get theirs; matters for a filter that selects
/// little of a long history.
const TURNS: usize = 16;

/// A place in the stream. The listener is registered as long as this value lives.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    filter: Filter,
    cursor: Cursor,
    /// The last id that the listener was shown.
    shown: Option<EventId>,
    lost: Option<Gap>,
    source: Source,
    /// A shutdown waits until this is dropped.
    _token: TaskTrackerToken,
}

/// Where the next events come from.
#[derive(Debug)]
pub(super) enum Source {
    /// First it has to be found out which they are.
    Seek(Seek),
    /// Pages of what is kept.
    History,
    /// The broadcast channel.
    Live(BroadcastStream<Signal>),
}

impl Source {
    /// Returns where a listener reads first, under the lock under which `cursor` was found.
    pub(super) fn begin(
        shared: &Shared,
        stream: &Stream,
        start: Start,
        filter: &Filter,
        cursor: Cursor,
    ) -> Self {
        match Seek::begin(stream, start, filter) {
            Some(seek) => Self::Seek(seek),
            // Who has nothing to catch up with is live at once, also where no history is kept.
            None if cursor.ordinal == stream.head().ordinal => Self::live(shared),
            None => Self::History,
        }
    }

    /// Follows what is published from now on.
    fn live(shared: &Shared) -> Self {
        Self::Live(BroadcastStream::new(shared.live.subscribe()))
    }
}

impl Subscription {
    pub(super) fn new(
        shared: Arc<Shared>,
        listener: Arc<Listener>,
        filter: Filter,
        (cursor, lost): (Cursor, Option<Gap>),
        source: Source,
    ) -> Self {
        listener.position.store(cursor.ordinal, Relaxed);
        shared.metrics.listeners_opened.inc();
        let token = shared.listening.token();
        let shown = cursor.id;
        Self { shared, listener, filter, cursor, shown, lost, source, _token: token }
    }

    /// Returns what is known of this listener from outside.
    #[must_use]
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Waits for the next delivery; `None` is the end. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next delivery; `None` is the end: the hub stops, or the listener was
    /// dismissed.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        for _ in 0..TURNS {
            if self.listener.dismissed.load(Relaxed) {
                return Poll::Ready(None);
            }
            if let Some(gap) = self.lost.take() {
                return Poll::Ready(Some(Delivery::Gap(self.told(gap))));
            }
            let batch = match &mut self.source {
                Source::Live(live) => match ready!(live.poll_next_unpin(cx)) {
                    Some(Ok(Signal::Batch(batch))) => batch.upgrade(),
                    Some(Ok(Signal::Pulse)) => return Poll::Ready(Some(self.pulse())),
                    Some(Ok(Signal::Look)) => continue,
                    Some(Ok(Signal::Over)) | None => return Poll::Ready(None),
                    Some(Err(_lagged)) => None,
                },
                Source::Seek(seek) => {
                    if let Some(ordinal) = seek.step(&self.shared, &self.filter) {
                        self.cursor = Cursor { ordinal, id: None };
                        self.listener.position.store(ordinal, Relaxed);
                        self.source = Source::History;
                    }
                    continue;
                }
                Source::History => match self.turn_page() {
                    Turned::Batch(batch) => Some(batch),
                    Turned::Nothing => continue,
                    Turned::Over => return Poll::Ready(None),
                },
            };
            let next = self.cursor.ordinal + 1;
            match batch {
                // All of it was in the history that this listener has read.
                Some(batch) if batch.last().ordinal < next => {}
                Some(batch) if batch.first().ordinal <= next => {
                    if let Some(selection) = self.take(batch) {
                        return Poll::Ready(Some(Delivery::Events(selection)));
                    }
                }
                _ => {
                    self.shared.metrics.lagged.inc();
                    self.source = Source::History;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves behind a batch and returns what the listener wants of it.
    fn take(&mut self, batch: Arc<Batch>) -> Option<Selection> {
        let (first, last) = (self.cursor.ordinal + 1, batch.last());
        self.cursor = Cursor { ordinal: last.ordinal, id: Some(last.id) };
        self.listener.position.store(last.ordinal, Relaxed);
        let selection = batch.select(first, &self.filter, &self.shared.metrics)?;
        self.shown = self.cursor.id;
        self.listener.events.fetch_add(selection.len() as u64, Relaxed);
        Some(selection)
    }

    fn pulse(&mut self) -> Delivery {
        let unseen = self.cursor.id.filter(|id| self.shown != Some(*id));
        self.shown = self.cursor.id;
        Delivery::Pulse(unseen)
    }

    /// Notes a gap before it is told. A filtered listener cannot know how much of what is gone
    /// was meant for it.
    fn told(&self, mut gap: Gap) -> Gap {
        if !self.filter.selects_all() {
            gap.missed = None;
        }
        self.listener.gaps.fetch_add(1, Relaxed);
        self.shared.metrics.gaps.inc();
        self.shared.metrics.missed_events.inc_by(gap.missed.unwrap_or(0));
        gap
    }

    fn turn_page(&mut self) -> Turned {
        let stream = self.shared.stream();
        match stream.page(self.cursor) {
            Page::Events(events) => {
                drop(stream);
                Turned::Batch(Arc::new(Batch::new(events)))
            }
            Page::Gap(gap, behind) => {
                self.lost = Some(gap);
                self.cursor = behind;
                Turned::Nothing
            }
            Page::End => {
                // Subscribed under the lock: what is published from now on comes by this way.
                self.source = Source::live(&self.shared);
                Turned::Nothing
            }
            Page::Over => Turned::Over,
        }
    }
}

enum Turned {
    Batch(Arc<Batch>),
    Nothing,
    Over,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.listeners.leave(self.listener.number);
    }
}

/// What is known of a listener from outside.
#[derive(Debug)]
pub struct Listener {
    /// Its name in `/api/listeners`.
    pub number: u64,
    /// Who it is, as its outlet describes it.
    pub about: About,
    /// When it came, in milliseconds since 1970.
    pub since_ms: u64,
    position: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    dismissed: AtomicBool,
}

/// How an outlet describes a listener.
#[derive(Debug, Clone)]
pub struct About {
    /// The other end of its TCP connection.
    pub remote: std::net::SocketAddr,
    /// `plain`, `full`, `ndjson` or `poll`.
    pub form: &'static str,
    /// The query that selects its events.
    pub query: String,
}

impl Listener {
    /// Returns the ordinal of the last event that it has passed.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// Returns how many events it was given.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Returns how many bytes it was given.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Returns how many gaps it was told.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Relaxed);
    }
}

/// All listeners by number.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    by_number: HashMap<u64, Arc<Listener>>,
}

impl Listeners {
    /// Lets a listener in, if there are fewer than `max`.
    pub(super) fn enter(&self, about: About, now_ms: u64, max: usize) -> Option<Arc<Listener>> {
        let mut table = self.lock();
        if table.by_number.len() >= max {
            return None;
        }
        table.last += 1;
        let listener = Arc::new(Listener {
            number: table.last,
            about,
            since_ms: now_ms,
            position: AtomicU64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            dismissed: AtomicBool::new(false),
        });
        table.by_number.insert(listener.number, Arc::clone(&listener));
        Some(listener)
    }

    fn leave(&self, number: u64) {
        self.lock().by_number.remove(&number);
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Listener>> {
        self.lock().by_number.get(&number).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Listener>> {
        let mut all: Vec<_> = self.lock().by_number.values().cloned().collect();
        all.sort_by_key(|listener| listener.number);
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}
