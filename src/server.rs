//! Accepts connections and serves them until the server is stopped.
//!
//! The loop uses hyper directly: it sets limits that `axum::serve` does not offer, and an idle
//! listener takes half of the memory.

mod bind;
mod budget;
mod certificate;
mod client;
mod connection_tracker;
mod endless;
mod handover;
mod handshakes;
mod heads;
mod http1;
mod http2;
mod listen;
mod overload;
mod per_address;
mod proxies;
mod proxy_protocol;
mod request_body;
mod state;
mod timeout_io;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "server/tls/absent.rs"]
mod tls;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Hub;
use crate::request::Task;
use crate::socket::keep_alive;
use crate::throttle::Throttle;
pub use bind::{BindError, bind};
pub use certificate::{CertificateFiles, InvalidCertificate};
use connection_tracker::Ask;
use handover::Handover;
use handshakes::Opened;
#[doc(hidden)]
pub use heads::watch_head;
pub use listen::{InvalidListen, Listen};
use per_address::ConnectionPermit;
pub use per_address::MaxPerAddress;
pub use proxies::TrustedProxies;
use state::ServerState;
pub use tls::Tls;
pub use transport::{Times, Transport};

/// How long the kernel keeps bytes that the peer does not acknowledge.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Time between two warnings of one cause.
const WARNING: Duration = Duration::from_mins(1);

/// How long a shutdown waits for the first request of connections without one. Browsers hold such
/// connections open for later.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Listeners and their routes.
    pub endpoints: Vec<Endpoint>,
    /// Maximum number of connections from one address. `None` is no limit for loopback and 1,000
    /// for each other address.
    pub max_per_address: Option<usize>,
}

/// A listener and its routes.
#[derive(Debug)]
pub struct Endpoint {
    /// Accepts connections.
    pub listener: TcpListener,
    /// Answers requests.
    pub router: Router,
    /// Whether the server waits without a limit for a peer that reads nothing, as the other side of
    /// a relay would. Otherwise for half a minute.
    pub patient: bool,
}

impl Server {
    /// Serves until `stop` is cancelled, then accepts no connections, publishes the close events and
    /// ends the streams, all within `grace`. No task is left when this returns.
    pub async fn run(self, hub: Hub, stop: CancellationToken, grace: Duration) {
        self.run_over(Transport::default(), hub, stop, grace).await;
    }

    /// Serves as [`run`](Self::run) does, over another transport than plain TCP.
    pub async fn run_over(
        self,
        transport: Transport,
        hub: Hub,
        stop: CancellationToken,
        grace: Duration,
    ) {
        let tasks = TaskTracker::new();
        let run: Arc<dyn Fn(Task) + Send + Sync> = {
            let tasks = tasks.clone();
            Arc::new(move |task| {
                tasks.spawn(task);
            })
        };
        let max_per_address = transport.max_per_address.clone();
        let max_per_address =
            max_per_address.unwrap_or_else(|| MaxPerAddress::new(self.max_per_address));
        let state = ServerState::new(hub.clone(), transport, max_per_address, run);
        let state = Arc::new(state);
        let accepting = TaskTracker::new();
        for endpoint in self.endpoints {
            accepting.spawn(accept(endpoint, Arc::clone(&state), tasks.clone(), stop.clone()));
        }
        accepting.close();
        accepting.wait().await;
        let stopped = Instant::now();
        let deadline = stopped + grace;
        hub.shutdown(grace).await;
        // The request of a connection that was accepted just before is on its way.
        state.unasked.close();
        let _ = timeout_at(deadline.min(stopped + ON_ITS_WAY), state.unasked.wait()).await;
        state.tracker.ask(Ask::Finish);
        tasks.close();
        let _ = timeout_at(deadline, tasks.wait()).await;
        state.tracker.ask(Ask::Leave);
        tasks.wait().await;
    }
}

async fn accept(
    endpoint: Endpoint,
    state: Arc<ServerState>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let Endpoint { listener, router, patient } = endpoint;
    let local = listener.local_addr().ok();
    let websockets = local.is_none_or(|own| !state.transport.without_websockets.contains(&own));
    let warned = Throttle::new(WARNING);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => {
                // The process is out of file descriptors, most likely; connections that end free some.
                if warned.is_due() {
                    tracing::warn!(%error, "cannot accept connections");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(permit) = state.permit(remote.ip()) else {
            if let Some(place) = state.turn_away.place() {
                let state = Arc::clone(&state);
                tasks.spawn(async move {
                    if let Some(opened) = state.open(stream, false).await {
                        place.answer(opened.stream).await;
                    }
                });
            }
            continue;
        };
        let mut handover = Handover::new(patient, state.heads.share(), state.bodies.share());
        handover.times = state.transport.times;
        handover.stalls.clone_from(&state.stalls);
        handover.late_bodies.clone_from(&state.late_bodies);
        let handover = handover.unasked(state.unasked.token());
        let arrival = Arrival { stream, permit, remote, handover: Arc::new(handover), websockets };
        let (router, state) = (router.clone(), Arc::clone(&state));
        tasks.spawn(async move { serve(arrival, router, &state).await });
    }
}

/// An accepted connection.
struct Arrival {
    stream: TcpStream,
    permit: ConnectionPermit,
    remote: SocketAddr,
    handover: Arc<Handover>,
    /// Whether WebSockets are offered by HTTP/2.
    websockets: bool,
}

/// Serves one connection until it ends or becomes a WebSocket.
async fn serve(arrival: Arrival, router: Router, state: &Arc<ServerState>) {
    let Arrival { mut stream, mut permit, remote, handover, websockets } = arrival;
    if let Err(error) = tune(&stream, handover.patient) {
        tracing::debug!(%remote, %error, "a connection ended at once");
        return;
    }
    tracing::debug!(%remote, "accepted a connection");
    let Some(remote) = state.origin(&mut stream, remote, &mut permit).await else {
        tracing::debug!(%remote, "a connection ended before its client was known");
        return;
    };
    // A relay to an upstream passes HTTP/1 on.
    let Some(Opened { stream, http2 }) = state.open(stream, !handover.patient).await else {
        tracing::debug!(%remote, "a connection ended before its first request");
        return;
    };
    let served = if http2 {
        let arrived = http2::Arrived { stream, permit, remote, handover, websockets };
        http2::serve(arrived, router, state).await
    } else {
        let arrived = http1::Arrived { stream, permit, remote, handover };
        http1::serve(arrived, router, state).await
    };
    if let Err(error) = served {
        if error.downcast_ref().is_some_and(hyper::Error::is_timeout) {
            state.late_heads.inc();
        }
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}

/// Sets the options of a socket. A peer that vanished is noticed by keepalive, and of bytes that
/// wait for an acknowledgement by the kernel's own limit, or by [`UNACKNOWLEDGED`].
fn tune(stream: &TcpStream, patient: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    keep_alive(stream)?;
    #[cfg(target_os = "linux")]
    if !patient {
        socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    }
    Ok(())
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
