//! SQLite files of events: the log of a server, and recordings.
//!
//! Both have one schema, which `schema` declares. A row is an event. Its `id` is its position in the
//! stream: 1 for the first event that the file has ever had, and one more for each event after it. A
//! row that is missing is therefore an event that was lost, and the place of an event id or of a time
//! is found by bisection, without an index. This module starts no threads and reads no clock.

mod fault;
mod handshakes;
mod place;
mod read;
mod recording;
mod row;
mod schema;
mod write;

pub(crate) use fault::{Fault, OpenError};
pub(crate) use place::Place;
pub(crate) use read::{Reader, Rows};
pub(crate) use recording::{Recording, each};
pub(crate) use schema::Bounds;
pub(crate) use write::{Checkpointer, Durability, Writer};

/// Name of the database in the directory of a log.
pub(crate) const FILE: &str = "events.db";

#[cfg(test)]
pub(crate) mod checked;
#[cfg(test)]
mod tests;
