//! Heads that say two things at once.
//!
//! A request with a `Content-Length` and a `Transfer-Encoding` is how requests are smuggled past a
//! proxy (RFC 9112 section 6.1). hyper reads it in one way, leaves the length out and closes the
//! connection afterwards, so that it is harmless; here it is refused, as nobody honest sends it.
//! Since hyper does not tell, the bytes are looked at as they come. What is missed here, because it
//! came in pieces or behind another request, is still harmless.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::TRANSFER_ENCODING;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

/// What is known of the head that is being read, if it is one.
#[derive(Debug)]
pub(super) struct Heads {
    reading: AtomicBool,
    length: AtomicBool,
}

impl Default for Heads {
    fn default() -> Self {
        Self { reading: AtomicBool::new(true), length: AtomicBool::new(false) }
    }
}

impl Heads {
    /// Looks at bytes as they come.
    pub(super) fn look(&self, bytes: &[u8]) {
        if self.reading.load(Relaxed) && has_length(bytes) {
            self.length.store(true, Relaxed);
        }
    }

    /// Takes a request whose head is complete. Returns whether it says two things at once.
    pub(super) fn take(&self, request: &Request<Incoming>) -> bool {
        let length = self.length.swap(false, Relaxed);
        // What comes now is its body, or no HTTP at all any more.
        let upgrade = request.headers().contains_key(http::header::UPGRADE);
        self.reading.store(request.body().is_end_stream() && !upgrade, Relaxed);
        length && request.headers().contains_key(TRANSFER_ENCODING)
    }
}

/// Returns the body, noticed at its end: then the next head comes.
pub(super) fn body(body: Incoming, heads: Arc<impl AsRef<Heads> + Send + Sync + 'static>) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Watched { body, heads }) }
}

struct Watched<T> {
    body: Incoming,
    heads: Arc<T>,
}

impl<T: AsRef<Heads>> http_body::Body for Watched<T> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            (*self.heads).as_ref().reading.store(true, Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns whether a line begins with a `Content-Length` field.
fn has_length(bytes: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    memchr::memchr_iter(b'\n', bytes).any(|end| {
        let line = &bytes[end + 1..];
        line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
            && line.get(NAME.len()) == Some(&b':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_field_and_not_any_text() {
        assert!(has_length(b"POST / HTTP/1.1\r\nHost: a\r\nCONTENT-length: 5\r\n\r\n"));
        for text in [
            &b"GET / HTTP/1.1\r\nX: content-length: 5\r\n"[..],
            b"\ncontent-lengths: 5",
            b"\ncontent-length",
            b"",
        ] {
            assert!(!has_length(text));
        }
    }
}
