//! Recordings played again: as the clients against a server, or as the server for clients.
//!
//! A [`Script`] is one recorded connection. [`play()`] sends the messages of the client to a server,
//! at the recorded times, and [`compare()`] compares the answers with the recorded ones.
//! [`stand_in`] sends the messages of the server to clients, with the ids of their requests.
//!
//! **The time of a message of the client.** It is not sent before its recorded time since the
//! handshake, and not before the recorded pause since the answer before it has passed; both are
//! divided by the speed. A server that answers at other times thus gets the messages in the same
//! order, with the pauses of the client. A missing answer delays its client by the time limit, once.

mod client;
mod compare;
mod correlate;
mod diff;
mod handshake;
mod head;
mod mock;
mod pace;
mod played;
mod scalars;
mod script;
mod settings;
mod timing;

pub use client::{Progress, play};
pub use compare::{Ignored, InvalidPath, Path, Rules};
pub use diff::{Change, compare};
pub use mock::{Notice, stand_in};
pub use pace::Speed;
pub use played::{Ended, Played};
pub use script::{End, Payload, Script, Scripts, Step};
pub use settings::{ReplaySettings, Server, ServerError};
pub use timing::Timing;
