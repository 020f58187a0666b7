//! The bodies of calls. Each is parsed into a value that is valid. Pure.
//!
//! Unknown members are ignored at the top level and passed on in messages, so that clients of both
//! versions of Channelstream in use find what they expect.

mod channels;
mod connections;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::schema::{self, Fault, name};
use crate::event::{Channel, User};

pub(super) use super::schema::Raw;
pub(super) use channels::{Change, Changes, ChannelSettings, Info, channel_config};
pub(super) use connections::{Connect, Subscribe, UserState, disconnect};
pub(super) use messages::{Delete, Delivery, Edit, Message};

/// The state of a user, or the further members of a message: names and values.
pub(super) type State = BTreeMap<String, Raw>;

fn channel() -> impl Fn(&RawValue) -> Result<Channel, Fault> {
    name(Channel::MAX_CHARS)
}

fn user() -> impl Fn(&RawValue) -> Result<User, Fault> {
    name(User::MAX_CHARS)
}

fn key(raw: &RawValue) -> Result<String, Fault> {
    name(256)(raw)
}

/// The fault of a missing field. [`schema::Fields::finish`] reports it before this is used.
fn missing() -> Fault {
    schema::fault("Missing data for required field.")
}
