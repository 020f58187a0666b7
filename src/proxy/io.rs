//! A connection to an upstream, plain or TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::target::Targets;
use super::tls::{self, TlsStream};
use crate::socket::{self, SocketControl};

/// A connection to an upstream.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    control: SocketControl,
    targets: Arc<Targets>,
    /// The start of a request with its target, which the socket has not taken yet.
    start: Vec<u8>,
    heard: Heard,
}

/// The kind of the first byte that came by a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicU8>);

/// The first byte of an alert of TLS (RFC 8446 section 5.1): the answer of a server of TLS to a
/// request of plain HTTP.
const ALERT: u8 = 21;

impl Heard {
    /// Returns whether the first byte is an alert of TLS.
    pub(super) fn tls(&self) -> bool {
        self.0.load(Relaxed) == ALERT
    }

    fn note(&self, bytes: &[u8]) {
        if let Some(first) = bytes.first()
            && self.0.load(Relaxed) == 0
        {
            self.0.store((*first).max(1), Relaxed);
        }
    }
}

/// The transport of an upstream.
pub(super) type Stream = socket::Stream<TlsStream>;

impl Io {
    pub(super) fn new(stream: Stream, targets: Arc<Targets>) -> Self {
        Self {
            stream,
            control: SocketControl::default(),
            targets,
            start: Vec::new(),
            heard: Heard::default(),
        }
    }

    /// Returns what lets a relay watch and reset the connection.
    pub(super) fn control(&self) -> SocketControl {
        self.control.clone()
    }

    /// Returns what tells the kind of the first byte.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls::tcp(tls),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.control.closing(self.tcp());
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.heard.note(&buf.filled()[before..]);
        read
    }
}

impl Io {
    /// Writes the start of a request.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.start.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.start))?;
            self.start.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a placeholder off the front of bytes, and returns the length of what it took.
    fn take_placeholder(&mut self, bytes: &[u8]) -> Option<usize> {
        let (start, length) = self.targets.replace(bytes)?;
        self.start = start;
        Some(length)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_start(cx))?;
        if let Some(length) = self.take_placeholder(buf) {
            return Poll::Ready(Ok(length));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_start(cx))?;
        if let Some(length) = bufs.first().and_then(|first| self.take_placeholder(first)) {
            return Poll::Ready(Ok(length));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.answer(self.tcp())?;
        ready!(self.poll_start(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_start(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
