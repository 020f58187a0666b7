//! What handlers read off a request: the query, the remote address, the media types that it accepts.

mod forwarded;
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "the description reads all of a declaration")
)]
pub(crate) mod query;
mod turns;
mod value;
mod via;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Path};
use bytes::Bytes;
use http::header::{ACCEPT, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, USER_AGENT};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri};
use http_body::Body as _;

use crate::code::Code;
use crate::problem::Problem;
pub(crate) use forwarded::{Encrypted, Forwarded};
pub(crate) use query::{Faults, Field, Parameter, Query, Value, Values, parameters, read};
pub(crate) use turns::InTurns;
pub(crate) use value::{Count, Moment, choice, duration};
pub(crate) use via::{PROXY_NAME, has_passed};

/// The most bytes of the path and query of a request: enough for everything that wstap reads, and
/// what other servers take. A connection and a listener keep theirs.
pub(crate) const MAX_ADDRESS: usize = 8 << 10;

/// Checks the length of the path and query of a request.
///
/// # Errors
///
/// If they are longer than [`MAX_ADDRESS`].
pub(crate) fn check_address(uri: &Uri) -> Result<(), Problem> {
    let length = uri.path_and_query().map_or(0, |address| address.as_str().len());
    if length <= MAX_ADDRESS {
        return Ok(());
    }
    let detail = format!("the path and query have {length} bytes; at most {MAX_ADDRESS} are right");
    Err(Problem::new(Code::UriTooLong, detail))
}

/// The part of the path that an address leaves open, decoded. One that is no UTF-8 is malformed.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// Returns the other end of the TCP connection, as the server noted it.
pub(crate) fn remote(parts: &Parts) -> SocketAddr {
    remote_of(&parts.extensions)
}

/// Returns the other end of the TCP connection, as the server noted it beside a request.
pub(crate) fn remote_of(extensions: &Extensions) -> SocketAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    // A program that mounts the router without connect info learns of no addresses.
    info.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |info| info.0)
}

/// The most header fields of a request or an answer, about as many as node takes; hyper's default
/// is 100. The bound in bytes is 64 KiB. hyper writes to room for all of them whenever it parses a
/// head, which costs 4 µs for these and 60 µs for as many as 64 KiB can hold.
pub(crate) const MAX_FIELDS: usize = 2 << 10;

/// The target of a request as it was sent, where the URI of the request has other characters in the
/// place of those that it does not hold.
#[derive(Debug, Clone)]
pub(crate) struct RawTarget(pub(crate) Bytes);

/// A task.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a handler keeps with the connection of a client, from one request to the next: a value, and
/// tasks. A server puts it beside each request.
#[derive(Clone, Default)]
pub(crate) struct ConnectionState {
    value: Arc<Mutex<Option<Box<dyn Any + Send>>>>,
    run: Option<Arc<dyn Fn(Task) + Send + Sync>>,
}

impl ConnectionState {
    /// Creates the state of a connection. `run` runs tasks that end soon after the connection.
    pub(crate) fn new(run: Arc<dyn Fn(Task) + Send + Sync>) -> Self {
        Self { value: Arc::default(), run: Some(run) }
    }

    /// Returns the value, or the default if there is none, or one of another type.
    pub(crate) fn take<T: Any + Default>(&self) -> T {
        let value = self.value.lock().expect("nothing panics while it holds this lock").take();
        value.and_then(|value| value.downcast().ok()).map_or_else(T::default, |value| *value)
    }

    pub(crate) fn put<T: Any + Send>(&self, value: T) {
        *self.value.lock().expect("nothing panics while it holds this lock") =
            Some(Box::new(value));
    }

    /// Runs a task.
    ///
    /// # Errors
    ///
    /// The task, if the server is one that runs none.
    pub(crate) fn run(&self, task: Task) -> Result<(), Task> {
        match &self.run {
            Some(run) => {
                run(task);
                Ok(())
            }
            None => Err(task),
        }
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionState").finish_non_exhaustive()
    }
}

/// The bit that a server in front of an upstream flips in the first character of `Expect`, so that
/// it does not answer `100 Continue` itself.
pub(crate) const EXPECT_MASK: u8 = 0x80;

/// Reads a body of at most `max` bytes to its end. `body` says what it is: "a message".
///
/// # Errors
///
/// [`Code::TooLarge`], [`Code::Timeout`], or [`Code::Full`] if the bodies of other requests take
/// all of the memory for them.
pub(crate) async fn read_body(body: Body, max: usize, name: &str) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::TooLarge, format!("{name} has at most {max} bytes"));
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let read = to_bytes(body, max).await;
    read.map_err(|error| Problem::of_unread_body(&error).unwrap_or_else(too_large))
}

/// Returns whether a request asks for a WebSocket.
#[must_use]
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    names_token(headers, &UPGRADE, "websocket")
}

/// Returns whether a list such as that of `Connection` names a token.
pub(crate) fn names_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The prefix of a subprotocol that carries a token, for browsers: their WebSockets have no header
/// fields.
pub(crate) const SUBPROTOCOL: &str = "wstap.bearer.";

/// Returns a list of subprotocols without those that carry a token.
pub(crate) fn without_bearer(offered: &str) -> Cow<'_, str> {
    if !offered.contains(SUBPROTOCOL) {
        return offered.into();
    }
    let kept = offered.split(',').map(str::trim).filter(|it| !it.starts_with(SUBPROTOCOL));
    kept.collect::<Vec<_>>().join(", ").into()
}

/// The fields of a request that a listener may want to see.
static WORTH_KNOWING: [(&str, HeaderName); 6] = [
    ("user-agent", USER_AGENT),
    ("origin", ORIGIN),
    ("sec-websocket-protocol", SEC_WEBSOCKET_PROTOCOL),
    ("x-forwarded-for", HeaderName::from_static("x-forwarded-for")),
    ("traceparent", HeaderName::from_static("traceparent")),
    ("last-event-id", HeaderName::from_static("last-event-id")),
];

/// Returns the fields of a request that a listener may want to see, as text.
pub(crate) fn worth_knowing(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let text = |(name, value): (&'static str, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let is_offer = name == SEC_WEBSOCKET_PROTOCOL.as_str();
        (name, if is_offer { without_bearer(&value).into_owned() } else { value.into_owned() })
    };
    fields_worth_knowing(headers).map(text).collect()
}

/// Returns the fields of a request that a listener may want to see.
pub(crate) fn fields_worth_knowing(
    headers: &HeaderMap,
) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
    WORTH_KNOWING.iter().filter_map(|(text, name)| Some((*text, headers.get(name)?)))
}

/// Returns whether `Accept` names a media type.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|part| {
            part.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_lose_their_token() {
        assert_eq!(without_bearer("wstap, wstap.bearer.abc, chat"), "wstap, chat");
        assert_eq!(without_bearer("wstap.bearer.abc"), "");
        assert_eq!(without_bearer("chat,  json"), "chat,  json");
    }
}
