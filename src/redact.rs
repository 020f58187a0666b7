//! What is not shown: passwords, tokens and whatever the rules name, taken out of a draft before
//! anything is kept, sent or exported.
//!
//! [`Redacted`] is the proof: the stream takes nothing else, and only a [`Redaction`] makes one. Pure;
//! it works on what wstap shows, never on what it relays. Whoever calls it holds no lock that
//! others wait for, except where a connection ends: a close reason has 123 bytes.
//!
//! ```
//! use wstap::event::{Body, Direction, EventBody, Message, Opcode};
//! use wstap::json::Json;
//! use wstap::redact::{Redaction, Rules};
//!
//! let paths = vec!["message.password".parse().unwrap()];
//! let redaction = Redaction::new(Rules { paths, ..Rules::default() });
//! let id = "a".parse().unwrap();
//! let login = Json::parse(r#"{"user":"ann", "password":"hunter2"}"#).unwrap();
//! let message = Message::new(Direction::In, Opcode::Text, 36, Body::Value(login));
//! let draft = redaction.draft(&id, EventBody::Message(message));
//! let EventBody::Message(Message { body: Body::Value(json), .. }) = &draft.body else { panic!() };
//! assert_eq!(json.as_str(), r#"{"user":"ann", "password":"[redacted]"}"#);
//! ```

mod address;
mod builtin;
mod json;
mod non_json;
mod path;
mod search;

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::event::{
    Channel, Close, Connect, ConnectionId, Draft, EventBody, Flow, Message, Presence, Routing, User,
};
use search::Search;

pub use path::{InvalidPath, Path};

/// What stands for what was hidden.
pub const HIDDEN: &str = "[redacted]";

/// The same in JSON.
const HIDDEN_JSON: &str = "\"[redacted]\"";

/// What is to be hidden.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Values within messages, and within the clients' own objects.
    pub paths: Vec<Path>,
    /// Header fields, in any case.
    pub headers: Vec<String>,
    /// What fits one of these, in texts, strings, numbers, header fields, paths and reasons.
    pub patterns: Vec<Pattern>,
    /// Query parameters.
    pub query: Vec<String>,
    /// What is a secret nearly everywhere.
    pub defaults: bool,
    /// What becomes of messages that cannot be searched.
    pub binary: Binary,
}

/// What becomes of a binary message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Binary {
    /// It is hidden, whole, where anything is: nobody can tell what is in it.
    #[default]
    Hide,
    /// It is shown.
    Keep,
}

/// A regular expression as the crate `regex` has it: searched in time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What is wrong with a text that should be a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It is none.
    #[error("no regular expression ({0}); something like secret-[0-9a-f]+ is right")]
    Syntax(String),
    /// It fits the empty text, and so stands between any two characters.
    #[error(
        "a pattern that fits the empty text hides nothing; one that needs a character is right"
    )]
    Empty,
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        /// Memory of one compiled pattern: room for classes of letters, and not for `\w{5000}`.
        const SIZE: usize = 1 << 20;
        let compiled = RegexBuilder::new(text).size_limit(SIZE).build().map_err(|fault| {
            // The last line says what; those before it draw a picture.
            let fault = fault.to_string();
            let last = fault.lines().last().unwrap_or_default();
            InvalidPattern::Syntax(last.trim_start_matches("error: ").to_owned())
        })?;
        if compiled.is_match("") { Err(InvalidPattern::Empty) } else { Ok(Self(compiled)) }
    }
}

/// Something that may be shown: nothing is left in it that is to be hidden.
#[derive(Debug, Clone)]
pub struct Redacted<T>(T);

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Redacted<T> {
    /// Returns what may be shown.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Redacted<Draft> {
    /// Makes the draft that tells of messages that passed unseen.
    #[must_use]
    pub fn lost(missed: u64) -> Self {
        Self(Draft { connection: ConnectionId::nobody(), body: EventBody::Lost(missed) })
    }

    /// Gives it to another connection, by the id that is shown for that.
    #[must_use]
    pub fn of(self, id: ConnectionId) -> Self {
        Self(Draft { connection: id, ..self.0 })
    }
}

impl Redacted<Connect> {
    /// Makes the draft that tells of this connection, under the id that is shown for it.
    #[must_use]
    pub fn draft(self, id: ConnectionId) -> Redacted<Draft> {
        Redacted(Draft { connection: id, body: EventBody::Connect(Box::new(self.0)) })
    }
}

impl Redacted<Close> {
    /// Makes the draft of the end of a connection, with its duration and counts.
    #[must_use]
    pub(crate) fn draft(
        self,
        id: &ConnectionId,
        duration: Duration,
        messages: Flow,
        bytes: Flow,
    ) -> Redacted<Draft> {
        let close = Close { duration, messages, bytes, ..self.0 };
        Redacted(Draft { connection: id.clone(), body: EventBody::Close(Box::new(close)) })
    }
}

impl Redacted<Presence> {
    /// Makes the draft of a user who has come into a channel, or has left it.
    #[must_use]
    pub(crate) fn draft(self, id: &ConnectionId, joins: bool) -> Redacted<Draft> {
        let presence = Box::new(self.0);
        let body = if joins { EventBody::Join(presence) } else { EventBody::Leave(presence) };
        Redacted(Draft { connection: id.clone(), body })
    }
}

/// Hides what its rules say. Without rules it does nothing, at the cost of a look. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redaction {
    search: Option<Arc<Search>>,
}

impl Redaction {
    /// Makes ready to hide what the rules say. Without any there is no redaction.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let on = rules.defaults
            || !(rules.paths.is_empty()
                && rules.headers.is_empty()
                && rules.patterns.is_empty()
                && rules.query.is_empty());
        Self { search: on.then(|| Arc::new(Search::new(rules))) }
    }

    /// Returns whether there are rules.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.search.is_some()
    }

    /// Makes a draft of what happened to a connection that is shown as `id`.
    #[must_use]
    pub fn draft(&self, id: &ConnectionId, body: EventBody) -> Redacted<Draft> {
        let body = match (&self.search, body) {
            (None, body) => body,
            (Some(search), EventBody::Message(message)) => {
                EventBody::Message(self::message(search, id, message))
            }
            (Some(search), EventBody::Connect(mut connect)) => {
                self::connect(search, &mut connect);
                EventBody::Connect(connect)
            }
            (Some(search), EventBody::Close(mut close)) => {
                self::close(search, &mut close);
                EventBody::Close(close)
            }
            (Some(search), EventBody::Join(presence)) => {
                EventBody::Join(Box::new(self::presence(search, *presence)))
            }
            (Some(search), EventBody::Leave(presence)) => {
                EventBody::Leave(Box::new(self::presence(search, *presence)))
            }
            (Some(_), EventBody::Lost(missed)) => EventBody::Lost(missed),
        };
        Redacted(Draft { connection: id.clone(), body })
    }

    /// Returns what is shown of how a connection came.
    #[must_use]
    pub fn connect(&self, mut connect: Connect) -> Redacted<Connect> {
        if let Some(search) = &self.search {
            self::connect(search, &mut connect);
        }
        Redacted(connect)
    }

    /// Returns what is shown of the end of a connection.
    #[must_use]
    pub fn close(&self, mut close: Close) -> Redacted<Close> {
        if let Some(search) = &self.search {
            self::close(search, &mut close);
        }
        Redacted(close)
    }

    /// Returns what is shown of a user in a channel.
    #[must_use]
    pub fn presence(&self, presence: Presence) -> Redacted<Presence> {
        Redacted(match &self.search {
            Some(search) => self::presence(search, presence),
            None => presence,
        })
    }

    /// Returns the id that a connection is shown under: its own, unless that holds something to
    /// hide. Then it is what is left of it with a name behind that is the same for the same id as
    /// long as the program runs, such as `token-[redacted]~3k9x0c7d7v0`.
    #[must_use]
    pub fn id(&self, id: ConnectionId) -> ConnectionId {
        self.search.as_ref().and_then(|search| search.id(&id)).unwrap_or(id)
    }

    /// Returns the name that a channel is shown under, likewise.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> Channel {
        self.search.as_ref().map_or(channel.clone(), |search| self::channel(search, channel))
    }

    /// Returns the name that a user is shown under, likewise.
    #[must_use]
    pub fn user(&self, user: User) -> User {
        self.search.as_ref().map_or(user.clone(), |search| self::user(search, user))
    }

    /// Returns what is shown of the query of a listener. Credentials of wstap itself are hidden in
    /// any case.
    #[must_use]
    pub fn query(&self, query: String) -> String {
        let query = address::without_credentials(query);
        let Some(search) = &self.search else { return query };
        let shown = search.address(&format!("?{query}"));
        shown.map_or(query, |shown| shown.trim_start_matches('?').to_owned())
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rules may name what they hide.
        f.debug_struct("Redaction").field("on", &self.is_on()).finish()
    }
}

/// The sizes stay what they were: they are of what passed.
fn message(search: &Search, id: &ConnectionId, message: Message) -> Message {
    let mut message = Message { body: search.body(message.body, id), ..message };
    let note = message.frame_info.as_mut().and_then(|frame_info| frame_info.note.as_mut());
    if let Some(note) = note
        && let Some(shown) = search.hidden(note)
    {
        *note = shown.into();
    }
    if let Some(routing) = message.routing.take() {
        let users = |users: Vec<User>| users.into_iter().map(|it| user(search, it)).collect();
        message.routing = Some(Box::new(Routing {
            channel: routing.channel.map(|it| channel(search, it)),
            user: routing.user.map(|it| user(search, it)),
            to: users(routing.to),
            except: users(routing.except),
        }));
    }
    message
}

fn presence(search: &Search, presence: Presence) -> Presence {
    let Presence { channel, user } = presence;
    Presence { channel: self::channel(search, channel), user: self::user(search, user) }
}

fn channel(search: &Search, channel: Channel) -> Channel {
    search.name(channel.as_str()).map_or(channel, Channel::shown)
}

fn user(search: &Search, user: User) -> User {
    search.name(user.as_str()).map_or(user, User::shown)
}

fn connect(search: &Search, connect: &mut Connect) {
    if let Some(shown) = search.address(&connect.path) {
        connect.path = shown;
    }
    connect.user = connect.user.take().map(|it| user(search, it));
    for (name, value) in &mut connect.headers {
        if let Some(shown) = search.header(name, value) {
            *value = shown;
        }
    }
    if let Some(answer) = &mut connect.answer {
        let fields = [
            ("sec-websocket-protocol", &mut answer.subprotocol),
            ("sec-websocket-extensions", &mut answer.extensions),
        ];
        for (name, field) in fields {
            if let Some(shown) = field.as_ref().and_then(|value| search.header(name, value)) {
                *field = Some(shown);
            }
        }
    }
}

fn close(search: &Search, close: &mut Close) {
    if let Some(shown) = search.hidden(&close.reason) {
        close.reason = shown;
    }
    let note = close.wire.as_mut().and_then(|wire| wire.note.as_mut());
    if let Some(note) = note
        && let Some(shown) = search.hidden(note)
    {
        *note = shown.into();
    }
    if let Some(refused) = &mut close.refused {
        connect(search, refused);
    }
}

#[cfg(test)]
mod tests;
