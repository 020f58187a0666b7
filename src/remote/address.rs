//! Addresses of servers that are asked about credentials.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// The address of a server that is asked about credentials: `https:`, or `http:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
}

/// The error of a text that is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address has a scheme, a host and no credentials, such as https://id.example/keys")]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let uri: Uri = text.parse().map_err(|_| InvalidAddress)?;
        let schemed = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or(InvalidAddress)?;
        if !schemed || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(InvalidAddress);
        }
        Ok(Self { uri })
    }
}

impl Address {
    /// Returns whether it is reached over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Returns whether it is an address of this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let ip = bare.parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns host and port, as the field `Host` has them.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }

    /// Returns path and query.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |it| it.as_str())
    }
}

/// The address without its query, which may hold a key.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}{}", self.authority(), self.uri.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_and_a_host_and_no_password() {
        for text in
            ["", "/keys", "id.example", "ftp://id.example", "https://a:b@id.example", "https://"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let address: Address = "https://id.example/keys?key=1".parse().expect("an address");
        assert_eq!(address.to_string(), "https://id.example/keys");
        assert_eq!((address.authority(), address.target()), ("id.example", "/keys?key=1"));
        assert!(address.is_encrypted() && !address.is_loopback());
    }

    #[test]
    fn loopback_is_told_by_name_and_figures() {
        let is = |text: &str| text.parse::<Address>().expect("an address").is_loopback();
        for text in
            ["http://localhost:1/k", "http://127.0.0.1/", "http://[::1]:9/", "http://127.9.9.9"]
        {
            assert!(is(text), "{text}");
        }
        for text in [
            "http://localhost.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "http://0.0.0.0",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
