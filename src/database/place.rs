//! Finds events by their ids. Ids grow with positions, so that bisection finds one in 30 steps.

use rusqlite::{Connection, OptionalExtension as _};

use super::Fault;
use super::schema::{Bounds, event_id, position};
use crate::event::EventId;

/// Where an event id or a time stands among the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The last event that is not after it: its position and its id; `None` if all are.
    pub(crate) last: Option<(u64, EventId)>,
    /// The first event that is after it.
    pub(crate) next: Option<(u64, EventId)>,
}

/// Finds the place of an event id within a part of the stream.
pub(super) fn place(connection: &Connection, id: EventId, within: Bounds) -> Result<Place, Fault> {
    let (mut low, mut high, mut last) = (within.floor, within.head, None);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match next(connection, middle)? {
            Some((at, found)) if found <= id && at <= high => {
                (low, last) = (at, Some((at, found)));
            }
            _ => high = middle - 1,
        }
    }
    Ok(Place { last, next: next(connection, low + 1)? })
}

/// Returns the first event from a position on.
pub(super) fn next(connection: &Connection, from: u64) -> Result<Option<(u64, EventId)>, Fault> {
    let sql = "SELECT id, time, seq FROM events WHERE id >= ?1 ORDER BY id LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((position(row, 0)?, event_id(row, 1)?));
    Ok(statement.query_row([from.cast_signed()], read).optional()?)
}
