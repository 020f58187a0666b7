//! How far the log on disk is: what acks, backpressure and health checks ask.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::sync::watch;

use super::segment::Segment;
use crate::event::EventId;
use crate::metrics::LogNumbers;

/// Weight of segments that may wait to be written. Publishers are not read while more waits: a writer
/// takes a tenth of a second for this.
const MAX_WAITING: usize = 8 << 20;

/// Ranges of events that the log has not kept, of which each is remembered. The oldest are merged.
const MAX_UNKEPT: usize = 64;

/// The state of a log, as a health check sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Why nothing is written, if that is so.
    pub fault: Option<String>,
    /// Since when, as time of the system.
    pub since: Option<SystemTime>,
    /// Why a part of it cannot be read, if that is so.
    pub unreadable: Option<String>,
    /// Events that were not written so far.
    pub unkept: u64,
    /// Events in the log.
    pub events: u64,
    /// Bytes of the database and its write-ahead log.
    pub bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Transactions so far.
    pub commits: u64,
}

impl LogStatus {
    /// Returns what is wrong with the log, if something is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let unreadable = || Some(format!("it cannot be read: {}", self.unreadable.as_ref()?));
        self.fault.clone().or_else(unreadable)
    }

    pub(in crate::hub) fn numbers(&self) -> LogNumbers {
        let Self { events, bytes, wal_bytes, unkept, .. } = *self;
        let failing = self.fault.is_some() || self.unreadable.is_some();
        LogNumbers { events, bytes, wal_bytes, unkept, failing }
    }
}

/// The log did not keep an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event is on the stream, and the log did not keep it: {0}")]
pub struct NotKept(pub String);

/// How far a log is.
#[derive(Debug)]
pub(in crate::hub) struct Progress {
    settled: watch::Sender<Settled>,
    waiting: Arc<AtomicUsize>,
    status: Mutex<LogStatus>,
}

/// What has been written, or given up.
#[derive(Debug, Default)]
struct Settled {
    position: u64,
    id: EventId,
    /// First and last id of events that were not kept, and why.
    unkept: VecDeque<(EventId, EventId, Arc<str>)>,
    /// Position of the last event that was not kept.
    unkept_until: u64,
}

impl Settled {
    fn fate(&self, id: EventId) -> Result<(), NotKept> {
        let lost = self.unkept.iter().find(|(first, last, _)| (*first..=*last).contains(&id));
        lost.map_or(Ok(()), |(_, _, why)| Err(NotKept(why.to_string())))
    }

    fn lose(&mut self, segment: &Segment, why: &Arc<str>) {
        let (first, last) = (segment.events()[0].id, segment.last_id());
        match self.unkept.back_mut() {
            Some(range) if self.unkept_until + 1 == segment.first() => range.1 = last,
            _ => self.unkept.push_back((first, last, Arc::clone(why))),
        }
        self.unkept_until = segment.last();
        if self.unkept.len() > MAX_UNKEPT
            && let Some((first, _, _)) = self.unkept.pop_front()
            && let Some(next) = self.unkept.front_mut()
        {
            next.0 = first;
        }
    }
}

impl Progress {
    /// Makes the progress of a log whose newest event has this position and id.
    pub(in crate::hub) fn new(position: u64, id: Option<EventId>) -> Self {
        let settled = Settled { position, id: id.unwrap_or_default(), ..Settled::default() };
        let (waiting, status) = (Arc::default(), Mutex::default());
        Self { settled: watch::Sender::new(settled), waiting, status }
    }

    /// Notes a segment that waits to be written.
    pub(in crate::hub) fn wait_for(&self, segment: &Segment) {
        self.waiting.fetch_add(segment.weight(), Relaxed);
    }

    /// Notes that segments wait no more. This comes before their announcement, which wakes what waits
    /// until the log is not behind.
    pub(in crate::hub) fn done_with(&self, segments: &[Arc<Segment>]) {
        let weight = segments.iter().map(|segment| segment.weight()).sum();
        self.waiting.fetch_sub(weight, Relaxed);
    }

    /// Notes that segments were written, or with `why` that they were not, after [`Self::done_with`].
    pub(in crate::hub) fn settle(&self, segments: &[Arc<Segment>], why: Option<&Arc<str>>) {
        if why.is_some() {
            let events: usize = segments.iter().map(|segment| segment.events().len()).sum();
            self.status().unkept += events as u64;
        }
        self.settled.send_modify(|settled| {
            for segment in segments {
                (settled.position, settled.id) = (segment.last(), segment.last_id());
                if let Some(why) = why {
                    settled.lose(segment, why);
                }
            }
        });
    }

    /// Returns whether so much waits to be written that publishers should wait.
    pub(in crate::hub) fn is_behind(&self) -> bool {
        self.waiting.load(Relaxed) > MAX_WAITING
    }

    /// Waits until publishers may go on. Cancel safe.
    pub(in crate::hub) fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut settled = self.settled.subscribe();
        let waiting = Arc::clone(&self.waiting);
        async move {
            while waiting.load(Relaxed) > MAX_WAITING {
                if settled.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits until an event is in the log. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`NotKept`] if it is only on the stream.
    pub(in crate::hub) fn kept(
        &self,
        id: EventId,
    ) -> impl Future<Output = Result<(), NotKept>> + Send + use<> {
        let mut settled = self.settled.subscribe();
        async move {
            match settled.wait_for(|settled| settled.id >= id).await {
                Ok(settled) => settled.fate(id),
                Err(_) => Err(NotKept("the server has stopped".to_owned())),
            }
        }
    }

    /// Returns the position up to which events are written or given up.
    pub(in crate::hub) fn position(&self) -> u64 {
        self.settled.borrow().position
    }

    /// Waits until events up to a position are written or given up. Cancel safe.
    pub(in crate::hub) fn reach(&self, position: u64) -> impl Future<Output = ()> + Send + use<> {
        let mut settled = self.settled.subscribe();
        async move {
            // An error says that the store is closed: nothing comes any more.
            let _ = settled.wait_for(|settled| settled.position >= position).await;
        }
    }

    /// Returns the state of the log.
    pub(in crate::hub) fn status(&self) -> MutexGuard<'_, LogStatus> {
        self.status.lock().expect("nothing panics while it holds this lock")
    }
}
