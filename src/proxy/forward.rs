//! Plain requests, and their answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::Frame;

use super::connect::ConnectError;
use super::event_stream::{self, Asked};
use super::exchange::Running;
use super::headers::{self, Hops};
use super::leased::leased;
use super::link::{self, Client};
use super::outgoing::{Outgoing, outgoing, unreachable};
use super::shared::Proxy;
use super::view::View;
use crate::access::Caller;
use crate::problem::Problem;

/// Forwards a request that is not a WebSocket handshake.
pub(super) async fn forward(proxy: &Proxy, request: Request<Body>) -> Result<Response, Problem> {
    let asked = Asked::of(proxy, &request);
    let ended = request.extensions().get::<Caller>().and_then(Caller::ended);
    let (request, mut running) = Running::begin(proxy, request);
    let answered = send(proxy, request, &mut running).await;
    match answered {
        Ok(response) => {
            let response = leased(response, ended);
            Ok(event_stream::answered(proxy, asked, running, response))
        }
        Err(problem) => {
            running.failed(&problem);
            Err(problem)
        }
    }
}

async fn send(
    proxy: &Proxy,
    request: Request<Body>,
    running: &mut Running,
) -> Result<Response, Problem> {
    let shared = &proxy.shared;
    let head = request.method() == Method::HEAD;
    let client = Client::of(&request);
    let Outgoing { url, request, view, .. } = outgoing(proxy, request, Hops::Drop)?;
    running.upstream(&url);
    let sent = link::send((&shared.hub, &shared.dialer), &client, &url, request, None).await;
    let (response, _) = sent.map_err(|error| unreachable(shared, &url, &error))?;
    shared.health.answered(&url);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let unasked = "it switches to a protocol that the request does not ask for";
        let unasked = ConnectError::Answer(unasked.to_owned());
        return Err(unreachable(shared, &url, &unasked));
    }
    Ok(answer(response.map(Body::new), head, &view))
}

/// Returns an answer of an upstream as the client gets it. `head` says that it answers a HEAD.
pub(super) fn answer(response: Response, head: bool, view: &View) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers = headers::answered(&parts.headers, Hops::Drop);
    view.rewrite_answer(&mut parts.headers);
    let body =
        if head || parts.status == StatusCode::NOT_MODIFIED { Body::new(NoBody) } else { body };
    Response::from_parts(parts, body)
}

/// The body of an answer that has none, and whose length fields are about another answer. Its size
/// is not known, so that no layer adds or drops a length.
struct NoBody;

impl http_body::Body for NoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }
}
