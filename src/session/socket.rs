//! The server's end of a WebSocket: frames in and out, and endings that reach the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt as _, Stream, StreamExt as _};
use hyper::upgrade::Upgraded;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message as Frame};

use super::flow::Flow;
use super::strict::{BAD_GATEWAY, StrictIo};

/// Size of the read buffer of each socket. tungstenite's default of 128 KiB would be allocated for
/// every idle connection.
const READ_BUFFER: usize = 4 << 10;

/// Bytes of frames that are gathered for one write. tungstenite keeps the buffer that it has grown,
/// so that a larger batch would cost each connection that much; 8 KiB hold 30 messages of 256 bytes.
pub(super) const BATCH_BYTES: usize = 8 << 10;

/// Pings that are read before their answers are written.
const PINGS: u32 = 16;

/// Bytes that are read and dropped so that a close frame arrives. Closing a TCP connection with
/// unread data resets it, and the client would see the reset first.
const LINGER_BYTES: usize = 16 << 20;

/// A WebSocket over an upgraded HTTP connection.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: WebSocketStream<StrictIo>,
    /// Whether the client has not answered a close frame in time.
    deaf: bool,
    /// Pings received since everything was written.
    pings: u32,
}

impl Socket {
    pub(super) async fn new(
        io: Upgraded,
        max_message_bytes: usize,
        flow: Option<Box<Flow>>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(BATCH_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let io = StrictIo::new(io, max_message_bytes, flow);
        let inner = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self { inner, deaf: false, pings: 0 }
    }

    /// Returns how many bytes have been received.
    pub(crate) fn received(&self) -> u64 {
        self.inner.get_ref().received()
    }

    pub(crate) async fn send(&mut self, frame: Frame) -> Result<(), Error> {
        self.inner.send(frame).await
    }

    /// Adds a frame to what is to be written. [`Socket::written`] writes it.
    pub(super) fn start(&mut self, frame: Frame) -> Result<(), Error> {
        self.inner.start_send_unpin(frame)
    }

    /// Waits until all started frames are written. Cancel safe.
    pub(super) async fn written(&mut self) -> Result<(), Error> {
        self.inner.flush().await
    }

    /// Sends a close frame. [`Socket::linger`] then waits until it has arrived.
    pub(crate) async fn close(&mut self, code: u16, reason: &str, limit: Duration) {
        // If it cannot be sent, the client is gone.
        let _ = timeout(limit, self.inner.send(close_frame(code, reason))).await;
    }

    /// Writes what waits to be written, within a time limit.
    pub(crate) async fn flush(&mut self, limit: Duration) {
        let _ = timeout(limit, self.inner.flush()).await;
    }

    /// Sends a close frame and waits for the answer. Frames that the client sent before it saw the
    /// close frame go to `each`. Returns whether the answer came in time.
    pub(crate) async fn close_and_wait(
        &mut self,
        code: u16,
        reason: &str,
        limit: Duration,
        mut each: impl FnMut(Frame),
    ) -> bool {
        let handshake = async {
            if self.inner.send(close_frame(code, reason)).await.is_err() {
                return false;
            }
            while let Some(frame) = self.next().await {
                match frame {
                    Ok(Frame::Close(_)) => return true,
                    Ok(frame) => each(frame),
                    Err(_) => return false,
                }
                tokio::task::yield_now().await;
            }
            false
        };
        let answered = timeout(limit, handshake).await;
        self.deaf = answered.is_err();
        answered.unwrap_or(false)
    }

    /// Waits until everything written has arrived: flushes, shuts the sending side down, and reads
    /// until the client has closed the connection.
    pub(crate) async fn linger(&mut self, limit: Duration) {
        if self.deaf {
            return;
        }
        let _ = timeout(limit, async {
            let _ = self.inner.flush().await;
            // The client may still send what ended the session.
            let io = self.inner.get_mut().unchecked();
            let _ = tokio::io::AsyncWriteExt::shutdown(io).await;
            // On the heap, so that the future of a session does not hold it all the time.
            let (mut scratch, mut left) = (vec![0; 4096], LINGER_BYTES);
            while let Ok(read @ 1..) = io.read(&mut scratch).await {
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        })
        .await;
    }
}

impl Stream for Socket {
    type Item = Result<Frame, Error>;

    /// Polls for the next frame. A client that sends pings and does not read the answers is not read
    /// either: tungstenite keeps an answer to each ping that it reads.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.pings >= PINGS {
            if let Err(error) = ready!(self.inner.poll_flush_unpin(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            self.pings = 0;
        }
        self.inner.get_mut().begin_poll();
        let next = self.inner.poll_next_unpin(cx);
        self.pings += u32::from(matches!(next, Poll::Ready(Some(Ok(Frame::Ping(_))))));
        next.map(|next| next.map(|next| next.map(|frame| self.restore(frame))))
    }
}

impl Socket {
    /// Restores the code of a close frame that tungstenite does not accept.
    fn restore(&self, frame: Frame) -> Frame {
        match frame {
            Frame::Close(Some(close)) if self.inner.get_ref().replaced_code() => {
                Frame::Close(Some(CloseFrame { code: BAD_GATEWAY.into(), ..close }))
            }
            frame => frame,
        }
    }
}

/// The longest reason of a close frame: a control frame has at most 125 bytes, of which the code
/// takes two.
const MAX_REASON: usize = 123;

fn close_frame(code: u16, reason: &str) -> Frame {
    let end = (0..=reason.len().min(MAX_REASON)).rev().find(|end| reason.is_char_boundary(*end));
    let reason = &reason[..end.unwrap_or(0)];
    Frame::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
}
