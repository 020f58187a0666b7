//! `GET /api/events`: the selection as a finite response, and `GET /api/events/{id}`.
//!
//! The response is written while the history is read, a page at a time: it is never in memory as a
//! whole. `format=marks` returns the number of events of a selection and the id of every nth one, so
//! that a client can count a long history and read any part of it alone; with `step=` it contains the
//! number of events in each step of time too.
//!
//! A response has a budget of processor time for the events that it does not contain: those that its
//! filter or its text passes over. When it is used up, the response ends with a gap that says how far
//! it came.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http_body::Frame;

use super::content;
use super::har::Archive;
use super::histogram::Histogram;
use super::needle::Needle;
use super::query::{Beginning, Every, Finite, FiniteFormat, InOrder, Limit, Selection, Within};
use super::search_time::{SearchTime, unfinished};
use crate::access::{Can, Narrowed, Observe};
use crate::code::Code;
use crate::event::{Body as Payload, Event, EventBody, EventId, Gap, Message};
use crate::hub::{Order, Pace, Range, Scan, Scanned, Start};
use crate::problem::Problem;
use crate::request::{self, InTurns, Moment, Segment, accepts};
use crate::wire;

/// Default for the number of events in a response.
const LIMIT: usize = 1000;

/// Default for the number of events from one mark to the next.
const EVERY: u64 = 200;

/// Answers `GET /api/events`.
pub(crate) async fn events(can: Can<Observe>, parts: Parts) -> Result<Response, Problem> {
    let ((selection, beginning, finite), mut faults) =
        request::read::<(Selection, Beginning, Finite)>(parts.uri.query());
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let filter = selection.compile(&hub, &mut faults).await;
    let filter = narrowed.filter(&hub, filter, &mut faults).await;
    let start = beginning.start(&parts.headers, &mut faults);
    let Finite { until, limit, order, format, text, within, every, step } = finite;
    if format == Some(FiniteFormat::Har) && order == Some(InOrder::Desc) {
        faults.add("the entries of an archive are in the order of time; order=asc is right");
    }
    if format == Some(FiniteFormat::Har) && text.is_some() {
        faults.add("an archive is selected by fields or by filter, and not by text");
    }
    faults.finish()?;
    let lines = accepts(&parts.headers, "application/x-ndjson");
    let format = format.unwrap_or(if lines { FiniteFormat::Ndjson } else { FiniteFormat::Json });
    // An archive contains whole conversations.
    let most =
        if matches!(format, FiniteFormat::Marks | FiniteFormat::Har) { usize::MAX } else { LIMIT };
    let left = limit.map_or(most, |Limit(limit)| limit);
    let range = Range {
        start: start.unwrap_or(Start::Oldest),
        until: until.map(|Moment(until)| until),
        // The limit counts the events that contain the text, which the scan does not know.
        limit: if text.is_some() && left > 0 { usize::MAX } else { left },
        order: order.map_or(Order::Ascending, Order::from),
    };
    let media_type = match format {
        FiniteFormat::Json | FiniteFormat::Har | FiniteFormat::Marks => "application/json",
        FiniteFormat::Ndjson => "application/x-ndjson",
    };
    let every = every.map_or(EVERY, |Every(every)| every);
    let marks = Marks { every, histogram: step.map(Histogram::new), ..Marks::default() };
    let search_time = hub.settings().search_time;
    let turns = hub.turns();
    let body = match format {
        FiniteFormat::Har => {
            Body::new(InTurns::new(turns, Archive::new(hub, range, filter, narrowed)))
        }
        FiniteFormat::Json | FiniteFormat::Ndjson | FiniteFormat::Marks => {
            let scan = hub.scan(range, filter);
            let scanned = VecDeque::new();
            let budget = SearchTime::new(search_time);
            let within = within.unwrap_or(Within::Event);
            let stage = Stage::Nothing;
            let answer = Answer {
                scan,
                scanned,
                format,
                stage,
                text,
                within,
                left,
                marks,
                budget,
                narrowed,
            };
            Body::new(InTurns::new(turns, answer))
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// Answers `GET /api/events/{id}`.
pub(crate) async fn event(can: Can<Observe>, Segment(id): Segment) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|fault| Problem::malformed(format!("{id}: {fault}")))?;
    let event = can.hub.find(id).await.filter(|event| can.narrowed().event(event));
    let event =
        event.ok_or_else(|| Problem::new(Code::NotFound, format!("no event {id} is kept")))?;
    let mut out = Vec::new();
    wire::full(&event, &mut out);
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], out).into_response())
}

/// The body of a finite response that is a list.
struct Answer {
    scan: Scan,
    /// Events that the scan has found and that are not written yet.
    scanned: VecDeque<Arc<Event>>,
    format: FiniteFormat,
    stage: Stage,
    /// Selects events that contain it.
    text: Option<Needle>,
    within: Within,
    /// Events that may still be written.
    left: usize,
    marks: Marks,
    budget: SearchTime,
    narrowed: Narrowed,
}

/// The part of the response that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    /// The beginning, and no item yet.
    Beginning,
    Items,
    All,
}

/// Counts of a response of marks.
#[derive(Debug, Default)]
struct Marks {
    every: u64,
    count: u64,
    first: Option<EventId>,
    last: Option<EventId>,
    histogram: Option<Histogram>,
    /// What was not read, if the search took too long.
    unfinished: Option<Gap>,
}

/// A piece of an answer is handed over once it is this large.
const PIECE: usize = 64 << 10;

impl Answer {
    /// Writes on for about a millisecond, and returns what that has brought; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        match self.stage {
            Stage::Nothing => {
                self.stage = Stage::Beginning;
                self.begin(&mut out);
            }
            Stage::Beginning | Stage::Items => {}
            Stage::All => return Poll::Ready(None),
        }
        let mut pace = Pace::default();
        while out.len() < PIECE {
            if let Some(event) = self.scanned.pop_front() {
                self.event(&event, &mut out);
                if !pace.may_go_on() {
                    crate::hub::yield_turn(cx);
                    break;
                }
                continue;
            }
            let scanned = if self.left == 0 {
                Poll::Ready(None)
            } else if self.budget.is_used_up() {
                self.break_off(&mut out);
                Poll::Ready(None)
            } else {
                self.budget.charge(|| self.scan.poll_next(cx))
            };
            match scanned {
                Poll::Ready(Some(Scanned::Events(events))) => self.scanned.extend(events),
                Poll::Ready(Some(Scanned::Gap(gap))) if self.format != FiniteFormat::Marks => {
                    let gap = self.narrowed.gap(gap);
                    self.item(&mut out, |out| wire::full_gap(&gap, out));
                }
                Poll::Ready(Some(Scanned::Gap(_))) => {}
                Poll::Ready(None) => {
                    self.stage = Stage::All;
                    self.end(&mut out);
                    break;
                }
                Poll::Pending => break,
            }
            if !pace.may_go_on() {
                crate::hub::yield_turn(cx);
                break;
            }
        }
        if out.is_empty() && self.stage != Stage::All {
            return Poll::Pending;
        }
        Poll::Ready(Some(out.into()))
    }

    fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            FiniteFormat::Json => out.push(b'['),
            // An archive has a body of its own.
            FiniteFormat::Ndjson | FiniteFormat::Har => {}
            FiniteFormat::Marks => {
                let beginning = format!("{{\"every\":{},\"marks\":[", self.marks.every);
                out.extend_from_slice(beginning.as_bytes());
            }
        }
    }

    /// Says where the reading has come that ends before its end.
    fn break_off(&mut self, out: &mut Vec<u8>) {
        let rest = self.scan.rest().map(|rest| self.narrowed.gap(rest));
        self.marks.unfinished.clone_from(&rest);
        if self.format != FiniteFormat::Marks
            && let Some(rest) = rest
        {
            self.item(out, |out| unfinished(&rest, out));
        }
    }

    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.text.is_some() {
            let mut budget = self.budget;
            budget.charge(|| self.select(event, out));
            self.budget = budget;
        } else {
            self.select(event, out);
        }
    }

    /// Writes an event, if it contains the text.
    fn select(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.left == 0 {
            return;
        }
        let in_content = self.within == Within::Content;
        if in_content && self.text.as_ref().is_some_and(|text| !content::contains(event, text)) {
            return;
        }
        let start = out.len();
        let stage = self.stage;
        let is_searched = self.text.is_some() && !in_content;
        if self.format != FiniteFormat::Marks || is_searched {
            self.item(out, |out| wire::full(event, out));
        }
        let occurs = |text: &Needle| {
            text.is_in(&out[start..]) || bytes(event).is_some_and(|it| text.is_in(it))
        };
        if is_searched && self.text.as_ref().is_some_and(|text| !occurs(text)) {
            out.truncate(start);
            self.stage = stage;
            return;
        }
        self.left -= 1;
        if self.format == FiniteFormat::Marks {
            out.truncate(start);
            self.stage = stage;
            self.mark(event.id, out);
        }
    }

    fn mark(&mut self, id: EventId, out: &mut Vec<u8>) {
        self.marks.first.get_or_insert(id);
        self.marks.last = Some(id);
        self.marks.count += 1;
        if let Some(histogram) = &mut self.marks.histogram {
            histogram.add(id);
        }
        if self.marks.count.is_multiple_of(self.marks.every) {
            self.item(out, |out| out.extend_from_slice(format!("\"{id}\"").as_bytes()));
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        match self.format {
            FiniteFormat::Json => out.extend_from_slice(b"]\n"),
            // An archive has a body of its own.
            FiniteFormat::Ndjson | FiniteFormat::Har => {}
            FiniteFormat::Marks => {
                let id = |id: Option<EventId>| id.map_or("null".into(), |id| format!("\"{id}\""));
                let Marks { count, first, last, histogram, .. } = &self.marks;
                let (first, last) = (id(*first), id(*last));
                let end = format!("],\"count\":{count},\"first\":{first},\"last\":{last}");
                out.extend_from_slice(end.as_bytes());
                if let Some(histogram) = histogram {
                    histogram.write(out);
                }
                if let Some(rest) = &self.marks.unfinished {
                    out.extend_from_slice(b",\"unfinished\":");
                    wire::full_gap(rest, out);
                }
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn item(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.format != FiniteFormat::Ndjson && self.stage == Stage::Items {
            out.push(b',');
        }
        write(out);
        if self.format == FiniteFormat::Ndjson {
            out.push(b'\n');
        }
        self.stage = Stage::Items;
    }
}

/// Returns the payload of a binary message, whose JSON is base64.
fn bytes(event: &Event) -> Option<&[u8]> {
    match &event.body {
        EventBody::Message(Message { body: Payload::Binary(bytes), .. }) => Some(bytes),
        _ => None,
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = ready!(self.poll_piece(cx));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}
