//! TLS of the server: rustls with ring.
//!
//! The files are read at the start and when the caller says so ([`Tls::reread`]); connections that
//! are open keep the certificate that they began with. Tickets of sessions are valid for one reading
//! of the files, so that a certificate of a client that is no longer accepted resumes nothing.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::certificate::{CertificateFiles, InvalidCertificate};
use crate::hub::Hub;

/// A connection of a client, with TLS.
pub(super) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// The certificate of a server. Clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: CertificateFiles,
    current: Mutex<Configs>,
}

/// The configurations of one reading of the files.
#[derive(Clone)]
struct Configs {
    http1: Arc<ServerConfig>,
    /// Offers HTTP/2 as well.
    http2: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, has no PEM of its kind, or the key is that of another certificate.
    pub fn read(files: CertificateFiles) -> Result<Self, InvalidCertificate> {
        let current = Mutex::new(Configs::read(&files)?);
        Ok(Self(Arc::new(Shared { files, current })))
    }

    /// Reads the files again. Connections from now on get the new certificate.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read). The certificate stays as it was then.
    pub fn reread(&self) -> Result<(), InvalidCertificate> {
        let new = Configs::read(&self.0.files)?;
        *self.0.current.lock().expect("nothing panics while it holds this lock") = new;
        Ok(())
    }

    /// Returns the files.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        &self.0.files
    }

    /// Performs the handshake with a client. Its signature, which costs most, needs a turn of the
    /// hub. The caller sets a time limit.
    pub(super) async fn accept(
        &self,
        tcp: TcpStream,
        http2: bool,
        hub: &Hub,
    ) -> io::Result<TlsStream> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let turn = hub.turn().await;
        let configs =
            self.0.current.lock().expect("nothing panics while it holds this lock").clone();
        let config = if http2 { configs.http2 } else { configs.http1 };
        let mut accepting = pin!(hello.into_stream(config));
        // The first poll writes the answer, before the turn ends.
        let first = accepting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(turn);
        match first {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => accepting.await,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.0.files).finish_non_exhaustive()
    }
}

/// Returns the TCP connection below.
pub(super) fn tcp(tls: &TlsStream) -> &TcpStream {
    tls.get_ref().0
}

/// Returns whether bytes that were written have not reached the socket.
pub(super) fn is_behind(tls: &TlsStream) -> bool {
    tls.get_ref().1.wants_write()
}

/// Returns whether the client has chosen HTTP/2.
pub(super) fn is_http2(tls: &TlsStream) -> bool {
    tls.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// The name of HTTP/2 in ALPN (RFC 9113 section 3.2).
const HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1 in ALPN (RFC 7301 section 6).
const HTTP1: &[u8] = b"http/1.1";

impl Configs {
    fn read(files: &CertificateFiles) -> Result<Self, InvalidCertificate> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3");
        let cert = PemFile { flag: "tls-cert", name: &files.cert };
        let key = PemFile { flag: "tls-key", name: &files.key };
        let chain = cert.certificates()?;
        let private = key.private_key()?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let file = PemFile { flag: "tls-client-ca", name };
                let roots = Arc::new(file.roots()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|fault| file.fault(&fault))?)
            }
        };
        let mut config = builder.with_single_cert(chain, private).map_err(|fault| match fault {
            rustls::Error::InconsistentKeys(_) => {
                key.fault(&format!("this is the key of another certificate than {}", files.cert))
            }
            rustls::Error::InvalidCertificate(fault) => cert.fault(&fault),
            fault => key.fault(&fault),
        })?;
        if let Ok(ticketer) = rustls::crypto::ring::Ticketer::new() {
            config.ticketer = ticketer;
        }
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self { http1: Arc::new(config), http2: Arc::new(http2) })
    }
}

/// A PEM file that a setting names.
struct PemFile<'a> {
    flag: &'static str,
    name: &'a str,
}

impl PemFile<'_> {
    fn fault(&self, fault: &dyn fmt::Display) -> InvalidCertificate {
        let (file, fault) = (self.name.to_owned(), fault.to_string());
        InvalidCertificate::File { flag: self.flag, file, fault }
    }

    fn read(&self) -> Result<Vec<u8>, InvalidCertificate> {
        std::fs::read(Path::new(self.name)).map_err(|error| self.fault(&error))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, InvalidCertificate> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        let all = read.map_err(|fault| self.fault(&format!("no PEM ({fault})")))?;
        if all.is_empty() {
            let right =
                "it has no certificate; PEM has one between BEGIN CERTIFICATE and END CERTIFICATE";
            return Err(self.fault(&right));
        }
        Ok(all)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, InvalidCertificate> {
        let content = self.read()?;
        PrivateKeyDer::from_pem_slice(&content).map_err(|fault| match fault {
            pem::Error::NoItemsFound
                if memchr::memmem::find(&content, b"BEGIN ENCRYPTED PRIVATE KEY").is_some() =>
            {
                self.fault(&"the key is encrypted; openssl pkey -in FILE -out KEY writes it without a password")
            }
            pem::Error::NoItemsFound => {
                self.fault(&"it has no private key; PEM has one between BEGIN PRIVATE KEY and END PRIVATE KEY")
            }
            fault => self.fault(&format!("no PEM ({fault})")),
        })
    }

    fn roots(&self) -> Result<RootCertStore, InvalidCertificate> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|fault| self.fault(&fault))?;
        }
        Ok(roots)
    }
}
