//! Serves a connection by HTTP/1 with hyper, and responses without an end past it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse as _;
use axum::{BoxError, Router};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::ServiceExt as _;

use super::client::{Peer, Refused};
use super::connection_tracker::Finish;
use super::handover::{Asked, Handover};
use super::per_address::ConnectionPermit;
use super::state::ServerState;
use super::timeout_io::Guarded;
use super::tls::TlsStream;
use super::{endless, overload, request_body};
use crate::problem::Problem;
use crate::request::{ConnectionState, MAX_FIELDS, RawTarget};
use crate::socket::Stream;

/// Bytes that hyper may buffer for a connection. This bounds the head of a request, and pauses a
/// response that the peer does not read.
const BUFFER: usize = 64 << 10;

/// A connection on which HTTP/1 begins.
pub(super) struct Arrived {
    pub(super) stream: Stream<TlsStream>,
    pub(super) permit: ConnectionPermit,
    pub(super) remote: SocketAddr,
    pub(super) handover: Arc<Handover>,
}

/// Serves a connection until it ends or becomes a WebSocket.
///
/// # Errors
///
/// If the connection fails.
pub(super) async fn serve(
    arrived: Arrived,
    router: Router,
    state: &Arc<ServerState>,
) -> Result<(), BoxError> {
    let (handover, tracker) = (Arc::clone(&arrived.handover), &state.tracker);
    let http =
        Box::pin(Http1Connection { connection: Some(http(arrived, router, state)), handover });
    match tracker.serve(http).await {
        Some(Ok(Some(endless))) => match tracker.serve(endless).await {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(())) | None => Ok(()),
        },
        Some(Err(error)) => Err(error.into()),
        Some(Ok(None)) | None => Ok(()),
    }
}

/// Makes the connection of hyper.
fn http(
    arrived: Arrived,
    router: Router,
    state: &Arc<ServerState>,
) -> UpgradeableConnection<
    TokioIo<Guarded>,
    impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + use<>,
> {
    let Arrived { stream, permit, remote, handover } = arrived;
    let encrypted = matches!(stream, Stream::Tls(_));
    let peer = Peer { address: remote, encrypted, relayed: handover.patient };
    let io = Guarded::new(stream, Arc::clone(&handover), permit);
    let patient = handover.patient;
    let server = Arc::clone(state);
    let state = ConnectionState::new(Arc::clone(&state.run));
    let head_time = handover.times.head;
    let service = service_fn(move |request: Request<Incoming>| {
        handover.asked();
        let head = handover.heads.take(&request);
        let mut refused = refusal(&request, head.ambiguous).map(Problem::into_response);
        let (mut parts, body) = request.into_parts();
        match peer.note(&server, &parts.headers, &mut parts.extensions) {
            Ok(client) => handover.hold(client),
            Err(Refused::Malformed(problem)) => refused = Some(problem.into_response()),
            Err(Refused::Full) => refused = Some(overload::full(&parts.headers)),
        }
        let body = request_body::wrap(body, &handover);
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(handover.control.clone());
        request.extensions_mut().insert(state.clone());
        if let Some(target) = head.target {
            request.extensions_mut().insert(RawTarget(target));
        }
        let (asked, handover) = (Asked::of(&request), Arc::clone(&handover));
        let answer = router.clone().oneshot(request);
        async move {
            handover.pause().await;
            if let Some(mut refusal) = refused {
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
    Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
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
