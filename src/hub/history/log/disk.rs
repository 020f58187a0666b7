//! The files of the log: whether they are still there, their size, and what the threads know of
//! their state.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use crate::database::Fault;

/// The files of the log.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// What names the file of the database on its file system.
    identity: u64,
    /// Pages in the write-ahead log.
    pub(super) wal_pages: AtomicU64,
    /// Transactions so far.
    pub(super) commits: AtomicU64,
    /// The writer has ended.
    pub(super) closed: AtomicBool,
    /// A fault that ends writing for good, which the keeper has found.
    fatal: Mutex<Option<Fault>>,
    /// A position that could not be read.
    unreadable: Mutex<Option<u64>>,
}

impl Disk {
    pub(super) fn new(path: PathBuf) -> std::io::Result<Self> {
        let identity = identity(&fs::metadata(&path)?);
        Ok(Self {
            path,
            identity,
            wal_pages: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            fatal: Mutex::new(None),
            unreadable: Mutex::new(None),
        })
    }

    /// Returns the file of the database.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    fn wal(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        name.into()
    }

    /// Opens the write-ahead log, to sync it. No lock of SQLite is on that file.
    pub(super) fn open_wal(&self) -> std::io::Result<File> {
        File::options().read(true).write(true).open(self.wal())
    }

    /// Returns the sizes of the database and of its write-ahead log.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
        (size(&self.path), size(&self.wal()))
    }

    /// Returns whether the database is the file that was opened.
    pub(super) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| identity(&file) == self.identity)
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.fatal().get_or_insert(fault);
    }

    pub(super) fn fatal(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fatal.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns the position that could not be read, if that is so.
    pub(super) fn unreadable(&self) -> MutexGuard<'_, Option<u64>> {
        self.unreadable.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn count_commit(&self, wal_pages: u64) {
        self.commits.fetch_add(1, Relaxed);
        self.wal_pages.store(wal_pages, Relaxed);
    }
}

#[cfg(unix)]
fn identity(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

/// Elsewhere a file that was replaced is not noticed; one that is open cannot be removed there.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> u64 {
    0
}
