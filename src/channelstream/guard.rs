//! Who may call: addresses, signatures, encrypted ways, and what browsers are told of it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{ApiState, Settings};
use crate::auth::Origins;
use crate::code::{self, Code};
use crate::problem::Problem;
use crate::request::{is_websocket, remote};

/// Where a signature stands.
pub(super) const SIGNATURE: &str = "x-channelstream-secret";

/// What pages may ask with.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS, PUT, DELETE, PATCH");

/// The fields that pages may send, as the original has them, and the one that it forgot.
const FIELDS: HeaderValue = HeaderValue::from_static(
    "Content-Type, X-Channelstream-Secret, Depth, User-Agent, X-File-Size, X-Requested-With, If-Modified-Since, X-File-Name, Cache-Control, Pragma, Origin, Connection, Referer, Cookie",
);

/// Stands before all calls: asks for an encrypted way where that is wanted, answers what browsers
/// ask beforehand, and tells them what they may read, of errors too.
pub(super) async fn guard(State(desk): State<ApiState>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let response = if request.method() == Method::OPTIONS {
        Body::empty().into_response()
    } else if desk.shared.settings.enforce_https && !is_websocket(request.headers()) {
        let (parts, body) = request.into_parts();
        if is_encrypted(&desk.shared.settings, &parts) {
            next.run(Request::from_parts(parts, body)).await
        } else {
            let status = StatusCode::from_u16(code::channelstream::NOT_ENCRYPTED);
            (status.expect("it is a status"), "SSL is required").into_response()
        }
    } else {
        next.run(request).await
    };
    readable(&desk, origin.as_ref(), response)
}

/// Says to a browser whether a page may read an answer.
fn readable(desk: &ApiState, origin: Option<&HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let allowed = if desk.door.origins == Origins::Any {
        Some(HeaderValue::from_static("*"))
    } else {
        headers.append(VARY, HeaderValue::from_static("origin"));
        let text = origin.and_then(|origin| origin.to_str().ok());
        let ours = |origin: &str| {
            desk.door.origins.accept(origin) || desk.door.hosts.accept_origin(origin)
        };
        origin.filter(|_| text.is_some_and(ours)).cloned()
    };
    if let Some(allowed) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, FIELDS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A call without a right signature.
#[derive(Debug)]
pub(super) enum Unsigned {
    /// It has none, or comes from where none is taken.
    Forbidden(Problem),
    /// It is not right.
    Bad,
}

impl IntoResponse for Unsigned {
    fn into_response(self) -> Response {
        match self {
            Self::Forbidden(problem) => problem.into_response(),
            Self::Bad => {
                let status = StatusCode::from_u16(Code::Unauthorized.row().status);
                let status = status.expect("the table holds statuses");
                (status, super::json("{\"request\":\"Bad Signature\"}")).into_response()
            }
        }
    }
}

/// Checks that a server calls that knows the secret, from an address that may.
pub(super) fn signed(settings: &Settings, parts: &Parts) -> Result<(), Unsigned> {
    let from = caller(settings, parts).map_err(Unsigned::Forbidden)?;
    if !settings.allow_from.iter().any(|network| network.contains(from)) {
        return Err(Unsigned::Forbidden(Problem::new(
            Code::Forbidden,
            format!("calls from {from} are not taken; --channelstream-allow-from {from} lets them"),
        )));
    }
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let in_query = || form_urlencoded::parse(query).find(|(name, _)| name == "secret");
    let token = match parts.headers.get(SIGNATURE) {
        Some(token) => token.as_bytes().to_vec(),
        None => match in_query() {
            Some((_, token)) => token.into_owned().into_bytes(),
            None => {
                return Err(Unsigned::Forbidden(Problem::new(
                    Code::Forbidden,
                    "this call needs a signature in x-channelstream-secret",
                )));
            }
        },
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let checked = if settings.any_age {
        settings.signer.signed_at(&token).map(drop)
    } else {
        settings.signer.check(&token, now)
    };
    checked.map_err(|_| Unsigned::Bad)
}

/// Returns who calls: the other end, or who a proxy of ours says that it speaks for. Whom a proxy
/// names in words that cannot be read may be anybody, and so is nobody who may call.
fn caller(settings: &Settings, parts: &Parts) -> Result<IpAddr, Problem> {
    let mut caller = remote(parts).ip().to_canonical();
    let trusted =
        |address: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(address));
    // Each proxy appends whom it has spoken to; what stands further left anybody may have written.
    for hop in list(&parts.headers, "x-forwarded-for").iter().rev() {
        if !trusted(caller) {
            break;
        }
        caller = address(hop).ok_or_else(|| {
            let words =
                format!("X-Forwarded-For names {hop:?}, which is no address such as 10.1.2.3");
            Problem::new(Code::Forbidden, words)
        })?;
    }
    Ok(caller)
}

/// Reads an address, which some proxies write with a port: `10.1.2.3:80`, `[::1]:80`, `[::1]`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

/// Returns whether a proxy of ours says that it was called over TLS.
pub(super) fn is_encrypted(settings: &Settings, parts: &Parts) -> bool {
    let peer = remote(parts).ip();
    let trusted = settings.trusted_proxies.iter().any(|network| network.contains(peer));
    let schemes = list(&parts.headers, "x-forwarded-proto");
    trusted && schemes.last().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Returns the items of a list, over all fields of a name. What is no text is an item that nothing
/// equals, rather than none.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let items = |value: Cow<'_, str>| -> Vec<String> {
        value.split(',').map(|item| item.trim().to_owned()).collect()
    };
    values.flat_map(items).collect()
}
