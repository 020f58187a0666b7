//! What handlers read off a request: the query, the remote address, the media types that it accepts.

#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "the description reads all of a declaration")
)]
pub(crate) mod query;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use http::header::{ACCEPT, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::problem::Problem;
pub(crate) use query::{
    Count, Faults, Field, Moment, Parameter, Query, Value, Values, choice, duration, parameters,
    read,
};

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
