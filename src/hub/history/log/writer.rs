//! The thread that writes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use super::inner::Inner;
use super::queue::Batch;
use super::retention::{Clock, Keeps};
use crate::database::{Fault, Writer};
use crate::hub::history::memory::{FULL_BYTES, FULL_EVENTS};
use crate::hub::history::segment::Segment;
use crate::hub::history::store::Store as _;

/// Time between two looks at what is due: age of events, and faults that may have ended.
const TICK: Duration = Duration::from_millis(500);

/// Bytes that are appended between two looks at the size of the database.
const LOOK: usize = 1 << 20;

/// Bytes of a page of the database.
const PAGE: u64 = 4096;

/// Writes until the queue is closed, and then all that is left.
pub(super) fn run(inner: &Inner, writer: Writer, keeps: Keeps, clock: Clock) {
    if let Err(fault) = writer.limit_wal(keeps.wal_bytes()) {
        inner.disk.fail(fault);
    }
    let mut thread = Thread {
        inner,
        writer,
        noted: false,
        keeps,
        clock,
        fault: None,
        appended: 0,
        looked: Instant::now(),
        more: false,
    };
    loop {
        let within = if thread.more { Duration::ZERO } else { TICK };
        match inner.queue.take(within) {
            Batch::Segments(batch, now) => thread.write(&batch, now),
            Batch::Idle => {}
            Batch::Closed => break,
        }
        thread.tidy();
    }
    inner.disk.closed.store(true, Relaxed);
    let Thread { writer, fault, .. } = thread;
    if fault.is_none() {
        // Others may be reading: then the log is emptied by the next start.
        let _ = writer.checkpoint();
    } else {
        let _ = inner.high_water.sync();
        writer.keep_wal();
    }
}

struct Thread<'a> {
    inner: &'a Inner,
    writer: Writer,
    /// Something was noted beside the database and is not synced.
    noted: bool,
    keeps: Keeps,
    clock: Clock,
    fault: Option<Failing>,
    /// Bytes that were appended since the size was looked at.
    appended: usize,
    /// When what is due was looked at.
    looked: Instant,
    /// There is more to delete.
    more: bool,
}

/// Nothing is written.
struct Failing {
    fault: Fault,
    words: Arc<str>,
    /// When writing is tried again.
    again: Option<Instant>,
}

impl Failing {
    fn new(fault: Fault) -> Self {
        let words = fault.to_string().into();
        let again = fault.may_heal().then(|| Instant::now() + TICK);
        Self { fault, words, again }
    }

    fn is_due(&self) -> bool {
        self.again.is_some_and(|again| Instant::now() >= again)
    }
}

impl Thread<'_> {
    fn write(&mut self, batch: &[Arc<Segment>], now: u64) {
        if let Some(fatal) = self.inner.disk.fatal().clone() {
            self.fail(fatal);
        }
        if self.fault.as_ref().is_none_or(Failing::is_due) {
            let events = batch.iter().flat_map(|segment| {
                (segment.first()..).zip(segment.events().iter().map(Arc::as_ref))
            });
            match self.writer.append(events) {
                Ok(()) => self.committed(batch),
                Err(fault) => self.fail(self.explained(fault)),
            }
        }
        if self.fault.is_some() {
            self.not_kept(batch);
        }
        self.inner.progress.done_with(batch);
        let joined = joined(batch);
        for segment in &joined {
            let _ = self.inner.memory.append(segment, now);
        }
        if let Some(announce) = self.inner.announce.get() {
            announce(&joined);
        }
        let why = self.fault.as_ref().map(|failing| &failing.words);
        self.inner.progress.settle(batch, why);
    }

    fn committed(&mut self, batch: &[Arc<Segment>]) {
        self.inner.disk.count_commit(self.writer.wal_pages());
        self.appended += batch.iter().map(|segment| segment.weight()).sum::<usize>();
        if let Some(first) = batch.first() {
            let mut edge = self.inner.edge();
            if edge.oldest.is_none() {
                edge.oldest = Some(first.events()[0].id);
            }
        }
        self.heal();
    }

    /// Notes the end of what is announced without being in the database.
    fn not_kept(&mut self, batch: &[Arc<Segment>]) {
        if let Some(last) = batch.last() {
            // Where this fails as well, there is no place for it.
            let noted = self.inner.high_water.note(last.last(), last.last_id());
            self.noted |= noted.is_ok();
        }
    }

    /// Returns what the system says about a fault: SQLite has one code for most errors of a write.
    fn explained(&self, fault: Fault) -> Fault {
        match (&fault, self.inner.high_water.probe()) {
            (Fault::Failed(_), Err(error)) => error.into(),
            _ => fault,
        }
    }

    fn fail(&mut self, fault: Fault) {
        let new = self.fault.as_ref().is_none_or(|failing| failing.fault != fault);
        if new {
            let path = self.inner.disk.path().display();
            let heals = if fault.may_heal() {
                "it is tried again"
            } else {
                "nothing is written until the next start"
            };
            tracing::error!(
                "{path}: cannot write the log: {fault}; the stream goes on, and {heals}"
            );
            let mut status = self.inner.progress.status();
            status.fault = Some(fault.to_string());
            status.since.get_or_insert_with(SystemTime::now);
        }
        self.fault = Some(Failing::new(fault));
    }

    fn heal(&mut self) {
        if self.fault.take().is_some() {
            let mut status = self.inner.progress.status();
            (status.fault, status.since) = (None, None);
            let unkept = status.unkept;
            drop(status);
            let path = self.inner.disk.path().display();
            tracing::info!("{path}: the log is written again; {unkept} events are not in it");
        }
    }

    /// Does what is due beside writing.
    fn tidy(&mut self) {
        let due = self.looked.elapsed() >= TICK;
        if due {
            self.looked = Instant::now();
            if std::mem::take(&mut self.noted) {
                // The disk fails already: this is an attempt.
                let _ = self.inner.high_water.sync();
            }
            self.look();
        }
        if self.fault.is_some() || self.inner.disk.fatal().is_some() {
            return;
        }
        let wal = self.inner.disk.wal_pages.load(Relaxed) * PAGE;
        if wal > self.keeps.wal_bytes() {
            // Fails while readers read: then the next transaction tries it again.
            if self.writer.checkpoint().is_ok() {
                self.inner.disk.wal_pages.store(0, Relaxed);
            }
        }
        if due || self.more || self.appended >= LOOK {
            self.appended = 0;
            let deleted = self.keeps.apply(self.inner, &mut self.writer, (self.clock)());
            self.more = matches!(deleted, Ok(true));
            if let Err(fault) = deleted {
                self.fail(self.explained(fault));
            }
        }
    }

    /// Looks whether the files are there, and whether a fault has ended.
    fn look(&mut self) {
        if let Some(fatal) = self.inner.disk.fatal().clone() {
            return self.fail(fatal);
        }
        if !self.inner.disk.is_there() {
            return self.fail(Fault::Vanished);
        }
        if self.fault.as_ref().is_some_and(Failing::is_due) {
            match self.writer.probe() {
                Ok(()) => self.heal(),
                Err(fault) => self.fail(self.explained(fault)),
            }
        }
        self.inner.look_again();
        self.inner.count();
    }
}

/// Joins segments of one transaction, so that listeners are woken once for many.
fn joined(batch: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let mut all: Vec<Arc<Segment>> = Vec::with_capacity(batch.len());
    let mut rest = batch;
    while let Some(first) = rest.first() {
        let (mut events, mut weight, mut count) = (0, 0, 0);
        for segment in rest {
            events += segment.events().len();
            weight += segment.weight();
            if count > 0 && (events > FULL_EVENTS || weight > FULL_BYTES) {
                break;
            }
            count += 1;
        }
        let (parts, others) = rest.split_at(count);
        rest = others;
        all.push(match count {
            1 => Arc::clone(first),
            _ => Arc::new(Segment::joined(parts.iter())),
        });
    }
    all
}
