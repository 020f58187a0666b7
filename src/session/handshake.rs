//! The opening handshake in hub mode (RFC 6455 section 4.2): from a request to a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

use super::flow::Flow;
use super::register::{Arrival, serve};
use super::socket::Socket;
use super::{Limits, Session};
use crate::access::Caller;
use crate::auth::{Hosts, Origins};
use crate::code::Code;
use crate::event::{Connect, ConnectionId};
use crate::hub::{ConnectionPermit, Hub};
use crate::problem::Problem;
use crate::redact::Redaction;
use crate::request::{self, Encrypted, is_websocket, names_token, worth_knowing};

/// What a handshake is checked against, and where the session registers.
#[derive(Debug, Clone)]
pub struct UpgradeContext {
    /// The hub in which sessions register.
    pub hub: Hub,
    /// Time and size limits.
    pub limits: Limits,
    /// Origins whose pages may open a WebSocket, besides the origins of `hosts`.
    pub origins: Origins,
    /// The host names of this server.
    pub hosts: Arc<Hosts>,
}

impl UpgradeContext {
    /// Creates the context of a server on loopback: pages of loopback may open a WebSocket, and so
    /// may programs, which send no `Origin`.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let hosts = Arc::new(Hosts::new(&[], &[]));
        Self { hub, limits: Limits::default(), origins: Origins::Loopback, hosts }
    }

    /// Returns whether pages of an origin may open a WebSocket.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.origins.accept(origin) || self.hosts.accept_origin(origin)
    }
}

/// Answers the handshake and starts a session in hub mode.
///
/// # Errors
///
/// If the request is not a valid handshake, its origin is not allowed, or the hub is full.
pub(crate) fn upgrade(
    context: &UpgradeContext,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let handshake = Handshake::check(context, &request)?;
    let Options { id, ack, timed_pings } = options(request.uri().query())?;
    if let Some(id) = &id {
        context.hub.may_connect(id)?;
    }
    handshake.open(context, request, move |opened| {
        let Opened { mut session, mut connect, hub, limits, permit } = opened;
        session.timed_pings = timed_pings;
        connect.user.clone_from(&caller.grant().user);
        connect.path = Redaction::without_credentials(&connect.path);
        let arrival = Arrival { connect, id, ack, caller, _permit: permit };
        serve(session, arrival, hub, limits)
    })
}

/// Answers the handshake and hands the WebSocket to `serve`, with a place in the hub.
///
/// # Errors
///
/// As [`upgrade`].
pub(crate) fn open<F: Future<Output = ()> + Send>(
    context: &UpgradeContext,
    request: Request<Body>,
    serve: impl FnOnce(Opened) -> F + Send + 'static,
) -> Result<Response, Problem> {
    Handshake::check(context, &request)?.open(context, request, serve)
}

/// A WebSocket that is not registered yet.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) connect: Connect,
    /// The hub in which it may register.
    pub(crate) hub: Hub,
    limits: Limits,
    /// Held as long as the socket is open.
    pub(crate) permit: ConnectionPermit,
}

/// A valid opening handshake of a client that may connect.
#[derive(Debug)]
pub struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    accept: HeaderValue,
}

impl Handshake {
    /// Checks a request.
    ///
    /// # Errors
    ///
    /// A [`Problem`] to answer with: the request is not a valid handshake, or its origin is not
    /// allowed.
    pub fn check(context: &UpgradeContext, request: &Request<Body>) -> Result<Self, Problem> {
        request::check_address(request.uri())?;
        let headers = request.headers();
        let accept = check(request.method(), request.version(), headers)?;
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            if !context.allows_origin(origin) {
                return Err(Problem::new(
                    Code::Forbidden,
                    format!(
                        "pages of {origin} may not connect here; --ws-origin {origin} lets them"
                    ),
                ));
            }
        }
        Ok(Self { accept })
    }

    fn open<F: Future<Output = ()> + Send>(
        self,
        context: &UpgradeContext,
        request: Request<Body>,
        serve: impl FnOnce(Opened) -> F + Send + 'static,
    ) -> Result<Response, Problem> {
        let permit = context.hub.permit()?;
        let (parts, body) = request.into_parts();
        let connect = connect(&parts);
        let request = Request::from_parts(parts, body);
        let (hub, limits) = (context.hub.clone(), context.limits);
        Ok(self.accept(context, request, move |session| {
            serve(Opened { session, connect, hub, limits, permit })
        }))
    }

    /// Answers the handshake, and has `serve` run the session in a task of the hub.
    pub fn accept<F: Future<Output = ()> + Send>(
        self,
        context: &UpgradeContext,
        mut request: Request<Body>,
        serve: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Response {
        // A browser drops a connection that selects none of the subprotocols that it offers.
        let protocol = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(first_protocol);
        let upgraded = hyper::upgrade::on(&mut request);
        let (hub, limits) = (context.hub.clone(), context.limits);
        let client = request::remote_of(request.extensions()).ip();
        context.hub.run(async move {
            // An error means that the connection ended before it became a WebSocket.
            if let Ok(io) = upgraded.await {
                let flow = Flow::of(&limits, client, Instant::now());
                let socket = Socket::new(io, limits.max_message_bytes, flow).await;
                serve(Session::new(socket, hub, limits)).await;
            }
        });
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

/// Describes the client of a request as a `connect` event does: its address, the path, and the
/// header fields that listeners may see.
#[must_use]
pub fn connect(parts: &Parts) -> Connect {
    Connect {
        remote: remote(parts),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: worth_knowing(&parts.headers),
        answer: None,
        user: None,
    }
}

/// Returns the other end of the TCP connection of a request, or `0.0.0.0:0` if the program serves
/// the router without connect info.
#[must_use]
pub fn remote(parts: &Parts) -> SocketAddr {
    request::remote(parts)
}

/// Returns whether a request came over TLS, to this server or to a trusted proxy in front of it.
#[must_use]
pub fn is_encrypted(parts: &Parts) -> bool {
    parts.extensions.get::<Encrypted>().is_some()
}

/// Returns whether a request asks for a WebSocket.
#[must_use]
pub fn is_handshake(headers: &HeaderMap) -> bool {
    is_websocket(headers)
}

/// Checks the requirements of RFC 6455 section 4.2.1, and returns `Sec-WebSocket-Accept`.
fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    if !is_websocket(headers) {
        return Err(Problem::new(
            Code::UpgradeRequired,
            "this address speaks WebSocket; connect with a WebSocket client, for example new WebSocket(\"ws://…/ws\")",
        ));
    }
    let proper = method == Method::GET && version == Version::HTTP_11;
    if !proper || !names_token(headers, &CONNECTION, "upgrade") {
        return Err(Problem::malformed(
            "a WebSocket handshake is a GET by HTTP/1.1 with Connection: upgrade",
        ));
    }
    let length = headers.get(CONTENT_LENGTH).map_or("0", |length| length.to_str().unwrap_or("?"));
    if length != "0" || headers.contains_key(TRANSFER_ENCODING) {
        // Two programs could take its bytes for a body, for frames, or for the next request.
        return Err(Problem::malformed("a WebSocket handshake has no body"));
    }
    match headers.get(SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => {}
        Some(_) => {
            let only = "this server speaks Sec-WebSocket-Version: 13 only";
            return Err(Problem::new(Code::UpgradeRequired, only));
        }
        None => {
            return Err(Problem::malformed("a WebSocket handshake has Sec-WebSocket-Version: 13"));
        }
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter().map(HeaderValue::as_bytes);
    let key = keys.next().filter(|_| keys.next().is_none());
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let key = key.ok_or_else(|| {
        Problem::malformed("a WebSocket handshake has one Sec-WebSocket-Key of 16 bytes in base64")
    })?;
    Ok(HeaderValue::from_str(&derive_accept_key(key)).expect("base64 is a header value"))
}

/// The options of a session in hub mode, from the query of the handshake.
#[derive(Debug, Default)]
struct Options {
    id: Option<ConnectionId>,
    ack: bool,
    timed_pings: bool,
}

/// Reads the options. Other parameters belong to the client and are ignored.
fn options(query: Option<&str>) -> Result<Options, Problem> {
    let Options { mut id, mut ack, mut timed_pings } = Options::default();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "connectionId" if id.is_some() => {
                return Err(Problem::malformed(
                    "connectionId stands more than once; once is right",
                ));
            }
            "connectionId" => {
                let parsed = value.parse::<ConnectionId>();
                id = Some(parsed.map_err(|fault| Problem::malformed(fault.to_string()))?);
            }
            "ack" => ack = matches!(&*value, "1" | "true"),
            "ping" => timed_pings = value == "time",
            _ => {}
        }
    }
    Ok(Options { id, ack, timed_pings })
}

/// Returns the first subprotocol that carries no token.
fn first_protocol(offered: &HeaderValue) -> Option<HeaderValue> {
    let offered = request::without_bearer(offered.to_str().ok()?);
    let first = offered.split(',').next()?.trim();
    HeaderValue::from_str(first).ok().filter(|first| !first.is_empty())
}
