//! `GET /api/events`: the same selection as a finite answer, and `GET /api/events/{id}`.
//!
//! The answer is written as it is read, a page of history at a time: it never stands in memory
//! whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http_body::Frame;

use super::har::Archive;
use super::query;
use crate::code::Code;
use crate::event::EventId;
use crate::hub::{Hub, Order, Range, Scan, Scanned, Start};
use crate::problem::Problem;
use crate::request::{Params, accepts};
use crate::wire;

/// Events in an answer, if the client does not say.
const LIMIT: usize = 1000;

/// Answers `GET /api/events`.
pub(crate) async fn events(State(hub): State<Hub>, parts: Parts) -> Result<Response, Problem> {
    let mut params = Params::new(parts.uri.query());
    let filter = query::filter(&mut params);
    let start = query::start(&mut params, &parts.headers);
    let until = params.time("until");
    let right = "a number of events, such as 1000, or all is right";
    let limit = params.one("limit", right, |value| match value {
        "all" => Some(usize::MAX),
        number => number.parse().ok(),
    });
    let order = params.one("order", "an order is asc or desc", |value| match value {
        "asc" => Some(Order::Ascending),
        "desc" => Some(Order::Descending),
        _ => None,
    });
    let format = params.one("format", "a format is json, ndjson or har", |value| match value {
        "json" => Some(Format::Json),
        "ndjson" => Some(Format::Ndjson),
        "har" => Some(Format::Har),
        _ => None,
    });
    if format == Some(Format::Har) && order == Some(Order::Descending) {
        params.fault("the entries of an archive are in the order of time; order=asc is right");
    }
    params.finish()?;
    let lines = accepts(&parts.headers, "application/x-ndjson");
    let format = format.unwrap_or(if lines { Format::Ndjson } else { Format::Json });
    let range = Range {
        start: start.unwrap_or(Start::Oldest),
        until,
        // Half of a conversation is no archive of it.
        limit: limit.unwrap_or(if format == Format::Har { usize::MAX } else { LIMIT }),
        order: order.unwrap_or(Order::Ascending),
    };
    let media_type = match format {
        Format::Json | Format::Har => "application/json",
        Format::Ndjson => "application/x-ndjson",
    };
    let body = match format {
        Format::Har => Body::new(Archive::new(hub, range, filter)),
        Format::Json | Format::Ndjson => {
            Body::new(Answer { scan: hub.scan(range, filter), format, stage: Stage::Nothing })
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// Answers `GET /api/events/{id}`.
pub(crate) async fn event(
    State(hub): State<Hub>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|fault| Problem::malformed(format!("{id}: {fault}")))?;
    let event = hub.event(id);
    let event =
        event.ok_or_else(|| Problem::new(Code::NotFound, format!("no event {id} is kept")))?;
    let mut out = Vec::new();
    wire::full(&event, &mut out);
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], out).into_response())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
    Har,
}

/// The body of a finite answer that is a list.
struct Answer {
    scan: Scan,
    format: Format,
    stage: Stage,
}

/// What has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    /// The beginning, and no item yet.
    Beginning,
    Items,
    All,
}

impl Answer {
    fn next_piece(&mut self) -> Option<Bytes> {
        let json = self.format == Format::Json;
        let mut out = Vec::new();
        match self.stage {
            Stage::Nothing => {
                self.stage = Stage::Beginning;
                out.extend_from_slice(if json { b"[" } else { b"" });
            }
            Stage::Beginning | Stage::Items => {}
            Stage::All => return None,
        }
        match self.scan.next() {
            Some(Scanned::Events(events)) => {
                for event in &events {
                    self.item(&mut out, |out| wire::full(event, out));
                }
            }
            Some(Scanned::Gap(gap)) => self.item(&mut out, |out| wire::full_gap(&gap, out)),
            None => {
                self.stage = Stage::All;
                if json {
                    out.extend_from_slice(b"]\n");
                }
            }
        }
        Some(out.into())
    }

    fn item(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.format == Format::Json && self.stage == Stage::Items {
            out.push(b',');
        }
        write(out);
        if self.format == Format::Ndjson {
            out.push(b'\n');
        }
        self.stage = Stage::Items;
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }
}
