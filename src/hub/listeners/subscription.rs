//! How a listener reads the stream: from the store first, then live, and from the store again
//! whenever it has fallen behind. Positions make the joins safe: a segment is only taken if it holds
//! the next event, so that nothing is read twice and nothing is missing without a gap.
//!
//! Its one await point holds no lock and loses nothing when it is dropped.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use futures_util::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::listener::{Delivery, Listener, Signal};
use super::pace::Pace;
use super::reading::{Begin, Start};
use crate::event::{EventId, Gap};
use crate::filter::Filter;
use crate::hub::history::segment::{Segment, Selecting, Selection};
use crate::hub::history::store::{Cursor, Page, Question};
use crate::hub::runtime::shared::Shared;
use crate::hub::runtime::turns::Turns;
use crate::metrics::Sampler;

/// A place in the stream. The listener is registered as long as this value lives.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    filter: Filter,
    cursor: Cursor,
    /// The last id that the listener was shown.
    shown: Option<EventId>,
    lost: Option<Gap>,
    source: Source,
    /// A segment that the filter is being applied to.
    selecting: Option<Selecting>,
    /// Turns for what takes more than a short poll.
    turns: Turns,
    /// Whether the next poll needs a turn.
    needs_turn: bool,
    /// Samples how long the filter takes.
    sampler: Sampler,
    /// A shutdown waits until this is dropped.
    _token: TaskTrackerToken,
}

/// Where the next events come from.
#[derive(Debug)]
enum Source {
    /// The place to begin has to be found first.
    Begin(Begin),
    /// The store.
    Store(Question<Page>),
    /// The broadcast channel.
    Live(BroadcastStream<Signal>),
}

impl Subscription {
    pub(in crate::hub) fn new(
        shared: Arc<Shared>,
        listener: Arc<Listener>,
        start: Start,
        filter: Filter,
    ) -> Self {
        // What is published from here on comes by this way; what was before is known from `begin`.
        let live = shared.live.subscribe();
        let mut begin = Begin::new(&shared, start, &filter);
        let head = shared.sequence().order.head().0;
        let unknown = Cursor { position: head, id: None };
        let mut cx = Context::from_waker(Waker::noop());
        let found = match &begin {
            Begin::Seek(_) | Begin::Publish(..) => Poll::Pending,
            _ => begin.poll(&mut cx, &shared, &filter, &mut Pace::default()),
        };
        let (cursor, lost, source) = match found {
            // A listener with nothing to catch up with is live at once, also without history.
            Poll::Ready((cursor, lost)) if cursor.position >= head => {
                (cursor, lost, Source::Live(BroadcastStream::new(live)))
            }
            Poll::Ready((cursor, lost)) => (cursor, lost, Source::Store(Question::default())),
            Poll::Pending => (unknown, None, Source::Begin(begin)),
        };
        listener.set_position(cursor.position);
        shared.metrics.listeners_opened.inc();
        let (token, shown) = (shared.listening.token(), cursor.id);
        let turns = shared.turns.turns();
        let needs_turn = matches!(source, Source::Begin(_));
        Self {
            shared,
            listener,
            filter,
            cursor,
            shown,
            lost,
            source,
            selecting: None,
            turns,
            needs_turn,
            sampler: Sampler::default(),
            _token: token,
        }
    }

    /// Returns whether it follows live, and reads nothing that was kept.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.source, Source::Live(_))
    }

    /// Returns what is known of this listener.
    #[must_use]
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Waits for the next delivery; `None` is the end. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next delivery. `None` is the end: the hub stops, or the listener was dismissed.
    /// Takes about a millisecond at most, whatever the filter and the history are.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let turn = if self.needs_turn { Some(ready!(self.turns.poll_take(cx))) } else { None };
        let mut pace = if turn.is_some() { Pace::default() } else { Pace::without_turn() };
        self.needs_turn = false;
        let polled = self.poll_within(cx, &mut pace);
        self.needs_turn |= matches!(self.source, Source::Begin(_));
        polled
    }

    fn poll_within(&mut self, cx: &mut Context<'_>, pace: &mut Pace) -> Poll<Option<Delivery>> {
        loop {
            if self.listener.is_dismissed() {
                return Poll::Ready(None);
            }
            if let Some(gap) = self.lost.take() {
                return Poll::Ready(Some(Delivery::Gap(self.told(gap))));
            }
            if let Some(selecting) = &mut self.selecting {
                let more = || pace.may_go_on();
                let metrics = &self.shared.metrics;
                let is_sampled = self.filter.expression.is_some() && self.sampler.is_due();
                let begun = is_sampled.then(Instant::now);
                let is_done = selecting.run(&self.filter, metrics, more);
                if let Some(begun) = begun {
                    metrics.histograms.filter.observe(begun.elapsed().as_secs_f64());
                }
                if !is_done {
                    return self.yield_turn(cx);
                }
                if let Some(selection) = self.selected() {
                    return Poll::Ready(Some(Delivery::Events(selection)));
                }
                if !pace.may_go_on() {
                    return self.yield_turn(cx);
                }
            }
            let segment = match &mut self.source {
                Source::Live(live) => match ready!(live.poll_next_unpin(cx)) {
                    Some(Ok(Signal::Segment(segment))) => segment.upgrade(),
                    Some(Ok(Signal::Pulse)) => return Poll::Ready(Some(self.pulse())),
                    Some(Ok(Signal::Look)) => continue,
                    Some(Ok(Signal::Over)) | None => return Poll::Ready(None),
                    Some(Err(_lagged)) => None,
                },
                Source::Begin(begin) => {
                    let (shared, filter) = (&self.shared, &self.filter);
                    (self.cursor, self.lost) = ready!(begin.poll(cx, shared, filter, pace));
                    self.listener.set_position(self.cursor.position);
                    self.source = Source::Store(Question::default());
                    continue;
                }
                Source::Store(_) => match ready!(self.turn_page(cx)) {
                    Turned::Segment(segment) => Some(segment),
                    Turned::Nothing => continue,
                    Turned::Over => return Poll::Ready(None),
                },
            };
            let next = self.cursor.position + 1;
            match segment {
                // All of it was in the pages that this listener has read.
                Some(segment) if segment.last() < next => {}
                Some(segment) if segment.first() <= next => {
                    if let Some(selection) = self.take(segment) {
                        return Poll::Ready(Some(Delivery::Events(selection)));
                    }
                }
                _ => {
                    self.shared.metrics.lagged.inc();
                    self.source = Source::Store(Question::default());
                }
            }
        }
    }

    fn yield_turn<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.needs_turn = true;
        super::pace::yield_turn(cx);
        Poll::Pending
    }

    /// Selects what the listener wants of a segment, at once if that is all of it.
    fn take(&mut self, segment: Arc<Segment>) -> Option<Selection> {
        let first = self.cursor.position + 1;
        if first == segment.first() && self.filter.selects_all() {
            self.pass(&segment);
            let selection = Selection::whole(segment);
            self.given(&selection);
            return Some(selection);
        }
        self.selecting = Some(Selecting::new(segment, first, &self.filter));
        None
    }

    /// Moves behind the segment that the filter was applied to, and returns what it has selected.
    fn selected(&mut self) -> Option<Selection> {
        let selecting = self.selecting.take()?;
        let segment = Arc::clone(selecting.segment());
        self.pass(&segment);
        selecting.finish().inspect(|selection| self.given(selection))
    }

    fn pass(&mut self, segment: &Segment) {
        self.cursor = Cursor { position: segment.last(), id: Some(segment.last_id()) };
        self.listener.set_position(segment.last());
    }

    fn given(&mut self, selection: &Selection) {
        self.shown = self.cursor.id;
        self.listener.count_events(selection.len());
    }

    fn pulse(&mut self) -> Delivery {
        let unseen = self.cursor.id.filter(|id| self.shown != Some(*id));
        self.shown = self.cursor.id;
        Delivery::Pulse(unseen)
    }

    /// Counts a gap before it is told. Of a filtered listener it is not known how many of the lost
    /// events it would have selected.
    fn told(&self, mut gap: Gap) -> Gap {
        if !self.filter.selects_all() {
            gap.missed = None;
        }
        self.listener.count_gap();
        self.shared.metrics.gaps.inc();
        self.shared.metrics.missed_events.inc_by(gap.missed.unwrap_or(0));
        gap
    }

    fn turn_page(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        let (shared, cursor) = (&self.shared, self.cursor);
        let Source::Store(question) = &mut self.source else { return Poll::Ready(Turned::Nothing) };
        let mut page = ready!(question.poll(cx, || shared.store.page(cursor)));
        if let Page::End = page {
            // Whether this was the end is asked again after subscribing: a segment that is stored
            // after that comes through the channel.
            let live = self.shared.live.subscribe();
            let over = self.shared.over.load(std::sync::atomic::Ordering::Acquire);
            page = ready!(question.poll(cx, || shared.store.page(cursor)));
            if let Page::End = page {
                if over {
                    return Poll::Ready(Turned::Over);
                }
                self.source = Source::Live(BroadcastStream::new(live));
                return Poll::Ready(Turned::Nothing);
            }
        }
        Poll::Ready(match page {
            Page::Events(segment) => {
                self.shared.note_reread(&segment);
                Turned::Segment(segment)
            }
            Page::Gap(gap, behind) => {
                self.lost = Some(gap);
                self.cursor = behind;
                Turned::Nothing
            }
            Page::End => unreachable!("it was looked at above"),
        })
    }
}

enum Turned {
    Segment(Arc<Segment>),
    Nothing,
    Over,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.listeners.leave(self.listener.number);
    }
}
