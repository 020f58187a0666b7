//! Connections to upstreams: name, TCP, TLS, all within a time limit; and never one to ourselves.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::tls::{self, Connector, TlsStream};
use super::trust::{TlsError, Trust};
use crate::socket::{SocketControl, keep_alive};

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tcp: HttpConnector,
    tls: Option<Connector>,
    own: Arc<[SocketAddr]>,
    limit: Duration,
}

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It took too long.
    #[error("did not take a connection within {0:?}")]
    Slow(Duration),
    /// It took the connection, and does not answer the handshake.
    #[error("did not answer the handshake within {0:?}")]
    Silent(Duration),
    /// It is one of our own addresses.
    #[error("is wstap itself; an upstream is another server")]
    Loop,
    /// There is none.
    #[error("cannot be reached: {0}")]
    Failed(String),
}

impl From<hyper::Error> for ConnectError {
    fn from(error: hyper::Error) -> Self {
        Self::Failed(causes(&error))
    }
}

impl Dialer {
    /// Makes a dialer that gives up after `limit`. It never connects to the addresses in `own`.
    /// Without `trust` it speaks no TLS.
    ///
    /// # Errors
    ///
    /// If there are no certificates to trust.
    pub fn new(
        own: Vec<SocketAddr>,
        trust: Option<&Trust>,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = trust.map(Connector::new);
        Ok(Self { tcp, tls: tls.transpose()?, own: own.into(), limit })
    }

    /// Returns how long an upstream may take to accept a connection.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Opens a connection to the host and port of a URI.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn dial(&self, uri: &Uri) -> Result<Io, ConnectError> {
        let dialled = tokio::time::timeout(self.limit, self.connect(uri.clone())).await;
        dialled.unwrap_or(Err(ConnectError::Slow(self.limit)))
    }

    async fn connect(&self, uri: Uri) -> Result<Io, ConnectError> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = self.tcp.clone().call(uri).await;
        let tcp = tcp.map_err(|error| ConnectError::Failed(causes(&error)))?.into_inner();
        if self.is_ourselves(&tcp) {
            return Err(ConnectError::Loop);
        }
        keep_alive(&tcp).map_err(|error| ConnectError::Failed(error.to_string()))?;
        let control = SocketControl::default();
        let Some(connector) = self.tls.as_ref().filter(|_| tls) else {
            return Ok(Io { stream: Stream::Plain(tcp), control });
        };
        let tls = connector.connect(host, tcp).await;
        let tls = tls.map_err(|error| ConnectError::Failed(causes(&error)))?;
        Ok(Io { stream: Stream::Tls(Box::new(tls)), control })
    }

    /// Returns whether the other end of a connection is one of our own sockets.
    fn is_ourselves(&self, tcp: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) else { return false };
        let ip = peer.ip().to_canonical();
        self.own.iter().any(|own| {
            // An address of this machine is the other end's and ours at once.
            let same = own.ip().to_canonical() == ip
                || own.ip().is_unspecified() && local.ip().to_canonical() == ip;
            own.port() == peer.port() && same
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Io>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Io>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial(&uri).await.map(TokioIo::new) })
    }
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    control: SocketControl,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Io {
    /// Returns what lets a relay watch and reset the connection.
    pub(super) fn control(&self) -> SocketControl {
        self.control.clone()
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

impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.answer(self.tcp())?;
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Returns what an error says and what its causes say.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
