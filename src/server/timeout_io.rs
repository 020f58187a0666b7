//! A connection whose writes have a time limit: a peer that reads nothing for half a minute is
//! disconnected.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::handover::Handover;
use super::per_address::ConnectionPermit;
use super::tls::{self, TlsStream};
use crate::socket::Stream;

#[derive(Debug)]
pub(super) struct Guarded {
    stream: Stream<TlsStream>,
    /// How long a write may wait for room.
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Learns whether a write waits.
    handover: Arc<Handover>,
    /// Held as long as the socket is open.
    _permit: ConnectionPermit,
}

impl Guarded {
    pub(super) fn new(
        stream: Stream<TlsStream>,
        handover: Arc<Handover>,
        permit: ConnectionPermit,
    ) -> Self {
        let limit = handover.times.stall;
        Self { stream, limit, stalled: None, handover, _permit: permit }
    }

    /// Waits until bytes that were written have left the buffers of TLS, which hold some of them if the
    /// socket takes no more.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_behind() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.limited(cx, flushed)
    }

    /// Returns whether bytes that were written have not reached the socket.
    pub(super) fn is_behind(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => tls::is_behind(stream),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(stream) => tls::tcp(stream),
        }
    }

    /// Writes interim answers, which come before the bytes of hyper.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, handover, .. } = self;
        handover.control.poll_interim(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes))
    }

    fn limited<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() || self.handover.patient {
                self.handover.stalled(false);
            }
            return written;
        }
        self.handover.stalled(true);
        if self.handover.patient {
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.handover.stalls.inc();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.handover.control.closing(self.tcp());
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.handover.heads.watch(&mut buf.filled_mut()[before..]).map_err(io::Error::other)?;
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.limited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handover.control.answer(self.tcp())?;
        ready!(self.poll_interim(cx))?;
        ready!(self.poll_written(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        // The end of TLS is written, and may wait for room.
        self.limited(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout};

    use super::super::budget::Budget;
    use super::super::per_address::{MaxPerAddress, PerAddress};
    use super::*;
    use crate::hub::Places;

    async fn pair(patient: bool, limit: Duration) -> (Guarded, TcpStream) {
        let here: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = TcpListener::bind(here).await.expect("a free port");
        let reader = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
        let (stream, _) = listener.accept().await.expect("it comes");
        let permit = Arc::new(Places::default()).take(1).expect("it is free");
        let place =
            PerAddress::new(MaxPerAddress::default()).enter(here.ip()).expect("there is no limit");
        let handover = Arc::new(Handover::new(
            patient,
            Budget::new(1, Counter::default()).share(),
            Budget::new(1, Counter::default()).share(),
        ));
        let mut guarded =
            Guarded::new(Stream::Plain(stream), handover, ConnectionPermit::new(permit, place));
        guarded.limit = limit;
        (guarded, reader.expect("it is taken"))
    }

    /// Writes until that fails.
    async fn flood(guarded: &mut Guarded) -> io::ErrorKind {
        let piece = vec![0; 1 << 20];
        loop {
            if let Err(error) = guarded.write_all(&piece).await {
                return error.kind();
            }
        }
    }

    #[tokio::test]
    async fn reader_without_progress_is_disconnected_after_the_limit() {
        let limit = Duration::from_millis(100);
        let (mut guarded, _reader) = pair(false, limit).await;
        let begun = Instant::now();
        let ended = timeout(Duration::from_secs(20), flood(&mut guarded)).await;
        assert_eq!(ended, Ok(io::ErrorKind::TimedOut));
        assert!(begun.elapsed() >= limit);
    }

    #[tokio::test]
    async fn reader_that_reads_at_times_stays() {
        let limit = Duration::from_secs(2);
        let (mut guarded, mut reader) = pair(false, limit).await;
        let read = async {
            // What the kernel holds, several times, with pauses that end within the limit.
            let mut piece = vec![0; 8 << 20];
            for _ in 0..6 {
                sleep(limit / 5).await;
                reader.read_exact(&mut piece).await.expect("more");
            }
        };
        tokio::select! {
            ended = flood(&mut guarded) => panic!("{ended:?}"),
            () = read => {}
        }
    }

    #[tokio::test]
    async fn patient_server_waits_without_a_limit() {
        let (mut guarded, _reader) = pair(true, Duration::ZERO).await;
        let flood = timeout(Duration::from_millis(200), flood(&mut guarded)).await;
        assert!(flood.is_err(), "{flood:?}");
    }

    #[tokio::test]
    async fn long_head_ends_its_connection_if_those_of_others_take_all_memory() {
        let here: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = TcpListener::bind(here).await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
        let (stream, _) = listener.accept().await.expect("it comes");
        let permit = Arc::new(Places::default()).take(1).expect("it is free");
        let place =
            PerAddress::new(MaxPerAddress::default()).enter(here.ip()).expect("there is no limit");
        let (heads, bodies) =
            (Budget::new(1, Counter::default()), Budget::new(1, Counter::default()));
        let others = heads.share();
        others.take(1).expect("there is room");
        let handover = Arc::new(Handover::new(false, heads.share(), bodies.share()));
        let mut guarded =
            Guarded::new(Stream::Plain(stream), handover, ConnectionPermit::new(permit, place));
        let mut client = client.expect("it is taken");
        client.write_all(&[b'x'; 4 << 10]).await.expect("sent");
        let mut head = vec![0; 4 << 10];
        guarded.read_exact(&mut head).await.expect("short heads are not counted");
        client.write_all(b"x").await.expect("sent");
        let error = guarded.read_u8().await.expect_err("no room");
        assert!(error.into_inner().expect("an error of ours").is::<crate::problem::NoRoom>());
    }
}
