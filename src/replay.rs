//! Recordings played again: as the clients against a server, or as the server for clients.
//!
//! A [`Script`] is one recorded connection. [`play()`] says to a server what the client said, at the
//! same times, and [`compare()`] holds its answers against those that were recorded. [`stand_in`]
//! says to clients what the server said.
//!
//! **When a client's message is sent.** Not before the time that it had from the beginning of its
//! connection, and not before as much time has passed since the answer before it as had then; both
//! divided by the speed. So a server that answers at other times is spoken to in the same order,
//! and the pauses are those of the client. An answer that does not come holds its client up for the
//! time limit, once.

mod client;
mod compare;
mod diff;
mod mock;
mod pace;
mod script;
mod timing;

pub use client::{Ended, Played, Server, ServerError, Settings, play};
pub use compare::{InvalidPath, Path, Rules};
pub use diff::{Change, compare};
pub use mock::{Told, stand_in};
pub use pace::Speed;
pub use script::{End, Payload, Script, Scripts, Step};
pub use timing::Timing;
