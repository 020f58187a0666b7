//! The opening handshake in hub mode (RFC 6455 section 4.2): from a request to a session.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

use super::socket::Socket;
use super::{Arrival, CLOSING, Limits, Session, serve};
use crate::auth::{Hosts, Origins};
use crate::code::Code;
use crate::event::{Connect, ConnectionId};
use crate::hub::{ConnectionPermit, Hub};
use crate::problem::Problem;
use crate::request::{is_websocket, names_token, remote, worth_knowing};

/// Where WebSockets come in: what the handshake needs to know.
#[derive(Debug, Clone)]
pub struct UpgradeContext {
    /// Where sessions register.
    pub hub: Hub,
    /// Times and sizes.
    pub limits: Limits,
    /// Pages of these origins may open a WebSocket, beside those of `hosts`.
    pub origins: Origins,
    /// Our own host names.
    pub hosts: Arc<Hosts>,
}

impl UpgradeContext {
    /// Makes the door of a hub on loopback: pages of loopback may open a WebSocket, and programs,
    /// which send no Origin.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let hosts = Arc::new(Hosts::new(&[], &[]));
        Self { hub, limits: Limits::default(), origins: Origins::Loopback, hosts }
    }
}

/// Answers the handshake and starts the session in the tap's own dialect.
///
/// # Errors
///
/// Where the request is no proper handshake, its Origin is a stranger's, or there is no room.
pub(crate) fn upgrade(door: &UpgradeContext, request: Request<Body>) -> Result<Response, Problem> {
    let accept = accept(door, &request)?;
    let Wishes { id, ack, timed_pings } = wishes(request.uri().query())?;
    if let Some(id) = &id {
        door.hub.may_connect(id)?;
    }
    start(door, request, accept, move |opened| {
        let Opened { socket, connect, hub, limits, seat } = opened;
        let arrival = Arrival { connect, id, ack, timed_pings, _seat: seat };
        serve(socket, arrival, hub, limits)
    })
}

/// Answers the handshake and hands the WebSocket to `serve`.
///
/// # Errors
///
/// As [`upgrade`].
pub(crate) fn open<F: Future<Output = ()> + Send>(
    door: &UpgradeContext,
    request: Request<Body>,
    serve: impl FnOnce(Opened) -> F + Send + 'static,
) -> Result<Response, Problem> {
    let accept = accept(door, &request)?;
    start(door, request, accept, serve)
}

/// A WebSocket that nobody has registered yet.
pub(crate) struct Opened {
    socket: Socket,
    /// How it came.
    pub(crate) connect: Connect,
    /// Where it may register.
    pub(crate) hub: Hub,
    limits: Limits,
    /// Kept as long as the socket is open.
    seat: ConnectionPermit,
}

impl Opened {
    /// Closes it: it cannot register.
    pub(crate) async fn refuse(mut self, problem: &Problem) {
        self.socket.close(problem.code.close(), &problem.detail, CLOSING).await;
        self.socket.linger(CLOSING).await;
    }

    /// Begins a session, and returns the seat, which is kept as long as the session lasts.
    pub(crate) fn session(self) -> (Session, ConnectionPermit) {
        (Session::new(self.socket, self.hub, self.limits, false), self.seat)
    }
}

/// Accepts a handshake, and returns `Sec-WebSocket-Accept`.
///
/// # Errors
///
/// Where the request is no proper handshake, or its Origin is a stranger's.
pub(crate) fn accept(
    door: &UpgradeContext,
    request: &Request<Body>,
) -> Result<HeaderValue, Problem> {
    let headers = request.headers();
    let accept = check(request.method(), request.version(), headers)?;
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !door.origins.accept(origin) && !door.hosts.accept_origin(origin) {
            return Err(Problem::new(
                Code::Forbidden,
                format!("pages of {origin} may not connect here; --ws-origin {origin} lets them"),
            ));
        }
    }
    Ok(accept)
}

fn start<F: Future<Output = ()> + Send>(
    door: &UpgradeContext,
    request: Request<Body>,
    accept: HeaderValue,
    serve: impl FnOnce(Opened) -> F + Send + 'static,
) -> Result<Response, Problem> {
    let seat = door.hub.permit()?;
    let (parts, body) = request.into_parts();
    let connect = Connect {
        remote: remote(&parts),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: worth_knowing(&parts.headers),
        answer: None,
        user: None,
    };
    let (hub, limits) = (door.hub.clone(), door.limits);
    let request = Request::from_parts(parts, body);
    Ok(hand_over(door, request, accept, move |socket| {
        serve(Opened { socket, connect, hub, limits, seat })
    }))
}

/// Answers a handshake that was accepted, and hands the WebSocket to `serve`, whoever it belongs to.
pub(crate) fn hand_over<F: Future<Output = ()> + Send>(
    door: &UpgradeContext,
    mut request: Request<Body>,
    accept: HeaderValue,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Response {
    // A browser drops a connection that takes none of the subprotocols that it offers.
    let protocol = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(first_protocol);
    let upgraded = hyper::upgrade::on(&mut request);
    let max_message_bytes = door.limits.max_message_bytes;
    door.hub.run(async move {
        // An error means that the connection went before it became a WebSocket.
        if let Ok(io) = upgraded.await {
            serve(Socket::new(io, max_message_bytes).await).await;
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// Checks what RFC 6455 section 4.2.1 asks for and returns `Sec-WebSocket-Accept`.
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
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::malformed("a WebSocket handshake has Sec-WebSocket-Version: 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let key = key.ok_or_else(|| {
        Problem::malformed("a WebSocket handshake has a Sec-WebSocket-Key of 16 bytes in base64")
    })?;
    Ok(HeaderValue::from_str(&derive_accept_key(key)).expect("base64 is a header value"))
}

/// What the query of a handshake wants of us.
#[derive(Debug, Default)]
struct Wishes {
    id: Option<ConnectionId>,
    ack: bool,
    timed_pings: bool,
}

/// Reads what the query wants of us. Parameters that are the client's own are not ours to judge.
fn wishes(query: Option<&str>) -> Result<Wishes, Problem> {
    let Wishes { mut id, mut ack, mut timed_pings } = Wishes::default();
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
    Ok(Wishes { id, ack, timed_pings })
}

fn first_protocol(offered: &HeaderValue) -> Option<HeaderValue> {
    let first = offered.to_str().ok()?.split(',').next()?.trim();
    HeaderValue::from_str(first).ok().filter(|first| !first.is_empty())
}
