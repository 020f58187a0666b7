//! `GET /api/events?format=har`: the selection as an HTTP Archive, an entry for each
//! connection.
//!
//! The history has the events of all connections in one order, an archive has them by connection. So
//! the history is read twice, a piece at a time: the first pass collects the `connect`, the `close`
//! and the ids of the messages of each connection; the second picks the messages by their ids. The
//! memory is 16 bytes for each message and the handshakes, never the messages.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::search_time::{SearchTime, unfinished};
use crate::access::Narrowed;
use crate::event::{ConnectionId, Event, EventBody, EventId, Kind, Transport};
use crate::filter::Filter;
use crate::hub::{Hub, Order, Pick, Range, Scan, Scanned, Start};
use crate::wire::{self, har};

/// Messages that are picked at once.
const PICK: usize = 64;

/// A piece of an archive is handed over once it is this large. A reader that stops holds no more than
/// this and one message.
const PIECE: usize = 64 << 10;

/// The body of an archive.
pub(super) struct Archive {
    hub: Hub,
    stage: Stage,
    index: Index,
    /// The gaps of the stream, in full JSON.
    gaps: Vec<Vec<u8>>,
    /// For the first pass.
    budget: SearchTime,
    narrowed: Narrowed,
    pick: Pick,
}

enum Stage {
    /// Finding where the selection begins.
    Beginning(Box<Scan>, Range),
    /// The first pass.
    Index(Box<Scan>),
    /// Before the entry with this index.
    Entry(usize),
    /// Within the messages of an entry.
    Messages(usize, Progress),
    /// Within the other events of an entry.
    Control(usize, Progress),
    Over,
}

/// Progress within a list of events.
#[derive(Clone, Copy, Default)]
struct Progress {
    picked: usize,
    written: usize,
    /// Events that the history lost before they were picked.
    missed: usize,
}

/// The result of the first pass.
struct Index {
    filter: Filter,
    /// The first event of the selection; `None` selects nothing.
    first: Option<EventId>,
    /// Maximum number of events that are still to be selected.
    limit: usize,
    entries: Vec<Entry>,
    /// Connections that are open at this point of the history: their `connect`, and their entry.
    open: HashMap<ConnectionId, (Option<Arc<Event>>, Option<usize>)>,
}

struct Entry {
    connection: ConnectionId,
    connect: Option<Arc<Event>>,
    transport: Transport,
    close: Option<Arc<Event>>,
    first: EventId,
    last: EventId,
    messages: Vec<EventId>,
    control: Vec<EventId>,
}

impl Archive {
    pub(super) fn new(hub: Hub, range: Range, filter: Filter, narrowed: Narrowed) -> Self {
        let selected = hub.scan(range, filter.clone());
        let index = Index {
            filter,
            first: None,
            limit: range.limit,
            entries: Vec::new(),
            open: HashMap::new(),
        };
        let budget = SearchTime::new(hub.settings().search_time);
        let stage = Stage::Beginning(Box::new(selected), range);
        let pick = hub.pick();
        Self { hub, stage, index, gaps: Vec::new(), budget, narrowed, pick }
    }

    /// Begins the first pass, once it is known where the selection begins.
    fn index(&mut self, selected: &Scan, first: Option<EventId>, range: Range) -> Stage {
        self.index.first = first;
        let lost = selected.lost().map(|gap| self.narrowed.gap(gap.clone()));
        self.gaps.extend(lost.map(|gap| written(|out| wire::full_gap(&gap, out))));
        // The handshake of a connection belongs to its entry even if it is not selected.
        let connections = self.index.filter.connections.clone();
        let all =
            Filter { connections, expression: self.narrowed.expression(), ..Filter::default() };
        let (start, order) = (Start::Oldest, Order::Ascending);
        let scan = self.hub.scan(Range { start, order, limit: usize::MAX, ..range }, all);
        Stage::Index(Box::new(scan))
    }

    /// Takes events into the index.
    fn note(&mut self, events: &[Arc<Event>]) {
        for event in events {
            if event.kind() == Kind::Gap {
                self.gaps.push(written(|out| wire::full(event, out)));
            } else if event.kind() != Kind::Request {
                // An archive has an entry for each connection.
                self.index.note(event);
            }
        }
    }

    /// Says where the first pass has come that ends before its end.
    fn break_off(&mut self, scan: &Scan) {
        let rest = scan.rest().map(|rest| self.narrowed.gap(rest));
        self.gaps.extend(rest.map(|rest| written(|out| unfinished(&rest, out))));
    }

    /// Polls for the next piece, or for `None` during the first pass.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.stage = match stage {
            Stage::Beginning(selected, _) if self.budget.is_used_up() => {
                self.break_off(&selected);
                self.index.begin(&mut out);
                Stage::Entry(0)
            }
            Stage::Index(scan) if self.budget.is_used_up() && scan.rest().is_some() => {
                self.break_off(&scan);
                self.index.begin(&mut out);
                Stage::Entry(0)
            }
            Stage::Beginning(mut selected, range) => {
                match self.budget.charge(|| selected.poll_first(cx)) {
                    Poll::Ready(first) => {
                        self.stage = self.index(&selected, first, range);
                        return Poll::Ready(None);
                    }
                    Poll::Pending => {
                        self.stage = Stage::Beginning(selected, range);
                        return Poll::Pending;
                    }
                }
            }
            Stage::Index(mut scan) => match self.budget.charge(|| scan.poll_next(cx)) {
                Poll::Pending => {
                    self.stage = Stage::Index(scan);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Scanned::Events(events))) => {
                    let mut budget = self.budget;
                    budget.charge(|| self.note(&events));
                    self.budget = budget;
                    self.stage = Stage::Index(scan);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Scanned::Gap(gap))) => {
                    let gap = self.narrowed.gap(gap);
                    self.gaps.push(written(|out| wire::full_gap(&gap, out)));
                    self.stage = Stage::Index(scan);
                    return Poll::Ready(None);
                }
                Poll::Ready(None) => {
                    self.index.begin(&mut out);
                    Stage::Entry(0)
                }
            },
            Stage::Entry(n) => {
                if let Some(entry) = self.index.entries.get(n) {
                    if n > 0 {
                        out.push(b',');
                    }
                    entry.har().begin(&mut out);
                    Stage::Messages(n, Progress::default())
                } else {
                    har::end(&self.gaps, &mut out);
                    Stage::Over
                }
            }
            Stage::Messages(n, progress) => {
                let entry = &self.index.entries[n];
                let har = entry.har().message();
                let more = match progress.write(&mut self.pick, cx, &entry.messages, har, &mut out)
                {
                    Poll::Ready(more) => more,
                    Poll::Pending => {
                        self.stage = Stage::Messages(n, progress);
                        return Poll::Pending;
                    }
                };
                more.map_or_else(
                    |missed| {
                        entry.har().middle(&mut out);
                        Stage::Control(n, Progress { missed, ..Progress::default() })
                    },
                    |progress| Stage::Messages(n, progress),
                )
            }
            Stage::Control(n, progress) => {
                let entry = &self.index.entries[n];
                let har = har::control;
                let more = match progress.write(&mut self.pick, cx, &entry.control, har, &mut out) {
                    Poll::Ready(more) => more,
                    Poll::Pending => {
                        self.stage = Stage::Control(n, progress);
                        return Poll::Pending;
                    }
                };
                more.map_or_else(
                    |missed| {
                        entry.har().end(missed, &mut out);
                        Stage::Entry(n + 1)
                    },
                    |progress| Stage::Control(n, progress),
                )
            }
            Stage::Over => Stage::Over,
        };
        Poll::Ready(Some(out))
    }
}

impl Progress {
    /// Polls for the next events of a list, and writes them.
    ///
    /// # Errors
    ///
    /// At the end of the list: the number of its events that were lost.
    fn write(
        mut self,
        pick: &mut Pick,
        cx: &mut Context<'_>,
        ids: &[EventId],
        write: fn(&Event, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Poll<Result<Self, usize>> {
        let next = &ids[self.picked..ids.len().min(self.picked + PICK)];
        if next.is_empty() {
            return Poll::Ready(Err(self.missed));
        }
        let events = ready!(pick.poll(cx, next));
        let mut read = next.len();
        let mut found = 0;
        for event in &events {
            if out.len() >= PIECE {
                // The others are picked again, so that a reader that stops does not hold all of them.
                read = next.iter().position(|id| *id == event.id).unwrap_or(read);
                break;
            }
            if self.written > 0 {
                out.push(b',');
            }
            write(event, out);
            (self.written, found) = (self.written + 1, found + 1);
        }
        self.picked += read;
        self.missed += read - found;
        Poll::Ready(Ok(self))
    }
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

impl Index {
    /// Appends the beginning of the archive; its page begins with the first event.
    fn begin(&self, out: &mut Vec<u8>) {
        let first = self.entries.iter().map(|entry| entry.first.ms).min();
        har::begin(first.unwrap_or_else(now_ms), out);
    }

    fn note(&mut self, event: &Arc<Event>) {
        let kind = event.kind();
        let in_range = self.first.is_some_and(|first| event.id >= first);
        let selected = self.limit > 0 && in_range && self.filter.selects(event);
        if kind == Kind::Connect {
            self.open.insert(event.connection.clone(), (Some(Arc::clone(event)), None));
        }
        if selected {
            self.limit -= 1;
            self.entry(event);
        }
        let place = self.open.get(&event.connection).and_then(|(_, place)| *place);
        if let Some(entry) = place.map(|place| &mut self.entries[place]) {
            match kind {
                Kind::Close => {
                    entry.last = event.id;
                    entry.close = Some(Arc::clone(event));
                }
                Kind::Message | Kind::Join | Kind::Leave if selected => {
                    entry.last = event.id;
                    let list = if har::has_place(event) {
                        &mut entry.messages
                    } else {
                        &mut entry.control
                    };
                    list.push(event.id);
                }
                _ => {}
            }
        }
        if kind == Kind::Close {
            self.open.remove(&event.connection);
        }
    }

    /// Adds an entry for the connection of an event, unless it has one.
    fn entry(&mut self, event: &Arc<Event>) {
        let (connect, place) = self.open.entry(event.connection.clone()).or_default();
        if place.is_some() {
            return;
        }
        *place = Some(self.entries.len());
        let first = connect.as_ref().map_or(event.id, |connect| connect.id);
        self.entries.push(Entry {
            connection: event.connection.clone(),
            connect: connect.clone(),
            transport: transport(connect.as_ref().unwrap_or(event)),
            close: None,
            first,
            last: event.id,
            messages: Vec::new(),
            control: Vec::new(),
        });
    }
}

/// Returns the protocol of the connection of an event, as far as the event knows it.
fn transport(event: &Event) -> Transport {
    match (&event.body, &event.handshake) {
        (EventBody::Connect(connect), _) => connect.transport(),
        (_, Some(handshake)) => handshake.transport,
        (EventBody::Message(message), None) if message.event.is_some() => Transport::Sse,
        (_, None) => Transport::default(),
    }
}

impl Entry {
    fn har(&self) -> har::Entry<'_> {
        har::Entry {
            connection: &self.connection,
            connect: self.connect.as_deref(),
            transport: self.transport,
            close: self.close.as_deref(),
            first: self.first,
            last: self.last,
        }
    }
}

impl http_body::Body for Archive {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Stage::Over = self.stage {
            return Poll::Ready(None);
        }
        if let Some(piece) = ready!(self.poll_piece(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
        // Other tasks run between the pages.
        crate::hub::yield_turn(cx);
        Poll::Pending
    }
}
