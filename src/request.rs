//! What handlers read off a request: the query, the other end, what it accepts. Every fault of a
//! query is named, with what would be right.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use http::header::{ACCEPT, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};

use crate::problem::Problem;

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

/// The parameters of a query. Each is taken by name; what is left over at the end is unknown.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
    faults: Vec<String>,
    /// The character that is wrong in a value that people write at length, counted from 1.
    position: Option<usize>,
}

impl Params {
    pub(crate) fn new(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs = pairs.into_owned().collect();
        Self { pairs, known: Vec::new(), faults: Vec::new(), position: None }
    }

    /// Takes all values of a parameter that may be repeated.
    pub(crate) fn all<T>(
        &mut self,
        name: &'static str,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        self.known.push(name);
        let mut values = Vec::new();
        let faults = &mut self.faults;
        self.pairs.retain(|(key, value)| {
            if key != name {
                return true;
            }
            match read(value) {
                Some(value) => values.push(value),
                None => faults.push(format!("{name}={value}: {right}")),
            }
            false
        });
        values
    }

    /// Takes the value of a parameter that stands at most once.
    pub(crate) fn one<T>(
        &mut self,
        name: &'static str,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut values = self.all(name, right, read);
        if values.len() > 1 {
            self.faults.push(format!("{name} stands more than once; once is right"));
        }
        values.pop()
    }

    /// Takes a point in time, in milliseconds since 1970: a time, or a duration back from now.
    pub(crate) fn time(&mut self, name: &'static str) -> Option<u64> {
        let right = "a time such as 2026-01-31T12:00:00Z or a duration such as 5m is right";
        self.one(name, right, |value| {
            let time = match value.parse::<Timestamp>() {
                Ok(time) => time,
                Err(_) => Timestamp::now().checked_sub(duration(value)?).ok()?,
            };
            Some(u64::try_from(time.as_millisecond()).unwrap_or(0))
        })
    }

    /// Notes a fault that lies in several parameters together.
    pub(crate) fn fault(&mut self, what: &str) {
        self.faults.push(what.to_owned());
    }

    /// Notes a fault at a character of a value.
    pub(crate) fn fault_at(&mut self, position: usize, what: String) {
        self.position = Some(position);
        self.faults.push(what);
    }

    /// Ends the reading; what nobody has taken is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (key, _) in &self.pairs {
            let known = self.known.join(", ");
            self.faults.push(format!("there is no query parameter {key:?}; there are {known}"));
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::malformed(self.faults.join("; ")).pointing_at(self.position))
        }
    }
}

/// Reads a duration such as `25s`, `500ms` or `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

/// Returns the other end of the TCP connection, as the server noted it.
pub(crate) fn remote(parts: &Parts) -> SocketAddr {
    let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    // A program that mounts the router without connect info learns of no addresses.
    info.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |info| info.0)
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

/// Returns the fields of a handshake that a listener may want to see.
pub(crate) fn worth_knowing(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let names = [
        ("user-agent", USER_AGENT),
        ("origin", ORIGIN),
        ("sec-websocket-protocol", SEC_WEBSOCKET_PROTOCOL),
        ("x-forwarded-for", HeaderName::from_static("x-forwarded-for")),
        ("traceparent", HeaderName::from_static("traceparent")),
    ];
    let value = |name: &HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    names.iter().filter_map(|(text, name)| Some((*text, value(name)?.into_owned()))).collect()
}

/// Returns whether `Accept` names a media type.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|part| {
            part.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type)
        })
    })
}
