//! TLS handshakes of connections that arrive: within a time limit, and a bounded number at a time.
//!
//! The accept loop does not wait for a handshake. If there are too many, the oldest one ends: a
//! handshake takes milliseconds, so that the oldest is one whose client does not go on with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::overload;
use super::tls::{self, Tls, TlsStream};
use crate::hub::Hub;
use crate::metrics::Handshake;
use crate::problem::Problem;
use crate::socket::Stream;

/// Time limit for a handshake, from the accepted connection to its last message.
const LIMIT: Duration = Duration::from_secs(10);

/// Handshakes at one time. Each may hold a client hello of 64 KiB, which makes 64 MiB in all; a
/// thousand of them take a second of one processor.
const AT_ONCE: usize = 1024;

/// The content type of the first record of TLS (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Time limit for the head of a request without TLS, and for its answer.
const PLAIN: Duration = Duration::from_secs(1);

/// Bytes that are read of a request without TLS.
const HEAD: usize = 8 << 10;

/// The handshakes that are not complete.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    last: u64,
    by_number: BTreeMap<u64, CancellationToken>,
}

/// One of them; no longer counted when dropped.
struct Entry<'a> {
    all: &'a Handshakes,
    number: u64,
    evicted: CancellationToken,
}

/// A connection on which HTTP begins.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: Stream<TlsStream>,
    /// Whether the client has chosen HTTP/2.
    pub(super) http2: bool,
}

impl Opened {
    /// Returns a connection without TLS.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { stream: Stream::Plain(tcp), http2: false }
    }
}

impl Handshakes {
    /// Performs the handshake of a connection, if there is TLS. `http2` offers HTTP/2. Returns `None`
    /// for a connection that has ended: the client has left, took too long or speaks no TLS, or the
    /// server is stopping.
    pub(super) async fn open(
        &self,
        tcp: TcpStream,
        tls: Option<&Tls>,
        http2: bool,
        hub: &Hub,
    ) -> Option<Opened> {
        let Some(tls) = tls else { return Some(Opened::plain(tcp)) };
        let deadline = Instant::now() + LIMIT;
        let stopping = hub.stopping();
        let mut first = [0];
        let read = stopping.run_until_cancelled(timeout_at(deadline, tcp.peek(&mut first))).await;
        let Some(Ok(Ok(1))) = read else { return None };
        if first[0] != HANDSHAKE {
            answer_plain(tcp).await;
            return None;
        }
        let entry = self.enter();
        let ended = |end| hub.metrics().handshakes(end).inc();
        let shaken = tokio::select! {
            shaken = timeout_at(deadline, tls.accept(tcp, http2, hub)) => shaken.ok(),
            () = entry.evicted.cancelled() => None,
            () = stopping.cancelled() => return None,
        };
        match shaken {
            Some(Ok(stream)) => {
                ended(Handshake::Completed);
                let http2 = tls::is_http2(&stream);
                Some(Opened { stream: Stream::Tls(Box::new(stream)), http2 })
            }
            Some(Err(error)) => {
                ended(Handshake::Failed);
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            None => {
                ended(Handshake::Abandoned);
                None
            }
        }
    }

    fn enter(&self) -> Entry<'_> {
        let evicted = CancellationToken::new();
        let mut running = self.lock();
        running.last += 1;
        let number = running.last;
        running.by_number.insert(number, evicted.clone());
        if running.by_number.len() > AT_ONCE
            && let Some((_, oldest)) = running.by_number.pop_first()
        {
            oldest.cancel();
        }
        Entry { all: self, number, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.all.lock().by_number.remove(&self.number);
    }
}

/// Answers a client that speaks no TLS. The head of its request is read first: an answer to an unread
/// request may be lost in a reset.
async fn answer_plain(mut tcp: TcpStream) {
    let mut head = Vec::with_capacity(1 << 10);
    let reading = async {
        while memchr::memmem::find(&head, b"\r\n\r\n").is_none() && head.len() < HEAD {
            if !matches!(tcp.read_buf(&mut head).await, Ok(1..)) {
                return;
            }
        }
    };
    let _ = timeout(PLAIN, reading).await;
    let words = "this address speaks TLS; its URL begins with https: or wss:";
    let answer = overload::last_answer(&Problem::malformed(words));
    // A peer that does not take the answer has left.
    let _ = timeout(PLAIN, async {
        tcp.write_all(&answer).await?;
        tcp.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_handshake_ends_when_there_are_too_many() {
        let all = Handshakes::default();
        let first = all.enter();
        let others: Vec<_> = (1..AT_ONCE).map(|_| all.enter()).collect();
        assert!(!first.evicted.is_cancelled());
        let one_more = all.enter();
        assert!(first.evicted.is_cancelled() && !others[0].evicted.is_cancelled());
        drop((first, others, one_more));
        assert!(all.lock().by_number.is_empty());
    }
}
