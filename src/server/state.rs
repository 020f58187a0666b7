//! State that all connections of a server share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::connection_tracker::ConnectionTracker;
use super::handshakes::{Handshakes, Opened};
use super::overload::TurnAway;
use super::per_address::{ConnectionPermit, MaxPerAddress, PerAddress};
use super::proxy_protocol;
use super::transport::Transport;
use crate::hub::{Hub, Places};
use crate::metrics::Limit;
use crate::request::Task;
use crate::throttle::Throttle;

/// Memory for all heads that are not complete, beyond the first 4 KiB of each. A head that finds no
/// room ends its connection.
const HEADS: usize = 16 << 20;

/// Memory for all bodies that are not handled yet, beyond the first 16 KiB of each.
const BODIES: usize = 32 << 20;

/// Connections beyond those that may register or listen: pages, API calls, and answers that the
/// server is full.
const SPARE_CONNECTIONS: usize = 1024;

/// Time between two warnings about proxies.
const WARNING: Duration = Duration::from_mins(1);

/// Time limit for the header of the PROXY protocol, which a proxy sends at once.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// State that all connections share.
pub(super) struct ServerState {
    room: Arc<Places>,
    pub(super) per_address: PerAddress,
    pub(super) turn_away: TurnAway,
    pub(super) transport: Transport,
    /// Limits the warnings about proxies.
    warned: Throttle,
    handshakes: Handshakes,
    hub: Hub,
    pub(super) tracker: ConnectionTracker,
    /// Connections that have not asked for anything.
    pub(super) unasked: TaskTracker,
    pub(super) heads: Arc<Budget>,
    pub(super) bodies: Arc<Budget>,
    /// Counts heads that took too long.
    pub(super) late_heads: Counter,
    /// Counts bodies that took too long.
    pub(super) late_bodies: Counter,
    /// Counts peers that read nothing for too long.
    pub(super) stalls: Counter,
    /// Runs the tasks of connections.
    pub(super) run: Arc<dyn Fn(Task) + Send + Sync>,
}

impl ServerState {
    pub(super) fn new(
        hub: Hub,
        transport: Transport,
        max_per_address: MaxPerAddress,
        run: Arc<dyn Fn(Task) + Send + Sync>,
    ) -> Self {
        let counter = |limit| hub.metrics().limited(limit).clone();
        Self {
            room: Arc::default(),
            per_address: PerAddress::new(max_per_address),
            turn_away: TurnAway::new(counter(Limit::Sockets)),
            transport,
            warned: Throttle::new(WARNING),
            handshakes: Handshakes::default(),
            tracker: ConnectionTracker::default(),
            unasked: TaskTracker::new(),
            heads: Budget::new(HEADS, counter(Limit::Memory)),
            bodies: Budget::new(BODIES, counter(Limit::Memory)),
            late_heads: counter(Limit::Heads),
            late_bodies: counter(Limit::Bodies),
            stalls: counter(Limit::Stalls),
            run,
            hub,
        }
    }

    /// Takes a place in the server and in the share of an address, if both have room. The share of a
    /// trusted proxy is not limited: those of its clients are.
    pub(super) fn permit(&self, address: IpAddr) -> Option<ConnectionPermit> {
        let settings = self.hub.settings();
        let room = settings.max_connections.saturating_add(settings.max_listeners);
        let permit = self.room.take(room.saturating_add(SPARE_CONNECTIONS))?;
        if self.transport.proxies.trusts(address) {
            return Some(ConnectionPermit::of_proxy(permit));
        }
        Some(ConnectionPermit::new(permit, self.per_address.enter(address)?))
    }

    /// Reads the header of the PROXY protocol where one is due. Returns the address of the client, or
    /// `None` if the connection has to end.
    pub(super) async fn origin(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        permit: &mut ConnectionPermit,
    ) -> Option<SocketAddr> {
        let proxies = &self.transport.proxies;
        if !proxies.proxy_protocol || !proxies.trusts(peer.ip()) {
            return Some(peer);
        }
        let reading = timeout(PROXY_HEADER, proxy_protocol::read(stream));
        let fault = match self.hub.stopping().run_until_cancelled(reading).await? {
            Ok(Ok(None)) => return Some(peer),
            Ok(Ok(Some(client))) if proxies.trusts(client.ip()) => return Some(client),
            Ok(Ok(Some(client))) => {
                permit.hold(self.per_address.enter(client.ip())?);
                return Some(client);
            }
            Ok(Err(fault)) => fault,
            Err(_elapsed) => io::ErrorKind::TimedOut.into(),
        };
        // A proxy that opens a connection and closes it again checks whether the server is there.
        if fault.kind() == io::ErrorKind::InvalidData && self.warned.is_due() {
            tracing::warn!("{}: {fault}; the connection was closed", peer.ip());
        }
        None
    }

    /// Performs the handshake of a connection. `http2` offers HTTP/2.
    pub(super) async fn open(&self, stream: TcpStream, http2: bool) -> Option<Opened> {
        self.handshakes.open(stream, self.transport.tls.as_ref(), http2, &self.hub).await
    }
}
