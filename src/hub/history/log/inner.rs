//! What the threads of a log share, and what is at hand without reading the database.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::disk::Disk;
use super::high_water::HighWater;
use super::pages::Pages;
use super::questions::{AHEAD, Ahead, Readers};
use super::queue::Queue;
use crate::database::{Bounds, Fault};
use crate::event::{EventId, Gap};
use crate::hub::history::memory::Memory;
use crate::hub::history::progress::Progress;
use crate::hub::history::store::{Announce, Answer, Before, Cursor, Found, Mark, Page, Store as _};

/// What the threads share.
pub(super) struct Inner {
    pub(super) memory: Memory,
    pub(super) progress: Progress,
    pub(super) queue: Queue,
    pub(super) readers: Readers,
    pub(super) pages: Mutex<Pages>,
    pub(super) edge: Mutex<Edge>,
    pub(super) disk: Disk,
    pub(super) high_water: HighWater,
    pub(super) announce: OnceLock<Announce>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("edge", &self.edge).finish_non_exhaustive()
    }
}

/// The old end of the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// Position before the oldest event.
    pub(super) floor: u64,
    /// The id of the event there.
    pub(super) evicted: Option<EventId>,
    /// The id of the oldest event.
    pub(super) oldest: Option<EventId>,
}

impl Inner {
    pub(super) fn edge(&self) -> MutexGuard<'_, Edge> {
        self.edge.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns which part of the stream is only in the database.
    pub(super) fn bounds(&self) -> Bounds {
        let Edge { floor, evicted, .. } = *self.edge();
        let (head, last) = self.memory.beginning();
        Bounds { floor, evicted, head: head.max(floor), last }
    }

    /// Returns the position before the oldest event, and of the newest.
    pub(super) fn bounds_of_all(&self) -> (u64, u64) {
        (self.edge().floor, self.memory.bounds().1)
    }

    /// Returns whether writing has failed: then nothing is synced any more.
    pub(super) fn is_failing(&self) -> bool {
        self.disk.fatal().is_some() || self.progress.status().fault.is_some()
    }

    /// Notes that reading has failed at a position, and logs it once until it works again.
    pub(super) fn unreadable(&self, position: u64, fault: &Fault) {
        let mut failed = self.disk.unreadable();
        failed.get_or_insert(position);
        let words = Some(fault.to_string());
        let before = std::mem::replace(&mut self.progress.status().unreadable, words.clone());
        drop(failed);
        if before != words {
            let path = self.disk.path().display();
            tracing::error!("{path}: cannot read the log: {fault}; its readers receive a gap");
        }
    }

    /// Notes that a position was read.
    pub(super) fn readable(&self, position: u64) {
        let mut failed = self.disk.unreadable();
        if failed.take_if(|failed| *failed == position).is_some() {
            self.progress.status().unreadable = None;
            drop(failed);
            tracing::info!("{}: the log is read again", self.disk.path().display());
        }
    }

    /// Lets a reader see whether what could not be read can be read now.
    pub(super) fn look_again(&self) {
        let Some(position) = *self.disk.unreadable() else { return };
        if position <= self.edge().floor {
            self.readable(position);
        } else {
            self.readers.read_ahead(Ahead { position, more: 0 });
        }
    }

    /// Counts what there is, for the state of the log.
    pub(super) fn count(&self) {
        let (database, wal) = self.disk.sizes();
        let (floor, head) = self.bounds_of_all();
        let mut status = self.progress.status();
        status.events = head - floor;
        (status.bytes, status.wal_bytes) = (database + wal, wal);
        status.commits = self.disk.commits.load(Relaxed);
    }

    /// Returns a page that is at hand; `None` if it has to be read.
    pub(super) fn page_at_hand(&self, cursor: Cursor) -> Option<Page> {
        while cursor.position >= self.memory.beginning().0 {
            match self.memory.page(cursor) {
                // It has fallen out of memory just now.
                Answer::Known(Page::Gap(..)) => {}
                Answer::Known(page) => return Some(page),
                Answer::Coming(_) => break,
            }
        }
        let Edge { floor, evicted, oldest } = *self.edge();
        if cursor.position < floor {
            let missed = Some(floor - cursor.position);
            let gap = Gap { missed, after: cursor.id, before: oldest };
            return Some(Page::Gap(gap, Cursor { position: floor, id: evicted }));
        }
        let (segment, ahead) = self.pages().with_ahead(cursor.position + 1, AHEAD)?;
        if let Some(position) = ahead.filter(|position| *position <= self.memory.beginning().0) {
            self.readers.read_ahead(Ahead { position, more: 0 });
        }
        Some(Page::Events(segment))
    }

    /// Returns what is at hand before a position; `None` if it has to be read.
    pub(super) fn before_at_hand(&self, position: u64) -> Option<Before> {
        if let Answer::Known(Before::Events(segment)) = self.memory.before(position) {
            return Some(Before::Events(segment));
        }
        if position <= self.edge().floor {
            return Some(Before::Nothing);
        }
        self.pages().holding(position).map(Before::Events)
    }

    /// Returns the place of a mark that is in memory; `None` if it has to be looked for.
    pub(super) fn found_at_hand(&self, mark: Mark) -> Option<Found> {
        let id = match mark {
            Mark::Oldest => {
                let position = self.edge().floor;
                return Some(Found { cursor: Cursor { position, id: None }, lost: None });
            }
            Mark::After(id) => id,
            Mark::Since(ms) => EventId { ms, seq: 0 },
        };
        let in_memory = |inner: &Self| inner.memory.beginning().1.is_none_or(|last| id > last);
        if !in_memory(self) {
            return None;
        }
        match self.memory.find(mark) {
            // What has fallen out meanwhile is in the database.
            Answer::Known(found) if in_memory(self) => Some(found),
            Answer::Known(_) | Answer::Coming(_) => None,
        }
    }
}
