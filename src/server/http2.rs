//! Serves a connection by HTTP/2 with hyper (RFC 9113).
//!
//! The streams run in the task of their connection. A stream that cannot send for half a minute is reset, as a connection of
//! HTTP/1 that takes no bytes is closed. A body is polled only while its stream may send, so that a
//! slow listener falls behind alone, and gets a gap as it does by HTTP/1; at most 16 KiB of it wait
//! beyond what the client has asked for.
//!
//! Bounds: streams and the size of heads by settings of HTTP/2; resets and frames that make the
//! server answer by h2 (CVE-2023-44487); each stream but the first counts as a connection of its
//! address; a connection without streams is closed after a minute.

mod gathered;
mod streams;
mod tunnel;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::{BoxError, Router};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http2::{Builder, Connection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep};
use tower::ServiceExt as _;

use self::gathered::Gathered;
use self::streams::{Place, Progress, Streams};
use self::tunnel::Tunnel;
use super::client::{Peer, Refused};
use super::connection_tracker::Finish;
use super::handover::Handover;
use super::overload;
use super::per_address::ConnectionPermit;
use super::request_body;
use super::state::ServerState;
use super::timeout_io::Guarded;
use super::tls::TlsStream;
use crate::problem::Problem;
use crate::request::Task;
use crate::socket::Stream;

/// Streams of a connection at one time: as many as browsers assume until they know better.
const STREAMS: u32 = 100;

/// Bytes of the head of a request. A target has 8 KiB at most, a cookie 4 KiB.
const HEAD: u32 = 32 << 10;

/// Bytes that a client may send on a stream, and on all of a connection, before they are read.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Bytes of a stream that wait for the socket, within the window of the client.
const SEND_BUFFER: usize = 64 << 10;

/// Resets by the client of streams that have no answer yet, and streams that break the rules of the
/// protocol, before the connection ends: as in nginx, few more than a browser makes.
const RESETS: usize = 20;
const FAULTS: usize = 100;

/// Time between pings, and for the answer to one.
const PING: Duration = Duration::from_secs(25);
const PONG: Duration = Duration::from_secs(20);

/// How long a connection stays open without streams.
const IDLE: Duration = Duration::from_mins(1);

/// Time limit for the end of a connection that was asked to end for want of streams.
const LEAVING: Duration = Duration::from_secs(2);

/// A connection on which HTTP/2 begins.
pub(super) struct Arrived {
    pub(super) stream: Stream<TlsStream>,
    pub(super) permit: ConnectionPermit,
    pub(super) remote: SocketAddr,
    pub(super) handover: Arc<Handover>,
    /// Whether WebSockets are offered (RFC 8441).
    pub(super) websockets: bool,
}

/// Serves a connection until it ends.
///
/// # Errors
///
/// If the connection fails.
pub(super) async fn serve(
    arrived: Arrived,
    router: Router,
    state: &Arc<ServerState>,
) -> Result<(), BoxError> {
    let Arrived { stream, permit, remote, handover, websockets } = arrived;
    handover.heads.ignore();
    let first = handover.times.head;
    let streams = Streams::default();
    let io = Gathered::new(Guarded::new(stream, Arc::clone(&handover), permit));
    let peer = Peer { address: remote, encrypted: true, relayed: false };
    let places = Places { state: Arc::clone(state), streams: streams.clone(), peer };
    let service = service(router, handover, Arc::new(places), websockets);
    let mut builder = Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    if websockets {
        builder.enable_connect_protocol();
    }
    let connection = Box::pin(Http2Connection {
        connection: Box::pin(builder.serve_connection(TokioIo::new(io.clone()), service)),
        io,
        streams,
        running: FuturesUnordered::new(),
        idle: Box::pin(sleep(first)),
        seen: 0,
        leaving: false,
    });
    match state.tracker.serve(connection).await {
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(()),
    }
}

/// Answers the requests of a connection.
fn service(
    router: Router,
    handover: Arc<Handover>,
    places: Arc<Places>,
    websockets: bool,
) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        handover.asked();
        let request = request.map(|body| request_body::wrap_stream(body, &handover));
        let (router, places) = (router.clone(), Arc::clone(&places));
        async move {
            let (mut parts, body) = request.into_parts();
            let prepared = prepare(&mut parts, websockets).map_err(Refused::Malformed);
            let entered = prepared.and_then(|tunnel| Ok((tunnel, places.enter(&mut parts)?)));
            let mut response = match entered {
                Err(Refused::Malformed(problem)) => problem.into_response(),
                Err(Refused::Full) => overload::full(&parts.headers),
                Ok((tunnel, place)) => {
                    Progress::hold(place);
                    let answer = router.oneshot(Request::from_parts(parts, body)).await;
                    let answer = answer.unwrap_or_else(|never| match never {});
                    match tunnel {
                        Some(Tunnel) => Tunnel::answer(answer),
                        None => answer,
                    }
                }
            };
            // Fields of a connection of HTTP/1 (RFC 9113 section 8.2.2).
            response.headers_mut().remove(CONNECTION);
            response.headers_mut().remove(UPGRADE);
            Ok::<Response, Infallible>(Progress::watch(response))
        }
    })
}

/// Gives a request the form of one of HTTP/1.1, by which handlers know it.
///
/// # Errors
///
/// If the request has two hosts, or asks for a tunnel that is not offered.
fn prepare(parts: &mut Parts, websockets: bool) -> Result<Option<Tunnel>, Problem> {
    let tunnel = Tunnel::of(parts, websockets)?;
    if let Some(authority) = parts.uri.authority() {
        let named = HeaderValue::from_str(authority.as_str());
        let named = named.map_err(|_| Problem::malformed("the host of this request is no text"))?;
        // RFC 9113 section 8.3.1.
        if parts.headers.get_all(HOST).iter().any(|host| *host != named) {
            return Err(Problem::malformed("a request has one host"));
        }
        parts.headers.insert(HOST, named);
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(tunnel)
}

/// The places of the streams of a connection in the server. The first stream has that of the
/// connection.
struct Places {
    state: Arc<ServerState>,
    streams: Streams,
    peer: Peer,
}

impl Places {
    /// Notes the client of a request, and takes a place for its stream.
    fn enter(&self, parts: &mut Parts) -> Result<Place, Refused> {
        let client = self.peer.note(&self.state, &parts.headers, &mut parts.extensions)?;
        let mut stream = None;
        if self.streams.active() > 1 {
            stream = Some(self.state.permit(self.peer.address.ip()).ok_or(Refused::Full)?);
        }
        Ok(Place { _stream: stream, _client: client })
    }
}

/// A connection that hyper serves, until it has been idle.
struct Http2Connection<S: HttpService<Incoming>> {
    connection: Pin<Box<Connection<TokioIo<Gathered>, S, Streams>>>,
    io: Gathered,
    streams: Streams,
    running: FuturesUnordered<Task>,
    idle: Pin<Box<Sleep>>,
    /// Streams that had begun when `idle` was set.
    seen: u64,
    leaving: bool,
}

impl<S> Future for Http2Connection<S>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + Unpin,
{
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let begun = self.streams.begun();
            let mut next = IDLE;
            if self.streams.active() > 0 || begun != self.seen {
                self.seen = begun;
            } else if self.leaving {
                return Poll::Ready(Ok(()));
            } else {
                self.leaving = true;
                self.connection.as_mut().graceful_shutdown();
                next = LEAVING;
            }
            self.idle.as_mut().reset(Instant::now() + next);
        }
        loop {
            // Streams first, so that one write has what all of them send.
            self.poll_streams(cx);
            if let Poll::Ready(ended) = self.connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Into::into));
            }
            let begun = self.streams.take();
            if begun.is_empty() {
                break;
            }
            self.running.extend(begun);
        }
        // While the socket takes no more, its writability wakes this task.
        match self.io.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: HttpService<Incoming>> Http2Connection<S> {
    /// Polls the streams that are ready.
    ///
    /// A stream that is allowed to send more is woken while it sends, and `FuturesUnordered` returns
    /// after two of these. It is polled until no stream was, within a bound.
    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        for _ in 0..=self.streams.active() {
            let before = self.streams.polls();
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
            if self.streams.polls() == before {
                return;
            }
        }
    }
}

impl<S> Finish for Pin<Box<Http2Connection<S>>>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + Unpin,
{
    fn finish(mut self: Pin<&mut Self>) {
        self.connection.as_mut().graceful_shutdown();
    }
}
