//! Opens connections to upstreams: name resolution, TCP and TLS within a time limit. Connections to
//! our own sockets are refused.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::net::TcpStream;
use tower::Service;

use super::io::{Io, Stream};
use super::resolve::Resolver;
use super::target::Targets;
use super::tls::{self, Connector};
use super::trust::{TlsError, Trust, TrustFlags};
use crate::socket::keep_alive;

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tcp: HttpConnector<Resolver>,
    tls: Option<Connector>,
    own: Arc<[SocketAddr]>,
    limit: Duration,
    targets: Arc<Targets>,
    flags: TrustFlags,
}

/// Reasons why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection within the time limit.
    #[error("did not take a connection within {0:?}")]
    Slow(Duration),
    /// No answer to the handshake within the time limit.
    #[error("did not answer the handshake within {0:?}")]
    Silent(Duration),
    /// The upstream is one of our own addresses.
    #[error("is wstap itself; an upstream is another server")]
    Loop,
    /// The connection failed.
    #[error("cannot be reached: {0}")]
    Failed(String),
    /// The handshake of TLS failed.
    #[error("is reached, but TLS with it fails: {0}")]
    Tls(String),
    /// A server of TLS was spoken to without it.
    #[error("speaks TLS; its URL begins with https: or wss:")]
    SpeaksTls,
    /// The answer is not HTTP, or breaks off.
    #[error("did not answer properly: {0}")]
    Answer(String),
    /// The body of the request that is forwarded cannot be read.
    #[error("is waiting for the body of this request, which cannot be read")]
    Body,
}

impl From<hyper::Error> for ConnectError {
    fn from(error: hyper::Error) -> Self {
        if error.is_user() { Self::Body } else { Self::Answer(causes(&error)) }
    }
}

impl Dialer {
    /// Makes a dialer with a time limit. It never connects to the addresses in `own`. Without `trust`
    /// it has no TLS.
    ///
    /// # Errors
    ///
    /// If no root certificates can be read.
    pub fn new(
        own: Vec<SocketAddr>,
        trust: Option<&Trust>,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = trust.map(Connector::new);
        Ok(Self {
            tcp,
            tls: tls.transpose()?,
            own: own.into(),
            limit,
            targets: Arc::default(),
            flags: TrustFlags::default(),
        })
    }

    /// Names other flags in errors about certificates.
    #[must_use]
    pub fn naming(self, flags: TrustFlags) -> Self {
        Self { flags, ..self }
    }

    /// Returns the placeholders that connections replace.
    pub(super) fn targets(&self) -> &Targets {
        &self.targets
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

    /// Opens a TCP connection to the host and port of a URI, and closes it.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub(super) async fn reach(&self, uri: &Uri) -> Result<(), ConnectError> {
        let reached = tokio::time::timeout(self.limit, self.tcp(uri.clone())).await;
        reached.unwrap_or(Err(ConnectError::Slow(self.limit))).map(drop)
    }

    async fn tcp(&self, uri: Uri) -> Result<TcpStream, ConnectError> {
        let tcp = self.tcp.clone().call(uri).await;
        let tcp = tcp.map_err(|error| ConnectError::Failed(causes(&error)))?.into_inner();
        if self.is_ourselves(&tcp) {
            return Err(ConnectError::Loop);
        }
        Ok(tcp)
    }

    async fn connect(&self, uri: Uri) -> Result<Io, ConnectError> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = self.tcp(uri).await?;
        keep_alive(&tcp).map_err(|error| ConnectError::Failed(error.to_string()))?;
        let Some(connector) = self.tls.as_ref().filter(|_| tls) else {
            return Ok(Io::new(Stream::Plain(tcp), Arc::clone(&self.targets)));
        };
        let tls = connector.connect(host, tcp).await;
        let tls = tls.map_err(|error| ConnectError::Tls(tls::words(&error, self.flags)))?;
        Ok(Io::new(Stream::Tls(Box::new(tls)), Arc::clone(&self.targets)))
    }

    /// Returns whether the other end of a connection is one of our own sockets.
    fn is_ourselves(&self, tcp: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) else { return false };
        let ip = peer.ip().to_canonical();
        self.own.iter().any(|own| {
            // With an unspecified address, the peer has the address that we have ourselves.
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

/// Returns the text of an error and of its causes.
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
