//! Connections to upstreams over HTTP/1.1, one for each connection of a client.
//!
//! A server may authenticate a connection rather than its requests (NTLM, Negotiate), so that no two
//! clients share one. It is kept beside the client's connection and ends with it. A WebSocket
//! handshake takes it over.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::connect::{ConnectError, Dialer};
use super::io::Heard;
use super::{headers, interim};
use crate::hub::Hub;
use crate::request::{ConnectionState, MAX_FIELDS, Task};
use crate::socket::SocketControl;

/// How long a kept connection may take to be ready. It has sent its last answer whole; only the task
/// that read it may still have to run.
const READY: Duration = Duration::from_secs(1);

/// The connections that are kept beside the connection of a client: at most one for each upstream.
#[derive(Default)]
struct Kept(Vec<Link>);

/// A connection to an upstream.
struct Link {
    /// URL of the upstream.
    upstream: Arc<str>,
    sender: SendRequest<Body>,
    control: SocketControl,
    heard: Heard,
}

/// The client that a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Version of the request.
    pub(super) version: Version,
    pub(super) control: SocketControl,
    pub(super) state: ConnectionState,
}

impl Client {
    /// Returns the client of a request.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let extensions = request.extensions();
        Self {
            version: request.version(),
            control: extensions.get().cloned().unwrap_or_default(),
            state: extensions.get().cloned().unwrap_or_default(),
        }
    }
}

/// Sends a request to the upstream at `url`, and returns the answer and the control of the socket.
/// Interim answers pass on to the client. `limit` is the time that the upstream has to answer once it
/// is connected.
///
/// # Errors
///
/// See [`ConnectError`].
pub(super) async fn send(
    (hub, dialer): (&Hub, &Dialer),
    client: &Client,
    url: &Arc<str>,
    mut request: Request<Body>,
    limit: Option<Duration>,
) -> Result<(Response<Incoming>, SocketControl), ConnectError> {
    let uri = request.uri().clone();
    headers::origin_form(request.uri_mut());
    let mut kept = client.state.take::<Kept>();
    let known = kept.0.iter().position(|link| link.upstream == *url);
    let known = known.map(|n| kept.0.swap_remove(n));
    // The connections to other upstreams stay, also if this request is cancelled.
    client.state.put(kept);
    if let Some(mut link) = known
        && matches!(timeout(READY, link.sender.ready()).await, Ok(Ok(())))
    {
        let again = repeatable(&request);
        match link.ask(client, request, limit).await {
            Ok(response) => return Ok(link.answered(client, response)),
            Err(Unanswered::Silent(limit)) => return Err(ConnectError::Silent(limit)),
            Err(Unanswered::Failed(mut error)) => {
                // The upstream may have been closing the connection, as it may with any client.
                let unsent = error.take_message().or(again.filter(|_| is_end(error.error())));
                request = unsent.ok_or_else(|| link.fault(error.into_error()))?;
            }
        }
    }
    let mut link = Link::open(dialer, Arc::clone(url), &uri, |task| run(hub, client, task)).await?;
    match link.ask(client, request, limit).await {
        Ok(response) => Ok(link.answered(client, response)),
        Err(Unanswered::Silent(limit)) => Err(ConnectError::Silent(limit)),
        Err(Unanswered::Failed(error)) => Err(link.fault(error.into_error())),
    }
}

/// The reason why a connection has no answer to a request.
enum Unanswered {
    /// None came within this time.
    Silent(Duration),
    /// The connection failed.
    Failed(Box<TrySendError<Request<Body>>>),
}

/// Runs the task of a connection to an upstream.
fn run(hub: &Hub, client: &Client, task: Task) {
    if let Err(task) = client.state.run(task) {
        hub.run(task);
    }
}

impl Link {
    async fn open(
        dialer: &Dialer,
        upstream: Arc<str>,
        uri: &Uri,
        run: impl FnOnce(Task),
    ) -> Result<Self, ConnectError> {
        let io = dialer.dial(uri).await?;
        let (control, heard) = (io.control(), io.heard());
        let mut builder = Builder::new();
        // Browsers take such answers, and so does curl.
        let builder = builder
            .preserve_header_case(true)
            .max_headers(MAX_FIELDS)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
        // It ends when the sender and the last answer are dropped, which is with the connection of
        // the client. Its error is that of the request.
        run(Box::pin(async move {
            let _ = connection.with_upgrades().await;
        }));
        Ok(Self { upstream, sender, control, heard })
    }

    async fn ask(
        &mut self,
        client: &Client,
        request: Request<Body>,
        limit: Option<Duration>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let sender = &mut self.sender;
        let send = |request| sender.try_send_request(request);
        let answer = interim::pass_on(request, (client.version, &client.control), send);
        let answer = match limit {
            None => answer.await,
            Some(limit) => timeout(limit, answer).await.map_err(|_| Unanswered::Silent(limit))?,
        };
        answer.map_err(|error| Unanswered::Failed(Box::new(error)))
    }

    /// Keeps the connection for the next request, unless it is not HTTP any more.
    fn answered(
        self,
        client: &Client,
        response: Response<Incoming>,
    ) -> (Response<Incoming>, SocketControl) {
        let control = self.control.clone();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let mut kept = client.state.take::<Kept>();
            kept.0.push(self);
            client.state.put(kept);
        }
        (response, control)
    }

    fn fault(&self, error: hyper::Error) -> ConnectError {
        if self.heard.tls() { ConnectError::SpeaksTls } else { error.into() }
    }
}

/// Returns whether a connection ended before an answer.
fn is_end(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let broken = io.is_some_and(|io| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
    });
    broken || error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

/// Returns a copy of a request that may be sent twice (RFC 9110 section 9.2.2): without a body, and
/// by a method that changes nothing.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    if !safe.contains(request.method()) || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    // The case of the names of fields is an extension of hyper.
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
