//! What a proxy needs of TCP sockets that hyper and TLS own: keepalive, a reset instead of an
//! orderly end, the state of a connection that is not being read, and interim answers.
//!
//! A [`SocketControl`] is shared by the owner of a socket and a proxy. The proxy asks through it,
//! and flushes the connection; the flush passes all layers and is answered by the owner.

mod stream;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

pub(crate) use stream::Stream;

/// Time without traffic after which the kernel probes a peer. With three probes, ten seconds apart,
/// a peer that vanished is reported after one minute.
const IDLE: Duration = Duration::from_secs(30);

/// Turns TCP keepalive on.
///
/// # Errors
///
/// If the connection has failed already.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(IDLE);
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "windows"))]
    let keepalive = keepalive.with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Shared by the owner of a socket and a proxy that uses the connection. A server puts it beside
/// the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct SocketControl(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reset_on_close: AtomicBool,
    question: AtomicU8,
    /// There are bytes in `interim`.
    has_interim: AtomicBool,
    interim: Mutex<Vec<u8>>,
}

/// Bytes of interim answers that wait for a client that does not read.
const MAX_INTERIM: usize = 64 << 10;

/// Nothing is asked.
const NONE: u8 = 0;
/// The relay asks for the state of the connection.
const ASKED: u8 = 1;
/// The peer has ended its half.
const ENDED: u8 = 2;

impl SocketControl {
    /// Makes the close of the socket a reset.
    pub(crate) fn reset_on_close(&self) {
        self.0.reset_on_close.store(true, Relaxed);
    }

    /// Asks for the state of the connection: `flush` has to flush it. Returns whether the peer has
    /// ended its half, even if bytes that came before are not read yet.
    ///
    /// # Errors
    ///
    /// If the connection has failed.
    pub(crate) fn ask(&self, flush: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        self.0.question.store(ASKED, Relaxed);
        flush()?;
        Ok(self.0.question.swap(NONE, Relaxed) == ENDED)
    }

    /// Answers [`ask`](Self::ask). The owner of the socket calls it at each flush.
    ///
    /// # Errors
    ///
    /// If the relay asked, and the connection has failed.
    pub(crate) fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        if self.0.question.load(Relaxed) != ASKED {
            return Ok(());
        }
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        let ready = stream.ready(Interest::READABLE).now_or_never();
        if ready.is_some_and(|ready| ready.is_ok_and(Ready::is_read_closed)) {
            self.0.question.store(ENDED, Relaxed);
        }
        Ok(())
    }

    /// Has bytes written before those of hyper, at the next write or flush. Bytes that find no room
    /// are dropped: an interim answer may be left out.
    pub(crate) fn send_interim(&self, bytes: &[u8]) {
        let mut interim = self.interim();
        if interim.len() + bytes.len() <= MAX_INTERIM {
            interim.extend_from_slice(bytes);
            self.0.has_interim.store(true, Relaxed);
        }
    }

    /// Writes the bytes of [`send_interim`](Self::send_interim). The owner of the socket calls it
    /// before each write.
    pub(crate) fn poll_interim(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        if !self.0.has_interim.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut interim = self.interim();
        while !interim.is_empty() {
            let written = ready!(write(&interim))?;
            interim.drain(..written);
        }
        *interim = Vec::new();
        self.0.has_interim.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn interim(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.interim.lock().expect("nothing panics while it holds this lock")
    }

    /// Prepares the close of the socket. The owner calls it before it drops the stream.
    pub(crate) fn closing(&self, stream: &TcpStream) {
        if self.0.reset_on_close.load(Relaxed) {
            // A socket that failed needs no reset.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let there = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
        (listener.accept().await.expect("it comes").0, there.expect("it is taken"))
    }

    /// Asks until the answer is something else than "open".
    async fn state(control: &SocketControl, stream: &TcpStream) -> io::Result<bool> {
        let asking = async {
            loop {
                match control.ask(|| control.answer(stream)) {
                    Ok(false) => tokio::time::sleep(Duration::from_millis(1)).await,
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking).await.expect("an end is noticed")
    }

    #[tokio::test]
    async fn end_behind_unread_bytes_is_reported() {
        let (here, mut there) = pair().await;
        let control = SocketControl::default();
        assert!(!control.ask(|| control.answer(&here)).expect("open"));
        there.write_all(b"unread").await.expect("sent");
        there.shutdown().await.expect("half closed");
        assert!(state(&control, &here).await.expect("no failure"));
    }

    #[tokio::test]
    async fn reset_behind_unread_bytes_is_reported() {
        let (here, mut there) = pair().await;
        let control = SocketControl::default();
        there.write_all(b"unread").await.expect("sent");
        here.readable().await.expect("readable");
        let sender = SocketControl::default();
        sender.reset_on_close();
        sender.closing(&there);
        drop(there);
        let error = loop {
            match state(&control, &here).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn keepalive_probes_begin_after_half_a_minute() {
        let (here, _there) = pair().await;
        keep_alive(&here).expect("open");
        let socket = SockRef::from(&here);
        assert!(socket.keepalive().expect("an option"));
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().expect("an option"), IDLE);
            assert_eq!(socket.tcp_keepalive_retries().expect("an option"), 3);
        }
    }
}
