//! The body of a request: its end is noticed, and its memory is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Sleep, sleep};

use super::budget::Share;
use super::handover::Handover;
use crate::problem::TooSlow;

/// Bytes of each body that are not counted, so that small bodies pass whatever others do.
const FREE: usize = 16 << 10;

/// Chunks are gathered up to this many bytes: a byte that is a chunk of its own would take a hundred
/// times its size, which the budget does not count.
const GATHERED: usize = FREE;

/// Chunks that are read before other tasks get their turn.
const CHUNKS: u32 = 1024;

/// Wraps the body of a request. Unless the peer is waited for without a limit, its data are counted
/// as long as they are held: such requests are read to their end before they are handled.
pub(super) fn wrap(body: Incoming, handover: &Arc<Handover>) -> Body {
    if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(RequestBody::new(body, handover, handover.patient, Some(Arc::clone(handover))))
    }
}

/// Wraps the body of a request by HTTP/2, whose data are counted.
pub(super) fn wrap_stream(body: Incoming, handover: &Handover) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(RequestBody::new(body, handover, false, None))
}

struct RequestBody {
    body: Incoming,
    share: Arc<Share>,
    /// Whether the peer is waited for without a limit.
    patient: bool,
    /// Learns that the next bytes of the connection are those of a head.
    next: Option<Arc<Handover>>,
    read: usize,
    /// Chunks that were gathered.
    gathered: BytesMut,
    /// The time for all of it, once it was waited for.
    end: Result<Duration, Pin<Box<Sleep>>>,
    /// Counts bodies that took too long.
    late: Counter,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.patient {
            return self.poll_incoming(cx);
        }
        for _ in 0..CHUNKS {
            let Poll::Ready(next) = self.poll_incoming(cx) else {
                ready!(self.poll_late(cx));
                return Poll::Ready(Some(Err(TooSlow.into())));
            };
            let data = match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    // Trailers are not used.
                    Err(_) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.gathered.is_empty() => return Poll::Ready(None),
                None => Bytes::new(),
            };
            let end = data.is_empty() || self.body.is_end_stream();
            let whole = if self.gathered.is_empty() && (end || data.len() >= GATHERED) {
                data
            } else {
                self.gathered.extend_from_slice(&data);
                if !end && self.gathered.len() < GATHERED {
                    continue;
                }
                self.gathered.split().freeze()
            };
            return Poll::Ready(Some(self.count(whole).map(Frame::data)));
        }
        crate::hub::yield_turn(cx);
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.gathered.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl RequestBody {
    fn new(
        body: Incoming,
        handover: &Handover,
        patient: bool,
        next: Option<Arc<Handover>>,
    ) -> Self {
        let share = Arc::clone(&handover.body);
        let (end, late) = (Ok(handover.times.body), handover.late_bodies.clone());
        Self { body, share, patient, next, read: 0, gathered: BytesMut::new(), end, late }
    }

    /// Polls until the body has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Ok(time) = self.end {
            self.end = Err(Box::pin(sleep(time)));
        }
        if let Err(end) = &mut self.end {
            ready!(end.as_mut().poll(cx));
        }
        self.late.inc();
        Poll::Ready(())
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(next) = &self.next
            && (matches!(frame, Poll::Ready(None)) || self.body.is_end_stream())
        {
            next.heads.expect();
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn count(&mut self, data: Bytes) -> Result<Bytes, BoxError> {
        self.read = self.read.saturating_add(data.len());
        if self.read <= FREE {
            return Ok(data);
        }
        Ok(self.share.hold(data)?)
    }
}
