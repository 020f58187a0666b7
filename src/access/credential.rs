//! Finds the credential of a request.
//!
//! ```text
//! Authorization: Bearer TOKEN
//! ?ticket=TICKET
//! ?access_token=TOKEN
//! Sec-WebSocket-Protocol: wstap, wstap.bearer.TOKEN
//! Cookie: wstap=TOKEN
//! ```

use http::header::{AUTHORIZATION, COOKIE as COOKIES, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use crate::request::{Encrypted, Forwarded, SUBPROTOCOL};

/// The name of the cookie of a page that has signed in. Under TLS it has the prefix `__Host-`, so that
/// no neighbour can set it.
pub(crate) const COOKIE: &str = "wstap";

/// Where a credential was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization: Bearer`.
    Header,
    /// `?ticket=`.
    Ticket,
    /// `?access_token=`.
    Query,
    /// `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// The cookie.
    Cookie,
}

/// Returns the credential of a request, and where it was found. The first of the places counts. A
/// cookie counts only if a page of this server, or no page, has sent the request: browsers add cookies
/// to the requests of pages on other ports too.
pub(super) fn find(parts: &Parts) -> Option<(Place, String)> {
    in_header(&parts.headers).or_else(|| beside_header(parts))
}

/// Returns the credentials of a request to an upstream, whose own credential `Authorization` may be:
/// the ones that can only be for wstap come first.
pub(super) fn of_proxied(parts: &Parts) -> impl Iterator<Item = (Place, String)> + use<> {
    beside_header(parts).into_iter().chain(in_header(&parts.headers))
}

fn in_header(headers: &HeaderMap) -> Option<(Place, String)> {
    let token = headers.get(AUTHORIZATION).and_then(bearer)?;
    Some((Place::Header, token.to_owned()))
}

fn beside_header(parts: &Parts) -> Option<(Place, String)> {
    let headers = &parts.headers;
    for (key, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "ticket" => return Some((Place::Ticket, value.into_owned())),
            "access_token" => return Some((Place::Query, value.into_owned())),
            _ => {}
        }
    }
    if let Some(token) = protocols(headers).find_map(|it| it.strip_prefix(SUBPROTOCOL)) {
        return Some((Place::Subprotocol, token.to_owned()));
    }
    let token = cookie(headers, parts.extensions.get::<Encrypted>().is_some())?;
    own_page(parts).then(|| (Place::Cookie, token.to_owned()))
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// Returns the token in the cookie. Under TLS only that with the prefix counts, which no neighbour can
/// set.
fn cookie(headers: &HeaderMap, encrypted: bool) -> Option<&str> {
    let pairs = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        pairs.flat_map(|value| value.split(';')).filter_map(|it| it.trim().split_once('='));
    let own = |name: &str| is_own_cookie(name) && (name != COOKIE || !encrypted);
    pairs.find(|(name, _)| own(name)).map(|(_, token)| token)
}

/// Returns whether a name is that of the cookie of wstap.
pub(super) fn is_own_cookie(name: &str) -> bool {
    name.strip_prefix("__Host-").unwrap_or(name) == COOKIE
}

/// Returns whether a page of this server, or no page, has sent a request.
pub(crate) fn own_page(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(origin) = text(ORIGIN.as_str()) {
        let forwarded = parts.extensions.get::<Forwarded>().and_then(|it| it.host.as_deref());
        let host = parts.uri.authority().map(Authority::as_str).or(text(HOST.as_str()));
        let host = forwarded.or(host);
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        return page.is_some() && page == host;
    }
    // Without Origin: a plain GET, or a client that is no browser.
    matches!(text("sec-fetch-site"), None | Some("same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str, headers: &[(&str, &str)]) -> Option<(Place, String)> {
        let mut request = http::Request::builder().uri(uri).header("host", "tap.example:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        find(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn credential_is_found_in_each_of_its_places() {
        let is = |place, token: &str| Some((place, token.to_owned()));
        assert_eq!(found("/", &[("authorization", "bearer  a.b ")]), is(Place::Header, "a.b"));
        assert_eq!(found("/?x=1&ticket=t", &[]), is(Place::Ticket, "t"));
        assert_eq!(found("/?access%5Ftoken=a%2Bb", &[]), is(Place::Query, "a+b"));
        let offered = [("sec-websocket-protocol", "chat, wstap.bearer.a-b")];
        assert_eq!(found("/ws", &offered), is(Place::Subprotocol, "a-b"));
        assert_eq!(found("/", &[("cookie", "a=b; wstap=c")]), is(Place::Cookie, "c"));
        assert_eq!(found("/", &[("cookie", "__Host-wstap=c")]), is(Place::Cookie, "c"));
        assert_eq!(found("/", &[("authorization", "Basic abc"), ("cookie", "xwstap=c")]), None);
    }

    #[test]
    fn cookie_without_the_prefix_is_ignored_under_tls() {
        let found = |cookie: &str| {
            let request = http::Request::builder().header("cookie", cookie).extension(Encrypted);
            find(&request.body(()).expect("a request").into_parts().0).is_some()
        };
        assert!(found("wstap=a; __Host-wstap=c") && !found("wstap=a"));
    }

    #[test]
    fn cookie_of_a_request_of_another_page_is_ignored() {
        let with = |name, value| found("/", &[("cookie", "wstap=c"), (name, value)]).is_some();
        for origin in ["http://tap.example:8080", "https://tap.example:8080"] {
            assert!(with("origin", origin), "{origin}");
        }
        for origin in
            ["null", "http://tap.example", "http://tap.example:3000", "http://evil.example"]
        {
            assert!(!with("origin", origin), "{origin}");
        }
        assert!(with("sec-fetch-site", "same-origin") && with("sec-fetch-site", "none"));
        assert!(!with("sec-fetch-site", "same-site") && !with("sec-fetch-site", "cross-site"));
    }
}
