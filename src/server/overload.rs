//! Answers connections that the server has no room for.
//!
//! The head of the request is read first, for two reasons: an EventSource never reconnects after a
//! status other than 200, and an answer to an unread request may be lost in a reset. Few connections
//! are answered at a time. The others end without an answer, after which an EventSource reconnects.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::code::Code;
use crate::outlet::retry_with_jitter;
use crate::problem::{self, Problem};
use crate::request::accepts;
use crate::wire::sse;

/// Connections that are answered at the same time. With 8 KiB each they take half a megabyte, and
/// no more sockets than a small limit on files leaves.
const AT_ONCE: usize = 64;

/// Time limit for the head of a request, and for the answer. The head has most likely arrived.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a head that are read.
const HEAD: usize = 8 << 10;

/// Answers connections that there is no room for.
#[derive(Debug)]
pub(super) struct TurnAway {
    places: Arc<Semaphore>,
    /// Counts the connections.
    refused: Counter,
}

impl TurnAway {
    pub(super) fn new(refused: Counter) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), refused }
    }

    /// Returns the place of a connection to answer, or `None` if too many are being answered.
    pub(super) fn place(&self) -> Option<Place> {
        self.refused.inc();
        Arc::clone(&self.places).try_acquire_owned().ok().map(Place)
    }
}

/// The place of a connection that is answered.
#[derive(Debug)]
pub(super) struct Place(
    #[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit,
);

impl Place {
    /// Answers the connection.
    pub(super) async fn answer(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::with_capacity(HEAD);
        let _ = timeout(PATIENCE, read_head(&mut stream, &mut head)).await;
        let answer = if wants_events(&head) { goodbye() } else { refusal() };
        // A peer that does not take the answer has left.
        let _ = timeout(PATIENCE, async {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        })
        .await;
    }
}

/// Reads until the head is complete or too long, or the connection ends. Cancel safe: the bytes read
/// are in `head`.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) {
    while memchr::memmem::find(head, b"\r\n\r\n").is_none() && head.len() < HEAD {
        if !matches!(stream.read_buf(head).await, Ok(1..)) {
            return;
        }
    }
}

/// Returns whether the request is that of an EventSource.
fn wants_events(head: &[u8]) -> bool {
    let mut accept = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        if line[..colon].eq_ignore_ascii_case(ACCEPT.as_str().as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii())
        {
            accept.append(ACCEPT, value);
        }
    }
    accepts(&accept, "text/event-stream")
}

/// Returns the answer to a request that there is no room for.
pub(super) fn full(request: &HeaderMap) -> Response {
    if accepts(request, "text/event-stream") {
        let mut body = Vec::new();
        sse::retry(retry_with_jitter(), &mut body);
        let headers =
            [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store, no-transform")];
        return (headers, body).into_response();
    }
    Problem::new(Code::Full, FULL).into_response()
}

/// What a full server says.
const FULL: &str = "this server has as many connections as it takes; try again later";

/// The stream of a full server: a time to reconnect, and the end.
fn goodbye() -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        cache-control: no-store, no-transform\r\naccess-control-allow-origin: *\r\n\
        connection: close\r\n\r\n"
        .to_vec();
    sse::retry(retry_with_jitter(), &mut answer);
    answer
}

fn refusal() -> Vec<u8> {
    last_answer(&Problem::new(Code::Full, FULL))
}

/// Returns the bytes of an answer that ends its connection.
pub(super) fn last_answer(problem: &Problem) -> Vec<u8> {
    let status = problem::status(problem.code);
    let body = serde_json::to_string(&problem.details()).expect("problem details are JSON");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n\
         access-control-allow-origin: *\r\n{}connection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        if problem.code.row().come_back { "retry-after: 5\r\n" } else { "" },
        body.len()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_source_is_known_by_what_it_accepts() {
        for head in [
            &b"GET /events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nX: a\r\naccept:a/b, text/event-stream;q=1\r\n",
        ] {
            assert!(wants_events(head));
        }
        for head in [
            &b""[..],
            b"GET /events HTTP/1.1\r\nAccept: */*\r\n\r\n",
            b"GET /?Accept: text/event-stream HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nX-Accept: text/event-stream\r\n\r\n",
        ] {
            assert!(!wants_events(head));
        }
    }
}
