//! Stands in for TLS in a build without the feature `tls`: no certificate can be read.

use std::convert::Infallible;
use std::io;

use tokio::net::TcpStream;

use super::certificate::{CertificateFiles, InvalidCertificate};
use crate::hub::Hub;

/// Cannot be created.
#[derive(Debug, Clone)]
pub struct Tls(Infallible);

/// The connection that a handshake would return.
pub(super) type TlsStream = TcpStream;

impl Tls {
    /// Returns [`InvalidCertificate::Absent`].
    ///
    /// # Errors
    ///
    /// Always.
    pub fn read(_: CertificateFiles) -> Result<Self, InvalidCertificate> {
        Err(InvalidCertificate::Absent)
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn reread(&self) -> Result<(), InvalidCertificate> {
        match self.0 {}
    }

    /// Cannot be called.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "with the feature `tls` it waits")]
    pub(super) async fn accept(&self, _: TcpStream, _: bool, _: &Hub) -> io::Result<TlsStream> {
        match self.0 {}
    }
}

/// Returns the TCP connection below.
pub(super) fn tcp(tls: &TlsStream) -> &TcpStream {
    tls
}

/// Returns whether bytes that were written have not reached the socket.
pub(super) fn is_behind(_: &TlsStream) -> bool {
    false
}

/// Returns whether the client has chosen HTTP/2.
pub(super) fn is_http2(_: &TlsStream) -> bool {
    false
}
