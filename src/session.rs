//! WebSocket sessions, from the handshake to the last frame.
//!
//! A [`Session`] runs one loop for every protocol: hub mode (events and commands on channels), the
//! hooks of [`consumer`](crate::consumer), Channelstream, or a [`Protocol`] of another program.
//!
//! ```
//! use axum::extract::Request;
//! use axum::response::Response;
//! use wstap::hub::Outgoing;
//! use wstap::problem::Problem;
//! use wstap::session::{self, Frame, Handshake, Protocol, UpgradeContext};
//!
//! /// Sends every frame back.
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     type Outgoing = Outgoing;
//!
//!     fn on_frame(&mut self, frame: Frame) -> Option<Frame> {
//!         (frame.is_text() || frame.is_binary()).then_some(frame)
//!     }
//!
//!     fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame> {
//!         match outgoing {
//!             Outgoing::Text(text) => Some(Frame::text(text)),
//!             _ => None,
//!         }
//!     }
//! }
//!
//! async fn echo(context: UpgradeContext, request: Request) -> Result<Response, Problem> {
//!     let handshake = Handshake::check(&context, &request)?;
//!     let (parts, body) = request.into_parts();
//!     let (hub, connect) = (context.hub.clone(), session::connect(&parts));
//!     let request = Request::from_parts(parts, body);
//!     Ok(handshake.accept(&context, request, async move |mut session| {
//!         let Ok((connection, mut mailbox)) = hub.connect_with_generated_id(None, connect) else {
//!             return session.refuse(1013, "try again later").await;
//!         };
//!         let ending = session.run(&connection, &mut mailbox, &mut Echo).await;
//!         connection.end(ending);
//!         session.linger().await;
//!     }))
//! }
//! ```
//!
//! However a session ends, the [`Connection`](crate::hub::Connection) publishes one `close` event. No await point holds a
//! lock, and every write has a time limit.

mod answers;
mod clock;
mod commands;
mod flow;
mod handshake;
mod leased;
mod log_room;
mod pings;
mod protocol;
mod register;
mod socket;
mod strict;
mod tap;
mod turns;

use std::time::Duration;

pub use handshake::{Handshake, UpgradeContext, connect, is_encrypted, is_handshake, remote};
pub(crate) use handshake::{Opened, open, upgrade};
pub use protocol::{Next, Outbox, Protocol, Receipt};
pub use tungstenite::Message as Frame;
pub use turns::Session;

use crate::rate::Rate;

/// Limits of a session.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A larger message ends the session.
    pub max_message_bytes: usize,
    /// How long a connection may stay unregistered.
    pub register_timeout: Duration,
    /// Interval between pings.
    pub ping_interval: Duration,
    /// How long a client may stay silent after a ping, and how long a write may take.
    pub pong_timeout: Duration,
    /// Frames that a client may send in a second; more end the session. In proxy mode it does not apply.
    pub frames: Rate,
    /// Bytes that a client may send in a second, with the heads of frames.
    pub bytes: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 1 << 20,
            register_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
            frames: Rate::NONE,
            bytes: Rate::NONE,
        }
    }
}

/// How long a client has to answer a close frame.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);
