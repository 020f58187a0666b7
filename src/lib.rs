//! wstap shows WebSocket traffic as a stream of Server-Sent Events.
//!
//! [`docs`] is the user documentation, a page for each subject.
//!
//! # As a library
//!
//! Mount wstap in an axum program. Its pages and endpoints work below any path prefix:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::time::Duration;
//!
//! let hub = wstap::Hub::new(wstap::Settings::default());
//! let app: axum::Router = axum::Router::new().nest("/tap", wstap::router(hub.clone()));
//! // axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
//! hub.shutdown(Duration::from_secs(1)).await;
//! # }
//! ```
//!
//! A [`consumer`] handles a WebSocket by hooks instead of the protocol of hub mode. A group is a
//! channel of the hub, and its messages are on the event stream:
//!
//! ```
//! use wstap::consumer::{self, Consumer, Peer};
//!
//! struct Shout;
//!
//! impl Consumer for Shout {
//!     async fn on_text(&mut self, peer: &Peer, text: &str) -> consumer::Result {
//!         peer.send(text.to_uppercase()).await?;
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let hub = wstap::Hub::new(wstap::Settings::default());
//! let app: axum::Router = axum::Router::new()
//!     .route("/shout", consumer::route(hub.clone(), || Shout))
//!     .nest("/tap", wstap::router(hub));
//! # }
//! ```
//!
//! A program publishes to channels, and authorizes the members of private ones by a key for JSON Web
//! Tokens ([`auth::JwtKey`]) or by its own [`auth::Authority`]:
//!
//! ```
//! use std::sync::Arc;
//! use wstap::auth::JwtKey;
//! use wstap::event::{Body, Opcode};
//! use wstap::hub::{ChannelRules, Declared, Publication};
//! use wstap::json::Json;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = ChannelRules { private: true, history: 100, ..ChannelRules::default() };
//! let hub = wstap::Hub::new(wstap::Settings {
//!     channels: vec![Declared { name: "prices/*".parse()?, rules }],
//!     authority: Some(Arc::new(JwtKey::read(b"at least thirty-two bytes that nobody guesses")?)),
//!     ..wstap::Settings::default()
//! });
//! let body = Body::Value(Json::string("up"));
//! hub.publish(Publication::new("prices/ann".parse()?, Opcode::Text, 2, body))?;
//! # Ok(())
//! # }
//! ```
//!
//! Server-Sent Events in a handler of any axum program: [`sse`].
//!
//! ```
//! use wstap::sse::{self, Event};
//!
//! async fn hello() -> axum::response::Response {
//!     let (target, response) = sse::open();
//!     tokio::spawn(async move { target.send(Event::text("hello").name("greeting").id(0)).await });
//!     response
//! }
//! # let _: axum::Router = axum::Router::new().route("/hello", axum::routing::get(hello));
//! ```
//!
//! The folder `examples` contains a program for each of these.
//!
//! # Architecture
//!
//! ```text
//!    session (WebSocket)   Draft   ┌──────────── hub ────────────┐  Delivery   live   (SSE, ndjson)
//!    control (send, HTTP) ────────▶│ stream: id, history, order  │────────────▶ poll   (long poll)
//!    proxy (relay, tap)   ──inbox─▶│ broadcast: Arc<Batch>       │             export (json, ndjson, har)
//!            ▲                     │ registry: live connections  │
//!            └── send, close ──────└─────────────────────────────┘
//! ```
//!
//! - [`event::Event`] is the only value that crosses the hub. An inlet makes an [`event::Draft`]; the
//!   hub assigns an [`event::EventId`]. The event is then an immutable `Arc<Event>`.
//! - The tokio broadcast channel carries batches: all events published since the previous batch. A
//!   batch is rendered on first demand, at most once in each form, for all listeners.
//! - A listener reads a [`hub::Delivery`]: events, or a gap. Events that the broadcast channel dropped
//!   are read from history; events that history no longer holds become a gap. Events carry ordinals: a
//!   listener takes a batch only if it is the next one.
//! - A relay forwards bytes first. A reader ([`frame`]) then parses a copy and puts drafts into the
//!   inbox of the hub, without waiting: drafts that do not fit become a gap.
//! - Redaction happens on the draft. The hub accepts only [`redact::Redacted`] drafts.
//! - Channels are under the lock of the stream. A message to a channel is an event, and a
//!   [`hub::Delivered`] in the queue of each member, in the order of the stream. Each protocol (hub
//!   mode with the commands of channelize, hooks, Channelstream) encodes it in its own form.
//! - Data flows in one direction. The exceptions are messages in the bounded queue of a connection and
//!   the request to close it.
//!
//! Rows, each of which imports only from the rows above it; files do not import each other in a
//! circle either:
//!
//! ```text
//! json  code  queue  throttle                   base
//! event                                         data
//! wire  dialect  frame  redact  auth            pure: no tokio, no axum, no clock
//! filter                                        pure: expressions over the full event
//! metrics  database                             numbers, and files of events
//! hub                                           state; uses tokio, not axum
//! problem                                       errors of the rows above as responses
//! rate                                          limits of what an address or a connection does
//! request  socket                               parameters and bodies of requests, and their sockets
//! audit                                         who read and did what
//! access                                        credentials of requests, and what they grant
//! session  proxy  outlet  pages  sse            use axum; independent of each other
//! remote                                        credentials that other servers judge
//! consumer                                      hooks of programs over a session
//! control                                       queries and commands over HTTP
//! openapi                                       descriptions of requests, responses and frames
//! web                                           the routes
//! channelstream                                 Channelstream's API
//! server                                        sockets
//! config                                        settings of the rows above
//! replay                                        replay of recordings
//! cli                                           commands
//! docs                                          the user documentation, in rustdoc only
//! ```
//!
//! Invariants that `tests/it/house.rs` checks: the hub does not use HTTP; a dialect does no I/O; an
//! inlet never reads the stream, and an outlet never publishes; only `hub` and `server` start tasks;
//! only `json`, `wire` and `dialect` contain the JSON of events; only `code` contains error statuses
//! and close codes; only `config` reads the environment.

pub mod access;
pub mod audit;
pub mod auth;
#[cfg(feature = "channelstream")]
pub mod channelstream;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod code;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod config;
pub mod consumer;
mod control;
#[cfg(feature = "sqlite")]
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "some items serve features that may be off")
)]
mod database;
#[doc(hidden)]
pub mod dialect;
#[cfg(any(doc, doctest))]
pub mod docs;
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "some items serve features that may be off")
)]
pub mod event;
pub mod filter;
#[doc(hidden)]
pub mod frame;
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "some items serve features that may be off")
)]
pub mod hub;
pub mod json;
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "some items serve features that may be off")
)]
pub mod metrics;
#[cfg(feature = "openapi")]
mod openapi;
#[cfg(not(feature = "openapi"))]
#[path = "openapi/absent.rs"]
mod openapi;
mod outlet;
#[cfg(feature = "pages")]
pub mod pages;
#[cfg(not(feature = "pages"))]
#[path = "pages/absent.rs"]
mod pages;
pub mod problem;
pub mod proxy;
pub mod queue;
pub mod rate;
pub mod redact;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod remote;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod replay;
mod request;
#[doc(hidden)]
pub mod server;
pub mod session;
mod socket;
pub mod sse;
mod throttle;
pub mod web;
#[doc(hidden)]
pub mod wire;

pub use hub::{Hub, Settings};

/// Returns all routes of a hub with the defaults of a server on loopback: WebSockets on `/ws` and on
/// every path without another handler, the stream on `/events`, the pages on `/`.
///
/// The routes accept only loopback names in `Host`, and WebSockets only from pages of loopback.
/// [`web::Web`] has the settings.
pub fn router(hub: Hub) -> axum::Router {
    web::Web::new(hub).together()
}
