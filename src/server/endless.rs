//! Writes responses without an end, past hyper.
//!
//! A connection that carries an event stream carries nothing else. hyper would keep its buffers
//! (8 KiB) and its state machine as long as the stream lives, so the server takes such a response
//! and its socket away from hyper and writes the response itself: the head, then each piece of the
//! body as one chunk (RFC 9112 section 7.1). With 1,000 listeners this takes a quarter of the
//! memory, and 10 % less CPU for a single event.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::handover::Handover;
use super::timeout_io::Guarded;

/// Pieces up to this size are gathered into one write; larger ones are written from where they
/// lie. Copying this much costs less than the kernel takes for a list of three buffers.
const GATHER: usize = 16 << 10;

/// Bytes that a client may send in all while it listens; more end the stream. The only sensible
/// bytes are a pipelined request, which is never answered.
const MAX_INPUT: usize = 64 << 10;

thread_local! {
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(2 * GATHER));
}

/// Writes a response. Ends when the body ends or the client leaves.
#[derive(Debug)]
pub(super) struct Writer {
    io: Guarded,
    body: Body,
    /// Bytes that the socket has not taken yet, in order.
    rest: Bytes,
    chunk: Option<Chunk>,
    ending: bool,
    input: usize,
    polls: u8,
    /// Shared with the connection that hyper served; kept so that nothing is left to drop there.
    _handover: Arc<Handover>,
}

/// A large chunk that is being written: its length, its data, and a line break.
#[derive(Debug)]
struct Chunk {
    head: Bytes,
    data: Bytes,
    tail: Bytes,
}

impl Writer {
    pub(super) fn new(io: Guarded, response: Response, handover: Arc<Handover>) -> Self {
        let (parts, body) = response.into_parts();
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in &parts.headers {
            if ![TRANSFER_ENCODING, CONTENT_LENGTH, DATE].contains(name) {
                head.extend_from_slice(name.as_str().as_bytes());
                head.extend_from_slice(b": ");
                head.extend_from_slice(HeaderValue::as_bytes(value));
                head.extend_from_slice(b"\r\n");
            }
        }
        write!(head, "transfer-encoding: chunked\r\ndate: {}\r\n\r\n", date())
            .expect("a Vec takes all");
        Self {
            io,
            body,
            rest: head.into(),
            chunk: None,
            ending: false,
            input: 0,
            polls: 0,
            _handover: handover,
        }
    }

    /// Writes until the socket takes no more, or nothing waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.rest.has_remaining() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.rest))?;
            self.rest.advance(written);
        }
        while let Some(chunk) = &mut self.chunk {
            let parts = [&chunk.head, &chunk.data, &chunk.tail].map(|part| IoSlice::new(part));
            let mut written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &parts))?;
            for part in [&mut chunk.head, &mut chunk.data, &mut chunk.tail] {
                let done = written.min(part.len());
                part.advance(done);
                written -= done;
            }
            if chunk.tail.is_empty() {
                self.chunk = None;
            }
        }
        self.io.poll_written(cx)
    }

    /// Gathers the pieces of the body that are ready; returns whether there may be more.
    fn poll_gather(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        while out.len() < GATHER && self.chunk.is_none() && !self.ending {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return false };
            match frame.and_then(Result::ok).map(http_body::Frame::into_data) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) if data.len() > GATHER => {
                    let head = format!("{:x}\r\n", data.len()).into();
                    self.chunk = Some(Chunk { head, data, tail: Bytes::from_static(b"\r\n") });
                }
                Some(Ok(data)) => {
                    write!(out, "{:x}\r\n", data.len()).expect("a Vec takes all");
                    out.extend_from_slice(&data);
                    out.extend_from_slice(b"\r\n");
                }
                Some(Err(_trailers)) => {}
                None => {
                    out.extend_from_slice(b"0\r\n\r\n");
                    self.ending = true;
                }
            }
        }
        true
    }

    /// Notices a client that leaves, and discards its input.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 512];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.input += buf.filled().len(),
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
            if self.input > MAX_INPUT {
                return Poll::Ready(());
            }
        }
    }
}

impl Future for Writer {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wrote = false;
        loop {
            ready!(self.poll_send(cx))?;
            if self.ending {
                return Pin::new(&mut self.io).poll_shutdown(cx);
            }
            let this = &mut *self;
            let more = GATHERED.with_borrow_mut(|out| {
                out.clear();
                let more = this.poll_gather(cx, out);
                wrote |= !out.is_empty();
                if !out.is_empty() {
                    // Written at once from here, in almost all cases; what is left is kept.
                    let written = match Pin::new(&mut this.io).poll_write(cx, out) {
                        Poll::Ready(written) => written?,
                        Poll::Pending => 0,
                    };
                    if written < out.len() {
                        this.rest = Bytes::copy_from_slice(&out[written..]);
                    }
                }
                Ok::<_, io::Error>(more)
            })?;
            if !more && self.rest.is_empty() && !self.io.is_behind() {
                // A wake-up without anything to write is for the input. One that comes together
                // with an event may be missed here; a client that went is then noticed by the
                // writes, of which the second fails.
                self.polls = self.polls.wrapping_add(1);
                let look = !wrote || self.polls.is_multiple_of(16);
                return if look { self.poll_input(cx).map(Ok) } else { Poll::Pending };
            }
        }
    }
}

/// Returns the time as HTTP writes it (RFC 9110 section 5.6.7).
fn date() -> impl std::fmt::Display {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT")
}
