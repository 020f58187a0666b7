//! What all handles of a hub share.
//!
//! Locks, in the order in which they may be taken: `window`, then `sequence`, then leaves (inbox,
//! outboxes, mailboxes, the store). None is held across an await.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inbox::{Inbox, Part};
use super::live::{CurrentSettings, Live};
use super::places::Places;
use super::slow::SlowClients;
use super::turns::TurnPool;
use super::window::{RING, Window};
use crate::event::{Close, Event, EventBody, EventId};
use crate::filter::Filter;
use crate::hub::channels::fanout::Lane;
use crate::hub::channels::outbox::{Courier, PIECE};
use crate::hub::clock::now_ms;
use crate::hub::connections::handle::{ConnectionHandle, Ending};
use crate::hub::history::memory::Memory;
use crate::hub::history::progress::Progress;
use crate::hub::history::segment::Segment;
use crate::hub::history::store::{Appended, Store};
use crate::hub::listeners::expressions::Expressions;
use crate::hub::listeners::listener::{Listeners, Signal};
use crate::hub::sequence::Sequence;
use crate::hub::sequence::apply::{Applied, Context};
use crate::hub::sequence::decide;
use crate::hub::sequence::order::{Order, PumpAction};
use crate::hub::sequence::record::Record;
use crate::hub::sequence::state::State;
use crate::hub::settings::Settings;
use crate::metrics::Metrics;
use crate::redact::Redacted;

/// Returns whether an event is a message for all in its channel. One for some users is never kept.
pub(in crate::hub) fn is_for_all(event: &Event) -> bool {
    matches!(&event.body, EventBody::Message(message)
        if message.routing.as_ref().is_some_and(|it| it.to.is_empty() && it.except.is_empty()))
}

#[derive(Debug)]
pub(in crate::hub) struct Shared {
    pub(in crate::hub) settings: Live,
    sequence: Mutex<Sequence>,
    pub(in crate::hub) store: Box<dyn Store>,
    /// What relays have seen and is not in the stream yet.
    pub(in crate::hub) inbox: Inbox,
    /// Events beside the messages of relays that were not published since the log was behind.
    pub(super) unpublished: AtomicU64,
    pub(in crate::hub) live: broadcast::Sender<Signal>,
    /// The segments that were sent last. Whoever holds its lock sends: segments go out in the order
    /// in which they were made.
    window: Mutex<Window>,
    /// Segments of the store that lagging listeners read.
    reread: Mutex<Window>,
    pub(in crate::hub) wake: Notify,
    /// Whether the pump was woken for what is not sent yet.
    pending: AtomicBool,
    /// Outboxes that the delivery task goes on with.
    lanes: Mutex<VecDeque<Lane>>,
    pub(in crate::hub) lanes_wake: Notify,
    pub(in crate::hub) slow: SlowClients,
    pub(in crate::hub) listeners: Listeners,
    pub(in crate::hub) expressions: Expressions,
    /// For work whose amount a client chooses.
    pub(in crate::hub) turns: Arc<TurnPool>,
    pub(in crate::hub) permits: Arc<Places>,
    pub(in crate::hub) metrics: Metrics,
    /// Numbers of connections.
    pub(in crate::hub) registered: AtomicU64,
    /// Nothing is published any more: a listener that has read everything is done.
    pub(in crate::hub) over: AtomicBool,
    /// Tokens of the connections, so that a shutdown can wait for them.
    pub(in crate::hub) connected: TaskTracker,
    /// Tokens of the listeners, likewise.
    pub(in crate::hub) listening: TaskTracker,
    /// Sessions, and other tasks that serve clients.
    pub(in crate::hub) serving: TaskTracker,
    /// The tasks of the hub.
    pub(in crate::hub) tasks: TaskTracker,
    /// The hub is about to stop.
    pub(in crate::hub) draining: CancellationToken,
    pub(in crate::hub) stopping: CancellationToken,
    pub(in crate::hub) stopped: CancellationToken,
}

impl Shared {
    pub(in crate::hub) fn new(settings: Settings) -> Arc<Self> {
        let store = Box::new(Memory::new(settings.history));
        Self::with(settings, store, Order::default())
    }

    /// Makes the state of a hub that goes on with what a store has.
    pub(in crate::hub) fn with(
        settings: Settings,
        store: Box<dyn Store>,
        order: Order,
    ) -> Arc<Self> {
        let sequence = Sequence::new(order, settings.max_connections, settings.max_channels);
        Arc::new(Self {
            sequence: Mutex::new(sequence),
            store,
            inbox: Inbox::default(),
            unpublished: AtomicU64::new(0),
            live: broadcast::channel(RING).0,
            window: Mutex::default(),
            reread: Mutex::default(),
            wake: Notify::new(),
            pending: AtomicBool::new(false),
            lanes: Mutex::default(),
            lanes_wake: Notify::new(),
            slow: SlowClients::new(settings.slow_client),
            listeners: Listeners::default(),
            expressions: Expressions::default(),
            turns: TurnPool::new(),
            permits: Arc::default(),
            metrics: Metrics::new(),
            registered: AtomicU64::new(0),
            over: AtomicBool::new(false),
            connected: TaskTracker::new(),
            listening: TaskTracker::new(),
            serving: TaskTracker::new(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
            settings: Live::new(settings),
        })
    }

    /// Gives channels the messages that they keep, of an earlier process. None of those after `since`
    /// is missing.
    pub(in crate::hub) fn restore_channels(&self, messages: Vec<Arc<Event>>, since: EventId) {
        let mut dropped = Vec::new();
        let settings = self.settings();
        let (max, bytes) = (settings.max_channels, settings.history.bytes);
        let mut sequence = self.sequence();
        let state = &mut sequence.state;
        state.channels.know_since(since);
        for event in messages {
            let Some(channel) = event.channel() else { continue };
            let rules = state.rules(&settings.channels, channel);
            let keep =
                is_for_all(&event) && (rules.history == 0 || state.channels.has_room_for(1, max));
            state.channels.message(channel, &event, keep, &rules, bytes, &mut dropped);
        }
        drop(sequence);
        drop(dropped);
    }

    pub(in crate::hub) fn settings(&self) -> CurrentSettings<'_> {
        self.settings.get()
    }

    pub(in crate::hub) fn sequence(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn context(&self, now: u64) -> Context<'_> {
        let settings = self.settings();
        Context {
            metrics: &self.metrics,
            redacts: settings.redaction.is_on(),
            max_channels: settings.max_channels,
            max_kept_bytes: settings.history.bytes,
            now,
        }
    }

    /// Decides a command and applies what was decided, in one step of the stream. Returns the id of
    /// the newest event after that.
    pub(in crate::hub) fn submit<R, E>(
        &self,
        decide: impl FnOnce(&State) -> Result<R, E>,
    ) -> Result<EventId, E>
    where
        R: IntoIterator<Item = Record>,
    {
        let mut applied = Applied::default();
        let mut sequence = self.sequence();
        let records = decide(&sequence.state)?;
        let cx = self.context(now_ms());
        for record in records {
            sequence.apply(&cx, record, &mut applied);
        }
        let head = sequence.order.head().1;
        drop(sequence);
        let id = applied.id.or(head).unwrap_or_default();
        self.finish(&applied);
        Ok(id)
    }

    /// Does what is left to do after the lock of the sequence is released.
    fn finish(&self, applied: &Applied) {
        let mut budget = PIECE;
        for lane in applied.lanes.iter() {
            if lane.drain(&self.courier(false), budget) {
                self.schedule(lane.clone());
                budget = 0;
            }
        }
        // Closing them publishes and delivers in its turn: the delivery task does that.
        if self.slow.is_noted() {
            self.lanes_wake.notify_one();
        }
        match applied.action {
            PumpAction::Nothing => {}
            PumpAction::Wake => {
                self.pending.store(true, Relaxed);
                self.wake.notify_one();
            }
            PumpAction::Flush => self.flush(),
        }
    }

    /// Ends a connection, once. What relays have seen of it comes before its `close`, and nothing
    /// after it.
    pub(in crate::hub) fn end(&self, handle: &Arc<ConnectionHandle>, ending: Ending) {
        // After a shutdown there is no listener that would be told.
        if handle.ended() || self.over.load(Relaxed) {
            return;
        }
        self.end_with(handle, self.settings().redaction.close(ending.close()));
    }

    /// The same with a `close` that is redacted already.
    pub(in crate::hub) fn end_with(&self, handle: &Arc<ConnectionHandle>, close: Redacted<Close>) {
        self.empty_inbox_of(handle);
        // Its last few channels are left together with its end.
        loop {
            let own = handle.lock_channels();
            let piece: Vec<_> = own.iter().take(decide::AT_ONCE).cloned().collect();
            if own.len() <= piece.len() {
                break;
            }
            drop(own);
            if self.submit(|_| decide::leave(handle, &piece)).is_err() {
                break;
            }
        }
        let close = Record::Closed(Arc::clone(handle), close);
        let decided: Result<_, std::convert::Infallible> =
            self.submit(|_| Ok((!handle.ended()).then_some(close)));
        let Ok(_) = decided;
    }

    /// Returns whether the log has so much to write that what relays see has to wait.
    pub(in crate::hub) fn is_log_behind(&self) -> bool {
        self.store.progress().is_some_and(Progress::is_behind)
    }

    /// Returns whether an event would be read or kept.
    pub(in crate::hub) fn wanted(&self) -> bool {
        let history = self.settings().history;
        history.events > 0 && history.bytes > 0
            || self.store.progress().is_some()
            || self.live.receiver_count() > 0
    }

    /// Sends what was published.
    pub(in crate::hub) fn flush(&self) {
        self.send(&mut self.window(), None);
    }

    /// The same, unless another does so right now: then that one or the pump sends it.
    pub(in crate::hub) fn try_flush(&self) {
        match self.window.try_lock() {
            Ok(mut window) => drop(self.send(&mut window, None)),
            Err(TryLockError::WouldBlock) => self.wake.notify_one(),
            Err(TryLockError::Poisoned(_)) => unreachable!("nothing panics while it holds this"),
        }
    }

    /// Sends what a connection has published, in its own turn: a lone event then needs no turn of the
    /// pump. While others publish as well it is left to the pump.
    pub(in crate::hub) fn settle(&self, number: u64) {
        if let Ok(mut window) = self.window.try_lock()
            && window.may_settle(number)
        {
            self.send(&mut window, None);
        }
    }

    /// Returns whether something was published that is not sent yet.
    pub(in crate::hub) fn is_pending(&self) -> bool {
        self.pending.load(Relaxed) || !self.inbox.is_empty() || self.unpublished.load(Relaxed) > 0
    }

    /// Sends what was published, and a piece of what relays have seen: of `part` also while the log is
    /// behind, and otherwise of all. Returns whether more of the part may follow.
    pub(super) fn send(&self, window: &mut Window, part: Option<Part<'_>>) -> bool {
        let now = now_ms();
        let mut more = false;
        let segment = {
            let mut sequence = self.sequence();
            if sequence.order.is_full() {
                more = true;
            } else if part.is_some() || !self.is_log_behind() {
                more = self.take_piece(&mut sequence, part.unwrap_or(Part::Next), now);
            }
            self.pending.store(false, Relaxed);
            sequence.order.take_segment()
        };
        let Some(segment) = segment else { return more };
        match self.store.append(&segment, now) {
            Appended::Now => self.announce(window, segment),
            Appended::Later => {}
        }
        more
    }

    /// Sends segments that the log has written.
    pub(in crate::hub) fn announce_written(&self, segments: &[Arc<Segment>]) {
        let mut window = self.window();
        for segment in segments {
            self.announce(&mut window, Arc::clone(segment));
        }
        drop(window);
        if self.is_pending() {
            self.wake.notify_one();
        }
    }

    fn announce(&self, window: &mut Window, segment: Arc<Segment>) {
        if self.live.receiver_count() > 0 {
            if window.sampler.is_due() {
                self.metrics.histograms.batch_of(segment.last() - segment.first() + 1);
            }
            let signal = Signal::Segment(Arc::downgrade(&segment));
            window.push(segment);
            self.signal(signal);
        } else {
            window.clear();
        }
    }

    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().expect("nothing panics while it holds this lock")
    }

    pub(in crate::hub) fn signal(&self, signal: Signal) {
        // An error says that there are no listeners.
        let _ = self.live.send(signal);
    }

    /// Notes that a segment of the store is read again, so that what is derived of it is shared, and
    /// dropped at last.
    pub(in crate::hub) fn note_reread(&self, segment: &Arc<Segment>) {
        if !segment.is_derived() {
            let mut reread = self.reread.lock().expect("nothing panics while it holds this lock");
            reread.push(Arc::clone(segment));
        }
    }

    /// Returns what deliveries need.
    pub(in crate::hub) fn courier(&self, renewed: bool) -> Courier<'_> {
        Courier { metrics: &self.metrics, slow: &self.slow, renewed, now: now_ms() }
    }

    /// Leaves an outbox to the delivery task.
    pub(in crate::hub) fn schedule(&self, lane: Lane) {
        if lane.schedule() {
            self.lanes().push_back(lane);
            self.lanes_wake.notify_one();
        }
    }

    /// Takes the next outbox that something is left in.
    pub(in crate::hub) fn next_lane(&self) -> Option<Lane> {
        self.lanes().pop_front().inspect(Lane::unschedule)
    }

    fn lanes(&self) -> MutexGuard<'_, VecDeque<Lane>> {
        self.lanes.lock().expect("nothing panics while it holds this lock")
    }

    /// Evaluates a filter at an event that is read for one listener only.
    pub(in crate::hub) fn selects(&self, filter: &Filter, event: &Event) -> bool {
        filter.selects_fields(event)
            && filter
                .expression
                .as_ref()
                .is_none_or(|expression| self.metrics.evaluated(expression.evaluate(event)))
    }
}
