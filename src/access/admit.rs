//! Proxied traffic that needs a grant (`--proxy-auth`): checks the credential, and cuts it before the
//! request goes on. Fields and parameters that are no credential of wstap stay as they came.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE as COOKIES, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::can::{Connect, needed};
use super::credential::{self, Place};
use super::{Access, Caller};
use crate::request::{RawTarget, without_bearer};

/// Admits requests whose credential grants `connect`, and cuts the credential.
pub(crate) async fn admit(State(access): State<Access>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = match access.admitted(&mut parts).await {
        Ok(shown) => needed::<Connect>(&parts).map(|_| shown),
        Err(problem) => Err(problem),
    };
    let trail = access.trail(&parts, parts.extensions.get::<Caller>());
    let response = match admitted {
        Ok(shown) => {
            cut(&mut parts, shown);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(trail) = trail {
        trail.answered(&response);
    }
    response
}

/// Cuts the cookie of pages of wstap: browsers send it to all ports of a host.
pub(crate) async fn cut_cookie(mut request: Request, next: Next) -> Response {
    cut_cookies(request.headers_mut());
    next.run(request).await
}

fn cut(parts: &mut Parts, shown: Option<Place>) {
    cut_cookies(&mut parts.headers);
    cut_subprotocols(&mut parts.headers);
    match shown {
        Some(Place::Header) => change(&mut parts.headers, &AUTHORIZATION, |_| None),
        Some(Place::Query) => cut_parameter(parts, "access_token"),
        Some(Place::Ticket) => cut_parameter(parts, "ticket"),
        Some(Place::Subprotocol | Place::Cookie) | None => {}
    }
}

fn cut_cookies(headers: &mut HeaderMap) {
    change(headers, &COOKIES, |value| {
        let Ok(text) = value.to_str() else { return Some(value.clone()) };
        let is_own = |pair: &str| {
            pair.trim().split_once('=').is_some_and(|(name, _)| credential::is_own_cookie(name))
        };
        if !text.split(';').any(is_own) {
            return Some(value.clone());
        }
        let kept: Vec<_> = text.split(';').filter(|pair| !is_own(pair)).map(str::trim).collect();
        text_or_nothing(&kept.join("; "))
    });
}

fn cut_subprotocols(headers: &mut HeaderMap) {
    change(headers, &SEC_WEBSOCKET_PROTOCOL, |value| match value.to_str() {
        Ok(text) => text_or_nothing(&without_bearer(text)),
        Err(_) => Some(value.clone()),
    });
}

fn text_or_nothing(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|value| !value.is_empty())
}

/// Changes the values of a field. The order of all fields stays.
fn change(
    headers: &mut HeaderMap,
    name: &HeaderName,
    change: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    if !headers.contains_key(name) {
        return;
    }
    let mut changed = HeaderMap::with_capacity(headers.len());
    for (each, value) in headers.iter() {
        let value = if each == name { change(value) } else { Some(value.clone()) };
        if let Some(value) = value {
            changed.append(each, value);
        }
    }
    *headers = changed;
}

/// Cuts a parameter of the query; the others stay byte for byte.
fn cut_parameter(parts: &mut Parts, name: &str) {
    let target = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let cut = without(target.as_bytes(), name);
    if let Ok(uri) = std::str::from_utf8(&cut).unwrap_or("/").parse::<Uri>() {
        let mut all = std::mem::take(&mut parts.uri).into_parts();
        all.path_and_query = uri.path_and_query().cloned();
        parts.uri = Uri::from_parts(all).unwrap_or(uri);
    }
    if let Some(RawTarget(raw)) = parts.extensions.get::<RawTarget>() {
        let raw = Bytes::from(without(raw, name));
        parts.extensions.insert(RawTarget(raw));
    }
}

fn without(target: &[u8], name: &str) -> Vec<u8> {
    let Some(at) = memchr::memchr(b'?', target) else { return target.to_vec() };
    let (path, query) = (&target[..at], &target[at + 1..]);
    let is_named =
        |pair: &&[u8]| form_urlencoded::parse(pair).next().is_some_and(|(key, _)| key == name);
    let kept: Vec<_> = query.split(|byte| *byte == b'&').filter(|pair| !is_named(pair)).collect();
    if kept.is_empty() {
        return path.to_vec();
    }
    [path, b"?", &kept.join(&b'&')].concat()
}

impl Caller {
    /// Returns the name of its user.
    pub(crate) fn user(&self) -> Option<&crate::event::User> {
        self.grant().user.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_cut_and_the_others_stay() {
        for (target, right) in [
            ("/a?ticket=1", "/a"),
            ("/a?x=1&ticket=1&y=%20", "/a?x=1&y=%20"),
            ("/a?%74icket=1&&x", "/a?&x"),
            ("/a?xticket=1", "/a?xticket=1"),
            ("/ticket", "/ticket"),
        ] {
            assert_eq!(String::from_utf8_lossy(&without(target.as_bytes(), "ticket")), right);
        }
    }

    #[test]
    fn own_cookies_and_subprotocols_are_cut() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (COOKIES, "a=1; wstap=secret; b=2"),
            (AUTHORIZATION, "Bearer other"),
            (COOKIES, "__Host-wstap=secret"),
            (SEC_WEBSOCKET_PROTOCOL, "chat, wstap.bearer.secret"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        cut_cookies(&mut headers);
        cut_subprotocols(&mut headers);
        let all: Vec<_> = headers.values().map(|it| it.to_str().expect("text")).collect();
        assert_eq!(all, ["a=1; b=2", "Bearer other", "chat"]);
    }
}
