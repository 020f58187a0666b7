//! Delivery outside of the lock of the sequence, in order and in pieces.
//!
//! What is to be delivered is pushed into an [`Outbox`] under the lock of the sequence, in O(1), and
//! taken out afterwards by whoever comes first, in pieces: so everything reaches the recipients of
//! one outbox in the order of the stream, and no publisher waits for the members of a channel. The
//! recipients of an outbox change by tasks too: a member that enters gets what was published after
//! that, and nothing else.
//!
//! Locks: `waiting` is a leaf. `recipients` is held while a piece is delivered and is only ever tried
//! by publishers; the locks of mailboxes are leaves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use tokio::sync::Notify;

use crate::event::Direction;
use crate::hub::connections::delivered::Delivered;
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::connections::queue::Outgoing;
use crate::hub::runtime::slow::SlowClients;
use crate::metrics::Metrics;

/// Deliveries that a publisher makes itself. What is more is left to a task of the hub, which lets
/// others run between two pieces of this size: the sessions of that many members are woken, and
/// write a frame each, before anybody else has a turn.
pub(in crate::hub) const PIECE: usize = 64;

/// Tasks that may wait in an outbox before those who publish into it have to wait as well.
const BEHIND_TASKS: usize = 16;

/// Tasks beyond which publications are refused: their publishers do not wait.
const FULL_TASKS: usize = 4096;

/// The same in bytes.
const FULL_BYTES: usize = 16 << 20;

/// What a piece of delivery needs of the hub.
pub(in crate::hub) struct Courier<'a> {
    pub(in crate::hub) metrics: &'a Metrics,
    pub(in crate::hub) slow: &'a SlowClients,
    /// Whether expired tokens have been asked for again.
    pub(in crate::hub) renewed: bool,
    /// Milliseconds since 1970.
    pub(in crate::hub) now: u64,
}

impl Courier<'_> {
    pub(in crate::hub) fn deliver(
        &self,
        handle: &Arc<ConnectionHandle>,
        delivered: &Arc<Delivered>,
    ) {
        if self.enqueue(handle, Outgoing::Delivered(Arc::clone(delivered))) {
            let size = delivered.size();
            handle.count(Direction::Out, 1, size, self.now);
            self.metrics.sent_bytes.inc_by(size);
            self.metrics.deliveries.inc();
        }
    }

    /// Puts a message into the mailbox of a connection. A full one concerns that connection alone:
    /// the message is counted as refused, and the connection closed where that is configured.
    pub(in crate::hub) fn enqueue(
        &self,
        handle: &Arc<ConnectionHandle>,
        outgoing: Outgoing,
    ) -> bool {
        let taken = handle.put(Direction::Out, outgoing);
        if !taken && !handle.is_unread() {
            self.metrics.queue_refusals.inc();
            self.slow.note(handle);
        }
        taken
    }
}

/// Recipients that an outbox delivers to, and how.
pub(in crate::hub) trait Recipients: Default {
    /// What is delivered, or a change of the recipients.
    type Task;

    /// Returns about how many bytes a task holds.
    fn weight(task: &Self::Task) -> usize;

    /// Carries out at most `budget` deliveries of a task, of which `done` are made. Returns how many
    /// are made now, and whether that is all.
    fn carry_out(
        &mut self,
        task: &Self::Task,
        done: usize,
        budget: usize,
        courier: &Courier<'_>,
    ) -> (usize, bool);
}

/// Tasks in the order of the stream, and those whom they concern.
#[derive(Debug)]
pub(in crate::hub) struct Outbox<R: Recipients> {
    waiting: Mutex<Waiting<R::Task>>,
    recipients: Mutex<Active<R>>,
    /// When the first token of a recipient expires, in seconds since 1970; the largest number if
    /// none does.
    pub(in crate::hub) soonest: AtomicU64,
    /// Whether it is in the queue of the task that delivers the rest.
    scheduled: AtomicBool,
    /// Whether a publisher waits for `drained`.
    awaited: AtomicBool,
    drained: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    tasks: VecDeque<T>,
    bytes: usize,
}

#[derive(Debug)]
pub(in crate::hub) struct Active<R: Recipients> {
    pub(in crate::hub) recipients: R,
    /// The task under way, and how many of its deliveries are made.
    current: Option<(R::Task, usize)>,
}

impl<R: Recipients> Default for Outbox<R> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting { tasks: VecDeque::new(), bytes: 0 }),
            recipients: Mutex::new(Active { recipients: R::default(), current: None }),
            soonest: AtomicU64::new(u64::MAX),
            scheduled: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            drained: Notify::new(),
        }
    }
}

impl<R: Recipients> Outbox<R> {
    /// Adds a task. Called under the lock of the sequence, so that tasks are in the order of events.
    pub(in crate::hub) fn push(&self, task: R::Task) {
        let mut waiting = self.waiting();
        waiting.bytes += R::weight(&task);
        waiting.tasks.push_back(task);
    }

    /// Returns whether publications have to be refused.
    pub(in crate::hub) fn is_full(&self) -> bool {
        let waiting = self.waiting();
        waiting.tasks.len() >= FULL_TASKS || waiting.bytes >= FULL_BYTES
    }

    /// Returns whether publishers should wait.
    pub(in crate::hub) fn is_behind(&self) -> bool {
        self.waiting().tasks.len() >= BEHIND_TASKS
    }

    /// Waits until little is left to deliver. Cancel safe.
    pub(in crate::hub) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            self.awaited.store(true, Relaxed);
            if !self.is_behind() {
                return;
            }
            drained.await;
        }
    }

    /// Delivers at most `budget` of what waits. Returns whether something is left that no other
    /// caller takes care of.
    pub(in crate::hub) fn drain(&self, courier: &Courier<'_>, mut budget: usize) -> bool {
        loop {
            let mut active = match self.recipients.try_lock() {
                Ok(active) => active,
                // Whoever holds it looks for tasks again after releasing it.
                Err(TryLockError::WouldBlock) => return false,
                Err(TryLockError::Poisoned(_)) => {
                    unreachable!("nothing panics while it holds this")
                }
            };
            while let Some((task, done)) = active.current.take().or_else(|| self.next()) {
                let renewal = !courier.renewed && self.is_due(courier.now);
                if budget == 0 || renewal {
                    active.current = Some((task, done));
                    return true;
                }
                let (made, all) = active.recipients.carry_out(&task, done, budget, courier);
                budget = budget.saturating_sub(made.max(1));
                if !all {
                    active.current = Some((task, done + made));
                }
            }
            drop(active);
            if self.awaited.swap(false, AcqRel) {
                self.drained.notify_waiters();
            }
            if self.waiting().tasks.is_empty() {
                return false;
            }
        }
    }

    /// Returns whether a token of a recipient has expired at `now_ms` and was not asked for again.
    pub(in crate::hub) fn is_due(&self, now_ms: u64) -> bool {
        self.soonest.load(Relaxed) <= now_ms / 1000
    }

    /// Notes that it is in the queue of the task that delivers the rest. Returns whether it was not.
    pub(in crate::hub) fn schedule(&self) -> bool {
        !self.scheduled.swap(true, AcqRel)
    }

    /// Notes that it was taken out of that queue.
    pub(in crate::hub) fn unschedule(&self) {
        self.scheduled.store(false, Relaxed);
    }

    fn next(&self) -> Option<(R::Task, usize)> {
        let mut waiting = self.waiting();
        let task = waiting.tasks.pop_front()?;
        waiting.bytes -= R::weight(&task);
        Some((task, 0))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<R::Task>> {
        self.waiting.lock().expect("nothing panics while it holds this lock")
    }

    pub(in crate::hub) fn active(&self) -> MutexGuard<'_, Active<R>> {
        self.recipients.lock().expect("nothing panics while it holds this lock")
    }
}
