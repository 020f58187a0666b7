//! wstap makes WebSocket traffic visible: WebSocket clients in, Server-Sent Events out.
//!
//! # As a library
//!
//! Mount it in an axum program of your own; its pages and addresses work below any prefix:
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
//! A connection may have hooks instead of the tap's own dialect: [`consumer`]. A group is a channel of
//! the hub, and all of it is on the event stream:
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
//! A program publishes to channels, and says who may enter those that are private: by a key for
//! JSON Web Tokens ([`auth::JwtKey`]) or by an [`auth::Authority`] of its own:
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
//! Server-Sent Events by hand, for any handler of any axum program: [`sse`].
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
//! The folder `examples` has each of these as a program that runs.
//!
//! # How it is built
//!
//! ```text
//!    session (WebSocket)   Draft   ┌──────────── hub ────────────┐  Delivery   live   (SSE, ndjson)
//!    control (send, HTTP) ────────▶│ stream: id, history, order  │────────────▶ poll   (long poll)
//!    proxy (relay, tap)   ──inbox─▶│ broadcast: Arc<Batch>       │             export (json, ndjson, har)
//!            ▲                     │ registry: who is here       │
//!            └── send, close ──────└─────────────────────────────┘
//! ```
//!
//! - [`event::Event`] is the only value that crosses the hub. An inlet makes a
//!   [`event::Draft`], the hub stamps it with an [`event::EventId`], and from then on it is an
//!   `Arc<Event>` that nobody changes.
//! - What goes through the tokio broadcast channel is a batch: everything published since the
//!   last one, rendered at most once in each form, on first demand, for all listeners together.
//! - A listener reads [`hub::Delivery`]: events, or a gap. What the broadcast channel has dropped
//!   comes from history; what history no longer has becomes a gap, which is told. The ordinals of
//!   events make the joins safe: a batch is taken only if it is the one that comes next.
//! - A relay writes bytes on first; then a reader ([`frame`]) sees a copy, and what it makes of it
//!   goes to the hub's inbox, which is never waited for: what does not fit becomes a gap.
//! - What is to be hidden is hidden in the draft: the hub takes only what is [`redact::Redacted`].
//! - Channels stand under the lock of the stream too: what is published to one is an event like any
//!   other, and a [`hub::Delivered`] that is put into the queue of each member, in the order of the
//!   stream. Each dialect (the tap's with the commands of channelize, hooks of a program,
//!   Channelstream) makes its own words of it.
//! - Flow is one way. The one way back is a message in a connection's bounded queue, or the order
//!   to close.
//!
//! Rows, each of which imports only from those above it:
//!
//! ```text
//! json  code                                    ground
//! event                                         data
//! wire  dialect  frame  redact  auth            pure: no tokio, no axum, no clock
//! filter                                        pure too: expressions over what wire writes
//! metrics                                       numbers
//! hub                                           state; tokio, no axum
//! problem                                       errors of all rows above as answers
//! request                                       what handlers read off a request
//! session  proxy  outlet  pages  sse            axum lives here; none knows another
//! consumer                                      hooks of other programs over a session
//! control  channelstream                        reads and orders over HTTP; another API
//! openapi                                       what all of them answer, described
//! web                                           the routes
//! config                                        settings of all rows above
//! server                                        sockets
//! replay                                        recordings played again
//! cli                                           knows only what the others offer
//! ```
//!
//! Absences, kept by `tests/it/house.rs`: the hub knows no HTTP; a dialect does no I/O; an inlet
//! never reads the stream and an outlet never publishes; only `hub` and `server` start tasks; only
//! `json`, `wire` and `dialect` know the JSON of events; only `code` names an error status or a
//! close code of ours; only `config` reads the environment.

pub mod auth;
pub mod channelstream;
pub mod cli;
pub mod code;
pub mod config;
pub mod consumer;
mod control;
pub mod dialect;
pub mod event;
pub mod filter;
pub mod frame;
pub mod hub;
pub mod json;
pub mod metrics;
mod openapi;
mod outlet;
mod pages;
mod problem;
pub mod proxy;
pub mod redact;
pub mod replay;
mod request;
pub mod server;
pub mod session;
pub mod sse;
pub mod web;
pub mod wire;

pub use hub::{Hub, Settings};

/// Returns all routes of a hub, with the defaults of a server on loopback: WebSockets on `/ws` and
/// on every path that is not taken, the stream on `/events`, the pages on `/`.
///
/// It answers to loopback names only, and lets only pages of loopback open WebSockets;
/// [`web::Web`] has the settings.
pub fn router(hub: Hub) -> axum::Router {
    web::Web::new(hub).together()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
