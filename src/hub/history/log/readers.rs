//! Threads that read the database for readers of the stream.

use std::sync::Arc;

use super::inner::Inner;
use super::questions::{AHEAD, Ahead, Asked, Task};
use crate::database::{Bounds, Fault, Place, Reader, Rows};
use crate::event::{Event, EventId, Gap};
use crate::hub::history::segment::Segment;
use crate::hub::history::store::{Before, Cursor, Found, Mark, Page};

/// Positions that are passed over where reading fails.
const UNREADABLE: u64 = 1024;

/// Answers questions until the log is closed.
pub(super) fn run(inner: &Inner, mut reader: Reader) {
    // A receiver that is gone is a reader of the stream that is gone.
    while let Some(task) = inner.readers.next() {
        match task {
            Task::Answer(Asked::Page(cursor, to)) => {
                let page = page(inner, &mut reader, cursor);
                inner.readers.done_with(cursor.position + 1);
                drop(to.send(page));
            }
            Task::Answer(Asked::Before(position, to)) => {
                drop(to.send(before(inner, &mut reader, position)));
            }
            Task::Answer(Asked::Find(mark, to)) => drop(to.send(find(inner, &reader, mark))),
            Task::Answer(Asked::Events(ids, to)) => {
                drop(to.send(events(inner, &mut reader, &ids)));
            }
            Task::Ahead(page) => {
                ahead(inner, &mut reader, page);
                inner.readers.done_with(page.position);
            }
        }
    }
    if inner.is_failing() {
        reader.keep_wal();
    }
}

fn page(inner: &Inner, reader: &mut Reader, cursor: Cursor) -> Page {
    if let Some(page) = inner.page_at_hand(cursor) {
        return page;
    }
    let bounds = inner.bounds();
    let from = cursor.position + 1;
    let next = match forward(inner, reader, from, bounds.head, AHEAD) {
        Ok(Rows::Events(first, events)) => {
            let segment = Arc::new(Segment::new(first, events));
            inner.pages().add(&segment);
            return Page::Events(segment);
        }
        Ok(Rows::Hole(next)) => next.map(|(next, id)| (next, Some(id))),
        Err(fault) => {
            inner.unreadable(from, &fault);
            Some((from + UNREADABLE, None)).filter(|(next, _)| *next <= bounds.head)
        }
    };
    let (next, before) = next.unwrap_or((bounds.head + 1, None));
    let missed = Some(next - from);
    let behind = Cursor { position: next - 1, id: bounds.last.filter(|_| next > bounds.head) };
    Page::Gap(Gap { missed, after: cursor.id, before }, behind)
}

/// Reads a page. As soon as its end is known, another thread may read those behind it.
fn forward(
    inner: &Inner,
    reader: &mut Reader,
    from: u64,
    head: u64,
    more: usize,
) -> Result<Rows, Fault> {
    reader.forward(from, head, |last| {
        if let Some(more) = more.checked_sub(1).filter(|_| last < head) {
            inner.readers.read_ahead(Ahead { position: last + 1, more });
        }
    })
}

fn ahead(inner: &Inner, reader: &mut Reader, Ahead { position, more }: Ahead) {
    if inner.pages().holding(position).is_some() {
        return inner.readable(position);
    }
    match forward(inner, reader, position, inner.bounds().head, more) {
        Ok(rows) => {
            inner.readable(position);
            if let Rows::Events(first, events) = rows {
                inner.pages().add(&Arc::new(Segment::new(first, events)));
            }
        }
        Err(fault) => inner.unreadable(position, &fault),
    }
}

fn before(inner: &Inner, reader: &mut Reader, position: u64) -> Before {
    if let Some(before) = inner.before_at_hand(position) {
        return before;
    }
    let floor = inner.edge().floor;
    match reader.backward(position) {
        Ok(Rows::Events(first, events)) => {
            let segment = Arc::new(Segment::new(first, events));
            inner.pages().add(&segment);
            Before::Events(segment)
        }
        Ok(Rows::Hole(Some((last, _)))) if last > floor => Before::Hole(last),
        Ok(Rows::Hole(_)) => Before::Nothing,
        Err(fault) => {
            inner.unreadable(position, &fault);
            Before::Hole(position.saturating_sub(UNREADABLE).max(floor))
        }
    }
}

fn find(inner: &Inner, reader: &Reader, mark: Mark) -> Found {
    let bounds = inner.bounds();
    let found = match mark {
        Mark::Oldest => None,
        Mark::After(id) => Some((id, reader.place(id, bounds))),
        Mark::Since(ms) => {
            let Some(ms) = ms.checked_sub(1) else { return since_all(inner, bounds) };
            let id = EventId { ms, seq: u64::MAX };
            Some((id, reader.place(id, bounds)))
        }
    };
    let oldest = Cursor { position: bounds.floor, id: None };
    match found {
        None => Found { cursor: oldest, lost: None },
        Some((id, Err(fault))) => {
            inner.unreadable(bounds.floor + 1, &fault);
            let after = Some(id).filter(|_| matches!(mark, Mark::After(_)));
            Found { cursor: oldest, lost: Some(Gap { missed: None, after, before: None }) }
        }
        Some((id, Ok(place))) => match mark {
            Mark::After(_) => after(inner, bounds, id, place),
            Mark::Since(_) | Mark::Oldest => since(bounds, id, place),
        },
    }
}

fn after(inner: &Inner, bounds: Bounds, id: EventId, place: Place) -> Found {
    let exact = match place.last {
        Some((position, last)) => Some(position).filter(|_| last == id),
        None => Some(bounds.floor).filter(|_| bounds.evicted == Some(id)),
    };
    if let Some(position) = exact {
        return Found { cursor: Cursor { position, id: Some(id) }, lost: None };
    }
    let next = place.next.filter(|(next, _)| *next <= bounds.head);
    let (position, before) = match next {
        Some((next, before)) => (next - 1, Some(before)),
        None => (bounds.head, inner.memory.id_after(bounds.head)),
    };
    let lost = Some(Gap { missed: None, after: Some(id), before });
    Found { cursor: Cursor { position, id: Some(id) }, lost }
}

fn since(bounds: Bounds, id: EventId, place: Place) -> Found {
    let position = place.last.map_or(bounds.floor, |(position, _)| position);
    let deleted = place.last.is_none() && bounds.evicted.is_some_and(|evicted| evicted > id);
    let before = place.next.map(|(_, id)| id);
    let gap = Gap { missed: None, after: None, before };
    Found { cursor: Cursor { position, id: None }, lost: deleted.then_some(gap) }
}

/// The same for the time before all events.
fn since_all(inner: &Inner, bounds: Bounds) -> Found {
    let gap = Gap { missed: None, after: None, before: inner.edge().oldest };
    let cursor = Cursor { position: bounds.floor, id: None };
    Found { cursor, lost: bounds.evicted.map(|_| gap) }
}

fn events(inner: &Inner, reader: &mut Reader, ids: &[EventId]) -> Vec<Arc<Event>> {
    // What is evicted from memory after this look is kept here.
    let in_memory: Vec<_> = ids.iter().map(|id| inner.memory.event(*id)).collect();
    let looked = || ids.iter().zip(&in_memory);
    let missing: Vec<EventId> =
        looked().filter(|(_, found)| found.is_none()).map(|(id, _)| *id).collect();
    let bounds = inner.bounds();
    let read = match reader.pick(&missing, bounds) {
        Ok(read) => read,
        Err(fault) => {
            inner.unreadable(bounds.floor + 1, &fault);
            Vec::new()
        }
    };
    let mut read = read.into_iter().peekable();
    let found = |(id, found): (&EventId, &Option<Arc<Event>>)| match found {
        Some(event) => Some(Arc::clone(event)),
        None => read.next_if(|event| event.id == *id),
    };
    looked().filter_map(found).collect()
}
