//! TLS to upstreams: rustls with ring.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::trust::{TlsError, Trust, TrustFlags};

/// Opens TLS on a connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(TlsConnector);

/// A connection to an upstream, with TLS.
pub(super) type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

impl Connector {
    pub(super) fn new(trust: &Trust) -> Result<Self, TlsError> {
        Ok(Self(TlsConnector::from(Arc::new(client_config(trust)?))))
    }

    /// Performs the handshake with the server named `host`.
    pub(super) async fn connect(&self, host: String, tcp: TcpStream) -> io::Result<TlsStream> {
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        self.0.connect(name, tcp).await
    }
}

/// Returns why a handshake failed, and the flag that would help.
pub(super) fn words(error: &io::Error, flags: TrustFlags) -> String {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                format!("{error}; a server without TLS has a URL with http: or ws:")
            }
            _ => error.to_string(),
        };
    };
    let TrustFlags { ca, insecure } = flags;
    let insecure = format!("{insecure} accepts any certificate");
    match fault {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS; its URL begins with http: or ws:".to_owned()
        }
        // No authority helps against a wrong name or date.
        Error::InvalidCertificate(
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => format!("{fault}; {insecure}"),
        Error::InvalidCertificate(_) => format!(
            "its certificate is not trusted ({fault}); {ca} FILE names its authority or the certificate itself, {insecure}"
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a certificate of the client, and wstap has none".to_owned()
        }
        _ => fault.to_string(),
    }
}

/// Returns the TCP connection below.
pub(super) fn tcp(tls: &TlsStream) -> &TcpStream {
    tls.get_ref().0
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
    // Unreadable certificates of the system are skipped.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Accepts certificates that are signed by one in a file, and those in the file themselves: a
/// self-signed one, as `openssl req -x509` makes it, is both.
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

/// Accepts every certificate: for development, with `--upstream-insecure`.
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
