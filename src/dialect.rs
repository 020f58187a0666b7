//! The frames of a client in hub mode: parses the payload of a frame. Pure.
//!
//! ```text
//! {"connectionId":"a"}                      registers; later it has no effect
//! {"connectionId":"a","message":"hello"}    is published as it is
//! {"price":100.5}   [1,2]   true            the value becomes `message`
//! hello                                     the text becomes `message`
//! {"type":"subscribe","params":{…}}         is a command, with or without the own id: `channelize`
//! {"type":"register","params":{…}}          is a command too, as is `ping`: `control`
//! ```
//!
//! Every input is parsed or refused with an [`InvalidFrame`], which states what is right.

mod answers;
mod channelize;
mod control;
mod ids;
mod invalid;

use serde_json::value::RawValue;

use crate::event::{Body, ConnectionId};
use crate::json::{self, Json, Key, NoObject};
pub use answers::{ack, numbered, pong, registered, wrapped};
use channelize::Name;
pub use channelize::{Command, delivery, expelled, present, resumed};
pub use control::Registration;
use ids::{connection_id, id_text};
pub use invalid::InvalidFrame;

/// The first frame of a connection.
#[derive(Debug)]
pub enum First {
    /// An id, and the frame if it has further members.
    Id(ConnectionId, Option<Body>),
    /// A command, and the id if there is one.
    Command(Option<ConnectionId>, Command),
}

/// A later frame.
#[derive(Debug)]
pub enum Parsed {
    /// A repeated registration, which has no effect.
    Nothing,
    /// A message to publish.
    Message(Body),
    /// A command to carry out.
    Command(Command),
}

/// Parses the first text frame of a connection without an id.
///
/// # Errors
///
/// If it does not register the connection.
pub fn registration(text: &str) -> Result<First, InvalidFrame> {
    let mut head = Head::default();
    let Ok(whole) = json::object(without_mark(text), |key, value| head.member(key, value)) else {
        return Err(InvalidFrame::NoRegistration);
    };
    let command = head.command();
    head.check()?;
    let id = head.id.map(connection_id).transpose()?;
    match (command, id) {
        (Some(name), id) => Ok(First::Command(id, name.command(head.params)?)),
        (None, Some(id)) => Ok(First::Id(id, head.has_more.then_some(Body::Object(whole)))),
        (None, None) => Err(InvalidFrame::NoRegistration),
    }
}

/// Parses the first frame of a connection without an id, if the frame is binary. Only a command
/// registers a connection like this.
///
/// # Errors
///
/// If it is not a valid command.
pub fn binary_registration(bytes: &[u8]) -> Result<First, InvalidFrame> {
    let (head, name) = binary_command(bytes).ok_or(InvalidFrame::NoRegistration)?;
    head.check()?;
    let id = head.id.map(connection_id).transpose()?;
    Ok(First::Command(id, name.command(head.params)?))
}

/// Parses a text frame of the connection `own`.
///
/// # Errors
///
/// If it names another connection, uses a reserved key, or is a command that cannot be parsed.
pub fn message(text: &str, own: &ConnectionId) -> Result<Parsed, InvalidFrame> {
    let mut head = Head::default();
    match json::object(without_mark(text), |key, value| head.member(key, value)) {
        Ok(whole) => {
            let command = head.command();
            head.check()?;
            head.is_from(own)?;
            match (command, head.id) {
                (Some(name), _) => name.command(head.params).map(Parsed::Command),
                (None, None) => Ok(Parsed::Message(Body::Value(whole))),
                (None, Some(_)) if head.has_more => Ok(Parsed::Message(Body::Object(whole))),
                (None, Some(_)) => Ok(Parsed::Nothing),
            }
        }
        Err(NoObject::OtherJson(value)) => Ok(Parsed::Message(Body::Value(value))),
        Err(NoObject::NoJson) => match broken_command(text) {
            Some(name) => Err(name.invalid()),
            None => Ok(Parsed::Message(Body::Value(Json::string(text)))),
        },
    }
}

/// Parses a binary frame of the connection `own` as a command, which clients of channelize may send in
/// either kind of frame. Returns `None` for other bytes.
///
/// # Errors
///
/// If it is a command that cannot be parsed, or one for another connection.
pub fn binary(bytes: &[u8], own: &ConnectionId) -> Result<Option<Command>, InvalidFrame> {
    let Some((head, name)) = binary_command(bytes) else {
        let text = std::str::from_utf8(bytes).ok().filter(|text| Json::parse(text).is_none());
        return text.and_then(broken_command).map_or(Ok(None), |name| Err(name.invalid()));
    };
    head.check()?;
    head.is_from(own)?;
    name.command(head.params).map(Some)
}

/// The byte order mark, which a parser of JSON may ignore (RFC 8259 section 8.1).
const MARK: &str = "\u{feff}";

fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

fn binary_command(bytes: &[u8]) -> Option<(Head<'_>, Name)> {
    /// Commands are short; a larger one would be a publication, which can be sent as text.
    const LONGEST: usize = 64 << 10;
    let bytes = bytes.strip_prefix(MARK.as_bytes()).unwrap_or(bytes);
    let text = Some(bytes).filter(|bytes| bytes.len() <= LONGEST && bytes.starts_with(b"{"))?;
    let mut head = Head::default();
    json::object(std::str::from_utf8(text).ok()?, |key, value| head.member(key, value)).ok()?;
    let name = head.command()?;
    Some((head, name))
}

/// The members of the top level that matter.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each member was seen or not")]
struct Head<'a> {
    id: Option<&'a RawValue>,
    repeated_id: bool,
    close: bool,
    has_more: bool,
    command: Option<Name>,
    params: Option<&'a RawValue>,
    /// Whether there are members besides these two.
    others: bool,
}

impl<'a> Head<'a> {
    fn member(&mut self, key: Key<'_>, value: &'a RawValue) {
        if key.is("type") {
            self.command = Name::read(value);
        } else if key.is("params") {
            self.params = Some(value);
        } else {
            self.others = true;
        }
        if key.is("connectionId") {
            self.repeated_id |= self.id.replace(value).is_some();
        } else if key.is("close") {
            self.close = true;
        } else {
            self.has_more = true;
        }
    }

    /// Returns the command, if it is one. Programs send messages of their own with such a type; one
    /// without `params` and with other keys is not a command. One with an id always has another key; it
    /// is a command if its `params` name channels, since it may hold a token, which must not be
    /// published. `register` and `ping` are commands only with exactly their own parameters.
    fn command(&self) -> Option<Name> {
        self.command.filter(|name| match (name, self.id) {
            (Name::Register, _) => self.params.is_some_and(control::registers),
            (Name::Ping, id) => {
                id.is_none() && !self.others && self.params.is_some_and(control::pings)
            }
            (_, Some(_)) => self.params.is_some_and(names_channels),
            (_, None) => self.params.is_some() || !self.others,
        })
    }

    /// Refuses reserved and repeated keys. Other members of a command without an id are ignored.
    fn check(&self) -> Result<(), InvalidFrame> {
        if self.repeated_id {
            Err(InvalidFrame::RepeatedId)
        } else if self.close && (self.id.is_some() || self.command().is_none()) {
            Err(InvalidFrame::ReservedKey)
        } else {
            Ok(())
        }
    }

    /// Refuses an id other than `own`.
    fn is_from(&self, own: &ConnectionId) -> Result<(), InvalidFrame> {
        match self.id {
            Some(id) if id_text(id).as_deref() != Some(own.as_str()) => {
                Err(InvalidFrame::IdMismatch)
            }
            _ => Ok(()),
        }
    }
}

/// Returns the command in a text that is not JSON, such as one that lacks a brace. Published as text,
/// it would show its token.
fn broken_command(text: &str) -> Option<Name> {
    if !text.trim_start().starts_with('{') || !text.contains("\"params\"") {
        return None;
    }
    text.match_indices("\"type\"").find_map(|(at, key)| {
        let rest = text[at + key.len()..].trim_start().strip_prefix(':')?.trim_start();
        let (name, _) = rest.strip_prefix('"')?.split_once('"')?;
        // A ping holds nothing that must not be published.
        Name::of(name).filter(|name| *name != Name::Ping)
    })
}

fn names_channels(params: &RawValue) -> bool {
    let mut names = false;
    let read = json::object(params.get(), |key, _| {
        names |= key.is("channels") || key.is("channel");
    });
    names && read.is_ok()
}

#[cfg(test)]
mod tests;
