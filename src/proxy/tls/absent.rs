//! Stands in for TLS in a build without the feature `tls`: no connector can be created.

use std::convert::Infallible;
use std::io;

use tokio::net::TcpStream;

use super::trust::{TlsError, Trust, TrustFlags};

/// Cannot be created.
#[derive(Clone)]
pub(super) struct Connector(Infallible);

/// The connection that a connector would return.
pub(super) type TlsStream = TcpStream;

impl Connector {
    pub(super) fn new(_: &Trust) -> Result<Self, TlsError> {
        Err(TlsError::Absent)
    }

    #[expect(clippy::unused_async, reason = "with the feature `tls` it waits")]
    pub(super) async fn connect(&self, _: String, _: TcpStream) -> io::Result<TlsStream> {
        match self.0 {}
    }
}

/// Returns why a handshake failed.
pub(super) fn words(error: &io::Error, _: TrustFlags) -> String {
    error.to_string()
}

/// Returns the TCP connection below.
pub(super) fn tcp(tls: &TlsStream) -> &TcpStream {
    tls
}
