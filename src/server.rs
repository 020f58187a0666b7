//! Accepts connections and serves them until the server is stopped.
//!
//! The loop uses hyper directly: it sets limits that `axum::serve` does not offer, and an idle
//! listener takes half of the memory.

mod bind;
mod budget;
mod connection_tracker;
mod endless;
mod handover;
mod heads;
mod listen;
mod overload;
mod per_address;
mod request_body;
mod timeout_io;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::hub::Hub;
use crate::metrics::Limit;
use crate::problem::Problem;
use crate::request::{ConnectionState, MAX_FIELDS, RawTarget, Task};
use crate::socket::keep_alive;
pub use bind::{BindError, bind};
use budget::Budget;
use connection_tracker::{Ask, ConnectionTracker, Finish};
use handover::{Asked, Handover};
#[doc(hidden)]
pub use heads::watch_head;
pub use listen::{InvalidListen, Listen};
use overload::TurnAway;
use per_address::{ConnectionPermit, PerAddress};
use timeout_io::Guarded;

/// Time limit for the head of a request, from the end of the previous one.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long the kernel keeps bytes that the peer does not acknowledge.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Bytes that hyper may buffer for a connection. This bounds the head of a request, and pauses a
/// response that the peer does not read.
const BUFFER: usize = 64 << 10;

/// Memory for all heads that are not complete, beyond the first 4 KiB of each. A head that finds no
/// room ends its connection.
const HEADS: usize = 16 << 20;

/// Memory for all bodies that are not handled yet, beyond the first 16 KiB of each.
const BODIES: usize = 32 << 20;

/// Connections beyond those that may register or listen: pages, API calls, and answers that the
/// server is full.
const SPARE_CONNECTIONS: usize = 1024;

/// Time between two warnings that no connection can be accepted.
const WARNING: Duration = Duration::from_mins(1);

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
        let settings = hub.settings();
        let room = settings.max_connections.saturating_add(settings.max_listeners);
        let room = room.saturating_add(SPARE_CONNECTIONS).min(Semaphore::MAX_PERMITS);
        let tasks = TaskTracker::new();
        let counter = |limit| hub.metrics().limited(limit).clone();
        let state = Arc::new(ServerState {
            room: Arc::new(Semaphore::new(room)),
            per_address: PerAddress::new(self.max_per_address),
            turn_away: TurnAway::new(counter(Limit::Sockets)),
            tracker: ConnectionTracker::default(),
            heads: Budget::new(HEADS, counter(Limit::Memory)),
            bodies: Budget::new(BODIES, counter(Limit::Memory)),
            run: {
                let tasks = tasks.clone();
                Arc::new(move |task| {
                    tasks.spawn(task);
                })
            },
            tasks,
        });
        let accepting = TaskTracker::new();
        for endpoint in self.endpoints {
            accepting.spawn(accept(endpoint, Arc::clone(&state), stop.clone()));
        }
        accepting.close();
        accepting.wait().await;
        let deadline = Instant::now() + grace;
        hub.shutdown(grace).await;
        state.tracker.ask(Ask::Finish);
        state.tasks.close();
        let _ = timeout_at(deadline, state.tasks.wait()).await;
        state.tracker.ask(Ask::Leave);
        state.tasks.wait().await;
    }
}

/// State that all connections share.
struct ServerState {
    room: Arc<Semaphore>,
    per_address: PerAddress,
    turn_away: TurnAway,
    tracker: ConnectionTracker,
    heads: Arc<Budget>,
    bodies: Arc<Budget>,
    tasks: TaskTracker,
    /// Runs the tasks of connections.
    run: Arc<dyn Fn(Task) + Send + Sync>,
}

async fn accept(endpoint: Endpoint, state: Arc<ServerState>, stop: CancellationToken) {
    let Endpoint { listener, router, patient } = endpoint;
    let mut warned: Option<Instant> = None;
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
                if warned.is_none_or(|at| at.elapsed() >= WARNING) {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept connections");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let permit = Arc::clone(&state.room)
            .try_acquire_owned()
            .ok()
            .zip(state.per_address.enter(remote.ip()))
            .map(|(permit, place)| ConnectionPermit::new(permit, place));
        let Some(permit) = permit else {
            if let Some(answer) = state.turn_away.answer(stream) {
                state.tasks.spawn(answer);
            }
            continue;
        };
        let handover = Handover::new(patient, state.heads.share(), state.bodies.share());
        let arrival = Arrival { stream, permit, remote, handover: Arc::new(handover) };
        let (router, state) = (router.clone(), Arc::clone(&state));
        state.tasks.clone().spawn(async move { serve(arrival, router, &state).await });
    }
}

/// An accepted connection.
struct Arrival {
    stream: TcpStream,
    permit: ConnectionPermit,
    remote: SocketAddr,
    handover: Arc<Handover>,
}

/// Serves one connection until it ends or becomes a WebSocket.
async fn serve(arrival: Arrival, router: Router, state: &ServerState) {
    let tracker = &state.tracker;
    let (remote, handover) = (arrival.remote, Arc::clone(&arrival.handover));
    if let Err(error) = tune(&arrival.stream, handover.patient) {
        tracing::debug!(%remote, %error, "a connection ended at once");
        return;
    }
    tracing::debug!(%remote, "accepted a connection");
    let http =
        Box::pin(Http1Connection { connection: Some(http(arrival, router, &state.run)), handover });
    let error = match tracker.serve(http).await {
        Some(Ok(Some(endless))) => {
            tracker.serve(endless).await.and_then(Result::err).map(Into::into)
        }
        Some(Err(error)) => Some(error.into()),
        Some(Ok(None)) | None => None,
    };
    if let Some::<Box<dyn std::error::Error + Send + Sync>>(error) = error {
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}

/// Serves a connection with hyper.
fn http(
    arrival: Arrival,
    router: Router,
    run: &Arc<dyn Fn(Task) + Send + Sync>,
) -> UpgradeableConnection<
    TokioIo<Guarded>,
    impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + use<>,
> {
    let Arrival { stream, permit, remote, handover } = arrival;
    let io = Guarded::new(stream, Arc::clone(&handover), permit);
    let patient = handover.patient;
    let state = ConnectionState::new(Arc::clone(run));
    let service = service_fn(move |request: Request<Incoming>| {
        let head = handover.heads.take(&request);
        let refused = refusal(&request, head.ambiguous);
        let mut request = request.map(|body| request_body::wrap(body, Arc::clone(&handover)));
        request.extensions_mut().insert(ConnectInfo(remote));
        request.extensions_mut().insert(handover.control.clone());
        request.extensions_mut().insert(state.clone());
        if let Some(target) = head.target {
            request.extensions_mut().insert(RawTarget(target));
        }
        let (asked, handover) = (Asked::of(&request), Arc::clone(&handover));
        let answer = router.clone().oneshot(request);
        async move {
            handover.pause().await;
            if let Some(problem) = refused {
                let mut refusal = problem.into_response();
                refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                return Ok(refusal);
            }
            let response = answer.await.unwrap_or_else(|never| match never {});
            match handover.offer(&asked, response) {
                Some(response) => Ok(response),
                None => std::future::pending().await,
            }
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .max_header_size(BUFFER)
        .max_headers(MAX_FIELDS)
        .preserve_header_case(patient)
        // An answer of an upstream is passed on as it is.
        .auto_date_header(!patient)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
}

/// Returns why a request is refused whose head two programs could read in two ways.
fn refusal(request: &Request<Incoming>, ambiguous: bool) -> Option<Problem> {
    if ambiguous {
        let both = "a body has a Content-Length or a Transfer-Encoding, and not both";
        return Some(Problem::malformed(both));
    }
    let several = request.headers().get_all(HOST).iter().nth(1).is_some();
    several.then(|| Problem::malformed("a request has one Host header"))
}

/// A connection that hyper serves until one of its responses has no end.
struct Http1Connection<S: HttpService<Incoming>> {
    connection: Option<UpgradeableConnection<TokioIo<Guarded>, S>>,
    handover: Arc<Handover>,
}

impl<S> Future for Http1Connection<S>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    type Output = hyper::Result<Option<endless::Writer>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.handover.begin_poll();
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
        if let Poll::Ready(ended) = Pin::new(connection).poll(cx) {
            return Poll::Ready(ended.map(|()| None));
        }
        let Some(response) = self.handover.take() else { return Poll::Pending };
        let parts = self.connection.take().and_then(UpgradeableConnection::into_parts);
        let io = parts.map(|parts| parts.io.into_inner());
        let handover = Arc::clone(&self.handover);
        Poll::Ready(Ok(io.map(|io| endless::Writer::new(io, response, handover))))
    }
}

impl<S> Finish for Pin<Box<Http1Connection<S>>>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    fn finish(mut self: Pin<&mut Self>) {
        if let Some(connection) = &mut self.connection {
            Pin::new(connection).graceful_shutdown();
        }
    }
}

impl Finish for endless::Writer {
    /// The hub ends its streams.
    fn finish(self: Pin<&mut Self>) {}
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
