//! What can be wrong with a database.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a database cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// No space is left.
    #[error("the disk is full")]
    Full,
    /// The file, its directory or the file system is read-only.
    #[error("it is read-only")]
    ReadOnly,
    /// Another process holds a lock.
    #[error("another process has locked it")]
    Locked,
    /// The content is damaged.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// The file is something else.
    #[error("it is not a database of SQLite")]
    NotDatabase,
    /// The file is a database of another program.
    #[error("it is a database of another program: it has no events of wstap")]
    Foreign,
    /// A newer version has written it.
    #[error(
        "its schema {found} is newer than this wstap, which knows up to {known}; use the version that has written it"
    )]
    Newer {
        /// Schema of the file.
        found: i64,
        /// The newest schema that is known.
        known: i64,
    },
    /// The file was removed or replaced.
    #[error("it was removed or replaced")]
    Vanished,
    /// What was written could not be made durable.
    #[error("the disk did not keep what was written ({0})")]
    NotSynced(String),
    /// Reading or writing has failed.
    #[error("{0}")]
    Failed(String),
}

impl Fault {
    /// Returns whether it may end by itself, so that writing is tried again.
    pub(crate) fn may_heal(&self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::Locked)
    }
}

/// Extended result code of SQLite: `fsync` has failed.
const IOERR_FSYNC: i32 = 1034;

/// The same for a directory.
const IOERR_DIR_FSYNC: i32 = 1290;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, text) = &error else {
            return Self::Failed(error.to_string());
        };
        let text = || text.clone().unwrap_or_else(|| code.to_string());
        match (code.code, code.extended_code) {
            (ErrorCode::DiskFull, _) => Self::Full,
            (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => Self::ReadOnly,
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Locked,
            (ErrorCode::DatabaseCorrupt, _) => Self::Damaged(text()),
            (ErrorCode::NotADatabase, _) => Self::NotDatabase,
            (_, IOERR_FSYNC | IOERR_DIR_FSYNC) => Self::NotSynced(text()),
            _ => Self::Failed(text()),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Error of opening a database.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub(crate) struct OpenError {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is wrong with it.
    pub(crate) fault: Fault,
}
