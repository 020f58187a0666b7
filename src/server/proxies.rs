//! Trusted proxies: whose words about the client of a request are believed (RFC 7239, and the
//! `X-Forwarded-*` that came before it). Pure.
//!
//! A list is read from its right end, where the nearest proxy has written. The client is the first
//! address that is no trusted proxy; what stands left of it may be forged.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use crate::auth::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// The proxies that a server trusts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Their addresses.
    pub networks: Vec<Network>,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// The client of a request, as trusted proxies describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address. The port is 0 if it is not known.
    pub(super) address: SocketAddr,
    /// Whether it speaks TLS with the nearest proxy, if that says so.
    pub(super) encrypted: Option<bool>,
    /// The host that it asked for.
    pub(super) host: Option<String>,
}

/// `Forwarded` and `X-Forwarded-For` name two clients. One of them was passed on from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Forwarded and X-Forwarded-For name two clients; a proxy sets one of them and removes the other"
)]
pub(super) struct TwoClients;

impl TrustedProxies {
    /// Returns whether an address is that of a trusted proxy.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Returns the client of a request that came from `peer`.
    ///
    /// # Errors
    ///
    /// If the header fields name two clients.
    pub(super) fn client(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Client, TwoClients> {
        let mut client = Client { address: peer, encrypted: None, host: None };
        if !self.trusts(peer.ip()) {
            return Ok(client);
        }
        let elements = elements(headers);
        let standard: Vec<_> = elements.iter().filter_map(|it| parameter(it, "for")).collect();
        let usual = list(headers, FORWARDED_FOR);
        client.address = match (standard.as_slice(), usual.as_slice()) {
            ([], hops) | (hops, []) => self.rightmost(hops, peer),
            (one, other) => {
                let (one, other) = (self.rightmost(one, peer), self.rightmost(other, peer));
                if one.ip() != other.ip() {
                    return Err(TwoClients);
                }
                if one.port() == 0 { other } else { one }
            }
        };
        let last = elements.last();
        let proto = list(headers, FORWARDED_PROTO).pop();
        let proto = proto.or_else(|| parameter(last?, "proto"));
        client.encrypted = proto.map(|it| ["https", "wss"].contains(&&*it.to_ascii_lowercase()));
        let host = list(headers, FORWARDED_HOST).pop();
        client.host = host.or_else(|| parameter(last?, "host")).filter(|host| !host.is_empty());
        Ok(client)
    }

    /// Returns the right-most address that is no trusted proxy. A hop that is no address ends the
    /// list.
    fn rightmost(&self, hops: &[String], peer: SocketAddr) -> SocketAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            if !self.trusts(client.ip()) {
                break;
            }
            let Some(address) = address(hop) else { break };
            client = address;
        }
        client
    }
}

/// Reads an address with or without a port: `10.1.2.3`, `10.1.2.3:80`, `::1`, `[::1]`, `[::1]:80`.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let bare = bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    let address = bare.or_else(|| text.parse().ok())?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Returns the items of a list over all fields of a name. An item that is not UTF-8 stays an item, so
/// that it is not skipped.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| split(&value, ',')).collect()
}

/// Returns the elements of `Forwarded`, one of each proxy.
fn elements(headers: &HeaderMap) -> Vec<String> {
    list(headers, FORWARDED.as_str())
}

/// Returns the value of a parameter of an element of `Forwarded`, without its quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    split(element, ';').iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let quoted = value.trim().strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let value = quoted.map_or_else(|| value.trim().to_owned(), |it| it.replace('\\', ""));
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Splits a text at a separator that does not stand in quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|char| {
        let ends = char == separator && !quoted;
        if char == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = char == '\\' && quoted && !escaped;
        ends
    });
    parts.map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn proxies() -> TrustedProxies {
        let networks = ["127.0.0.1", "10.0.0.0/8", "::1"].map(|it| it.parse().expect("a network"));
        TrustedProxies { networks: networks.into(), proxy_protocol: false }
    }

    fn client(peer: &str, fields: &[(&'static str, &str)]) -> Result<Client, TwoClients> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        proxies().client(&headers, peer.parse().expect("an address"))
    }

    #[test]
    fn client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        for (peer, value, address) in [
            ("127.0.0.1:5", "1.2.3.4", "1.2.3.4:0"),
            ("127.0.0.1:5", "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4:0"),
            ("127.0.0.1:5", "6.6.6.6, 1.2.3.4:77", "1.2.3.4:77"),
            ("127.0.0.1:5", "[2001:db8::1]:9", "[2001:db8::1]:9"),
            ("127.0.0.1:5", "2001:db8::1", "[2001:db8::1]:0"),
            ("[::ffff:127.0.0.1]:5", "1.2.3.4", "1.2.3.4:0"),
            ("127.0.0.1:5", "10.0.0.1, 10.0.0.2", "10.0.0.1:0"),
            ("127.0.0.1:5", "6.6.6.6, unknown", "127.0.0.1:5"),
            ("127.0.0.1:5", "6.6.6.6, ", "127.0.0.1:5"),
            ("9.9.9.9:5", "1.2.3.4", "9.9.9.9:5"),
        ] {
            let found = client(peer, &[("x-forwarded-for", value)]).expect("one client");
            assert_eq!(found.address.to_string(), address, "{peer} {value}");
        }
        let two = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
        assert_eq!(client("127.0.0.1:5", &two).expect("one").address.to_string(), "1.2.3.4:0");
    }

    #[test]
    fn forwarded_is_read_as_the_standard_writes_it() {
        let value =
            "for=6.6.6.6, For=\"[2001:db8:cafe::17]:4711\";proto=https;host=\"tap.example\"";
        let found = client("127.0.0.1:5", &[("forwarded", value)]).expect("one client");
        assert_eq!(found.address.to_string(), "[2001:db8:cafe::17]:4711");
        assert_eq!((found.encrypted, found.host.as_deref()), (Some(true), Some("tap.example")));
        let odd = "for=\"a,for=6.6.6.6\";proto=http";
        let found = client("127.0.0.1:5", &[("forwarded", odd)]).expect("one client");
        assert_eq!(
            (found.address.to_string().as_str(), found.encrypted),
            ("127.0.0.1:5", Some(false))
        );
        for hidden in ["for=unknown", "for=_secret", "proto=http", "by=1.2.3.4", "for", ""] {
            let found = client("127.0.0.1:5", &[("forwarded", hidden)]).expect("one client");
            assert_eq!(found.address.to_string(), "127.0.0.1:5", "{hidden}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_of_the_nearest_proxy() {
        let fields =
            [("x-forwarded-proto", "http, https"), ("x-forwarded-host", "evil, tap.example")];
        let found = client("127.0.0.1:5", &fields).expect("one client");
        assert_eq!((found.encrypted, found.host.as_deref()), (Some(true), Some("tap.example")));
        let found = client("9.9.9.9:5", &fields).expect("one client");
        assert_eq!((found.encrypted, found.host), (None, None));
    }

    #[test]
    fn two_fields_have_to_name_one_client() {
        let both =
            |one, other| client("127.0.0.1:5", &[("forwarded", one), ("x-forwarded-for", other)]);
        assert_eq!(both("for=1.2.3.4", "6.6.6.6"), Err(TwoClients));
        assert_eq!(both("for=6.6.6.6", "1.2.3.4"), Err(TwoClients));
        assert!(both("for=\"1.2.3.4:7\"", "1.2.3.4").is_ok_and(|it| it.address.port() == 7));
        assert!(both("proto=https", "1.2.3.4").is_ok());
    }
}
