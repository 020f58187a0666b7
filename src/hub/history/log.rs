//! The store on disk: every event in a database, and the newest in memory as well.
//!
//! ```text
//!  append ─▶ queue ─▶ writer ─commit─▶ memory, announce ─▶ listeners, acks
//!                       │
//!  page, find ─▶ memory, or readers ─▶ database ◀─ keeper: sync, checkpoints
//! ```
//!
//! One thread writes. It takes what waits as one transaction; while it commits, the next gathers. A
//! segment reaches memory and listeners after its commit only, so that none of them has seen an event
//! that a killed process takes back. Where writing fails, segments are announced as if there were no
//! log, and their positions stay empty in the database: a gap for later readers.
//!
//! Readers have threads and connections of their own. A page is one short transaction, so that the
//! write-ahead log can be emptied between two of them.

mod disk;
mod high_water;
mod inner;
mod keeper;
mod pages;
mod questions;
mod queue;
mod readers;
mod retention;
mod settings;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use self::disk::Disk;
use self::high_water::HighWater;
use self::inner::{Edge, Inner};
use self::questions::{Asked, Readers};
use self::queue::Queue;
use self::retention::Clock;
use super::memory::{Memory, Retention};
use super::progress::Progress;
use super::segment::Segment;
use super::store::{Announce, Answer, Appended, Before, Cursor, Found, Mark, Page, Store};
use crate::database::{Bounds, Durability, FILE, OpenError, Reader, Writer};
use crate::event::{Event, EventId};
pub use settings::{LogError, LogSettings, LogSync};

/// The store on disk.
#[derive(Debug)]
pub(in crate::hub) struct Log {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the database is open.
    lock: File,
}

/// Threads that read. Two, since one waits for the disk while the other decodes.
const READERS: usize = 2;

/// Events that are looked through for messages of channels at the start: it takes some 10 ms.
const CHANNEL_EVENTS: u64 = 50_000;

/// A log that is open, and what a hub goes on with.
pub(in crate::hub) struct Opened {
    pub(in crate::hub) log: Log,
    /// The position of the newest event.
    pub(in crate::hub) position: u64,
    /// The id of the newest event.
    pub(in crate::hub) last: Option<EventId>,
    /// The last messages of channels, in their order.
    pub(in crate::hub) messages: Vec<Arc<Event>>,
    /// Of messages after this event none is missing.
    pub(in crate::hub) since: Option<EventId>,
}

impl Log {
    /// Opens or makes the log in a directory, and starts its threads. With `channels` the last messages
    /// of channels are read, as many as history has bytes for: the content of those that it is true
    /// for. `clock` says which events are too old.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is open in another process.
    pub(in crate::hub) fn open(
        settings: &LogSettings,
        history: Retention,
        channels: Option<&dyn Fn(&Event) -> bool>,
        clock: Clock,
    ) -> Result<Opened, LogError> {
        let folder = &settings.directory;
        let cannot = |error: io::Error| LogError::Folder(folder.clone(), error);
        if folder.is_file() {
            return Err(LogError::File(folder.clone()));
        }
        fs::create_dir_all(folder).map_err(cannot)?;
        let lock = private_file(&folder.join("lock")).map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::InUse(folder.clone())),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let path = folder.join(FILE);
        // SQLite gives the files beside the database its permissions.
        private_file(&path).map_err(cannot)?;
        let (durability, sync) = match settings.sync {
            LogSync::Always => (Durability::Commit, Duration::ZERO),
            LogSync::Every(every) => (Durability::Later, every),
        };
        let (writer, mut bounds) = Writer::open(&path, durability)?;
        let beside = lock.try_clone();
        let high_water = beside.and_then(|file| HighWater::open(file, sync, &mut bounds));
        let high_water = high_water.map_err(cannot)?;
        let Bounds { floor, evicted, head, last } = bounds;
        let mut open = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            open.push(Reader::open(&path)?);
        }
        let oldest =
            open[0].oldest(floor).map_err(|fault| OpenError { path: path.clone(), fault })?;
        let (mut messages, mut since) = (Vec::new(), last);
        if let Some(keeps) = channels {
            let after = head.saturating_sub(CHANNEL_EVENTS).max(floor);
            let read = open[0].channel_messages(after, bounds, history.bytes, keeps);
            (messages, since) = read.map_err(|fault| OpenError { path: path.clone(), fault })?;
        }
        let inner = Arc::new(Inner {
            memory: Memory::after(history, head, last),
            progress: Progress::new(head, last),
            queue: Queue::default(),
            readers: Readers::default(),
            pages: Mutex::default(),
            edge: Mutex::new(Edge { floor, evicted, oldest }),
            disk: Disk::new(path).map_err(cannot)?,
            high_water,
            announce: OnceLock::new(),
        });
        inner.count();
        let log = Self { inner, threads: Mutex::default(), lock };
        let keeps = settings.retention();
        log.start("log-writer", move |inner| writer::run(inner, writer, keeps, clock))?;
        let sync = settings.sync;
        log.start("log-keeper", move |inner| keeper::run(inner, sync))?;
        for reader in open {
            log.start("log-reader", move |inner| readers::run(inner, reader))?;
        }
        Ok(Opened { log, position: head, last, messages, since })
    }

    fn start(&self, name: &str, run: impl FnOnce(&Inner) + Send + 'static) -> Result<(), LogError> {
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run(&inner)).map_err(LogError::Thread)?;
        self.threads.lock().expect("nothing panics while it holds this lock").push(thread);
        Ok(())
    }
}

impl Store for Log {
    fn append(&self, segment: &Arc<Segment>, now: u64) -> Appended {
        self.inner.progress.wait_for(segment);
        if self.inner.queue.push(segment, now) {
            return Appended::Later;
        }
        let why: Arc<str> = "the log is closed".into();
        self.inner.progress.done_with(std::slice::from_ref(segment));
        let _ = self.inner.high_water.note(segment.last(), segment.last_id());
        self.inner.progress.settle(std::slice::from_ref(segment), Some(&why));
        self.inner.memory.append(segment, now)
    }

    fn page(&self, cursor: Cursor) -> Answer<Page> {
        match self.inner.page_at_hand(cursor) {
            Some(page) => Answer::Known(page),
            None => self.inner.readers.ask(|to| Asked::Page(cursor, to)),
        }
    }

    fn before(&self, position: u64) -> Answer<Before> {
        match self.inner.before_at_hand(position) {
            Some(before) => Answer::Known(before),
            None => self.inner.readers.ask(|to| Asked::Before(position, to)),
        }
    }

    fn find(&self, mark: Mark) -> Answer<Found> {
        match self.inner.found_at_hand(mark) {
            Some(found) => Answer::Known(found),
            None => self.inner.readers.ask(|to| Asked::Find(mark, to)),
        }
    }

    fn events(&self, ids: &[EventId]) -> Answer<Vec<Arc<Event>>> {
        let in_memory = self.inner.memory.events(ids);
        let last = self.inner.memory.beginning().1;
        // None has left memory between the two looks.
        if ids.iter().all(|id| last.is_none_or(|last| *id > last)) {
            return in_memory;
        }
        let ids = ids.into();
        self.inner.readers.ask(|to| Asked::Events(ids, to))
    }

    fn bounds(&self) -> (u64, u64) {
        self.inner.bounds_of_all()
    }

    fn id_at(&self, position: u64) -> Option<EventId> {
        let at_hand = self.inner.memory.id_at(position);
        at_hand.or_else(|| Some(self.inner.pages().holding(position)?.at(position)?.id))
    }

    fn oldest(&self) -> Option<EventId> {
        let Edge { floor, oldest, .. } = *self.inner.edge();
        if self.inner.memory.beginning().0 <= floor { self.inner.memory.oldest() } else { oldest }
    }

    fn size(&self) -> (usize, usize) {
        self.inner.memory.size()
    }

    fn evict(&self, now: u64) {
        self.inner.memory.evict(now);
    }

    fn progress(&self) -> Option<&Progress> {
        Some(&self.inner.progress)
    }

    fn announce_to(&self, announce: Announce) {
        let set = self.inner.announce.set(announce);
        assert!(set.is_ok(), "a hub has one store");
    }

    fn close(&self) {
        self.inner.queue.close();
        self.inner.readers.close();
        let threads = std::mem::take(
            &mut *self.threads.lock().expect("nothing panics while it holds this lock"),
        );
        // The writer may hold the last reference to the hub, and the keeper ends after the writer: then
        // they end by themselves.
        let here = std::thread::current().id();
        let others = threads.iter().all(|thread| thread.thread().id() != here);
        let ended = others && !threads.is_empty();
        let ended = ended && threads.into_iter().all(|thread| thread.join().is_ok());
        self.inner.high_water.close(ended && self.inner.progress.status().fault.is_none());
        // Otherwise the end of this value releases it.
        let _ = self.lock.unlock();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// Opens a file for reading and writing. One that is made can be read by the user of this process
/// only: the log has the traffic of others.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;
