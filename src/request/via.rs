//! `Via`: the proxies that a request has passed (RFC 9110 section 7.6.3).

use http::HeaderMap;
use http::header::VIA;

/// The beginning of the name of each proxy of wstap in `Via`.
pub(crate) const PROXY_NAME: &str = "wstap-";

/// Returns whether `Via` contains a name. With [`PROXY_NAME`] that is any proxy of wstap.
pub(crate) fn has_passed(headers: &HeaderMap, name: &str) -> bool {
    let name = name.as_bytes();
    headers.get_all(VIA).iter().any(|via| memchr::memmem::find(via.as_bytes(), name).is_some())
}
