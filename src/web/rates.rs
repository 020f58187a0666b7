//! The limits of rates in front of the routes.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::outlet::live;
use crate::problem::Problem;
use crate::rate::{RateLimits, TooFast};
use crate::request::{accepts, is_websocket, remote_of};

/// Refuses an address that sends too many handshakes or requests.
pub(super) async fn limited(
    State(rates): State<RateLimits>,
    request: Request,
    next: Next,
) -> Response {
    let from = remote_of(request.extensions()).ip();
    let counted =
        if is_websocket(request.headers()) { rates.handshake(from) } else { rates.call(from) };
    match counted {
        Ok(()) => next.run(request).await,
        Err(too_fast) => refusal(&request, too_fast),
    }
}

/// Refuses an address that sends too many handshakes. Other requests belong to an upstream.
pub(super) async fn handshakes_limited(
    State(rates): State<RateLimits>,
    request: Request,
    next: Next,
) -> Response {
    if is_websocket(request.headers())
        && let Err(too_fast) = rates.handshake(remote_of(request.extensions()).ip())
    {
        return Problem::from(too_fast).into_response();
    }
    next.run(request).await
}

/// An EventSource never reconnects after another status than 200.
fn refusal(request: &Request, too_fast: TooFast) -> Response {
    if accepts(request.headers(), "text/event-stream") {
        return live::come_back(too_fast.1);
    }
    Problem::from(too_fast).into_response()
}
