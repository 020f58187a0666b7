//! Access control: `Host` and `Origin` of browsers, and tokens ([`Authority`], [`Grant`]). Pure; the
//! handlers turn a refusal into a response.
//!
//! A foreign page reaches a server on loopback in two ways: by requests that carry its `Origin`, and
//! by DNS rebinding, where a foreign name resolves to the address of the server. Then the `Host`
//! header carries the foreign name.

#[cfg(feature = "jwt")]
mod claim;
mod grant;
#[cfg(feature = "jwt")]
mod jwt;
mod network;
#[cfg(feature = "jwt")]
pub mod token_file;

use std::net::{IpAddr, SocketAddr};

pub use grant::{Authority, Denied, Grant, InvalidPattern, Observe, Pattern, Pending};
#[cfg(feature = "jwt")]
pub use jwt::{ExpectedClaims, InvalidJwks, InvalidKey, Jwks, JwtKey, KeySource};
pub use network::{InvalidNetwork, Network};
#[cfg(feature = "jwt")]
pub use token_file::TokenFile;

/// The host names that the observers' side accepts.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Vec<String>,
    /// IP addresses that are accepted beside loopback: the bound ones, or all if an unspecified
    /// address is bound. An IP address cannot be rebound.
    addresses: Vec<IpAddr>,
}

impl Hosts {
    /// Creates the list from the bound addresses and the names of `--host`.
    #[must_use]
    pub fn new(bound: &[SocketAddr], names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { names, addresses: bound.iter().map(SocketAddr::ip).collect() }
    }

    /// Returns whether a `Host` (with or without port) is accepted.
    #[must_use]
    pub fn accept(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        is_loopback_name(&name)
            || self.names.contains(&name)
            || parse_ip(&name).is_some_and(|ip| {
                self.addresses.iter().any(|bound| bound.is_unspecified() || *bound == ip)
            })
    }

    /// Returns whether an `Origin` is `http` or `https` with an accepted host: a page of this server.
    #[must_use]
    pub fn accept_origin(&self, origin: &str) -> bool {
        origin_host(origin).is_some_and(|host| self.accept(host))
    }
}

/// The origins of pages of other servers that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every origin: `*`.
    Any,
    /// Pages on loopback, on any port.
    Loopback,
    /// Exactly these.
    Listed(Vec<String>),
}

impl Origins {
    /// Returns whether an `Origin` is allowed. `null` is allowed by [`Any`](Self::Any) only.
    #[must_use]
    pub fn accept(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => origin_host(origin)
                .is_some_and(|host| is_loopback_name(&without_port(host).to_ascii_lowercase())),
            Self::Listed(all) => all.iter().any(|listed| listed.eq_ignore_ascii_case(origin)),
        }
    }
}

/// Returns whether a name always resolves to this machine.
fn is_loopback_name(name: &str) -> bool {
    // RFC 6761 section 6.3: names below localhost are loopback too. Browsers respect that.
    name == "localhost"
        || name.ends_with(".localhost")
        || parse_ip(name).is_some_and(|ip| ip.to_canonical().is_loopback())
}

fn parse_ip(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn origin_host(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(bound: &str) -> Hosts {
        Hosts::new(&[bound.parse().expect("an address")], &["Tap.Example".to_owned()])
    }

    #[test]
    fn loopback_bound_and_listed_hosts_are_ours() {
        let hosts = hosts("192.168.1.5:8080");
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "a.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:8080",
            "192.168.1.5:8080",
            "tap.example",
            "TAP.example:443",
        ] {
            assert!(hosts.accept(host), "{host}");
        }
    }

    #[test]
    fn a_rebound_name_is_not_ours() {
        for host in [
            "",
            "evil.com",
            "evil.com:8080",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "notlocalhost",
            "192.168.1.6",
            "::1",
            "tap.example.evil.org",
            "evil-tap.example",
            "localhost:80:80",
        ] {
            assert!(!hosts("192.168.1.5:8080").accept(host), "{host}");
        }
    }

    #[test]
    fn with_all_addresses_bound_any_address_in_figures_is_ours() {
        let hosts = hosts("0.0.0.0:8080");
        assert!(hosts.accept("10.1.2.3:8080") && hosts.accept("[fe80::1]:8080"));
        assert!(!hosts.accept("evil.com"));
    }

    #[test]
    fn origins_are_compared_exactly() {
        let listed = Origins::Listed(vec!["https://example.com".to_owned()]);
        assert!(listed.accept("https://example.com"));
        for origin in [
            "null",
            "https://example.com.evil.org",
            "https://evil.org/https://example.com",
            "http://example.com",
            "https://example.com:444",
        ] {
            assert!(!listed.accept(origin), "{origin}");
        }
        assert!(Origins::Loopback.accept("http://localhost:3000"));
        assert!(Origins::Loopback.accept("http://[::1]:3000"));
        for origin in [
            "null",
            "http://localhost.evil.org",
            "file://",
            "http://evil.org",
            "https://evil.org:80",
        ] {
            assert!(!Origins::Loopback.accept(origin), "{origin}");
        }
        assert!(Origins::Any.accept("null"));
    }
}
