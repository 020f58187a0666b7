//! What all handles of a hub share, and the two tasks that run behind it.
//!
//! The pump sends what was published, a batch at a time; the pulse is the one clock of heartbeats.
//! Neither holds a lock across an await.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::expressions::Expressions;
use super::inbox::{Inbox, Then};
use super::publishing::Slow;
use super::registry::ConnectionHandle;
use super::stream::{Next, RING, Stream};
use super::subscription::{Listeners, Signal};
use super::{DuplicateId, Ending, Refused, Settings, now_ms};
use crate::event::{ConnectionId, Draft, Event, EventBody};
use crate::filter::Filter;
use crate::metrics::Metrics;
use crate::redact::Redacted;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) stream: Mutex<Stream>,
    /// What relays have seen and is not in the stream yet. Whoever publishes for a connection that
    /// uses it empties it first.
    pub(super) inbox: Inbox,
    pub(super) live: broadcast::Sender<Signal>,
    /// Whose turn it is to send a batch: batches go out in the order in which they were made.
    pub(super) turn: Mutex<()>,
    pub(super) wake: Notify,
    /// Clients that are to be closed since they do not keep up.
    pub(super) slow: Slow,
    pub(super) listeners: Listeners,
    pub(super) expressions: Expressions,
    pub(super) seats: Arc<Semaphore>,
    pub(super) metrics: Metrics,
    /// Tokens of the connections, so that a shutdown can wait for them.
    pub(super) connected: TaskTracker,
    /// Tokens of the listeners, likewise.
    pub(super) listening: TaskTracker,
    /// Sessions, and whatever else serves somebody.
    pub(super) serving: TaskTracker,
    /// The pump and the pulse.
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) stopped: CancellationToken,
}

impl Shared {
    /// Makes the state and starts the tasks.
    pub(super) fn start(settings: Settings) -> Arc<Self> {
        let shared = Arc::new(Self {
            stream: Mutex::new(Stream::new(&settings)),
            inbox: Inbox::default(),
            live: broadcast::channel(RING).0,
            turn: Mutex::new(()),
            wake: Notify::new(),
            slow: Slow::default(),
            listeners: Listeners::default(),
            expressions: Expressions::default(),
            seats: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            metrics: Metrics::new(),
            connected: TaskTracker::new(),
            listening: TaskTracker::new(),
            serving: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
            settings,
        });
        shared.tasks.spawn(pump(Arc::clone(&shared)));
        shared.tasks.spawn(pulse(Arc::clone(&shared)));
        shared
    }

    pub(super) fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns whether a filter selects an event that is read for one listener only.
    pub(super) fn selects(&self, filter: &Filter, event: &Event) -> bool {
        filter.selects_fields(event)
            && filter
                .expression
                .as_ref()
                .is_none_or(|expression| self.metrics.evaluated(expression.evaluate(event)))
    }

    pub(super) fn may_connect(&self, stream: &Stream, id: &ConnectionId) -> Result<(), Refused> {
        if self.settings.recording {
            Err(Refused::Recording)
        } else if stream.stopping {
            Err(Refused::Stopping)
        } else if self.settings.duplicate_id == DuplicateId::Reject
            && stream.registry.get(id).is_some()
        {
            Err(Refused::Taken)
        } else {
            Ok(())
        }
    }

    pub(super) fn publish(
        &self,
        stream: &mut Stream,
        draft: Redacted<Draft>,
        now: u64,
    ) -> (Arc<Event>, Next) {
        let (event, next) = stream.publish(draft, now);
        self.metrics.events(event.kind()).inc();
        (event, next)
    }

    /// Publishes the end of a connection and takes it out of the registry, once.
    pub(super) fn end(
        &self,
        stream: &mut Stream,
        entry: &Arc<ConnectionHandle>,
        ending: Ending,
        now: u64,
    ) -> Next {
        if entry.ended() {
            return Next::Nothing;
        }
        let inbox = self.empty_inbox(stream, now);
        let before = inbox.max(self.leave_all(stream, entry, now));
        entry.end();
        stream.registry.remove(entry);
        let close = EventBody::Close(Box::new(entry.close_event(ending)));
        let draft = self.settings.redaction.draft(&entry.id, close);
        before.max(self.publish(stream, draft, now).1)
    }

    /// Takes what relays have seen. It waits for nothing: a relay that finds the stream busy leaves
    /// the rest to the pump.
    pub(super) fn offer(&self, drafts: &mut Vec<Redacted<Draft>>) {
        let (then, lost) = self.inbox.put(drafts);
        self.metrics.unseen_messages.inc_by(lost);
        match then {
            Then::Nothing => {}
            Then::Wake => self.wake.notify_one(),
            Then::Empty => {
                let Ok(mut stream) = self.stream.try_lock() else { return };
                let next = self.empty_inbox(&mut stream, now_ms());
                drop(stream);
                if next > Next::Nothing {
                    self.wake.notify_one();
                }
            }
        }
    }

    /// Makes events of what relays have seen.
    pub(super) fn empty_inbox(&self, stream: &mut Stream, now: u64) -> Next {
        let mut next = Next::Nothing;
        for draft in self.inbox.take() {
            next = next.max(self.publish(stream, draft, now).1);
        }
        next
    }

    /// Returns whether an event would be read or kept by anybody.
    pub(super) fn wanted(&self) -> bool {
        self.settings.history.events > 0 && self.settings.history.bytes > 0
            || self.live.receiver_count() > 0
    }

    /// Sees to it that what was published gets sent. Called without the lock of the stream.
    pub(super) fn announce(&self, next: Next) {
        match next.max(self.close_slow()) {
            Next::Nothing => {}
            Next::Wake => self.wake.notify_one(),
            Next::Flush => self.flush(),
        }
    }

    pub(super) fn flush(&self) {
        let _turn = self.turn.lock().expect("nothing panics while it holds this lock");
        let mut stream = self.stream();
        // The batch is taken below, so that nobody needs to be told.
        let _ = self.empty_inbox(&mut stream, now_ms());
        let batch = stream.take_batch(self.live.receiver_count() > 0);
        drop(stream);
        if let Some(batch) = batch {
            self.signal(Signal::Batch(batch));
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        // An error says that nobody listens.
        let _ = self.live.send(signal);
    }
}

/// Sends what was published, a batch at a time.
async fn pump(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.wake.notified() => {}
            () = shared.stopped.cancelled() => return,
        }
        // Whoever is ready to publish does so first: under load that makes one batch of it.
        tokio::task::yield_now().await;
        shared.flush();
    }
}

/// The one clock of all heartbeats, and of history that gets too old.
async fn pulse(shared: Arc<Shared>) {
    let period = shared.settings.heartbeat;
    let mut clock = interval_at(Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = shared.stopped.cancelled() => return,
        }
        shared.stream().history.evict(now_ms());
        shared.renew_all_passes();
        shared.signal(Signal::Pulse);
    }
}
