//! How far the stream has come, beside the database, so that no id is given twice.
//!
//! Two things make the stream longer than the database. While the log fails, events are announced that
//! the database does not have. After a power cut the events of `--sync` may be missing. A restart goes
//! on behind them, also if the clock was set back, and leaves a gap in their place.
//!
//! The lock file notes it in two lines of 64 bytes: the position and the id of the last event that was
//! announced while the log failed, and whether the log is open (`running MS BOOT`, with `--sync` in
//! milliseconds and the boot of the machine) or was closed (`stopped`). Its space is allocated at the
//! start, so that it can be written when the disk is full or the database is locked.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::database::Bounds;
use crate::event::EventId;

/// Bytes of a line: two numbers of 20 digits and an id, or a word, a number and a UUID.
const LINE: usize = 64;

/// What a sync may be later than it is due, in milliseconds: its own duration, and a tick.
const LATE_MS: u64 = 1000;

/// The lock file.
#[derive(Debug)]
pub(super) struct HighWater {
    /// `None` after the log was closed: the file may be that of another process then.
    file: Mutex<Option<File>>,
    /// The second line while the log is open.
    running: String,
}

impl HighWater {
    /// Takes the lock file, moves the end of the stream behind what an earlier process may have
    /// announced, and notes that the log is open. A power cut takes events of the time `sync`.
    pub(super) fn open(file: File, sync: Duration, bounds: &mut Bounds) -> io::Result<Self> {
        let mut text = String::new();
        (&file).take(2 * LINE as u64).read_to_string(&mut text)?;
        let mut lines = text.lines();
        let (noted, state) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        let boot = boot();
        raise(bounds, noted, state, &boot);
        let ms = u64::try_from(sync.as_millis()).unwrap_or(u64::MAX);
        let this = Self { file: Mutex::new(Some(file)), running: format!("running {ms} {boot}") };
        this.put(0, noted.trim())?;
        this.put(1, &this.running)?;
        this.sync()?;
        Ok(this)
    }

    /// Notes an event that is about to be announced and is not in the database.
    pub(super) fn note(&self, position: u64, id: EventId) -> io::Result<()> {
        self.put(0, &format!("{position} {id}"))
    }

    /// Writes nothing more. With `complete` all of the stream is in the database, for good; otherwise
    /// the next start goes on as after a crash.
    pub(super) fn close(&self, complete: bool) {
        if complete {
            // Where this fails, the next start goes on as after a crash as well.
            let _ = self.put(1, "stopped");
        }
        *self.lock() = None;
    }

    /// Writes what is there already, to see what the system says.
    pub(super) fn probe(&self) -> io::Result<()> {
        self.put(1, &self.running)
    }

    /// Makes durable what was noted.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.lock().as_ref().map_or_else(|| Err(closed()), File::sync_data)
    }

    fn put(&self, line: usize, text: &str) -> io::Result<()> {
        let file = self.lock();
        let mut file = file.as_ref().ok_or_else(closed)?;
        file.seek(SeekFrom::Start((line * LINE) as u64))?;
        file.write_all(format!("{text:<width$.width$}\n", width = LINE - 1).as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().expect("nothing panics while it holds this lock")
    }
}

/// Moves the end of the stream behind what may have been announced.
fn raise(bounds: &mut Bounds, noted: &str, state: &str, boot: &str) {
    let read = |text: &str| -> Option<(u64, EventId)> {
        let (position, id) = text.trim().split_once(' ')?;
        Some((position.parse().ok()?, id.parse().ok()?))
    };
    if let Some((position, id)) = read(noted)
        && bounds.last.is_none_or(|last| id > last)
    {
        (bounds.head, bounds.last) = (bounds.head.max(position), Some(id));
    }
    let mut words = state.split_whitespace();
    let running = words.next() == Some("running");
    let ms = words.next().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    // A process that was killed has lost nothing. A machine that has started again may have.
    let started_again = boot.is_empty() || words.next() != Some(boot);
    if let Some(last) = &mut bounds.last
        && running
        && started_again
        && ms > 0
    {
        last.ms = last.ms.saturating_add(ms).saturating_add(LATE_MS);
    }
}

fn closed() -> io::Error {
    io::Error::other("the log is closed")
}

/// Returns what names this start of the machine; empty where the system does not say it.
fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(noted: &str, state: &str, boot: &str) -> (u64, String) {
        let last = Some(EventId { ms: 5000, seq: 7 });
        let mut bounds = Bounds { head: 10, last, ..Bounds::default() };
        raise(&mut bounds, noted, state, boot);
        (bounds.head, bounds.last.expect("an id").to_string())
    }

    #[test]
    fn stream_goes_on_behind_what_may_have_been_announced() {
        let same = (10, "5000-7".to_owned());
        assert_eq!(raised("", "", "b"), same, "a new file");
        assert_eq!(raised("", "stopped", "b"), same);
        assert_eq!(raised("9 4000-0", "running 1000 b", "b"), same, "a process was killed");
        assert_eq!(raised("", "running 0 a", "b"), same, "each commit was synced");
        assert_eq!(raised("", "running 1000 a", "b"), (10, "7000-7".to_owned()), "a power cut");
        assert_eq!(raised("", "running 1000 ", ""), (10, "7000-7".to_owned()), "it is not known");
        assert_eq!(raised("12 5000-9", "stopped", "b"), (12, "5000-9".to_owned()));
        assert_eq!(raised("12 6000-0", "running 500 a", "b"), (12, "7500-0".to_owned()));
        assert_eq!(raised("12 torn", "run", "b"), same);
    }
}
