//! Makes tungstenite follow RFC 6455 where it does not: it accepts lengths that are not in their
//! shortest form, and treats the close code 1014 as a violation.
//!
//! The frames are followed as bytes pass. A frame with a longer length is an error. The code 1014 is
//! replaced by 1013 for tungstenite, and restored in its answer. Frames and bytes are counted against the
//! limits of the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flow::{Flow, TooFast};
use crate::code;
use crate::frame::{Boundaries, FrameHead};

/// "Bad gateway" in the registry of close codes.
pub(super) const BAD_GATEWAY: u16 = code::Code::Unavailable.close();

/// The code that stands for it: the two differ in their last byte.
const STAND_IN: u16 = code::Code::Full.close();

/// The difference of the two.
const DIFFERENCE: u8 = BAD_GATEWAY.to_be_bytes()[1] ^ STAND_IN.to_be_bytes()[1];

/// Reads of at most 4 KiB before other tasks get their turn. tungstenite reads on until a message is
/// complete: a client that sent fragments without payload kept others waiting for 14 ms at the median.
const READS: u32 = 8;

/// A length that is not in its shortest form (RFC 6455 section 5.2).
#[derive(Debug, thiserror::Error)]
#[error("a frame length in more bytes than it needs")]
pub(super) struct LongLength;

/// A connection whose frames are checked, and whose bytes are counted.
#[derive(Debug)]
pub(super) struct StrictIo {
    io: TokioIo<Upgraded>,
    received: u64,
    boundaries: Boundaries,
    head: FrameHead,
    /// The first byte of a close code.
    high: u8,
    /// Bytes of the payload of the close frame whose code was replaced.
    replaced: Option<usize>,
    /// A frame of the current message has a longer length.
    long: bool,
    /// Bytes of the payload of the current message.
    message: u64,
    /// tungstenite reports a larger message.
    max_message_bytes: u64,
    /// The message is complete but for the last byte.
    failed: bool,
    /// Reads of the current poll for a frame.
    reads: u32,
    /// Complete frames that are not counted in `flow` yet.
    frames: u64,
    /// What the client may send; `None` is no limit.
    flow: Option<Box<Flow>>,
    too_fast: Option<TooFast>,
}

impl StrictIo {
    pub(super) fn new(io: Upgraded, max_message_bytes: usize, flow: Option<Box<Flow>>) -> Self {
        Self {
            io: TokioIo::new(io),
            received: 0,
            boundaries: Boundaries::new(),
            head: FrameHead::default(),
            high: 0,
            replaced: None,
            long: false,
            message: 0,
            max_message_bytes: max_message_bytes as u64,
            failed: false,
            reads: 0,
            frames: 0,
            flow,
            too_fast: None,
        }
    }

    /// Returns the connection, whose bytes are not looked at.
    pub(super) fn unchecked(&mut self) -> &mut TokioIo<Upgraded> {
        &mut self.io
    }

    /// Begins a poll for a frame.
    pub(super) fn begin_poll(&mut self) {
        self.reads = 0;
    }

    /// Returns the number of bytes received.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Returns whether a close frame had the code 1014, and has another one now.
    pub(super) fn replaced_code(&self) -> bool {
        self.replaced.is_some()
    }

    /// Checks bytes, and returns how many of them may be read: all before the end of a message with a
    /// longer length, so that one that is too large as well is an error of its size.
    fn check(&mut self, bytes: &mut [u8]) -> usize {
        let Self {
            boundaries, head, high, replaced, long, message, max_message_bytes, frames, ..
        } = self;
        let stopped = boundaries.follow(bytes, head, |head, offset, payload| {
            if head.opcode == FrameHead::CLOSE {
                for (byte, at) in payload.iter_mut().zip(offset..2) {
                    let mask = head.mask.map_or(0, |mask| mask[usize::from(at == 1)]);
                    match at {
                        0 => *high = *byte ^ mask,
                        _ if u16::from_be_bytes([*high, *byte ^ mask]) == BAD_GATEWAY => {
                            *byte ^= DIFFERENCE;
                            *replaced = usize::try_from(head.length).ok();
                        }
                        _ => {}
                    }
                }
            }
            *long |= !head.is_minimal();
            if head.opcode < FrameHead::CLOSE {
                *message += payload.len() as u64;
            }
            let end = offset + payload.len() as u64 == head.length;
            *frames += u64::from(end);
            let complete = head.fin && end;
            if complete && *long && *message <= *max_message_bytes {
                return false;
            }
            if complete && head.opcode < FrameHead::CLOSE {
                (*long, *message) = (false, 0);
            }
            true
        });
        self.failed = stopped.is_some();
        stopped.map_or(bytes.len(), |end| end.saturating_sub(1))
    }

    /// Returns bytes with the code of the answer to the close frame restored; it is the last frame.
    fn restore(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let at = bytes.len().checked_sub(self.replaced?)?;
        let code = bytes.get(at..at + 2)?;
        let mut bytes = (code == STAND_IN.to_be_bytes()).then(|| bytes.to_vec())?;
        bytes[at + 1] ^= DIFFERENCE;
        Some(bytes)
    }
}

impl AsyncRead for StrictIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.failed {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, LongLength)));
        }
        if let Some(too_fast) = self.too_fast {
            return Poll::Ready(Err(io::Error::other(too_fast)));
        }
        if self.reads >= READS {
            crate::hub::yield_turn(cx);
            return Poll::Pending;
        }
        self.reads += 1;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.received += read as u64;
        let valid = self.check(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + valid);
        let Self { flow, frames, .. } = &mut *self;
        if let Some(flow) = flow
            && read > 0
        {
            let frames = std::mem::take(frames);
            // What this read brought still counts as sent in time.
            self.too_fast = flow.take(frames, read as u64, Instant::now()).err();
        }
        if self.failed && valid == 0 {
            // An empty read would be the end of the connection.
            return self.poll_read(cx, buf);
        }
        polled
    }
}

impl AsyncWrite for StrictIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.restore(buf) {
            Some(restored) => Pin::new(&mut self.io).poll_write(cx, &restored),
            None => Pin::new(&mut self.io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
