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

use super::forward::answer;
use super::headers::{self, Hops};
use super::outgoing::{Outgoing, outgoing, target, unreachable, wish};
use super::refusal::{Names, Refusal};
use super::shared::Proxy;
use super::tap::Tap;
use super::view::View;
use super::{link, relay};
use crate::access::{Caller, Ended};
use crate::code::Code;
use crate::event::{Answer, ClosedBy, Connect, ConnectionId};
use crate::hub::{CloseRequest, Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::{Problem, shortened};
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
    let caller = request.extensions().get::<Caller>().cloned();
    let (parts, body) = request.into_parts();
    let remote = remote(&parts);
    let path = target(&parts.uri, parts.extensions.get::<RawTarget>()).into_owned();
    let wish = wish(&path);
    let mut request = Request::from_parts(parts, body);
    let upgrade = hyper::upgrade::on(&mut request);
    let client = link::Client::of(&request);
    let headers = worth_knowing(request.headers());
    let outgoing = outgoing(proxy, request, Hops::Upgrade)?;
    let Outgoing { url, request, view, names } = outgoing;
    let user = caller.as_ref().and_then(|caller| caller.user().cloned());
    let connect = Connect { remote, path, headers, answer: None, user };
    let handshake = Handshake { hub: hub.clone(), wish, url, connect, asked: Instant::now() };

    let dialer = &proxy.shared.dialer;
    let limit = Some(dialer.limit());
    let asked = link::send((hub, dialer), &client, &handshake.url, request, limit).await;
    let (response, server_control) = match asked {
        Ok(answered) => answered,
        Err(error) => {
            let problem = unreachable(&proxy.shared, &handshake.url, &error);
            let status = problem.code.row().status;
            handshake.refused(status, ClosedBy::Tap, problem.detail.clone());
            return Err(problem);
        }
    };
    proxy.shared.health.answered(&handshake.url);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = response.into_parts();
        let loud = proxy.shared.warned.is_due();
        let hint = names.hint(parts.status, &parts.headers);
        let status = parts.status;
        let then =
            Box::new(move |body| handshake.refused_by_upstream(status, names, hint, body, loud));
        let body = Body::new(Refusal::new(body, &parts.headers, then));
        return Ok(answer(Response::from_parts(parts, body), false, &view));
    }
    let extensions = headers::text(response.headers(), SEC_WEBSOCKET_EXTENSIONS);
    let (connection, mailbox) = handshake.accepted(&response)?;
    let share = proxy.shared.held.share();
    let extensions = extensions.unwrap_or_default();
    let tap = Tap::new(connection, &extensions, proxy.shared.tap, share);
    let client =
        Client { upgrade, control: client.control, ended: caller.and_then(|it| it.ended()) };
    Ok(switch(hub, client, (response, server_control), tap, mailbox, permit, &view))
}

/// The end of the client, once HTTP has ended on its connection.
struct Client {
    upgrade: OnUpgrade,
    control: SocketControl,
    /// The end of its credential.
    ended: Option<Ended>,
}

/// A handshake before its answer.
struct Handshake {
    hub: Hub,
    /// The id that the client requests.
    wish: Option<ConnectionId>,
    /// The upstream.
    url: Arc<str>,
    connect: Connect,
    asked: Instant,
}

impl Handshake {
    fn answer(&self, status: u16) -> Answer {
        Answer {
            upstream: Arc::clone(&self.url),
            status,
            time: self.asked.elapsed(),
            ..Answer::default()
        }
    }

    /// Publishes, and logs, that the upstream has refused. `body` is the beginning of its answer, and
    /// `loud` makes the line a warning.
    fn refused_by_upstream(
        mut self,
        status: StatusCode,
        names: Names,
        hint: Option<String>,
        body: Option<String>,
        loud: bool,
    ) {
        let reason = format!("the server answered {status}");
        let said = body.as_ref().map(|body| self.hub.settings().redaction.text(body.clone()));
        let said = said.as_deref().map(|said| shortened(said, 200)).unwrap_or_default();
        let (url, host, origin) =
            (&self.url, &names.host, names.origin.as_deref().unwrap_or("none"));
        let help = hint.as_deref().unwrap_or("no hint");
        if loud {
            tracing::warn!(%host, %origin, body = ?said, "{url} refused a WebSocket with {status}: {help}");
        } else {
            tracing::info!(%host, %origin, body = ?said, "{url} refused a WebSocket with {status}: {help}");
        }
        self.connect.headers.retain(|(name, _)| *name != "origin");
        self.connect.headers.push(("host", names.host));
        self.connect.headers.extend(names.origin.map(|origin| ("origin", origin)));
        let answer = Answer { body, hint, ..self.answer(status.as_u16()) };
        self.publish(answer, ClosedBy::Server, reason);
    }

    /// Publishes a refusal.
    fn refused(self, status: u16, by: ClosedBy, reason: String) {
        let answer = self.answer(status);
        self.publish(answer, by, reason);
    }

    fn publish(self, answer: Answer, by: ClosedBy, reason: String) {
        let answer = Some(Box::new(answer));
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
    (mut response, server_control): (Response<Incoming>, SocketControl),
    tap: Tap,
    mailbox: Mailbox,
    permit: ConnectionPermit,
    view: &View,
) -> Response {
    let server = hyper::upgrade::on(&mut response);
    let (id, owner) = (tap.connection().clone(), hub.clone());
    hub.run(async move {
        let controls = [client.control, server_control];
        // The server has switched. The client may leave before the answer arrives; then dropping
        // the tap publishes the end.
        if let (Ok(client_end), Ok(server)) = (client.upgrade.await, server.await) {
            let ends = [TokioIo::new(client_end), TokioIo::new(server)];
            let mut relaying = std::pin::pin!(relay::run(ends, controls, tap, mailbox));
            if let Some(ended) = client.ended {
                tokio::select! {
                    () = relaying.as_mut() => {}
                    why = ended => {
                        let code = Code::Unauthorized.close();
                        // It may have ended by itself.
                        let _ = owner.close(&id, CloseRequest { code, reason: why.to_owned() });
                        relaying.await;
                    }
                }
            } else {
                relaying.await;
            }
        }
        drop(permit);
    });
    let (mut parts, _) = response.into_parts();
    parts.headers = headers::answered(&parts.headers, Hops::Upgrade);
    view.rewrite_answer(&mut parts.headers);
    Response::from_parts(parts, Body::empty())
}
