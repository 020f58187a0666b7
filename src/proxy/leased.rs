//! The body of an answer that ends with the credential of its request (`--proxy-auth`).

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::access::Ended;

/// The credential of a request has ended before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CredentialEnded(pub(super) &'static str);

/// Returns an answer that is cut off when the credential of its request ends. One whose length is
/// declared is sent to its end.
pub(super) fn leased(response: Response, ended: Option<Ended>) -> Response {
    match ended {
        Some(ended) if response.body().size_hint().exact().is_none() => {
            response.map(|body| Body::new(Leased { body, ended }))
        }
        _ => response,
    }
}

struct Leased {
    body: Body,
    ended: Ended,
}

impl http_body::Body for Leased {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(why) = self.ended.as_mut().poll(cx) {
            return Poll::Ready(Some(Err(axum::Error::new(CredentialEnded(why)))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
