//! Hooks for WebSockets of an axum program: a [`Consumer`] for each connection, and groups of
//! connections.
//!
//! ```
//! use wstap::Hub;
//! use wstap::consumer::{self, Consumer, GroupMessage, Peer};
//!
//! /// Sends every text back, and announces each connection to the group "foo".
//! struct Echo;
//!
//! impl Consumer for Echo {
//!     async fn on_connect(&mut self, peer: &Peer) -> consumer::Result {
//!         peer.join("foo")?;
//!         peer.group_send("foo", "new user joined")?;
//!         Ok(())
//!     }
//!
//!     async fn on_text(&mut self, peer: &Peer, text: &str) -> consumer::Result {
//!         peer.send(text).await?;
//!         Ok(())
//!     }
//!
//!     async fn on_group_message(&mut self, peer: &Peer, message: &GroupMessage) -> consumer::Result {
//!         peer.send(format!("foo says {}", message.text().unwrap_or_default())).await?;
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let hub = Hub::new(wstap::Settings::default());
//! let app: axum::Router = axum::Router::new().route("/ws", consumer::route(hub, || Echo));
//! # }
//! ```
//!
//! A group is a channel of the hub, and the connection of a consumer is a connection of the hub: its
//! messages are on the event stream, and clients in hub mode may be in the same groups.
//!
//! The hooks of a connection run one after the other. While one runs, messages to the client are
//! sent, pings are answered, and further frames wait. While 32 frames or 4 MiB wait, nothing is read
//! from the client, and no pong counts as missed. At most 256 messages of groups or 4 MiB wait as
//! well; a message beyond that is lost to this connection only, or closes it
//! ([`SlowClient`](crate::hub::SlowClient)). A hook is not cancelled before the hub stops.

mod attend;
mod group;
mod hooks;
mod json;
mod peer;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};

use crate::event::User;
use crate::hub::Hub;
use crate::session;

pub use crate::session::UpgradeContext;
pub use group::GroupMessage;
pub use hooks::{Consumer, Failure, Result};
pub use json::{InvalidJson, Json, JsonConsumer};
pub use peer::{Peer, PeerError};

/// Creates the route of a consumer; `make` creates one for each WebSocket. Programs and pages of
/// loopback may connect. [`upgrade`] with an [`UpgradeContext`] admits others, and a handler around it
/// may inspect the request first.
///
/// axum's own server leaves Nagle's algorithm on, which may delay small messages by 40 ms;
/// `listener.tap_io(|tcp| drop(tcp.set_nodelay(true)))` turns it off
/// ([`ListenerExt`](axum::serve::ListenerExt)).
///
/// A request that is not a WebSocket handshake is answered 426, and one that is not admitted 403 or
/// 503.
pub fn route<C, S>(
    hub: Hub,
    make: impl Fn() -> C + Clone + Send + Sync + 'static,
) -> MethodRouter<S>
where
    C: Consumer,
    S: Clone + Send + Sync + 'static,
{
    let context = UpgradeContext::new(hub);
    any(async move |request: Request| upgrade(&context, request, None, make()))
}

/// Answers a WebSocket handshake, and serves the connection with a consumer. The caller has verified
/// that the request is made by `user`.
///
/// ```
/// use axum::extract::{Path, Request, State};
/// use axum::response::Response;
/// use wstap::consumer::{self, Consumer, Peer, UpgradeContext};
///
/// struct Room(String);
///
/// impl Consumer for Room {
///     async fn on_connect(&mut self, peer: &Peer) -> consumer::Result {
///         peer.join(&self.0)?;
///         Ok(())
///     }
/// }
///
/// async fn room(
///     State(context): State<UpgradeContext>,
///     Path(name): Path<String>,
///     request: Request,
/// ) -> Response {
///     consumer::upgrade(&context, request, None, Room(name))
/// }
/// # let _: axum::Router<UpgradeContext> = axum::Router::new().route("/{room}", axum::routing::any(room));
/// ```
#[must_use]
pub fn upgrade(
    context: &UpgradeContext,
    request: Request,
    user: Option<User>,
    consumer: impl Consumer,
) -> Response {
    let opened =
        session::open(context, request, move |opened| attend::attend(opened, user, consumer));
    opened.unwrap_or_else(IntoResponse::into_response)
}
