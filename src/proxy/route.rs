//! Which upstream a request goes to. Pure.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};

/// A server that requests are forwarded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// As it was written, without a slash at the end.
    pub url: Arc<str>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Host and port; the port is always there.
    pub authority: Authority,
    /// What its `Host` header says: without the port, where that is the usual one.
    pub host: HeaderValue,
}

/// Sends the requests that fit to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Paths from here on: `/chat` fits `/chat` and `/chat/1`, and not `/chatter`.
    pub path: String,
    /// Only requests for this host name, in lower case.
    pub host: Option<String>,
    /// Where they go.
    pub upstream: Upstream,
}

/// What is wrong with a text that should be the URL of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an upstream is the URL of a server without a path, such as ws://localhost:9000 or https://api.example"
)]
pub struct InvalidUpstream;

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = text.parse().map_err(|_| InvalidUpstream)?;
        let tls = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(InvalidUpstream),
        };
        let given = uri.authority().ok_or(InvalidUpstream)?;
        let whole = uri.path() == "/" && uri.query().is_none() && !text.contains('#');
        if !whole || given.as_str().contains('@') || given.host().is_empty() {
            return Err(InvalidUpstream);
        }
        let usual = if tls { 443 } else { 80 };
        let port = match given.port() {
            Some(port) => {
                port.as_str().parse().ok().filter(|port| *port > 0).ok_or(InvalidUpstream)?
            }
            // `http` takes "a:" for a host without a port.
            None if given.as_str() != given.host() => return Err(InvalidUpstream),
            None => usual,
        };
        let host = if port == usual {
            given.host().to_owned()
        } else {
            format!("{}:{port}", given.host())
        };
        let authority = format!("{}:{port}", given.host());
        Ok(Self {
            url: text.trim_end_matches('/').into(),
            tls,
            authority: authority.parse().map_err(|_| InvalidUpstream)?,
            host: HeaderValue::from_str(&host).map_err(|_| InvalidUpstream)?,
        })
    }
}

impl Upstream {
    pub(super) fn scheme(&self) -> Scheme {
        if self.tls { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// Returns the URL of its root.
    pub(super) fn uri(&self) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme())
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
    }

    /// Returns whether its name is one of this machine.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(self.authority.host())
    }
}

/// Returns whether a host is this machine by its name.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

impl Route {
    /// Makes the route of everything to one upstream.
    #[must_use]
    pub fn all(upstream: Upstream) -> Self {
        Self { path: "/".to_owned(), host: None, upstream }
    }

    /// Returns whether a request for a host, with or without a port, and a path goes here.
    #[must_use]
    pub fn fits(&self, host: Option<&str>, path: &str) -> bool {
        let name = host.map(|host| match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        });
        let host_fits = self
            .host
            .as_deref()
            .is_none_or(|wanted| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
        let rest = path.strip_prefix(self.path.trim_end_matches('/'));
        let path_fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // OPTIONS * is about the server as a whole.
        host_fits && (path_fits || path == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_has_a_scheme_a_host_and_maybe_a_port() {
        for (text, tls, authority, host) in [
            ("ws://localhost:9000", false, "localhost:9000", "localhost:9000"),
            ("http://localhost:80/", false, "localhost:80", "localhost"),
            ("https://api.example", true, "api.example:443", "api.example"),
            ("wss://[::1]:8443", true, "[::1]:8443", "[::1]:8443"),
        ] {
            let upstream: Upstream = text.parse().expect(text);
            assert_eq!((upstream.tls, upstream.authority.as_str()), (tls, authority));
            assert_eq!(upstream.host, host);
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for text in [
            "",
            "localhost:9000",
            "ftp://a",
            "ws://",
            "ws://a/path",
            "ws://a?x=1",
            "ws://a#b",
            "ws://user:secret@a",
            "ws://a:0",
            "ws://a:99999",
            "ws://a:",
            "/just/a/path",
        ] {
            assert_eq!(text.parse::<Upstream>(), Err(InvalidUpstream), "{text}");
        }
    }

    #[test]
    fn a_route_fits_whole_segments_of_a_path_and_a_host_without_its_port() {
        let upstream: Upstream = "ws://a".parse().expect("right");
        let chat = Route { path: "/chat".to_owned(), host: None, upstream: upstream.clone() };
        for (path, fits) in [
            ("/chat", true),
            ("/chat/1", true),
            ("/chatter", false),
            ("/", false),
            ("/x/chat", false),
        ] {
            assert_eq!(chat.fits(None, path), fits, "{path}");
        }
        let named = Route { host: Some("tap.example".to_owned()), ..Route::all(upstream) };
        assert!(named.fits(Some("TAP.example:8080"), "/"));
        assert!(named.fits(Some("tap.example"), "/any/path"));
        assert!(!named.fits(Some("tap.example.evil.org"), "/"));
        assert!(!named.fits(None, "/"));
    }
}
