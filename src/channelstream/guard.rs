//! Access to the API: addresses, signatures, TLS, and which pages of a browser may call.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HOST, ORIGIN, REFERER, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::answer::{ApiError, parameter};
use super::settings::ChannelstreamSettings;
use super::shared::ApiState;
use crate::auth::Origins;
use crate::code::{self, Code};
use crate::problem::Problem;
use crate::session::{self, UpgradeContext};

/// The header field of a signature.
pub(super) const SIGNATURE: &str = "x-channelstream-secret";

/// The methods that pages may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS, PUT, DELETE, PATCH");

/// The fields that pages may send: those of the original, and the one that it lacks.
const FIELDS: HeaderValue = HeaderValue::from_static(
    "Content-Type, X-Channelstream-Secret, Depth, User-Agent, X-File-Size, X-Requested-With, If-Modified-Since, X-File-Name, Cache-Control, Pragma, Origin, Connection, Referer, Cookie",
);

/// The layer in front of all calls. It requires TLS where that is set, answers preflight requests,
/// and adds the CORS fields to every answer, errors included.
pub(super) async fn guard(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let settings = &api.shared.settings;
    let response = if request.method() == Method::OPTIONS {
        Body::empty().into_response()
    } else if settings.enforce_https && !session::is_handshake(request.headers()) {
        let (parts, body) = request.into_parts();
        if is_encrypted(settings, &parts) {
            next.run(Request::from_parts(parts, body)).await
        } else {
            let status = StatusCode::from_u16(code::channelstream::NOT_ENCRYPTED);
            (status.expect("it is a status"), "SSL is required").into_response()
        }
    } else {
        next.run(request).await
    };
    with_cors(&api.context, origin.as_ref(), response)
}

/// Adds the fields that tell a browser whether the page may read the answer.
fn with_cors(
    context: &UpgradeContext,
    origin: Option<&HeaderValue>,
    mut response: Response,
) -> Response {
    let headers = response.headers_mut();
    let allowed = if context.origins == Origins::Any {
        Some(HeaderValue::from_static("*"))
    } else {
        headers.append(VARY, HeaderValue::from_static("origin"));
        let text = origin.and_then(|origin| origin.to_str().ok());
        origin.filter(|_| text.is_some_and(|origin| context.allows_origin(origin))).cloned()
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

/// Checks that a call without a signature comes from a program, or from a page whose origin may also
/// open WebSockets.
///
/// A script element or an image sends no `Origin`. Browsers then tell by `Sec-Fetch-Site` whether
/// the page is of another site, and by `Referer` which one it is.
pub(super) fn check_page(context: &UpgradeContext, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    let from = match (text(ORIGIN.as_str()), text(FETCH_SITE)) {
        (Some(origin), _) => origin.to_owned(),
        (None, None | Some("none")) => return Ok(()),
        (None, Some("same-origin")) => {
            let host = text(HOST.as_str()).unwrap_or_default();
            let schemes = ["http", "https"].map(|scheme| format!("{scheme}://{host}"));
            if schemes.iter().any(|origin| context.allows_origin(origin)) {
                return Ok(());
            }
            schemes[0].clone()
        }
        (None, Some(_)) => origin_of(text(REFERER.as_str()).unwrap_or_default()),
    };
    if context.allows_origin(&from) {
        return Ok(());
    }
    let words = format!("pages of {from} may not call this; --ws-origin {from} lets them");
    Err(Problem::new(Code::Forbidden, words))
}

/// Checks that a request was not made by a page of another site.
pub(super) fn check_same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    match site {
        None | Some(b"none" | b"same-origin") => Ok(()),
        Some(_) => {
            let words = "pages of other sites may not call this; open the address itself";
            Err(Problem::new(Code::Forbidden, words))
        }
    }
}

/// Returns whether a browser has made a request.
pub(super) fn is_from_browser(headers: &HeaderMap) -> bool {
    [FETCH_SITE, "sec-fetch-mode", "sec-fetch-dest"].iter().any(|name| headers.contains_key(*name))
}

/// The relation between the page that makes a request and the server (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// Returns the origin of a URL, or `null`.
fn origin_of(url: &str) -> String {
    let origin = url.split_once("://").map(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{host}")
    });
    origin.unwrap_or_else(|| "null".to_owned())
}

/// Checks that a call is signed with the secret, and comes from an address that is allowed.
pub(super) fn check_signature(
    settings: &ChannelstreamSettings,
    parts: &Parts,
) -> Result<(), ApiError> {
    let from = caller(settings, parts)?;
    if !settings.allow_from.iter().any(|network| network.contains(from)) {
        return Err(Problem::new(
            Code::Forbidden,
            format!("calls from {from} are not taken; --channelstream-allow-from {from} lets them"),
        )
        .into());
    }
    let in_header = parts.headers.get(SIGNATURE).map(|token| token.as_bytes().to_vec());
    let in_query = || parameter(&parts.uri, "secret").map(String::into_bytes);
    let token = in_header.or_else(in_query).ok_or_else(|| {
        let words = "this call needs a signature in x-channelstream-secret";
        Problem::new(Code::Forbidden, words)
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let checked = if settings.any_age {
        settings.signer.signed_at(&token).map(drop)
    } else {
        settings.signer.check(&token, now)
    };
    checked.map_err(|_| ApiError::BadSignature)
}

/// Returns the address of the caller: the other end of the connection, or the address that a trusted
/// proxy has forwarded the call for.
///
/// # Errors
///
/// If a trusted proxy names an address that cannot be read.
pub(super) fn caller(settings: &ChannelstreamSettings, parts: &Parts) -> Result<IpAddr, Problem> {
    let mut caller = session::remote(parts).ip().to_canonical();
    let trusted =
        |address: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(address));
    // Each proxy appends the address that it was called from. Items further left may be forged.
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

/// Returns whether a trusted proxy says that it was called over TLS.
pub(super) fn is_encrypted(settings: &ChannelstreamSettings, parts: &Parts) -> bool {
    if session::is_encrypted(parts) {
        return true;
    }
    let peer = session::remote(parts).ip();
    let trusted = settings.trusted_proxies.iter().any(|network| network.contains(peer));
    let schemes = list(&parts.headers, "x-forwarded-proto");
    trusted && schemes.last().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Returns the items of a list over all fields of a name. An item that is not UTF-8 stays an item, so
/// that it is not skipped.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let items = |value: Cow<'_, str>| -> Vec<String> {
        value.split(',').map(|item| item.trim().to_owned()).collect()
    };
    values.flat_map(items).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, Settings};

    #[tokio::test]
    async fn page_is_checked_by_origin_site_and_referer() {
        let mut context = UpgradeContext::new(Hub::new(Settings::default()));
        context.origins = Origins::Listed(vec!["https://app.example".to_owned()]);
        let allowed = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().expect("a value"));
            }
            check_page(&context, &headers).is_ok()
        };
        let site = |value| ("sec-fetch-site", value);
        assert!(allowed(&[]), "a program");
        assert!(allowed(&[site("none")]), "an address that was typed");
        assert!(allowed(&[("origin", "https://app.example"), site("cross-site")]));
        assert!(allowed(&[("referer", "https://app.example/a?b"), site("cross-site")]));
        assert!(allowed(&[("host", "app.example"), site("same-origin")]));
        assert!(allowed(&[("host", "localhost:8080"), site("same-origin")]));
        for fields in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example"), site("same-site")],
            &[site("cross-site")],
            &[site("same-site")],
            &[("referer", "https://app.example.evil.example/"), site("cross-site")],
            &[("referer", "https://evil.example/https://app.example"), site("cross-site")],
            &[("host", "evil.example"), site("same-origin")],
        ] {
            assert!(!allowed(fields), "{fields:?}");
        }
    }
}
