//! The queue of an audit log, and the thread that writes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use serde_json::json;

use crate::wire;

/// Lines that wait for the writer: some 2 MiB, 10 MiB of strangers' longest requests, and what a disk takes
/// that stands still for a second.
const WAITING: usize = 4096;

/// How long the end of a server waits for a writer whose queue is full.
const PATIENCE: Duration = Duration::from_secs(2);

enum Job {
    Line(String),
    Reopen,
    Stop,
}

/// The queue of an audit log.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicU64>,
    lost_in_all: Counter,
}

impl Queue {
    /// Writes a line, or counts it as lost. Never waits.
    pub(super) fn write(&self, line: &impl Serialize) {
        let Ok(text) = serde_json::to_string(line) else { return };
        if self.jobs.try_send(Job::Line(text)).is_err() {
            self.lost.fetch_add(1, Relaxed);
            self.lost_in_all.inc();
        }
    }
}

/// An open audit log.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Where an audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// Standard output.
    Stdout,
    /// A file, which is created for its owner alone and appended to.
    File(PathBuf),
}

impl Log {
    /// Opens an audit log. `lost` counts the lines that are lost.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn open(to: Writer, lost: Counter) -> io::Result<Self> {
        let out = to.open()?;
        let (jobs, waiting) = sync_channel(WAITING);
        let lines_lost = Arc::<AtomicU64>::default();
        let queue = Queue { jobs, lost: Arc::clone(&lines_lost), lost_in_all: lost.clone() };
        let thread = Thread { to, out, lost: lines_lost, lost_in_all: lost, failed: false };
        let writer = std::thread::spawn(move || thread.run(&waiting));
        Ok(Self { queue: Arc::new(queue), writer: Mutex::new(Some(writer)) })
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Opens the file again, which another program has moved away.
    pub fn reopen(&self) {
        // A full queue is that of a writer that stands still. It opens the file when it fails.
        let _ = self.queue.jobs.try_send(Job::Reopen);
    }

    /// Writes what waits, and ends.
    pub fn finish(&self) {
        let mut writer = self.writer.lock().expect("nothing panics while it holds this lock");
        let Some(writer) = writer.take() else { return };
        let end = Instant::now() + PATIENCE;
        let mut stop = self.queue.jobs.try_send(Job::Stop);
        while let Err(TrySendError::Full(_)) = stop {
            if Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
            stop = self.queue.jobs.try_send(Job::Stop);
        }
        // A panic of the writer has been logged.
        let _ = writer.join();
    }
}

impl Writer {
    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        match self {
            Self::Stdout => Ok(Box::new(io::stdout())),
            Self::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file: File = options.open(path)?;
                Ok(Box::new(file))
            }
        }
    }
}

struct Thread {
    to: Writer,
    out: Box<dyn Write + Send>,
    lost: Arc<AtomicU64>,
    lost_in_all: Counter,
    /// Whether the last line could not be written, which is logged once.
    failed: bool,
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Line(line) => {
                    self.tell_lost();
                    if !self.write(line) {
                        self.lost.fetch_add(1, Relaxed);
                        self.lost_in_all.inc();
                    }
                }
                Job::Reopen => match self.to.open() {
                    Ok(out) => self.out = out,
                    Err(error) => tracing::error!("audit-log: {error}; the old file is kept"),
                },
                Job::Stop => break,
            }
        }
        self.tell_lost();
    }

    /// Writes how many lines were lost since the last one.
    fn tell_lost(&mut self) {
        let lost = self.lost.swap(0, Relaxed);
        if lost == 0 {
            return;
        }
        let time = wire::time(now_ms()).to_string();
        let line = json!({"time": time, "action": "lost", "lines": lost}).to_string();
        if !self.write(line) {
            self.lost.fetch_add(lost, Relaxed);
        }
    }

    /// Writes one line by one write, so that lines of several processes stay whole.
    fn write(&mut self, mut line: String) -> bool {
        line.push('\n');
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        if let Err(error) = &written
            && !self.failed
        {
            tracing::error!("audit-log: {error}; lines are lost until it can be written");
        }
        self.failed = written.is_err();
        written.is_ok()
    }
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_do_not_fit_are_counted_and_told() {
        let (jobs, waiting) = sync_channel(2);
        let (lost, lost_in_all) = (Arc::<AtomicU64>::default(), Counter::default());
        let queue = Queue { jobs, lost: Arc::clone(&lost), lost_in_all: lost_in_all.clone() };
        for n in 0..5 {
            queue.write(&json!({"n": n}));
        }
        assert_eq!(lost_in_all.get(), 3);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("audit");
        let to = Writer::File(path.clone());
        let out = to.open().expect("opened");
        drop(queue);
        Thread { to, out, lost, lost_in_all, failed: false }.run(&waiting);
        let text = std::fs::read_to_string(path).expect("written");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("\"lost\"") && lines[0].contains("\"lines\":3"), "{text}");
        assert_eq!(lines[1..], ["{\"n\":0}", "{\"n\":1}"]);
    }

    #[test]
    fn file_that_was_moved_is_opened_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, moved) = (dir.path().join("audit"), dir.path().join("audit.1"));
        let log = Log::open(Writer::File(path.clone()), Counter::default()).expect("opened");
        log.queue().write(&1);
        // The writer has its turn before the file is moved.
        let end = Instant::now() + Duration::from_secs(20);
        while std::fs::read_to_string(&path).expect("a file").is_empty() {
            assert!(Instant::now() < end, "the line is written");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::rename(&path, &moved).expect("moved");
        log.reopen();
        log.queue().write(&2);
        log.finish();
        assert_eq!(std::fs::read_to_string(moved).expect("a file"), "1\n");
        assert_eq!(std::fs::read_to_string(path).expect("a file"), "2\n");
    }
}
