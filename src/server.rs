//! Accepts connections and serves them until it is told to stop.
//!
//! The loop is our own, on hyper: it sets limits and time limits that `axum::serve` does not know,
//! and takes half of its memory for an idle listener.

mod bind;
mod connection_tracker;
mod endless;
mod heads;
mod listen;
mod overload;
mod per_address;
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
use http::header::CONNECTION;
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
use crate::problem::Problem;
use crate::socket::keep_alive;
pub use bind::{BindError, bind};
use connection_tracker::{Ask, ConnectionTracker, Finish};
use endless::{Asked, Handover};
pub use listen::{InvalidListen, Listen};
use overload::TurnAway;
use per_address::{ConnectionPermit, PerAddress};
use timeout_io::Guarded;

/// How long the head of a request may take, from the first byte that could be awaited.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long the kernel may keep bytes that the other end does not acknowledge.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// What hyper may buffer for a connection: it stops to ask a stream for more above that.
const BUFFER: usize = 64 << 10;

/// Connections beyond those that may register or listen: pages, API calls, and those that are
/// told that the server is full.
const SPARE_CONNECTIONS: usize = 1024;

/// What to serve, and where.
#[derive(Debug)]
pub struct Server {
    /// Where to serve what.
    pub endpoints: Vec<Endpoint>,
    /// At most so many connections from one address; `None` is no limit for loopback and
    /// 1,000 for each other address.
    pub max_per_address: Option<usize>,
}

/// A listener and what it serves.
#[derive(Debug)]
pub struct Endpoint {
    /// Takes connections.
    pub listener: TcpListener,
    /// Answers their requests.
    pub router: Router,
    /// Whether a peer that reads nothing, or that nobody reaches, is waited for as long as the
    /// other side of a relay would wait. Without it, half a minute.
    pub patient: bool,
}

impl Server {
    /// Serves until `stop` is cancelled, then lets everybody go: no new connections, close events,
    /// ends of streams, all within `grace`. No task is left when this returns.
    pub async fn run(self, hub: Hub, stop: CancellationToken, grace: Duration) {
        let settings = hub.settings();
        let room = settings.max_connections.saturating_add(settings.max_listeners);
        let room = room.saturating_add(SPARE_CONNECTIONS).min(Semaphore::MAX_PERMITS);
        let house = Arc::new(ServerState {
            room: Arc::new(Semaphore::new(room)),
            per_address: PerAddress::new(self.max_per_address),
            turn_away: TurnAway::default(),
            guests: ConnectionTracker::default(),
            tasks: TaskTracker::new(),
        });
        let accepting = TaskTracker::new();
        for endpoint in self.endpoints {
            accepting.spawn(accept(endpoint, Arc::clone(&house), stop.clone()));
        }
        accepting.close();
        accepting.wait().await;
        let deadline = Instant::now() + grace;
        hub.shutdown(grace).await;
        house.guests.ask(Ask::Finish);
        house.tasks.close();
        let _ = timeout_at(deadline, house.tasks.wait()).await;
        house.guests.ask(Ask::Leave);
        house.tasks.wait().await;
    }
}

/// What all connections share.
struct ServerState {
    room: Arc<Semaphore>,
    per_address: PerAddress,
    turn_away: TurnAway,
    guests: ConnectionTracker,
    tasks: TaskTracker,
}

async fn accept(endpoint: Endpoint, house: Arc<ServerState>, stop: CancellationToken) {
    let Endpoint { listener, router, patient } = endpoint;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => {
                // Out of file descriptors, most likely: those who leave make room.
                tracing::warn!(%error, "cannot accept connections for the moment");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let seat = Arc::clone(&house.room)
            .try_acquire_owned()
            .ok()
            .zip(house.per_address.enter(remote.ip()))
            .map(|(permit, place)| ConnectionPermit::new(permit, place));
        let Some(seat) = seat else {
            if let Some(answer) = house.turn_away.answer(stream) {
                house.tasks.spawn(answer);
            }
            continue;
        };
        let (router, house) = (router.clone(), Arc::clone(&house));
        house.tasks.clone().spawn(async move {
            serve(stream, seat, remote, router, patient, &house.guests).await;
        });
    }
}

/// Serves one connection until it ends, or has become a WebSocket.
async fn serve(
    stream: TcpStream,
    seat: ConnectionPermit,
    remote: SocketAddr,
    router: Router,
    patient: bool,
    guests: &ConnectionTracker,
) {
    if let Err(error) = tune(&stream, patient) {
        tracing::debug!(%remote, %error, "the connection went at once");
        return;
    }
    let handover = Arc::new(Handover::new(patient));
    let visit = Box::pin(Http1Connection {
        connection: Some(http(stream, seat, remote, router, &handover)),
        handover,
    });
    let error = match guests.serve(visit).await {
        Some(Ok(Some(endless))) => {
            guests.serve(endless).await.and_then(Result::err).map(Into::into)
        }
        Some(Err(error)) => Some(error.into()),
        Some(Ok(None)) | None => None,
    };
    if let Some::<Box<dyn std::error::Error + Send + Sync>>(error) = error {
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}

/// Has hyper serve a connection.
fn http(
    stream: TcpStream,
    seat: ConnectionPermit,
    remote: SocketAddr,
    router: Router,
    handover: &Arc<Handover>,
) -> UpgradeableConnection<
    TokioIo<Guarded>,
    impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + use<>,
> {
    let io = Guarded::new(stream, Arc::clone(handover), seat);
    let patient = handover.patient;
    let handover = Arc::clone(handover);
    let service = service_fn(move |request: Request<Incoming>| {
        let doubtful = handover.heads.take(&request);
        let mut request = request.map(|body| heads::body(body, Arc::clone(&handover)));
        request.extensions_mut().insert(ConnectInfo(remote));
        request.extensions_mut().insert(handover.control.clone());
        let (asked, handover) = (Asked::of(&request), Arc::clone(&handover));
        let answer = router.clone().oneshot(request);
        async move {
            if doubtful {
                let both = "a body has a Content-Length or a Transfer-Encoding, and not both";
                let mut refusal = Problem::malformed(both).into_response();
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
        .preserve_header_case(patient)
        // What a server behind answers goes back as it is.
        .auto_date_header(!patient)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
}

/// A connection in the hands of hyper, until one of its responses turns out to have no end.
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
    /// The hub ends its streams itself.
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
