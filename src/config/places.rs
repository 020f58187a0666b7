//! Addresses that exclude each other: two of wstap, or one of wstap and that of an upstream. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::source::Faults;
use crate::proxy::Route;
use crate::server::Listen;

/// Reports an upstream that is wstap itself, and a tap at the address for clients.
pub(super) fn check<'a>(
    listen: &[Listen],
    tap_listen: &[Listen],
    routes: impl Iterator<Item = &'a Route>,
    faults: &mut Faults,
) {
    if let Some(both) = listen.iter().find(|it| tap_listen.iter().any(|tap| overlap(it, tap))) {
        faults.add(format!(
            "listen and tap-listen are both {both}; serve at another one, such as --listen 8081"
        ));
    }
    let own = listen.iter().map(|it| ("listen", 8081, it));
    let own: Vec<_> = own.chain(tap_listen.iter().map(|it| ("tap-listen", 8083, it))).collect();
    for route in routes {
        let authority = &route.upstream.authority;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let upstream = Listen { host, port: authority.port_u16().unwrap_or(0) };
        if let Some((name, other, at)) = own.iter().find(|(_, _, at)| overlap(at, &upstream)) {
            faults.add(format!(
                "{} is an address of wstap itself ({name} = {at}); serve at another one, such as --{name} {other}",
                route.upstream.url
            ));
        }
    }
}

/// Returns whether two addresses have a socket in common. Names are compared as text, except for
/// `localhost`.
fn overlap(one: &Listen, other: &Listen) -> bool {
    if one.port != other.port || one.port == 0 {
        return false;
    }
    if one.host.eq_ignore_ascii_case(&other.host) {
        return true;
    }
    let (ones, others) = (ips(&one.host), ips(&other.host));
    ones.iter().any(|a| others.iter().any(|b| covers(*a, *b) || covers(*b, *a)))
}

fn ips(host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    host.parse::<IpAddr>().map(|ip| ip.to_canonical()).into_iter().collect()
}

/// Returns whether a socket that is bound to `bound` takes connections to `ip`. Of the unspecified
/// addresses, `::` includes those of IPv4.
fn covers(bound: IpAddr, ip: IpAddr) -> bool {
    bound == ip || ip.is_loopback() && bound.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4())
}
