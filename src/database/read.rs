//! Reads events out of a database, a page at a time. Each call is one short transaction, so that the
//! write-ahead log can be emptied between two of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::handshakes::Handshakes;
use super::place::{Place, next, place};
use super::schema::{self, Bounds, event_id, position};
use super::{Fault, OpenError};
use crate::event::{Body, ConnectionId, Event, EventBody, EventId, Handshake};
use crate::wire::{self, Recorded};

/// A database that is open for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    handshakes: Handshakes,
    /// The rows of a page, reused.
    page: RawPage,
}

/// Rows that were read and not decoded yet.
#[derive(Debug, Default)]
struct RawPage {
    rows: Vec<RawRow>,
    /// The JSON of all of them.
    text: String,
}

/// A row: its position, its id, and where its JSON ends.
#[derive(Debug)]
struct RawRow {
    at: u64,
    id: EventId,
    end: usize,
}

/// What stands at a position.
#[derive(Debug)]
pub(crate) enum Rows {
    /// Events with consecutive positions from this one on.
    Events(u64, Vec<Arc<Event>>),
    /// Nothing, up to the next event: its position and its id; `None` if there is none.
    Hole(Option<(u64, EventId)>),
}

/// How long a reader waits for a lock, which a writer only holds while it opens a database.
const BUSY: Duration = Duration::from_secs(5);

/// A page ends after this many events.
pub(crate) const PAGE_EVENTS: usize = 1024;

/// The same in bytes of JSON.
const PAGE_BYTES: usize = 256 << 10;

impl Reader {
    /// Opens a database, which another process may be writing.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let open = || -> Result<_, Fault> {
            // Opening for reading alone cannot recover what a killed process has left.
            let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, write)
                .or_else(|_| Connection::open_with_flags(path, read))?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "query_only", true)?;
            schema::check(&connection)?;
            let (handshakes, page) = (Handshakes::default(), RawPage::default());
            Ok(Self { connection, handshakes, page })
        };
        open().map_err(|fault| OpenError { path: path.to_owned(), fault })
    }

    /// Leaves the write-ahead log as it is when this is closed.
    pub(crate) fn keep_wal(&self) {
        schema::keep_wal(&self.connection);
    }

    /// Returns which part of the stream is there.
    pub(crate) fn bounds(&self) -> Result<Bounds, Fault> {
        schema::bounds(&self.connection)
    }

    /// Reads the events from a position on, none after `end`. `fetched` receives the last position
    /// of the page before its events are decoded, unless they are large.
    pub(crate) fn forward(
        &mut self,
        from: u64,
        end: u64,
        fetched: impl FnOnce(u64),
    ) -> Result<Rows, Fault> {
        self.rows(from, end, PAGE_EVENTS, fetched)
    }

    /// The same, at most `limit` events.
    fn rows(
        &mut self,
        from: u64,
        end: u64,
        limit: usize,
        fetched: impl FnOnce(u64),
    ) -> Result<Rows, Fault> {
        let sql = "SELECT id, time, seq, event FROM events WHERE id BETWEEN ?1 AND ?2 ORDER BY id \
                   LIMIT ?3";
        let range = [from.cast_signed(), end.cast_signed(), limit.cast_signed() as i64];
        self.fetch(sql, range, |first, place| first + place)?;
        if let Some(last) = self.page.rows.last().filter(|_| self.page.text.len() < 2 * PAGE_BYTES)
        {
            fetched(last.at);
        }
        let events = self.decoded();
        match events.first() {
            Some((first, _)) if *first == from => {
                let events = self.with_handshakes(events)?;
                Ok(Rows::Events(from, events))
            }
            _ => {
                let next = match next(&self.connection, from)? {
                    // This one is there and cannot be read.
                    Some((at, _)) if at == from => next(&self.connection, from + 1)?,
                    next => next,
                };
                Ok(Rows::Hole(next.filter(|(next, _)| *next <= end)))
            }
        }
    }

    /// Reads the events up to a position, as a reader wants them that goes backwards.
    pub(crate) fn backward(&mut self, to: u64) -> Result<Rows, Fault> {
        let sql =
            "SELECT id, time, seq, event FROM events WHERE id <= ?1 ORDER BY id DESC LIMIT ?2";
        let range = [to.cast_signed(), PAGE_EVENTS.cast_signed() as i64];
        self.fetch(sql, range, |first, place| first - place)?;
        let mut events = self.decoded();
        match events.first() {
            Some((last, _)) if *last == to => {
                events.reverse();
                let first = events[0].0;
                Ok(Rows::Events(first, self.with_handshakes(events)?))
            }
            Some((last, event)) => Ok(Rows::Hole(Some((*last, event.id)))),
            None => Ok(Rows::Hole(self.previous(to.saturating_sub(1))?)),
        }
    }

    /// Reads rows as long as each has the position that `expected` says. Their transaction is over
    /// before they are decoded.
    fn fetch<const N: usize>(
        &mut self,
        sql: &str,
        range: [i64; N],
        expected: impl Fn(u64, u64) -> u64,
    ) -> Result<(), Fault> {
        let RawPage { rows: fetched, text } = &mut self.page;
        fetched.clear();
        text.clear();
        text.shrink_to(2 * PAGE_BYTES);
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(range))?;
        while let Some(row) = rows.next()? {
            let at = position(row, 0)?;
            let first = fetched.first().map_or(at, |first| first.at);
            if at != expected(first, fetched.len() as u64) {
                break;
            }
            let json =
                row.get_ref(3)?.as_str().map_err(|fault| Fault::Damaged(fault.to_string()))?;
            text.push_str(json);
            fetched.push(RawRow { at, id: event_id(row, 1)?, end: text.len() });
            if text.len() >= PAGE_BYTES {
                break;
            }
        }
        Ok(())
    }

    /// Decodes the rows that were read last, up to one that is no event: it is a hole.
    fn decoded(&self) -> Vec<(u64, Event)> {
        let mut events = Vec::with_capacity(self.page.rows.len());
        let mut begin = 0;
        for row in &self.page.rows {
            let Some(event) = event(row.id, &self.page.text[begin..row.end]) else { break };
            events.push((row.at, event));
            begin = row.end;
        }
        events
    }

    /// Reads the newest messages of channels after a position, from the end of the stream backwards,
    /// until they weigh `bytes` together. Those that `keeps` is false for are read without their
    /// content. Returns them in their order, with the id after which they are all: that of the event
    /// at which the reading stopped, or of the newest event if some were lost.
    pub(crate) fn channel_messages(
        &mut self,
        mut after: u64,
        within: Bounds,
        bytes: usize,
        keeps: impl Fn(&Event) -> bool,
    ) -> Result<(Vec<Arc<Event>>, Option<EventId>), Fault> {
        let sql = "SELECT id, time, seq, event FROM events \
                   WHERE id > ?1 AND channel IS NOT NULL AND kind = 'message' ORDER BY id DESC";
        let (mut events, mut weight) = (Vec::new(), 0);
        {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([after.cast_signed()])?;
            while let Some(row) = rows.next()? {
                let text = row.get_ref(3)?.as_str();
                let text = text.map_err(|fault| Fault::Damaged(fault.to_string()))?;
                let Some(mut event) = event(event_id(row, 1)?, text) else { continue };
                if !keeps(&event)
                    && let EventBody::Message(message) = &mut event.body
                {
                    message.body = Body::Absent;
                }
                weight += event.weight();
                let at = position(row, 0)?;
                if weight > bytes {
                    after = at;
                    break;
                }
                events.push((at, event));
            }
        }
        events.reverse();
        let count = "SELECT count(*) FROM events WHERE id > ?1";
        let count: i64 =
            self.connection.query_row(count, [after.cast_signed()], |row| row.get(0))?;
        let since = if count.cast_unsigned() == within.head - after {
            if after == within.floor {
                within.evicted
            } else {
                self.previous(after)?.map(|it| it.1)
            }
        } else {
            within.last
        };
        Ok((self.with_handshakes(events)?, since))
    }

    /// Reads rows from a position on as they are: position, id and JSON.
    pub(super) fn texts(
        &self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, EventId, String)>, Fault> {
        let sql = "SELECT id, time, seq, event FROM events WHERE id >= ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((position(row, 0)?, event_id(row, 1)?, row.get::<_, String>(3)?))
        };
        let rows = statement.query_map([from.cast_signed(), limit.cast_signed() as i64], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds the handshakes of their connections to events in their order.
    fn with_handshakes(&mut self, events: Vec<(u64, Event)>) -> Result<Vec<Arc<Event>>, Fault> {
        let mut known: HashMap<ConnectionId, Option<Arc<Handshake>>> = HashMap::new();
        let mut done = Vec::with_capacity(events.len());
        for (position, mut event) in events {
            event.handshake = match &event.body {
                EventBody::Connect(connect) => {
                    let own = Some(Arc::new(Handshake::of(connect)));
                    known.insert(event.connection.clone(), own.clone());
                    own
                }
                EventBody::Close(close) if close.refused.is_some() => {
                    close.refused.as_ref().map(|connect| Arc::new(Handshake::of(connect)))
                }
                EventBody::Lost(_) => None,
                _ => {
                    if let Some(handshake) = known.get(&event.connection) {
                        handshake.clone()
                    } else {
                        let found =
                            self.handshakes.at(&self.connection, &event.connection, position)?;
                        known.insert(event.connection.clone(), found.clone());
                        found
                    }
                }
            };
            done.push(Arc::new(event));
        }
        Ok(done)
    }

    /// Returns the last event up to a position.
    fn previous(&self, to: u64) -> Result<Option<(u64, EventId)>, Fault> {
        let sql = "SELECT id, time, seq FROM events WHERE id <= ?1 ORDER BY id DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((position(row, 0)?, event_id(row, 1)?));
        Ok(statement.query_row([to.cast_signed()], read).optional()?)
    }

    /// Finds the place of an event id.
    pub(crate) fn place(&self, id: EventId, within: Bounds) -> Result<Place, Fault> {
        place(&self.connection, id, within)
    }

    /// Returns the id of the oldest event after a position.
    pub(crate) fn oldest(&self, floor: u64) -> Result<Option<EventId>, Fault> {
        Ok(next(&self.connection, floor + 1)?.map(|(_, id)| id))
    }

    /// Returns those of some events that are there. Reads at most twice as many as it looks for.
    pub(crate) fn pick(
        &mut self,
        ids: &[EventId],
        within: Bounds,
    ) -> Result<Vec<Arc<Event>>, Fault> {
        let mut found: Vec<Arc<Event>> = Vec::with_capacity(ids.len());
        // `used` are the events of the page that were looked for.
        let (mut page, mut used) = (Vec::new(), 0);
        for id in ids {
            // Neighbours in a list are often neighbours in the stream.
            let place = page.binary_search_by_key(id, |event: &Arc<Event>| event.id);
            if let Ok(place) = place {
                found.push(Arc::clone(&page[place]));
                used += 1;
                continue;
            }
            let Some((at, known)) = self.place(*id, within)?.last else { continue };
            if known != *id {
                continue;
            }
            let limit = (2 * used).clamp(1, PAGE_EVENTS);
            if let Rows::Events(_, events) = self.rows(at, within.head, limit, |_| {})? {
                found.extend(events.first().cloned());
                (page, used) = (events, 1);
            }
        }
        Ok(found)
    }
}

/// Reads an event; `None` if it is none.
fn event(id: EventId, text: &str) -> Option<Event> {
    match wire::read(text) {
        Ok(Recorded::Event(event)) => Some(Event { id, ..event }),
        Ok(Recorded::Gap(gap)) => Some(Event::lost(gap.missed.unwrap_or_default(), id)),
        Err(_) => None,
    }
}
