//! Resolves the names of upstreams.

use std::io;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Resolves names as the system does. `localhost` is both loopback addresses, whatever the system
/// says: a development server may listen on either one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

type Addresses = vec::IntoIter<SocketAddr>;

impl Service<Name> for Resolver {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            if !is_localhost(name.as_str()) {
                return Ok(found?.collect::<Vec<_>>().into_iter());
            }
            let mut all: Vec<SocketAddr> = found.into_iter().flatten().collect();
            for ip in loopback() {
                if !all.iter().any(|known| known.ip() == ip) {
                    all.push(SocketAddr::new(ip, 0));
                }
            }
            Ok(all.into_iter())
        })
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
}

fn loopback() -> impl Iterator<Item = IpAddr> {
    iter::once(Ipv4Addr::LOCALHOST.into()).chain(iter::once(Ipv6Addr::LOCALHOST.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_both_loopback_addresses() {
        let name = "LOCALHOST".parse().expect("a name");
        let found: Vec<_> =
            Resolver.call(name).await.expect("it resolves").map(|a| a.ip()).collect();
        for ip in loopback() {
            assert_eq!(found.iter().filter(|found| **found == ip).count(), 1, "{found:?}");
        }
    }
}
