//! A WebSocket handshake between a client and its server, and the start of the relay.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::connect::ConnectError;
use super::forward::{Proxy, answer, control, target, unreachable};
use super::headers::{self, Hops};
use super::io::Io;
use super::tap::Tap;
use super::{interim, relay};
use crate::event::{Answer, ClosedBy, Connect, ConnectionId};
use crate::hub::{Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::Problem;
use crate::request::{MAX_FIELDS, RawTarget, remote, worth_knowing};
use crate::socket::SocketControl;

/// Forwards a handshake on a connection of its own, since the server may be closing a kept one. The
/// answer of the server returns as it is.
pub(super) async fn handle(proxy: &Proxy, request: Request<Body>) -> Result<Response, Problem> {
    if request.version() != Version::HTTP_11 {
        let only = "a WebSocket handshake is a request of HTTP/1.1";
        return Err(Problem::malformed(only));
    }
    let hub = &proxy.shared.hub;
    let permit = hub.permit()?;
    let (parts, body) = request.into_parts();
    let remote = remote(&parts);
    let path = target(&parts.uri, parts.extensions.get::<RawTarget>()).into_owned();
    let wish = wish(path.split_once('?').map(|(_, query)| query));
    let mut request = Request::from_parts(parts, body);
    let client = Client { upgrade: hyper::upgrade::on(&mut request), control: control(&request) };
    let version = request.version();
    let headers = worth_knowing(request.headers());
    let (url, request) = proxy.outgoing(request, Hops::Upgrade)?;
    let connect = Connect { remote, path, headers, answer: None, user: None };
    let handshake = Handshake { hub, wish, url, connect, asked: Instant::now() };

    let (response, server_control) = match ask(proxy, request, (version, &client.control)).await {
        Ok(answered) => answered,
        Err(error) => {
            let problem = unreachable(&handshake.url, &error);
            let status = problem.code.row().status;
            handshake.refused(status, ClosedBy::Tap, problem.detail.clone());
            return Err(problem);
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        handshake.refused(
            status.as_u16(),
            ClosedBy::Server,
            format!("the server answered {status}"),
        );
        return Ok(answer(response, false));
    }
    let extensions = headers::text(response.headers(), SEC_WEBSOCKET_EXTENSIONS);
    let (connection, mailbox) = handshake.accepted(&response)?;
    let share = proxy.shared.held.share();
    let extensions = extensions.unwrap_or_default();
    let tap = Tap::new(connection, &extensions, proxy.shared.tap, share);
    Ok(switch(hub, client, response, server_control, tap, mailbox, permit))
}

/// The end of the client, once HTTP has ended on its connection.
struct Client {
    upgrade: OnUpgrade,
    control: SocketControl,
}

/// A handshake before its answer.
struct Handshake<'a> {
    hub: &'a Hub,
    /// The id that the client requests.
    wish: Option<ConnectionId>,
    /// The upstream.
    url: Arc<str>,
    connect: Connect,
    asked: Instant,
}

impl Handshake<'_> {
    fn answer(&self, status: u16) -> Answer {
        Answer {
            upstream: Arc::clone(&self.url),
            status,
            time: self.asked.elapsed(),
            subprotocol: None,
            extensions: None,
        }
    }

    /// Publishes a refusal.
    fn refused(self, status: u16, by: ClosedBy, reason: String) {
        let answer = Some(Box::new(self.answer(status)));
        self.hub.refused(self.wish, Connect { answer, ..self.connect }, by, reason);
    }

    /// Registers the connection.
    fn accepted(self, response: &Response<Incoming>) -> Result<(Connection, Mailbox), Problem> {
        let text = |name| headers::text(response.headers(), name);
        let answer = Answer {
            subprotocol: text(SEC_WEBSOCKET_PROTOCOL),
            extensions: text(SEC_WEBSOCKET_EXTENSIONS),
            ..self.answer(response.status().as_u16())
        };
        let connect = Connect { answer: Some(Box::new(answer)), ..self.connect };
        Ok(self.hub.connect_with_generated_id(self.wish, connect)?)
    }
}

/// Sends a handshake to its server, and returns the answer and the control of the socket.
async fn ask(
    proxy: &Proxy,
    mut request: Request<Body>,
    client: (Version, &SocketControl),
) -> Result<(Response<Incoming>, SocketControl), ConnectError> {
    let io: Io = proxy.shared.dialer.dial(request.uri()).await?;
    let control = io.control();
    let mut builder = hyper::client::conn::http1::Builder::new();
    let builder = builder.preserve_header_case(true).max_headers(MAX_FIELDS);
    // Browsers take such answers, and so does curl.
    let builder = builder
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    proxy.shared.hub.run(async move {
        // Its error is that of the request.
        let _ = connection.with_upgrades().await;
    });
    headers::origin_form(request.uri_mut());
    let limit = proxy.shared.dialer.limit();
    let answer = interim::pass_on(request, client, |request| sender.send_request(request));
    let answer = timeout(limit, answer).await;
    Ok((answer.map_err(|_elapsed| ConnectError::Silent(limit))??, control))
}

/// Starts the relay, and returns the answer for the client.
fn switch(
    hub: &Hub,
    client: Client,
    mut response: Response<Incoming>,
    server_control: SocketControl,
    tap: Tap,
    mailbox: Mailbox,
    permit: ConnectionPermit,
) -> Response {
    let server = hyper::upgrade::on(&mut response);
    hub.run(async move {
        let controls = [client.control, server_control];
        // The server has switched. The client may leave before the answer arrives; then dropping
        // the tap publishes the end.
        if let (Ok(client), Ok(server)) = (client.upgrade.await, server.await) {
            relay::run([TokioIo::new(client), TokioIo::new(server)], controls, tap, mailbox).await;
        }
        drop(permit);
    });
    let (mut parts, _) = response.into_parts();
    parts.headers = headers::answered(&parts.headers, Hops::Upgrade);
    Response::from_parts(parts, Body::empty())
}

/// Returns the id that a client requests for its connection. An invalid one is ignored, since the
/// query is meant for the server.
fn wish(query: Option<&str>) -> Option<ConnectionId> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == "connectionId").and_then(|(_, value)| value.parse().ok())
}
