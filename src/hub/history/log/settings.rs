//! The settings of a log on disk, and why it cannot be opened.

use std::path::PathBuf;
use std::time::Duration;

use super::retention::Keeps;
use crate::database::OpenError;

/// The settings of a log on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The directory of the database, which is made if it does not exist.
    pub directory: PathBuf,
    /// How much a power cut may take.
    pub sync: LogSync,
    /// Bytes that the log takes on disk at most; `None` is no limit.
    pub bytes: Option<u64>,
    /// Events that are older are deleted; `None` is no limit.
    pub age: Option<Duration>,
    /// Events that are kept at most; `None` is no limit.
    pub events: Option<u64>,
}

/// How much of a log a power cut may take. A process that is killed takes nothing in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSync {
    /// Nothing that an ack or a listener has told: every transaction waits for the disk.
    Always,
    /// Events of this time.
    Every(Duration),
}

impl LogSettings {
    /// Keeps a log in a directory, with the defaults of the program: 10 GiB, and a second for a power
    /// cut.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            sync: LogSync::Every(Duration::from_secs(1)),
            bytes: Some(10 << 30),
            age: None,
            events: None,
        }
    }

    pub(super) fn retention(&self) -> Keeps {
        Keeps { bytes: self.bytes, age: self.age, events: self.events }
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The directory cannot be made or written.
    #[error("{}: {_1}", _0.display())]
    Folder(PathBuf, std::io::Error),
    /// The directory is a file.
    #[error("{}: it is a file; the log needs a directory", _0.display())]
    File(PathBuf),
    /// Another process has the log open.
    #[error("{}: another wstap uses this directory; each server needs one of its own", _0.display())]
    InUse(PathBuf),
    /// The database cannot be used.
    #[error("{0}")]
    Database(String),
    /// A thread could not be started.
    #[error("cannot start a thread ({0})")]
    Thread(std::io::Error),
}

impl From<OpenError> for LogError {
    fn from(error: OpenError) -> Self {
        Self::Database(error.to_string())
    }
}
