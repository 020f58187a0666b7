//! How many records of TLS an event takes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::SinkExt as _;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tungstenite::Message as Frame;

use super::get;
use crate::harness::{Events, within};
use crate::tls::Secure;

/// A socket that counts the records that it reads (RFC 8446 section 5.1).
struct Records {
    tcp: TcpStream,
    count: Arc<AtomicUsize>,
    /// The head of the next record, as far as it has come.
    head: Vec<u8>,
    /// What is missing of the last record.
    left: usize,
}

impl Records {
    fn count(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let taken = (5 - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [_, _, _, high, low] = self.head[..] {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.head.clear();
                self.count.fetch_add(1, Relaxed);
            }
        }
    }
}

impl AsyncRead for Records {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.count(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Records {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The server runs in the thread of the test: all streams are ready when their connection is polled.
#[tokio::test]
async fn event_for_ten_streams_is_one_record() {
    let server = Secure::start().await;
    let mut config = server.authority.client(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let count = Arc::new(AtomicUsize::new(0));
    let tcp = TcpStream::connect(server.tap.addr).await.expect("the server is there");
    let records = Records { tcp, count: Arc::clone(&count), head: Vec::new(), left: 0 };
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, records);
    let tls = within("a handshake", connecting).await.expect("a handshake");
    let (mut sender, connection) =
        Builder::new(TokioExecutor::new()).handshake(TokioIo::new(tls)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..10 {
        let answer = get(&server, &mut sender, "/events?format=full").await;
        streams.push(Events::of(answer));
    }
    let mut ws = server.ws("/ws?connectionId=a").await;
    for stream in &mut streams {
        assert_eq!(stream.json().await["kind"], "connect");
    }
    let text = "x".repeat(300);
    let before = count.load(Relaxed);
    for _ in 0..10 {
        ws.send(Frame::text(text.clone())).await.expect("sent");
        for stream in &mut streams {
            assert_eq!(stream.json().await["message"], text.as_str());
        }
    }
    // One for each of the ten events, and some for windows and pings.
    let taken = count.load(Relaxed) - before;
    assert!(taken <= 20, "{taken} records");
}
