//! Hooks for WebSockets of an axum program: one [`Consumer`] for each connection, and groups that
//! they send to.
//!
//! ```
//! use wstap::Hub;
//! use wstap::consumer::{self, Consumer, GroupMessage, Peer};
//!
//! /// Sends back what it is sent, and tells everybody in the group "foo" who has come.
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
//! A group is a channel of the hub, and a consumer's connection a connection of the hub: what comes
//! and goes is on the event stream, and clients that speak the tap's own dialect may be in the same
//! groups. Hooks of one connection run one after the other; while one runs, what is sent goes out,
//! pings are answered, and the next frames wait. While 32 of them or 4 MiB do, nothing is read, and no
//! pong is missed. Messages of groups wait too, 256 of them or 4 MiB;
//! one that finds no room is lost to that connection alone, or ends it
//! ([`SlowClient`](crate::hub::SlowClient)). A hook is never cancelled before the hub stops.

mod attend;
mod group;
mod json;
mod peer;

use std::fmt;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};

use crate::code::Code;
use crate::event::{Channel, User};
use crate::hub::{Ending, Hub};
use crate::problem::Problem;
use crate::session;

pub use crate::session::UpgradeContext;
pub use group::GroupMessage;
pub use json::{InvalidJson, Json, JsonConsumer};
pub use peer::{Peer, PeerError};

/// What the hooks of one connection do. Each may be left out; the defaults do nothing.
///
/// A hook that fails or panics ends its own connection (code 1011, or what a [`PeerError`] stands
/// for), and no other.
pub trait Consumer: Send + 'static {
    /// The connection stands: it can be sent to.
    fn on_connect(&mut self, peer: &Peer) -> impl Future<Output = Result> + Send {
        let _ = peer;
        async { Ok(()) }
    }

    /// The client has sent text.
    fn on_text(&mut self, peer: &Peer, text: &str) -> impl Future<Output = Result> + Send {
        let _ = (peer, text);
        async { Ok(()) }
    }

    /// The client has sent bytes.
    fn on_binary(&mut self, peer: &Peer, bytes: &[u8]) -> impl Future<Output = Result> + Send {
        let _ = (peer, bytes);
        async { Ok(()) }
    }

    /// Somebody has sent to a group that it is in, itself included, or to its user.
    fn on_group_message(
        &mut self,
        peer: &Peer,
        message: &GroupMessage,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, message);
        async { Ok(()) }
    }

    /// Another user has come into a group with presence, with a first connection.
    fn on_join(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// Another user has left such a group, with the last connection.
    fn on_leave(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// The connection has ended, by either side or by nobody. Nothing reaches the client any more;
    /// the groups that it was in still do, for two seconds.
    fn on_close(&mut self, peer: &Peer, ending: &Ending) -> impl Future<Output = Result> + Send {
        let _ = (peer, ending);
        async { Ok(()) }
    }
}

/// What a hook returns.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a hook gives up: any error, by `?`. The client is told a close code and, as its reason, the
/// words of a [`PeerError`] that says what it may not do or that it does not keep up; of any other
/// error 1011 and "a hook has failed", while the error itself goes to the log.
#[derive(Debug)]
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Failure {
    /// Returns what the client is told.
    fn problem(&self) -> Problem {
        match self.0.downcast_ref::<PeerError>() {
            Some(PeerError::QueueFull) => Problem::new(Code::SlowDown, self.to_string()),
            Some(PeerError::NotAllowed(not)) => not.clone().into(),
            _ => Problem::new(Code::Internal, "a hook has failed"),
        }
    }
}

/// Makes the route of a consumer: each WebSocket that comes gets one of its own. Loopback pages and
/// programs may connect; [`upgrade`] with a [`UpgradeContext`] of your own lets in others, and a handler
/// around it may look at the request first.
///
/// axum's own server leaves Nagle's algorithm on, which may hold small messages back for 40 ms;
/// `listener.tap_io(|tcp| drop(tcp.set_nodelay(true)))` turns it off
/// ([`ListenerExt`](axum::serve::ListenerExt)).
///
/// A request that is no WebSocket handshake is answered 426, and one that is not let in 403 or 503.
pub fn route<C, S>(
    hub: Hub,
    make: impl Fn() -> C + Clone + Send + Sync + 'static,
) -> MethodRouter<S>
where
    C: Consumer,
    S: Clone + Send + Sync + 'static,
{
    let door = UpgradeContext::new(hub);
    any(async move |request: Request| upgrade(&door, request, None, make()))
}

/// Answers a WebSocket handshake, and has a consumer attend the connection. Whoever calls this has
/// made sure that the request is `user`'s.
///
/// ```
/// use axum::extract::{Path, Request, State};
/// use axum::response::Response;
/// use wstap::consumer::{self, Consumer, Door, Peer};
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
/// async fn room(State(door): State<Door>, Path(name): Path<String>, request: Request) -> Response {
///     consumer::upgrade(&door, request, None, Room(name))
/// }
/// # let _: axum::Router<Door> = axum::Router::new().route("/{room}", axum::routing::any(room));
/// ```
#[must_use]
pub fn upgrade(
    door: &UpgradeContext,
    request: Request,
    user: Option<User>,
    consumer: impl Consumer,
) -> Response {
    let opened = session::open(door, request, move |opened| attend::attend(opened, user, consumer));
    opened.unwrap_or_else(IntoResponse::into_response)
}
