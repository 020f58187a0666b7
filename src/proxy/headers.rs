//! Header fields that a proxy passes on, drops and adds (RFC 9110 section 7.6). Pure.
//!
//! Heads are made anew rather than changed, which keeps the order of the fields.

use std::net::IpAddr;

use http::Version;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

use crate::request::EXPECT_MASK;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Other fields about the way of a request, which are left out together with `X-Forwarded-*`.
const WAY: [HeaderName; 3] = [FORWARDED, TRACEPARENT, HeaderName::from_static("tracestate")];

/// Treatment of `X-Forwarded-*` and of the trace context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// The client is added, and a trace if there is none.
    #[default]
    Add,
    /// They pass as they came.
    Pass,
    /// They are left out.
    Strip,
}

/// Transfer codings with a meaning (RFC 9112 section 7). Others are refused in requests: an upstream
/// that ignores one would read the body as the next request.
const CODINGS: [&str; 7] =
    ["chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress", "identity"];

/// Treatment of the fields that concern one connection only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hops {
    /// All of them are dropped.
    Drop,
    /// `Connection` and `Upgrade` stay: a handshake, or its answer.
    Upgrade,
}

/// Returns the host that a request is for.
pub(super) fn host(parts: &Parts) -> Option<HeaderValue> {
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    let named = named.and_then(|named| HeaderValue::from_str(named).ok());
    named.or_else(|| parts.headers.get(HOST).cloned())
}

/// Adds, keeps or removes the fields about the way of a request.
pub(super) fn forward(
    headers: &mut HeaderMap,
    mode: ForwardedHeaders,
    client: IpAddr,
    host: Option<&HeaderValue>,
) {
    match mode {
        ForwardedHeaders::Add => forwarded(headers, client, host),
        ForwardedHeaders::Pass => {}
        ForwardedHeaders::Strip => strip(headers),
    }
}

/// Removes the fields about the way of a request. The order of the others stays.
fn strip(headers: &mut HeaderMap) {
    let about = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || WAY.contains(name);
    if !headers.keys().any(about) {
        return;
    }
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !about(name)) {
        kept.append(name, value.clone());
    }
    *headers = kept;
}

/// Adds the client, and a trace context if the request has none. Values that came before are kept
/// byte for byte.
pub(super) fn forwarded(headers: &mut HeaderMap, client: IpAddr, host: Option<&HeaderValue>) {
    append(headers, &FORWARDED_FOR, client.to_canonical().to_string().as_bytes());
    if !headers.contains_key(&FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host.filter(|_| !headers.contains_key(&FORWARDED_HOST)) {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    if !headers.contains_key(&TRACEPARENT) {
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        append(headers, &TRACEPARENT, format!("00-{trace:032x}-{span:016x}-01").as_bytes());
    }
}

/// Notes that the client speaks TLS, unless a proxy before has noted a scheme.
pub(super) fn add_https(headers: &mut HeaderMap) {
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("https"));
}

/// Adds this proxy to `Via` (RFC 9110 section 7.6.3). `version` is that of the request that came.
pub(super) fn add_via(headers: &mut HeaderMap, version: Version, pseudonym: &str) {
    let version = if version == Version::HTTP_10 { "1.0" } else { "1.1" };
    append(headers, &VIA, format!("{version} {pseudonym}").as_bytes());
}

/// Appends an element to a list, as one field.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &[u8]) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element);
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

/// Makes the target of a request a path alone, as an origin server expects.
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

/// Returns the fields of a request that are passed on. The transfer codings stay: the framing of
/// chunks is renewed, other codings are part of the body. `None` if a coding is not known.
pub(super) fn passed_on(headers: &HeaderMap, hops: Hops) -> Option<HeaderMap> {
    let mut kept = end_to_end(headers, hops);
    if headers.contains_key(TRANSFER_ENCODING) {
        kept.remove(CONTENT_LENGTH);
        kept.insert(TRANSFER_ENCODING, codings(headers)?);
    }
    if let Some(expect) = kept.get_mut(EXPECT) {
        restore(expect);
    }
    Some(kept)
}

/// Restores an expectation that the server has hidden from hyper.
fn restore(expect: &mut HeaderValue) {
    if let [first, rest @ ..] = expect.as_bytes()
        && *first == b'1' ^ EXPECT_MASK
        && let Ok(restored) = HeaderValue::from_bytes(&[b"1", rest].concat())
    {
        *expect = restored;
    }
}

/// Returns the fields of an answer that are passed on. If it has both, `Transfer-Encoding` wins over
/// `Content-Length` (RFC 9112 section 6.3), as it did where the body was read.
pub(super) fn answered(headers: &HeaderMap, hops: Hops) -> HeaderMap {
    let mut kept = end_to_end(headers, hops);
    if headers.contains_key(TRANSFER_ENCODING) {
        kept.remove(CONTENT_LENGTH);
        // An unknown coding is passed on as bytes, whose length hyper frames.
        if let Some(codings) = codings(headers) {
            kept.insert(TRANSFER_ENCODING, codings);
        }
    }
    kept
}

/// Returns the list of transfer codings in one field, or `None` if one of them is not known.
fn codings(headers: &HeaderMap) -> Option<HeaderValue> {
    let all = text(headers, TRANSFER_ENCODING)?.to_ascii_lowercase();
    let all: Vec<_> = all.split(',').map(str::trim).filter(|coding| !coding.is_empty()).collect();
    let known = all.iter().all(|coding| CODINGS.contains(coding));
    let once = all.iter().filter(|coding| **coding == "chunked").count() <= 1;
    (known && once).then(|| HeaderValue::from_str(&all.join(", ")).ok())?
}

/// Returns the fields without those that concern one connection only, by RFC 9110 or by `Connection`.
fn end_to_end(headers: &HeaderMap, hops: Hops) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let dropped = [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING];
    let mut kept = HeaderMap::with_capacity(headers.len() + 5);
    for (name, value) in headers {
        let goes_on = if *name == CONNECTION || *name == UPGRADE {
            hops == Hops::Upgrade
        } else if *name == TE {
            // The only element that concerns the upstream.
            value.as_bytes().eq_ignore_ascii_case(b"trailers")
        } else {
            !dropped.contains(name) && !named.iter().any(|named| named == name.as_str())
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
    use crate::request::has_passed;

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
    fn fields_of_one_connection_are_dropped_and_the_order_is_kept() {
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
        assert_eq!(names(&end_to_end(&headers, Hops::Drop)), ["host", "cookie", "te", "accept"]);
    }

    #[test]
    fn handshake_keeps_its_upgrade() {
        let headers = map(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(passed_on(&headers, Hops::Upgrade), Some(headers));
    }

    #[test]
    fn chain_of_proxies_is_continued_and_a_trace_is_kept() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("traceparent", "00-1-2-01"),
            ("x-forwarded-proto", "https"),
        ]);
        forwarded(
            &mut headers,
            [127, 0, 0, 1].into(),
            Some(&HeaderValue::from_static("tap.example")),
        );
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "tap.example");
        assert_eq!(headers["traceparent"], "00-1-2-01");
        let mut fresh = HeaderMap::new();
        forwarded(&mut fresh, "::ffff:10.0.0.1".parse().expect("an address"), None);
        assert_eq!(fresh["x-forwarded-for"], "10.0.0.1");
        assert_eq!(fresh["traceparent"].len(), 55);
    }

    #[test]
    fn fields_about_the_way_are_added_kept_or_left_out() {
        let came = map(&[
            ("accept", "*/*"),
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-ssl", "on"),
            ("traceparent", "00-1-2-01"),
            ("cookie", "a=1"),
        ]);
        for (mode, left) in [
            (ForwardedHeaders::Pass, names(&came)),
            (ForwardedHeaders::Strip, vec!["accept", "cookie"]),
        ] {
            let mut headers = came.clone();
            forward(&mut headers, mode, [127, 0, 0, 1].into(), None);
            assert_eq!(names(&headers), left);
            assert!(mode == ForwardedHeaders::Strip || headers == came);
        }
    }

    #[test]
    fn forwarded_addresses_are_kept_as_bytes() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"\xe9, 203.0.113.7").expect("a value");
        headers.insert(FORWARDED_FOR, value);
        forwarded(&mut headers, [127, 0, 0, 1].into(), None);
        assert_eq!(headers[FORWARDED_FOR].as_bytes(), b"\xe9, 203.0.113.7, 127.0.0.1");
    }

    #[test]
    fn own_requests_are_recognized_by_via() {
        let mut headers = map(&[("via", "1.1 other")]);
        assert!(!has_passed(&headers, "wstap-1"));
        add_via(&mut headers, Version::HTTP_10, "wstap-1");
        assert_eq!(headers[VIA], "1.1 other, 1.0 wstap-1");
        assert!(has_passed(&headers, "wstap-1") && !has_passed(&headers, "wstap-2"));
    }

    #[test]
    fn transfer_codings_are_kept_and_win_over_a_length() {
        let both = map(&[("transfer-encoding", "GZIP,  chunked"), ("content-length", "1")]);
        let kept = answered(&both, Hops::Drop);
        assert_eq!(kept, map(&[("transfer-encoding", "gzip, chunked")]));
        assert_eq!(passed_on(&both, Hops::Drop), Some(kept));
        for odd in ["chunked;q=1, chunked", "chunked, chunked", "brotli, chunked"] {
            assert_eq!(passed_on(&map(&[("transfer-encoding", odd)]), Hops::Drop), None, "{odd}");
        }
    }
}
