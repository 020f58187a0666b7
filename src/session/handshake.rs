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
use hyper::upgrade::OnUpgrade;
use tungstenite::handshake::derive_accept_key;

use super::socket::Socket;
use super::{Arrival, Limits, serve};
use crate::auth::{Hosts, Origins};
use crate::code::Code;
use crate::event::{Connect, ConnectionId};
use crate::hub::Hub;
use crate::problem::Problem;
use crate::request::{is_websocket, names_token, remote, worth_knowing};

/// Where WebSockets come in: what the handshake needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// Where sessions register.
    pub(crate) hub: Hub,
    /// Times and sizes.
    pub(crate) limits: Limits,
    /// Pages of these origins may open a WebSocket, beside those of `hosts`.
    pub(crate) origins: Origins,
    /// Our own host names.
    pub(crate) hosts: Arc<Hosts>,
}

/// Answers the handshake and starts the session.
///
/// # Errors
///
/// Where the request is no proper handshake, its Origin is a stranger's, or there is no room.
pub(crate) fn upgrade(door: &Door, mut request: Request<Body>) -> Result<Response, Problem> {
    let (response, opening) = accept(door, &mut request)?;
    let wishes = wishes(request.uri().query())?;
    if let Some(id) = &wishes.id {
        door.hub.may_connect(id)?;
    }
    let seat = door.hub.seat()?;
    let (parts, _) = request.into_parts();
    let connect = Connect {
        remote: remote(&parts),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: worth_knowing(&parts.headers),
        answer: None,
        user: None,
    };
    let Wishes { id, ack, timed_pings } = wishes;
    let arrival = Arrival { connect, id, ack, timed_pings, _seat: seat };
    let (hub, limits) = (door.hub.clone(), door.limits);
    door.hub.run(async move {
        if let Some(socket) = opening.socket().await {
            serve(socket, arrival, hub, limits).await;
        }
    });
    Ok(response)
}

/// What becomes a socket once the answer to the handshake has gone out.
#[derive(Debug)]
pub(crate) struct Opening {
    upgraded: OnUpgrade,
    max_message_bytes: usize,
}

impl Opening {
    /// Waits for the socket. `None`: the connection went before it became one.
    pub(crate) async fn socket(self) -> Option<Socket> {
        let io = self.upgraded.await.ok()?;
        Some(Socket::new(io, self.max_message_bytes).await)
    }
}

/// Accepts a handshake, and returns the answer to it.
///
/// # Errors
///
/// Where the request is no proper handshake, or its Origin is a stranger's.
pub(crate) fn accept(
    door: &Door,
    request: &mut Request<Body>,
) -> Result<(Response, Opening), Problem> {
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
    // A browser drops a connection that takes none of the subprotocols that it offers.
    let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(first_protocol);
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let upgraded = hyper::upgrade::on(request);
    Ok((response, Opening { upgraded, max_message_bytes: door.limits.max_message_bytes }))
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
