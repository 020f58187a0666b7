//! The thread that makes what is written durable: it syncs the write-ahead log, and moves its content
//! into the database while the writer goes on.

use std::fs::File;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::inner::Inner;
use super::settings::LogSync;
use crate::database::{Checkpointer, Fault};

/// Time between two looks at what there is to do.
const TICK: Duration = Duration::from_millis(50);

/// Pages of the write-ahead log that are worth a checkpoint: 8 MiB.
const PAGES: u64 = 2048;

/// Syncs and checkpoints until the writer has ended, or a fault ends writing for good.
pub(super) fn run(inner: &Inner, sync: LogSync) {
    let checkpointer = match Checkpointer::open(inner.disk.path()) {
        Ok(checkpointer) => checkpointer,
        Err(error) => return inner.disk.fail(error.fault),
    };
    if let Err(fault) = keep(inner, sync, &checkpointer) {
        inner.disk.fail(fault);
    }
    if inner.is_failing() {
        checkpointer.keep_wal();
    }
}

fn keep(inner: &Inner, sync: LogSync, checkpointer: &Checkpointer) -> Result<(), Fault> {
    let every = match sync {
        LogSync::Always => None,
        LogSync::Every(every) => Some(every),
    };
    let (mut wal, mut synced, mut last) = (None, 0, Instant::now());
    loop {
        let closed = inner.disk.closed.load(Relaxed);
        let commits = inner.disk.commits.load(Relaxed);
        let due = every.is_some_and(|every| closed || last.elapsed() >= every);
        if due && commits != synced {
            last = Instant::now();
            if let Err(error) = self::sync(inner, &mut wal) {
                // What the system has dropped after a failed sync is not known: no second try.
                return Err(Fault::NotSynced(error.to_string()));
            }
            synced = commits;
        }
        if closed {
            return Ok(());
        }
        if inner.disk.wal_pages.load(Relaxed) >= PAGES {
            match checkpointer.passive() {
                Ok(()) | Err(Fault::Locked | Fault::Full | Fault::ReadOnly) => {}
                Err(fault) => return Err(fault),
            }
        }
        std::thread::sleep(every.map_or(TICK, |every| every.min(TICK)));
    }
}

fn sync(inner: &Inner, wal: &mut Option<File>) -> std::io::Result<()> {
    if wal.is_none() {
        *wal = Some(inner.disk.open_wal()?);
    }
    wal.as_ref().map_or(Ok(()), File::sync_data)
}
