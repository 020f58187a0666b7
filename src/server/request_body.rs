//! The body of a request: its end is noticed, and its memory is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::handover::Handover;

/// Bytes of each body that are not counted, so that small bodies pass whatever others do.
const FREE: usize = 16 << 10;

/// Wraps the body of a request. Unless the peer is waited for without a limit, its data are counted
/// as long as they are held: such requests are read to their end before they are handled.
pub(super) fn wrap(body: Incoming, handover: Arc<Handover>) -> Body {
    if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(RequestBody { body, handover, read: 0 })
    }
}

struct RequestBody {
    body: Incoming,
    handover: Arc<Handover>,
    read: usize,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.handover.heads.expect();
        }
        frame.map(|frame| {
            frame.map(|frame| match frame?.into_data() {
                Ok(data) => Ok(Frame::data(self.count(data)?)),
                Err(other) => Ok(other),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl RequestBody {
    fn count(&mut self, data: Bytes) -> Result<Bytes, BoxError> {
        self.read = self.read.saturating_add(data.len());
        if self.handover.patient || self.read <= FREE {
            return Ok(data);
        }
        Ok(self.handover.body.hold(data)?)
    }
}
