//! What of a head goes on, and what a proxy adds (RFC 9110 section 7.6). Pure.
//!
//! Heads are made anew rather than changed: that keeps the order of the fields.

use std::net::IpAddr;

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Returns the host that a request is for.
pub(super) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    named.or_else(|| parts.headers.get(HOST)?.to_str().ok())
}

/// Adds who asked, and a trace to follow the request by where it has none.
pub(super) fn forwarded(headers: &mut HeaderMap, client: IpAddr, host: Option<&str>) {
    let client = client.to_canonical().to_string();
    let before = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let chain = before.chain([client.as_str()]).collect::<Vec<_>>().join(", ");
    set(headers, FORWARDED_FOR, &chain);
    if !headers.contains_key(&FORWARDED_PROTO) {
        set(headers, FORWARDED_PROTO, "http");
    }
    if let Some(host) = host.filter(|_| !headers.contains_key(&FORWARDED_HOST)) {
        set(headers, FORWARDED_HOST, host);
    }
    if !headers.contains_key(&TRACEPARENT) {
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        set(headers, TRACEPARENT, &format!("00-{trace:032x}-{span:016x}-01"));
    }
}

/// Makes the target of a request a path alone, as a server is asked directly.
pub(super) fn origin_form(uri: &mut Uri) {
    let path = uri.path_and_query().cloned();
    *uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
}

/// Returns the values of a field as one text.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter();
    let all: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Returns the fields of a head that go on: without what concerns one connection only, by RFC 9110 or
/// by `Connection`. Those of a handshake and its answer (`upgrade`) keep the upgrade.
pub(super) fn passed_on(headers: &HeaderMap, upgrade: bool) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let hops = [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING];
    let mut kept = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let goes_on = if *name == CONNECTION || *name == UPGRADE {
            upgrade
        } else if *name == TE {
            // The one thing that may be said there to a server beyond.
            value.as_bytes().eq_ignore_ascii_case(b"trailers")
        } else {
            !hops.contains(name) && !named.iter().any(|named| named == name.as_str())
        };
        if goes_on {
            kept.append(name, value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn what_concerns_one_connection_stays_behind_and_the_order_is_kept() {
        let headers = map(&[
            ("host", "a"),
            ("connection", "keep-alive, X-Secret"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("cookie", "a=1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        assert_eq!(names(&passed_on(&headers, false)), ["host", "cookie", "te", "accept"]);
    }

    #[test]
    fn a_handshake_keeps_its_upgrade() {
        let headers = map(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(passed_on(&headers, true), headers);
    }

    #[test]
    fn a_chain_of_proxies_is_continued_and_a_trace_is_kept() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("traceparent", "00-1-2-01"),
            ("x-forwarded-proto", "https"),
        ]);
        forwarded(&mut headers, [127, 0, 0, 1].into(), Some("tap.example"));
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "tap.example");
        assert_eq!(headers["traceparent"], "00-1-2-01");
        let mut fresh = HeaderMap::new();
        forwarded(&mut fresh, "::ffff:10.0.0.1".parse().expect("an address"), None);
        assert_eq!(fresh["x-forwarded-for"], "10.0.0.1");
        assert_eq!(fresh["traceparent"].len(), 55);
    }
}
