//! Recordings as databases: written one event after the other, and read from the first to the last.
//!
//! Positions count the events of the file. A gap of a known size leaves as many positions empty; one
//! of an unknown size is a row of kind `gap`.

use std::path::Path;

use super::read::PAGE_EVENTS;
use super::row::Row;
use super::{Durability, Fault, OpenError, Reader, Writer};
use crate::event::{Event, EventId, Gap};
use crate::wire::{self, Recorded, Unreadable};

/// A database that a recording is appended to.
#[derive(Debug)]
pub(crate) struct Recording {
    writer: Writer,
    /// Position of the last event.
    position: u64,
    last: Option<EventId>,
}

impl Recording {
    /// Opens or creates a recording.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let (writer, bounds) = Writer::open(path, Durability::Later)?;
        Ok(Self { writer, position: bounds.head, last: bounds.last })
    }

    /// Returns the id of the last event.
    pub(crate) fn last(&self) -> Option<EventId> {
        self.last
    }

    /// Appends events and gaps in one transaction.
    pub(crate) fn append(&mut self, recorded: &[Recorded]) -> Result<(), Fault> {
        let (mut position, mut last) = (self.position, self.last);
        let mut rows: Vec<(u64, Row<'_>)> = Vec::with_capacity(recorded.len());
        for recorded in recorded {
            match recorded {
                Recorded::Event(event) => {
                    position += 1;
                    last = Some(event.id);
                    rows.push((position, Row::Event(event)));
                }
                Recorded::Gap(Gap { missed: Some(missed), .. }) => position += missed,
                Recorded::Gap(gap) => {
                    position += 1;
                    let at = gap.after.or(last).unwrap_or_default();
                    rows.push((position, Row::Gap(at, gap)));
                }
            }
        }
        self.writer.append_rows(rows.into_iter())?;
        (self.position, self.last) = (position, last);
        Ok(())
    }

    /// Completes the file: nothing beside it belongs to it.
    pub(crate) fn finish(self) -> Result<(), OpenError> {
        self.writer.finish()
    }
}

/// An event of a database, a gap, or why a row is neither.
pub(crate) type Read = Result<Recorded, Unreadable>;

/// Calls `each` with the events and gaps of a database in their order, with all rows that are there
/// when it reads them.
pub(crate) fn each<E: From<OpenError>>(
    path: &Path,
    mut each: impl FnMut(Read) -> Result<(), E>,
) -> Result<(), E> {
    let of = |fault| OpenError { path: path.to_owned(), fault };
    let reader = Reader::open(path)?;
    let bounds = reader.bounds().map_err(of)?;
    let (mut position, mut last) = (bounds.floor, None);
    loop {
        let rows = reader.texts(position + 1, PAGE_EVENTS).map_err(of)?;
        if rows.is_empty() {
            return Ok(());
        }
        for (at, id, text) in rows {
            let missed = at - position - 1;
            if missed > 0 {
                let gap = Gap { missed: Some(missed), after: last, before: Some(id) };
                each(Ok(Recorded::Gap(gap)))?;
            }
            (position, last) = (at, Some(id));
            each(wire::read(&text).map(|recorded| match recorded {
                Recorded::Event(event) => Recorded::Event(Event { id, ..event }),
                // The log says how many messages its tap had no room for.
                Recorded::Gap(Gap { missed: Some(missed), .. }) => {
                    Recorded::Event(Event::lost(missed, id))
                }
                gap @ Recorded::Gap(_) => gap,
            }))?;
        }
    }
}
