//! How the connections of a server arrive.

use std::net::SocketAddr;

use super::proxies::TrustedProxies;
use super::tls::Tls;

/// What is below HTTP on the connections of a server. The default is plain TCP.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    /// The certificate. `None` is a server without TLS.
    pub tls: Option<Tls>,
    /// The proxies that are believed about the addresses of clients.
    pub proxies: TrustedProxies,
    /// Bound addresses whose routes accept no WebSockets: by HTTP/2 none are offered there.
    pub without_websockets: Vec<SocketAddr>,
}
