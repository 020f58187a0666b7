//! The audit log: who read and did what, a JSON object a line.
//!
//! ```json
//! {"time":"2026-11-20T20:20:00.123Z","action":"stream_start","user":"ann","remote":"10.0.0.7:50123","method":"GET","path":"/events","query":"kind=message","status":200,"listener":7,"filter":"channel == \"news\""}
//! ```
//!
//! A request never waits for the log: entries go into a bounded queue, which a thread of its own writes.
//! Entries that do not fit are counted, and the next line says how many. No entry holds a credential.

mod writer;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Serialize;

pub use self::writer::{Log, Writer};
use self::writer::{Queue, now_ms};
use crate::code::Code;
use crate::event::{EventId, User};
use crate::problem;
use crate::redact::Redaction;
use crate::request::{MAX_ADDRESS, remote};
use crate::wire;

/// Bytes of a path, of a query and of an event id that are kept of callers who are not known.
const MAX_OF_STRANGER: usize = 1 << 10;

/// The audit log of a server. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    log: Option<Arc<Queue>>,
    redaction: Redaction,
}

/// A line of the log. Fields that an action does not have are left out.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    remote: SocketAddr,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<u64>,
    /// The filter of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    /// `Last-Event-ID` of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    /// The newest event at the end of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Events that a stream was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// A stream of events begins.
    StreamStart,
    /// It ends.
    StreamEnd,
    /// A read of events, connections, channels or listeners.
    Read,
    /// A WebSocket is opened.
    Connect,
    /// A message is sent to a connection.
    Send,
    /// A message is published to a channel.
    Publish,
    /// A connection is closed.
    Close,
    /// A listener is ended.
    Dismiss,
    /// A page signs in.
    SignIn,
    /// A page signs out.
    SignOut,
    /// A ticket is made.
    Ticket,
    /// A request is refused.
    Refused,
}

impl Action {
    /// Returns what a request does, if it is worth a line.
    fn of(method: &Method, path: &str) -> Option<Self> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let below = |list: &str| path.strip_prefix("/api/").is_some_and(|it| it.starts_with(list));
        match *method {
            Method::POST if below("connections/") => Some(Self::Send),
            Method::POST if below("channels/") => Some(Self::Publish),
            Method::POST if path == "/api/session" => Some(Self::SignIn),
            Method::DELETE if path == "/api/session" => Some(Self::SignOut),
            Method::POST if path == "/api/tickets" => Some(Self::Ticket),
            Method::DELETE if below("connections/") => Some(Self::Close),
            Method::DELETE if below("listeners/") => Some(Self::Dismiss),
            _ if reads && path == "/listen" => Some(Self::Read),
            _ if reads
                && ["events", "connections", "channels", "listeners"]
                    .iter()
                    .any(|it| below(it)) =>
            {
                Some(Self::Read)
            }
            _ => None,
        }
    }
}

impl Audit {
    /// Creates the audit log of a server that keeps none.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Creates an audit log. Queries are shown as `redaction` leaves them.
    #[must_use]
    pub fn new(log: &Log, redaction: Redaction) -> Self {
        Self { log: Some(log.queue()), redaction }
    }

    /// Begins the trail of a request; `None` if there is no log.
    pub(crate) fn trail(
        &self,
        parts: &Parts,
        user: Option<&str>,
        filter: Option<&str>,
    ) -> Option<Trail> {
        let log = Arc::clone(self.log.as_ref()?);
        let most = if user.is_some() { MAX_ADDRESS } else { MAX_OF_STRANGER };
        let query = shortened(parts.uri.query().unwrap_or_default(), most);
        let query = self.redaction.query(query.to_owned());
        let after = parts.headers.get("last-event-id").and_then(|it| it.to_str().ok());
        let after = after.map(|after| shortened(after, MAX_OF_STRANGER));
        Some(Trail(Arc::new(Request {
            log,
            action: Action::of(&parts.method, parts.uri.path()),
            user: user.map(Into::into),
            filter: filter.map(Into::into),
            remote: remote(parts),
            method: parts.method.clone(),
            path: shortened(parts.uri.path(), most).into(),
            query: query.into(),
            after: after.map(Into::into),
        })))
    }
}

/// Returns the beginning of a text that a stranger chooses.
fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The user that a request has signed in, beside its answer.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(pub(crate) Option<User>);

/// A request that leaves lines in the log. Clones are the same.
#[derive(Clone)]
pub(crate) struct Trail(Arc<Request>);

struct Request {
    log: Arc<Queue>,
    action: Option<Action>,
    user: Option<Box<str>>,
    filter: Option<Box<str>>,
    remote: SocketAddr,
    method: Method,
    path: Box<str>,
    query: Box<str>,
    after: Option<Box<str>>,
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").field("action", &self.0.action).finish_non_exhaustive()
    }
}

impl Request {
    fn line(&self, action: Action) -> Line<'_> {
        Line {
            time: wire::time(now_ms()).to_string(),
            action,
            user: self.user.as_deref(),
            remote: self.remote,
            method: self.method.as_str(),
            path: &self.path,
            query: &self.query,
            status: None,
            listener: None,
            filter: self.filter.as_deref(),
            after: None,
            until: None,
            events: None,
        }
    }
}

impl Trail {
    /// Writes the line of a request that is answered, if it is worth one.
    pub(crate) fn answered<B>(&self, response: &Response<B>) {
        let request = &self.0;
        let (status, signed_in) = (response.status(), response.extensions().get::<SignedIn>());
        let refused = [Code::Unauthorized, Code::Forbidden, Code::SlowDown];
        let action = if refused.iter().any(|code| problem::status(*code) == status) {
            Some(Action::Refused)
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            Some(Action::Connect)
        } else {
            request.action
        };
        let Some(action) = action else { return };
        let line = request.line(action);
        let user = signed_in.and_then(|it| it.0.as_ref()).map(User::as_str).or(line.user);
        request.log.write(&Line { status: Some(status.as_u16()), user, ..line });
    }

    /// Writes the line of a stream that begins. Its end is written when the value is dropped.
    pub(crate) fn stream(&self, listener: u64) -> StreamTrail {
        let request = &self.0;
        let (listener, after) = (Some(listener), request.after.as_deref());
        request.log.write(&Line { listener, after, ..request.line(Action::StreamStart) });
        StreamTrail { trail: self.clone(), listener, events: 0, until: None }
    }
}

/// A stream that leaves a line at its end.
#[derive(Debug)]
pub(crate) struct StreamTrail {
    trail: Trail,
    listener: Option<u64>,
    events: u64,
    until: Option<EventId>,
}

impl StreamTrail {
    /// Counts events that the stream was given, up to one.
    pub(crate) fn given(&mut self, events: usize, until: Option<EventId>) {
        self.events += events as u64;
        self.until = until.or(self.until);
    }
}

impl Drop for StreamTrail {
    fn drop(&mut self) {
        let request = &self.trail.0;
        let until = self.until.map(|id| id.to_string());
        let (listener, events) = (self.listener, Some(self.events));
        let line = request.line(Action::StreamEnd);
        request.log.write(&Line { listener, until, events, ..line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_read_or_change_have_an_action() {
        for (method, path, right) in [
            (Method::GET, "/api/events", Some(Action::Read)),
            (Method::GET, "/api/events/1-0", Some(Action::Read)),
            (Method::HEAD, "/api/connections", Some(Action::Read)),
            (Method::GET, "/listen", Some(Action::Read)),
            (Method::POST, "/api/connections/a/messages", Some(Action::Send)),
            (Method::DELETE, "/api/connections/a", Some(Action::Close)),
            (Method::DELETE, "/api/listeners/1", Some(Action::Dismiss)),
            (Method::POST, "/api/channels/a/messages", Some(Action::Publish)),
            (Method::POST, "/api/session", Some(Action::SignIn)),
            (Method::DELETE, "/api/session", Some(Action::SignOut)),
            (Method::POST, "/api/tickets", Some(Action::Ticket)),
            (Method::GET, "/healthz", None),
            (Method::GET, "/api/session", None),
            (Method::GET, "/events", None),
            (Method::GET, "/", None),
        ] {
            assert_eq!(Action::of(&method, path), right, "{method} {path}");
        }
    }
}
