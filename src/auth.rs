//! Who may do what: Host and Origin of browsers here, tokens in [`Authority`] and [`Grant`]. Pure;
//! the answers are given elsewhere.
//!
//! A page of a stranger reaches a server on loopback in two ways: its own requests, which carry
//! its Origin, and DNS rebinding, where its name resolves to our address and the Host betrays it.

mod grant;
#[cfg(feature = "jwt")]
mod jwt;

use std::net::{IpAddr, SocketAddr};

pub use grant::{Authority, Denied, Grant, InvalidPattern, Pattern};
#[cfg(feature = "jwt")]
pub use jwt::{InvalidKey, JwtKey};

/// The host names that the observers' side answers to.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Vec<String>,
    /// Addresses in figures that count, beside loopback: those that are bound, or all of them if
    /// all are bound. An address in figures cannot be rebound.
    addresses: Vec<IpAddr>,
}

impl Hosts {
    /// Makes the list for the bound addresses and the names given by `--host`.
    #[must_use]
    pub fn new(bound: &[SocketAddr], names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { names, addresses: bound.iter().map(SocketAddr::ip).collect() }
    }

    /// Returns whether a `Host` (with or without port) is ours.
    #[must_use]
    pub fn accept(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        is_loopback_name(&name)
            || self.names.contains(&name)
            || parse_ip(&name).is_some_and(|ip| {
                self.addresses.iter().any(|bound| bound.is_unspecified() || *bound == ip)
            })
    }

    /// Returns whether an `Origin` is a page of our own: `http` or `https`, a host of ours.
    #[must_use]
    pub fn accept_origin(&self, origin: &str) -> bool {
        origin_host(origin).is_some_and(|host| self.accept(host))
    }
}

/// The origins of other servers' pages that may do something: listed, or on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one: `*`.
    Any,
    /// Pages on loopback, whatever their port.
    Loopback,
    /// Exactly these.
    Listed(Vec<String>),
}

impl Origins {
    /// Returns whether an `Origin` is among them. `null` is only if all are.
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

/// Returns whether a name always means this machine.
fn is_loopback_name(name: &str) -> bool {
    // RFC 6761 section 6.3: names below localhost are loopback too, and browsers keep to that.
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
