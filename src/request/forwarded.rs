//! The way of a request: by TLS, through a trusted proxy.

use std::net::SocketAddr;

/// The way of a request that a trusted proxy has forwarded.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    /// The proxy: the other end of the connection.
    pub(crate) proxy: SocketAddr,
    /// The host that the client asked for, if the proxy names it.
    pub(crate) host: Option<String>,
}

/// Marks a request that came over TLS, to this server or to a trusted proxy in front of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encrypted;
