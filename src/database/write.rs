//! Writes events into a database.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::place::place;
use super::row::Row;
use super::schema::{self, Bounds};
use super::{Fault, OpenError};
use crate::event::{Channel, Direction, Event, EventBody, EventId, Kind};
use crate::wire;

/// When what was committed is safe from a power cut. A process that is killed loses nothing in any
/// case: what was committed is with the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// With each commit.
    Commit,
    /// When the file of the write-ahead log is synced by another thread.
    Later,
}

/// How long a write waits for a lock that another process holds. Listeners wait as long.
const BUSY: Duration = Duration::from_millis(250);

/// How long the start waits for it.
const BUSY_AT_START: Duration = Duration::from_secs(5);

/// A database that is open for writing. Only one writer is open at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    /// The JSON of an event, reused.
    text: Vec<u8>,
}

impl Writer {
    /// Opens or creates a database, with a write-ahead log that others can read beside it.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<(Self, Bounds), OpenError> {
        let of = |fault| OpenError { path: path.to_owned(), fault };
        let open = || -> Result<_, Fault> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_AT_START)?;
            let mode: String =
                connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
            if mode != "wal" {
                return Err(Fault::Failed(
                    "its file system has no shared memory, which a write-ahead log needs".into(),
                ));
            }
            let synchronous = match durability {
                Durability::Commit => "FULL",
                Durability::Later => "NORMAL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            // Another thread does it.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.wal_hook(Some(|_, pages| {
                WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
                Ok(())
            }));
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            schema::prepare(&mut connection)?;
            connection.busy_timeout(BUSY)?;
            let bounds = schema::bounds(&connection)?;
            Ok((Self { connection, path: path.to_owned(), text: Vec::new() }, bounds))
        };
        open().map_err(of)
    }

    /// Sets to how many bytes the file of the write-ahead log shrinks when it is emptied.
    pub(crate) fn limit_wal(&self, bytes: u64) -> Result<(), Fault> {
        Ok(self.connection.pragma_update_and_check(
            None,
            "journal_size_limit",
            bytes.cast_signed(),
            |_| Ok(()),
        )?)
    }

    /// Adds events with their positions in one transaction.
    pub(crate) fn append<'a>(
        &mut self,
        events: impl Iterator<Item = (u64, &'a Event)>,
    ) -> Result<(), Fault> {
        self.append_rows(events.map(|(position, event)| (position, Row::Event(event))))
    }

    /// The same with gaps.
    pub(super) fn append_rows<'a>(
        &mut self,
        rows: impl Iterator<Item = (u64, Row<'a>)>,
    ) -> Result<(), Fault> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            for (position, row) in rows {
                self.text.clear();
                let (id, event) = match row {
                    Row::Event(event) => {
                        wire::full(event, &mut self.text);
                        (event.id, Some(event))
                    }
                    Row::Gap(at, gap) => {
                        wire::full_gap(gap, &mut self.text);
                        (at, None)
                    }
                };
                let text = std::str::from_utf8(&self.text).expect("JSON is text");
                let size = event.and_then(|event| match &event.body {
                    EventBody::Message(message) => Some(message.size.cast_signed()),
                    _ => None,
                });
                let named = event.filter(|event| !event.connection.is_nobody());
                insert.execute((
                    position.cast_signed(),
                    id.ms.cast_signed(),
                    id.seq.cast_signed(),
                    event.map_or(Kind::Gap, Event::kind).as_str(),
                    named.map(|event| event.connection.as_str()),
                    event.and_then(Event::channel).map(Channel::as_str),
                    event.and_then(Event::direction).map(Direction::as_str),
                    size,
                    text,
                ))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Deletes the events up to a position. Returns the ids of the last of them and of the oldest that
    /// is left.
    pub(crate) fn delete(
        &mut self,
        until: u64,
    ) -> Result<(Option<EventId>, Option<EventId>), Fault> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let until = until.cast_signed();
        let id = |order: &str| -> rusqlite::Result<Option<EventId>> {
            let sql = format!("SELECT time, seq FROM events WHERE id {order} LIMIT 1");
            let read = |row: &rusqlite::Row<'_>| schema::event_id(row, 0);
            transaction.prepare_cached(&sql)?.query_row([until], read).optional()
        };
        let (last, oldest) = (id("<= ?1 ORDER BY id DESC")?, id("> ?1 ORDER BY id")?);
        transaction.prepare_cached("DELETE FROM events WHERE id <= ?1")?.execute([until])?;
        let set = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
        transaction.prepare_cached(set)?.execute(("deleted", until))?;
        if let Some(last) = last {
            transaction.prepare_cached(set)?.execute(("deleted_id", last.to_string()))?;
        }
        transaction.commit()?;
        Ok((last, oldest))
    }

    /// Returns the last position of a range whose event is older than a time, in milliseconds since
    /// 1970; `floor` if there is none.
    pub(crate) fn last_before(&self, ms: u64, floor: u64, end: u64) -> Result<u64, Fault> {
        let Some(ms) = ms.checked_sub(1) else { return Ok(floor) };
        let range = Bounds { floor, head: end, ..Bounds::default() };
        let place = place(&self.connection, EventId { ms, seq: u64::MAX }, range)?;
        Ok(place.last.map_or(floor, |(position, _)| position))
    }

    /// Writes something, to find out whether that is possible again.
    pub(crate) fn probe(&mut self) -> Result<(), Fault> {
        let set = "INSERT OR REPLACE INTO meta VALUES ('wstap', ?1)";
        self.connection.execute(set, [env!("CARGO_PKG_VERSION")])?;
        Ok(())
    }

    /// Returns the bytes of the file that hold something.
    pub(crate) fn used_bytes(&self) -> Result<u64, Fault> {
        let pragma = |name: &str| -> rusqlite::Result<i64> {
            self.connection
                .prepare_cached(&format!("PRAGMA {name}"))?
                .query_row((), |row| row.get(0))
        };
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        Ok((pages * pragma("page_size")?).cast_unsigned())
    }

    /// Returns the pages of the write-ahead log after the last transaction, which was of this thread.
    #[expect(clippy::unused_self, reason = "the number is that of this connection")]
    pub(crate) fn wal_pages(&self) -> u64 {
        WAL_PAGES.get()
    }

    /// Moves what the write-ahead log holds into the database, and empties the log. Waits for readers.
    ///
    /// # Errors
    ///
    /// [`Fault::Locked`] if a reader takes too long.
    pub(crate) fn checkpoint(&self) -> Result<(), Fault> {
        checkpoint(&self.connection, "RESTART")
    }

    /// Leaves the write-ahead log as it is when this is closed.
    pub(crate) fn keep_wal(&self) {
        schema::keep_wal(&self.connection);
    }

    /// Makes one file of a recording that is complete: without a write-ahead log beside it.
    pub(crate) fn finish(self) -> Result<(), OpenError> {
        let of = |fault| OpenError { path: self.path.clone(), fault };
        let single = "PRAGMA journal_mode = DELETE";
        self.connection.query_row(single, (), |_| Ok(())).map_err(|error| of(error.into()))
    }
}

thread_local! {
    /// Set by the hook of SQLite, which cannot capture.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// A connection that moves the content of the write-ahead log into the database.
#[derive(Debug)]
pub(crate) struct Checkpointer(Connection);

impl Checkpointer {
    /// Opens a database that a writer has open.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let open = || -> Result<_, Fault> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(Self(connection))
        };
        open().map_err(|fault| OpenError { path: path.to_owned(), fault })
    }

    /// Leaves the write-ahead log as it is when this is closed.
    pub(crate) fn keep_wal(&self) {
        schema::keep_wal(&self.0);
    }

    /// Moves what it can without waiting for readers and for the writer.
    pub(crate) fn passive(&self) -> Result<(), Fault> {
        checkpoint(&self.0, "PASSIVE")
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<(), Fault> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let busy: bool = connection.prepare_cached(&sql)?.query_row((), |row| row.get(0))?;
    if busy { Err(Fault::Locked) } else { Ok(()) }
}

/// Memory for pages of the database that a connection holds, in KiB.
const CACHE_KIB: i64 = 4096;
