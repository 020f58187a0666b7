//! Connections to upstreams: name, TCP, TLS, all within a time limit; and never one to ourselves.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::socket::{SocketControl, keep_alive};

/// Whom an upstream's certificate has to be signed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those whom this machine trusts.
    System,
    /// Those in this PEM file.
    File(String),
    /// Nobody: any certificate will do.
    Anybody,
}

/// Why the certificates of a [`Trust`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The machine has none.
    #[error("this machine has no root certificates; --upstream-ca FILE names some")]
    NoRoots,
    /// The file has none.
    #[error("{0}: no certificate can be read from it; a PEM file has some ({1})")]
    File(String, String),
}

/// Opens connections to upstreams. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
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
        let tls = trust.map(|trust| Ok(TlsConnector::from(Arc::new(client_config(trust)?))));
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
        let name = ServerName::try_from(host).map_err(|e| ConnectError::Failed(e.to_string()))?;
        let tls = connector.connect(name, tcp).await;
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
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// Returns what lets a relay watch and reset the connection.
    pub(super) fn control(&self) -> SocketControl {
        self.control.clone()
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
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

fn client_config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3");
    let mut config = match trust {
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
        Trust::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        Trust::File(name) => {
            let listed = Listed::read(name, provider)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(listed))
                .with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some of a system's certificates may be too old to be read; the others serve.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Takes certificates that those of a file have signed, and those of the file themselves: a
/// self-signed one, as `openssl req -x509` makes it, is both at once.
#[derive(Debug)]
struct Listed {
    all: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl Listed {
    fn read(name: &str, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let fault = |error: &dyn fmt::Display| TlsError::File(name.to_owned(), error.to_string());
        let found = CertificateDer::pem_file_iter(Path::new(name)).map_err(|e| fault(&e))?;
        let all: Vec<_> = found.collect::<Result<_, _>>().map_err(|e| fault(&e))?;
        let mut roots = RootCertStore::empty();
        for certificate in &all {
            roots.add(certificate.clone()).map_err(|e| fault(&e))?;
        }
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self { all, signed: signed.build().map_err(|e| fault(&e))? })
    }
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let signed = self.signed.verify_server_cert(certificate, between, name, stapled, now);
        if signed.is_err() && self.all.contains(certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        signed
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Takes every certificate: for development, by `--upstream-insecure`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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
