//! How the connections of a server arrive.

use std::net::SocketAddr;
use std::time::Duration;

use super::per_address::MaxPerAddress;
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
    /// How long a peer may take.
    pub times: Times,
    /// A maximum number of connections from one address that may change while the server runs, in place
    /// of [`Server::max_per_address`](super::Server).
    pub max_per_address: Option<MaxPerAddress>,
}

/// Time limits of connections, apart from those of their TLS and of a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For the head of a request, from the end of the previous one.
    pub head: Duration,
    /// For the body of a request to the server itself, from when it is waited for.
    pub body: Duration,
    /// For a write to make progress. It does not apply in front of an upstream.
    pub stall: Duration,
}

impl Default for Times {
    fn default() -> Self {
        // As long as the kernel waits for an acknowledgement.
        let [head, body, stall] = [10, 10, 30].map(Duration::from_secs);
        Self { head, body, stall }
    }
}
