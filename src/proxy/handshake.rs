//! A WebSocket handshake between a client and its server, and the start of the relay.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::forward::{Proxy, answer, target, unreachable};
use super::headers::{self, Hops};
use super::tap::Tap;
use super::{link, relay};
use crate::event::{Answer, ClosedBy, Connect, ConnectionId};
use crate::hub::{Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::Problem;
use crate::request::{RawTarget, remote, worth_knowing};
use crate::socket::SocketControl;

/// Forwards a handshake on the connection to the upstream that belongs to the client. The answer of
/// the server returns as it is.
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
    let upgrade = hyper::upgrade::on(&mut request);
    let client = link::Client::of(&request);
    let headers = worth_knowing(request.headers());
    let (url, request) = proxy.outgoing(request, Hops::Upgrade)?;
    let connect = Connect { remote, path, headers, answer: None, user: None };
    let handshake = Handshake { hub, wish, url, connect, asked: Instant::now() };

    let dialer = &proxy.shared.dialer;
    let limit = Some(dialer.limit());
    let asked = link::send((hub, dialer), &client, &handshake.url, request, limit).await;
    let (response, server_control) = match asked {
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
    let client = Client { upgrade, control: client.control };
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
