//! A socket whose frames are gathered until the connection has been polled.
//!
//! h2 flushes after each frame of data that has 256 bytes or more. That is a record of TLS and a write
//! for each event of each stream, so a flush of h2 does nothing here, and the connection flushes
//! ([`Gathered::poll_send`]) once all of its streams have written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

use crate::server::timeout_io::Guarded;

/// Frames are gathered up to this size: the largest record of TLS.
const RECORD: usize = 16 << 10;

/// The socket of a connection, which h2 and the task of the connection share. The lock is never
/// contended: both run in that task.
#[derive(Debug, Clone)]
pub(super) struct Gathered(Arc<Mutex<BufWriter<Guarded>>>);

impl Gathered {
    pub(super) fn new(io: Guarded) -> Self {
        Self(Arc::new(Mutex::new(BufWriter::with_capacity(RECORD, io))))
    }

    /// Sends what was gathered.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Guarded>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl AsyncRead for Gathered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}
