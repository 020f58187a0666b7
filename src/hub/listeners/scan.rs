//! A finite reading of what is kept: from a start to the end of the stream as it was when the
//! reading began. It stops and goes on between two events, so that no poll takes long.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use super::pace::Pace;
use super::reading::{Begin, Start};
use crate::event::{Event, EventId, Gap};
use crate::filter::Filter;
use crate::hub::history::segment::Segment;
use crate::hub::history::store::{Before, Cursor, Page, Question};
use crate::hub::runtime::shared::Shared;

/// The part of the history that is read.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Where it begins.
    pub start: Start,
    /// Nothing that is younger, in milliseconds since 1970.
    pub until: Option<u64>,
    /// At most this many events.
    pub limit: usize,
    /// Whether the oldest or the newest comes first.
    pub order: Order,
}

/// The order of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Ascending,
    /// The newest first.
    Descending,
}

/// A piece of a reading.
#[derive(Debug)]
pub enum Scanned {
    /// Events, in the order asked for.
    Events(Vec<Arc<Event>>),
    /// Events that were lost before they could be read.
    Gap(Gap),
}

/// A reading under way.
#[derive(Debug)]
pub struct Scan {
    shared: Arc<Shared>,
    filter: Filter,
    range: Range,
    begin: Option<Begin>,
    lost: Option<Gap>,
    /// Everything up to here is read already, or not wanted.
    from: Cursor,
    /// Everything after this position is.
    to: u64,
    page: Question<Page>,
    before: Question<Before>,
    /// Ends when what was published before the reading began is written.
    settling: Option<Settling>,
}

struct Settling(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}

/// Events of a piece at most.
const PIECE: usize = 256;

impl Scan {
    pub(in crate::hub) fn new(shared: Arc<Shared>, range: Range, filter: Filter) -> Self {
        let begin = Begin::new(&shared, range.start, &filter);
        let to = shared.sequence().order.head().0;
        let from = Cursor { position: to, id: None };
        let mut scan = Self {
            shared,
            filter,
            range,
            begin: Some(begin),
            lost: None,
            from,
            to,
            page: Question::default(),
            before: Question::default(),
            settling: None,
        };
        let mut cx = Context::from_waker(Waker::noop());
        if !matches!(scan.begin, Some(Begin::Seek(_) | Begin::Publish(..))) {
            // What is at hand is known at once.
            let _ = scan.poll_begin(&mut cx, &mut Pace::default());
        }
        scan
    }

    /// Polls for the id of the first event of the range, whether the filter selects it or not;
    /// `None` if there is none. For a reading that has not begun.
    pub fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventId>> {
        ready!(self.poll_begin(cx, &mut Pace::default()));
        let mut cursor = self.from;
        loop {
            match ready!(self.poll_page(cx, cursor)) {
                Page::Events(segment) => {
                    return Poll::Ready(segment.at(cursor.position + 1).map(|event| event.id));
                }
                Page::Gap(_, behind) => cursor = behind,
                Page::End => return Poll::Ready(None),
            }
        }
    }

    /// Polls for a page. What was published before the reading began, and is not written yet, is
    /// waited for.
    fn poll_page(&mut self, cx: &mut Context<'_>, cursor: Cursor) -> Poll<Page> {
        loop {
            if let Some(Settling(settling)) = &mut self.settling {
                ready!(settling.as_mut().poll(cx));
                self.settling = None;
            }
            let shared = &self.shared;
            let page = ready!(self.page.poll(cx, || shared.store.page(cursor)));
            match (&page, shared.store.progress()) {
                (Page::End, Some(progress)) if progress.position() < self.to => {
                    self.settling = Some(Settling(Box::pin(progress.reach(self.to))));
                }
                _ => return Poll::Ready(page),
            }
        }
    }

    /// Returns what was lost before the beginning, once that is known.
    #[must_use]
    pub fn lost(&self) -> Option<&Gap> {
        self.lost.as_ref()
    }

    /// Returns what has not been read yet as a gap: up to where a reading has come that ends early.
    /// `None` at the end.
    #[must_use]
    pub fn rest(&self) -> Option<Gap> {
        if self.begin.is_some() {
            return Some(Gap { missed: None, after: None, before: None });
        }
        let missed = self.to.saturating_sub(self.from.position);
        let before = match self.range.order {
            Order::Ascending => None,
            Order::Descending => self.shared.store.id_at(self.to + 1),
        };
        (missed > 0).then_some(Gap { missed: Some(missed), after: self.from.id, before })
    }

    fn poll_begin(&mut self, cx: &mut Context<'_>, pace: &mut Pace) -> Poll<()> {
        if let Some(begin) = &mut self.begin {
            let publishes = matches!(begin, Begin::Publish(..));
            let polled = begin.poll(cx, &self.shared, &self.filter, pace);
            if publishes && !matches!(begin, Begin::Publish(..)) {
                self.to = self.shared.sequence().order.head().0;
            }
            (self.from, self.lost) = ready!(polled);
            self.begin = None;
        }
        Poll::Ready(())
    }

    /// Polls for the next piece; `None` is the end. A piece may be empty where the filter selects
    /// nothing. Takes about a millisecond at most.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Scanned>> {
        let mut pace = Pace::default();
        if self.range.limit == 0 {
            return Poll::Ready(None);
        }
        ready!(self.poll_begin(cx, &mut pace));
        if let Some(gap) = self.lost.take() {
            return Poll::Ready(Some(Scanned::Gap(gap)));
        }
        if self.from.position >= self.to {
            return Poll::Ready(None);
        }
        Poll::Ready(match self.range.order {
            Order::Ascending => ready!(self.poll_ascending(cx, &mut pace)),
            Order::Descending => Some(ready!(self.poll_descending(cx, &mut pace))),
        })
    }

    fn poll_ascending(&mut self, cx: &mut Context<'_>, pace: &mut Pace) -> Poll<Option<Scanned>> {
        let segment = match ready!(self.poll_page(cx, self.from)) {
            Page::Events(segment) => segment,
            Page::Gap(gap, behind) => {
                self.from = behind;
                return Poll::Ready(Some(Scanned::Gap(gap)));
            }
            Page::End => return Poll::Ready(None),
        };
        let last = segment.last().min(self.to);
        let mut events = Vec::new();
        while self.from.position < last && self.range.limit > 0 && events.len() < PIECE {
            let position = self.from.position + 1;
            let Some(event) = segment.at(position) else { break };
            self.from = Cursor { position, id: Some(event.id) };
            // Ids only grow, so nothing after this is wanted either.
            if !self.in_time(event) {
                self.to = position;
                break;
            }
            self.add(event, &mut events);
            if !pace.may_go_on() {
                break;
            }
        }
        Poll::Ready(Some(Scanned::Events(events)))
    }

    fn poll_descending(&mut self, cx: &mut Context<'_>, pace: &mut Pace) -> Poll<Scanned> {
        if let Some(progress) = self.shared.store.progress().filter(|it| it.position() < self.to) {
            let settling = || Settling(Box::pin(progress.reach(self.to)));
            ready!(self.settling.get_or_insert_with(settling).0.as_mut().poll(cx));
            self.settling = None;
        }
        let (shared, to) = (&self.shared, self.to);
        let lost = match ready!(self.before.poll(cx, || shared.store.before(to))) {
            Before::Events(segment) => {
                return Poll::Ready(Scanned::Events(self.descend(&segment, pace)));
            }
            Before::Hole(last) => last.max(self.from.position),
            // All of this was kept when the reading began.
            Before::Nothing => self.from.position,
        };
        let after = self.from.id.filter(|_| lost == self.from.position);
        let gap = Gap { missed: Some(self.to - lost), after, before: None };
        self.to = lost;
        Poll::Ready(Scanned::Gap(gap))
    }

    fn descend(&mut self, segment: &Segment, pace: &mut Pace) -> Vec<Arc<Event>> {
        let first = segment.first().max(self.from.position + 1);
        let mut events = Vec::new();
        while self.to >= first && self.range.limit > 0 && events.len() < PIECE {
            let Some(event) = segment.at(self.to) else { break };
            self.to -= 1;
            if self.in_time(event) {
                self.add(event, &mut events);
            }
            if !pace.may_go_on() {
                break;
            }
        }
        events
    }

    fn add(&mut self, event: &Arc<Event>, events: &mut Vec<Arc<Event>>) {
        if self.shared.selects(&self.filter, event) {
            events.push(Arc::clone(event));
            self.range.limit -= 1;
        }
    }

    fn in_time(&self, event: &Event) -> bool {
        self.range.until.is_none_or(|until| event.id.ms <= until)
    }
}

impl Iterator for Scan {
    type Item = Scanned;

    /// Returns the next piece, for programs that have no other tasks: it blocks its thread.
    fn next(&mut self) -> Option<Scanned> {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(scanned) = self.poll_next(&mut cx) {
                return scanned;
            }
            std::thread::park();
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
