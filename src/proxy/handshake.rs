//! A WebSocket handshake between a client and its server, and the relay that comes of it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::connect::{ConnectError, Io};
use super::tap::Tap;
use super::{Proxy, headers, relay, unreachable};
use crate::event::{Answer, ClosedBy, Connect, ConnectionId};
use crate::hub::{Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::Problem;
use crate::request::{remote, worth_knowing};
use crate::socket::SocketControl;

/// Forwards a handshake, on a connection of its own: one that was kept may be closed by the server
/// just now. What the server answers goes back as it is.
pub(super) async fn handle(proxy: &Proxy, request: Request<Body>) -> Result<Response, Problem> {
    let hub = &proxy.shared.hub;
    let seat = hub.permit()?;
    let (parts, body) = request.into_parts();
    let (remote, wish) = (remote(&parts), wish(parts.uri.query()));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut request = Request::from_parts(parts, body);
    let client = Client {
        upgrade: hyper::upgrade::on(&mut request),
        control: request.extensions().get::<SocketControl>().cloned().unwrap_or_default(),
    };
    let headers = worth_knowing(request.headers());
    let (url, request) = proxy.outgoing(request, true)?;
    let connect = Connect { remote, path, headers, answer: None, user: None };
    let handshake = Handshake { hub, wish, url, connect, asked: Instant::now() };

    let (response, server_control) = match ask(proxy, request).await {
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
        let (mut parts, body) = response.into_parts();
        parts.headers = headers::passed_on(&parts.headers, false);
        return Ok(Response::from_parts(parts, Body::new(body)));
    }
    let extensions = headers::text(response.headers(), SEC_WEBSOCKET_EXTENSIONS);
    let (connection, mailbox) = handshake.accepted(&response)?;
    let tap = Tap::new(connection, &extensions.unwrap_or_default(), proxy.shared.tap);
    Ok(switch(hub, client, response, server_control, tap, mailbox, seat))
}

/// The client's end, once its connection is none of HTTP any more.
struct Client {
    upgrade: OnUpgrade,
    control: SocketControl,
}

/// What is known of a handshake before its answer.
struct Handshake<'a> {
    hub: &'a Hub,
    /// The id that the client asks for.
    wish: Option<ConnectionId>,
    /// The server that it goes to.
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

    /// Publishes that nothing came of it.
    fn refused(self, status: u16, by: ClosedBy, reason: String) {
        let answer = Some(Box::new(self.answer(status)));
        self.hub.refused(self.wish, Connect { answer, ..self.connect }, by, reason);
    }

    /// Registers the connection that came of it.
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
) -> Result<(Response<Incoming>, SocketControl), ConnectError> {
    let io: Io = proxy.shared.dialer.dial(request.uri()).await?;
    let control = io.control();
    let mut builder = hyper::client::conn::http1::Builder::new();
    let builder = builder.preserve_header_case(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    proxy.shared.hub.run(async move {
        // Its error is that of the request.
        let _ = connection.with_upgrades().await;
    });
    headers::origin_form(request.uri_mut());
    let limit = proxy.shared.dialer.limit();
    let answer = timeout(limit, sender.send_request(request)).await;
    Ok((answer.map_err(|_elapsed| ConnectError::Silent(limit))??, control))
}

/// Starts the relay, and returns the answer that lets the client switch too.
fn switch(
    hub: &Hub,
    client: Client,
    mut response: Response<Incoming>,
    server_control: SocketControl,
    tap: Tap,
    mailbox: Mailbox,
    seat: ConnectionPermit,
) -> Response {
    let server = hyper::upgrade::on(&mut response);
    hub.run(async move {
        let controls = [client.control, server_control];
        // The server is there: its answer was the switch. The client may go before it hears that;
        // then dropping the tap tells the end.
        if let (Ok(client), Ok(server)) = (client.upgrade.await, server.await) {
            relay::run([TokioIo::new(client), TokioIo::new(server)], controls, tap, mailbox).await;
        }
        drop(seat);
    });
    let (mut parts, _) = response.into_parts();
    parts.headers = headers::passed_on(&parts.headers, true);
    Response::from_parts(parts, Body::empty())
}

/// Returns the id that a client wants for its connection. One that cannot be is nobody's fault: the
/// query is between the client and its server.
fn wish(query: Option<&str>) -> Option<ConnectionId> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == "connectionId").and_then(|(_, value)| value.parse().ok())
}
