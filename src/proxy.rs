//! Proxy mode: clients reach their server through wstap, unchanged.
//!
//! Every request of the traffic side is forwarded to an upstream. A WebSocket handshake is forwarded
//! on a connection of its own, and its answer returns as it is; then `relay` carries bytes, and a
//! `tap` reads a copy of them. Other requests are forwarded with streamed bodies; `event_stream` reads
//! a copy of those that are event streams.

mod connect;
mod event_stream;
mod exchange;
mod forward;
mod handshake;
mod headers;
mod health;
mod held;
mod interim;
mod io;
mod leased;
mod link;
mod messages;
mod outgoing;
mod pipe;
mod refusal;
mod relay;
mod resolve;
mod route;
mod shared;
mod tap;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "proxy/tls/absent.rs"]
mod tls;
mod trust;
mod view;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::Request;

use crate::problem::Problem;
use crate::request::is_websocket;

pub use connect::{ConnectError, Dialer};
pub(crate) use event_stream::OWN_STREAM;
pub use headers::ForwardedHeaders;
pub use io::Io;
pub use route::{InvalidUpstream, Route, Upstream};
pub use shared::{Proxy, ProxySettings, TapHttp};
pub use trust::{TlsError, Trust, TrustFlags};
pub use view::HostHeader;

/// Answers every request of the traffic side.
pub(crate) async fn handle(
    State(proxy): State<Proxy>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    if is_websocket(request.headers()) {
        handshake::handle(&proxy, request).await
    } else {
        forward::forward(&proxy, request).await
    }
}
