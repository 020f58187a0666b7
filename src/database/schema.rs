//! The schema, which is stable and versioned: other programs read it.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};

use super::Fault;
use crate::event::EventId;

/// The tables, as `events` and `meta`, and the view `messages`. `time` is in milliseconds since 1970,
/// and `time-seq` is the id of the event in the stream. `event` is its full JSON.
const CREATE: &str = "
CREATE TABLE events(
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT,
    channel TEXT,
    direction TEXT,
    size INTEGER,
    event TEXT NOT NULL
);
CREATE INDEX events_connect ON events(connection) WHERE kind = 'connect';
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE VIEW messages AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000.0, 'unixepoch') AS time,
        connection, channel, direction, size, event ->> '$.message' AS message
    FROM events WHERE kind = 'message';
INSERT INTO meta VALUES ('schema', 1);
";

/// The statements that make schema `n + 1` of schema `n`, from schema 1 on.
const MIGRATIONS: [&str; 0] = [];

/// The newest schema.
const SCHEMA: i64 = 1;

/// In the head of the file, for the program `file`: `wstp`.
const APPLICATION_ID: i64 = 0x7773_7470;

/// The part of the stream that a database has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Position before the oldest event.
    pub(crate) floor: u64,
    /// The id of the event at that position, if there was one.
    pub(crate) evicted: Option<EventId>,
    /// Position of the newest event, also if it was deleted.
    pub(crate) head: u64,
    /// The id of that event.
    pub(crate) last: Option<EventId>,
}

/// Makes the tables of a new database, or brings those of an older version up to date.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), Fault> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let empty: bool =
        transaction
            .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", (), |row| row.get(0))?;
    if empty {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(CREATE)?;
    }
    let found = check(&transaction)?;
    let steps = usize::try_from(found - 1).map_err(|_| Fault::Foreign)?;
    for step in MIGRATIONS.iter().skip(steps) {
        transaction.execute_batch(step)?;
    }
    if found < SCHEMA || empty {
        let set = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
        transaction.execute(set, ("schema", SCHEMA))?;
        transaction.execute(set, ("wstap", env!("CARGO_PKG_VERSION")))?;
    }
    transaction.commit()?;
    Ok(())
}

/// Returns the schema of a database.
///
/// # Errors
///
/// [`Fault::Newer`] or [`Fault::Foreign`].
pub(super) fn check(connection: &Connection) -> Result<i64, Fault> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('events', 'meta')";
    let tables: i64 = connection.query_row(tables, (), |row| row.get(0))?;
    if tables < 2 {
        return Err(Fault::Foreign);
    }
    let found = meta(connection, "schema")?.ok_or(Fault::Foreign)?;
    let found: i64 = found.parse().map_err(|_| Fault::Foreign)?;
    if found > SCHEMA { Err(Fault::Newer { found, known: SCHEMA }) } else { Ok(found) }
}

/// Returns a value of `meta` as text.
pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>, Fault> {
    let value = "SELECT CAST(value AS TEXT) FROM meta WHERE key = ?1";
    Ok(connection.query_row(value, [key], |row| row.get(0)).optional()?)
}

/// Reads which part of the stream is there.
pub(super) fn bounds(connection: &Connection) -> Result<Bounds, Fault> {
    let end = |order: &str| {
        let sql = format!("SELECT id, time, seq FROM events ORDER BY id {order} LIMIT 1");
        let read = |row: &rusqlite::Row<'_>| Ok((position(row, 0)?, event_id(row, 1)?));
        connection.query_row(&sql, (), read).optional()
    };
    let deleted = meta(connection, "deleted")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let evicted = meta(connection, "deleted_id")?.and_then(|text| text.parse().ok());
    let Some((first, _)) = end("ASC")? else {
        return Ok(Bounds { floor: deleted, evicted, head: deleted, last: evicted });
    };
    let newest = end("DESC")?;
    Ok(Bounds {
        floor: first.saturating_sub(1).max(deleted),
        evicted,
        head: newest.map_or(deleted, |(head, _)| head),
        last: newest.map(|(_, id)| id),
    })
}

/// Leaves the write-ahead log as it is when a connection is closed. The last one would empty it
/// otherwise, which syncs files whose sync may have failed.
pub(super) fn keep_wal(connection: &Connection) {
    // An option that every version of SQLite in use has.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// Reads a position from a column.
pub(super) fn position(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// Reads an event id from `time` and `seq` in two columns.
pub(super) fn event_id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<EventId> {
    Ok(EventId { ms: position(row, column)?, seq: position(row, column + 1)? })
}
