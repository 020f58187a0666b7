//! Hides passwords, tokens and everything else that the rules name in a draft, before it is kept, sent
//! or exported.
//!
//! [`Redacted`] is the proof: the stream accepts nothing else, and only a [`Redaction`] makes one. Pure.
//! It works on what wstap shows, never on what it relays. Callers hold no contended lock, except at the
//! end of a connection: a close reason has at most 123 bytes.
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
mod beginning;
mod body;
mod builtin;
mod edit;
mod escapes;
mod islands;
mod json;
mod non_json;
mod path;
mod rules;
mod search;
mod text;
mod tokens;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{
    Channel, Close, Connect, ConnectionId, Draft, EventBody, Exchange, Flow, Handshake, Message,
    Presence, Routing, User,
};
use crate::json::Json;
use search::Search;

pub use path::{InvalidPath, Path};
pub use rules::{Binary, HIDDEN, InvalidPattern, Pattern, Rules};

/// A value with its secrets hidden.
#[derive(Debug, Clone)]
pub struct Redacted<T>(T);

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Redacted<T> {
    /// Returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Redacted<Draft> {
    /// Makes the draft of a gap: so many messages passed unseen.
    #[must_use]
    pub fn lost(missed: u64) -> Self {
        Self(Draft::new(ConnectionId::nobody(), EventBody::Lost(missed)))
    }

    /// Says which handshake its connection began with.
    #[must_use]
    pub fn after(self, handshake: Arc<Handshake>) -> Self {
        Self(Draft { handshake: Some(handshake), ..self.0 })
    }

    /// Moves the draft to another connection, whose shown id this is.
    #[must_use]
    pub fn of(self, id: ConnectionId) -> Self {
        Self(Draft { connection: id, ..self.0 })
    }
}

impl Redacted<Connect> {
    /// Makes the draft of this connection, under its shown id.
    #[must_use]
    pub fn draft(self, id: ConnectionId) -> Redacted<Draft> {
        Redacted(Draft::new(id, EventBody::Connect(Box::new(self.0))))
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
        Redacted(Draft::new(id.clone(), EventBody::Close(Box::new(close))))
    }
}

impl Redacted<Presence> {
    /// Makes the draft of a user who has joined a channel, or has left it.
    #[must_use]
    pub(crate) fn draft(self, id: &ConnectionId, joins: bool) -> Redacted<Draft> {
        let presence = Box::new(self.0);
        let body = if joins { EventBody::Join(presence) } else { EventBody::Leave(presence) };
        Redacted(Draft::new(id.clone(), body))
    }
}

/// Applies rules. Without rules it changes nothing, at the cost of a branch. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redaction {
    search: Option<Arc<Search>>,
}

impl Redaction {
    /// Compiles rules. Without any rule the redaction is off.
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

    /// Makes the draft of an event of the connection with the shown id `id`.
    #[must_use]
    pub fn draft(&self, id: &ConnectionId, body: EventBody) -> Redacted<Draft> {
        let mut body = match (&self.search, body) {
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
            (Some(search), EventBody::Request(mut exchange)) => {
                self::exchange(search, &mut exchange);
                EventBody::Request(exchange)
            }
            (Some(_), EventBody::Lost(missed)) => EventBody::Lost(missed),
        };
        match &mut body {
            EventBody::Connect(connect) => connect.shorten(),
            EventBody::Close(close) => {
                if let Some(refused) = &mut close.refused {
                    refused.shorten();
                }
            }
            EventBody::Request(exchange) => exchange.shorten(),
            EventBody::Message(_)
            | EventBody::Join(_)
            | EventBody::Leave(_)
            | EventBody::Lost(_) => {}
        }
        Redacted(Draft::new(id.clone(), body))
    }

    /// Hides the secrets of a handshake.
    #[must_use]
    pub fn connect(&self, mut connect: Connect) -> Redacted<Connect> {
        if let Some(search) = &self.search {
            self::connect(search, &mut connect);
        }
        // Secrets first: a part of one would not be found.
        connect.shorten();
        Redacted(connect)
    }

    /// Hides the secrets of the end of a connection.
    #[must_use]
    pub fn close(&self, mut close: Close) -> Redacted<Close> {
        if let Some(search) = &self.search {
            self::close(search, &mut close);
        }
        Redacted(close)
    }

    /// Hides the secrets of a user in a channel.
    #[must_use]
    pub fn presence(&self, presence: Presence) -> Redacted<Presence> {
        Redacted(match &self.search {
            Some(search) => self::presence(search, presence),
            None => presence,
        })
    }

    /// Returns the shown id of a connection: its own, unless that holds something to hide. Then the
    /// rest of it with a suffix that is the same for the same id as long as the program runs, such as
    /// `token-[redacted]~3k9x0c7d7v0`.
    #[must_use]
    pub fn id(&self, id: ConnectionId) -> ConnectionId {
        self.search.as_ref().and_then(|search| search.id(&id)).unwrap_or(id)
    }

    /// Returns the shown name of a channel, likewise.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> Channel {
        self.search.as_ref().map_or(channel.clone(), |search| self::channel(search, channel))
    }

    /// Returns the shown name of a user, likewise.
    #[must_use]
    pub fn user(&self, user: User) -> User {
        self.search.as_ref().map_or(user.clone(), |search| self::user(search, user))
    }

    /// Returns a text with its secrets hidden.
    #[must_use]
    pub fn text(&self, text: String) -> String {
        self.search.as_ref().and_then(|search| self::text(search, &text)).unwrap_or(text)
    }

    /// Returns path and query without credentials of wstap itself, which are hidden without any rule.
    #[must_use]
    pub fn without_credentials(address: &str) -> String {
        match address.split_once('?') {
            Some((path, query)) => {
                format!("{path}?{}", address::without_credentials(query.to_owned()))
            }
            None => address.to_owned(),
        }
    }

    /// Returns the query of a listener with its secrets hidden. Credentials of wstap itself are hidden
    /// without any rule.
    #[must_use]
    pub fn query(&self, query: String) -> String {
        let query = address::without_credentials(query);
        let Some(search) = &self.search else { return query };
        let shown = address::hidden(&format!("?{query}"), search);
        shown.map_or(query, |shown| shown.trim_start_matches('?').to_owned())
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rules may contain what they hide.
        f.debug_struct("Redaction").field("on", &self.is_on()).finish()
    }
}

/// The sizes stay those of the message that passed.
fn message(search: &Search, id: &ConnectionId, message: Message) -> Message {
    let body = if message.is_truncated() {
        body::beginning(search, message.body, id)
    } else {
        body::shown(search, message.body, id)
    };
    let mut message = Message { body, ..message };
    let note = message.frame_info.as_mut().and_then(|frame_info| frame_info.note.as_mut());
    if let Some(note) = note
        && let Some(shown) = search.hidden(note)
    {
        *note = shown.into();
    }
    for field in
        message.event.iter_mut().flat_map(|event| [&mut event.name, &mut event.id]).flatten()
    {
        if let Some(shown) = search.hidden(field) {
            *field = shown.into();
        }
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

/// The field in which subprotocols are offered and agreed on.
const PROTOCOL: &str = "sec-websocket-protocol";

fn connect(search: &Search, connect: &mut Connect) {
    if let Some(shown) = address::hidden(&connect.path, search) {
        connect.path = shown;
    }
    connect.user = connect.user.take().map(|it| user(search, it));
    let agreed = connect.subprotocol().map(str::to_owned);
    for (name, value) in &mut connect.headers {
        let shown = if *name == PROTOCOL {
            search.offered(value, agreed.as_deref())
        } else {
            search.header(name, value)
        };
        if let Some(shown) = shown {
            *value = shown;
        }
    }
    if let Some(answer) = &mut connect.answer {
        let fields = [
            (PROTOCOL, &mut answer.subprotocol),
            ("sec-websocket-extensions", &mut answer.extensions),
        ];
        for (name, field) in fields {
            if let Some(shown) = field.as_ref().and_then(|value| search.header(name, value)) {
                *field = Some(shown);
            }
        }
        let stream = answer.event_stream.as_mut();
        if let Some(encoding) = stream.and_then(|stream| stream.encoding.as_mut())
            && let Some(shown) = search.header("content-encoding", encoding)
        {
            *encoding = shown;
        }
        for field in [&mut answer.body, &mut answer.hint] {
            if let Some(shown) = field.as_ref().and_then(|value| text(search, value)) {
                *field = Some(shown);
            }
        }
    }
}

fn exchange(search: &Search, exchange: &mut Exchange) {
    if let Some(shown) = address::hidden(&exchange.path, search) {
        exchange.path = shown;
    }
    if let Some(shown) = exchange.note.as_ref().and_then(|note| search.hidden(note)) {
        exchange.note = Some(shown.into());
    }
}

/// Returns a text, JSON or not, with its secrets hidden; `None` if it has none.
fn text(search: &Search, text: &str) -> Option<String> {
    let json = Json::parse(text).filter(|json| !json.as_str().starts_with('"'));
    let is_json = json.is_some();
    let json = json.unwrap_or_else(|| Json::string(text));
    let shown = body::rewritten(search, &json, None)?;
    if is_json { Some(shown) } else { serde_json::from_str(&shown).ok() }
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
