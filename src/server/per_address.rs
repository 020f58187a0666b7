//! Counts connections by address, so that one client cannot take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::hub::Place;
use crate::rate::network;

/// Counts connections by address. IPv6 addresses count by their [`network`].
#[derive(Debug, Clone)]
pub(super) struct PerAddress {
    max: MaxPerAddress,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The maximum number of connections from one address, which may change while the server runs. Clones
/// are the same.
#[derive(Debug, Clone)]
pub struct MaxPerAddress(Arc<AtomicUsize>);

impl MaxPerAddress {
    /// Stands for the default rule.
    const UNSET: usize = usize::MAX;

    /// Creates a maximum. `None` is no limit for loopback and 1,000 for each other address.
    #[must_use]
    pub fn new(max: Option<usize>) -> Self {
        Self(Arc::new(AtomicUsize::new(max.unwrap_or(Self::UNSET))))
    }

    /// Replaces the maximum. Connections that are open stay.
    pub fn set(&self, max: Option<usize>) {
        self.0.store(max.unwrap_or(Self::UNSET), Relaxed);
    }

    fn get(&self) -> Option<usize> {
        Some(self.0.load(Relaxed)).filter(|max| *max != Self::UNSET)
    }
}

impl Default for MaxPerAddress {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A counted connection; no longer counted when dropped.
#[derive(Debug)]
pub(super) struct AddressPermit {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    key: IpAddr,
}

/// The place of a connection: in the server, and in the share of its address.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _server: Place,
    place: Option<AddressPermit>,
}

impl ConnectionPermit {
    pub(super) fn new(server: Place, place: AddressPermit) -> Self {
        Self { _server: server, place: Some(place) }
    }

    /// Creates the place of a proxy, whose address has no share.
    pub(super) fn of_proxy(server: Place) -> Self {
        Self { _server: server, place: None }
    }

    /// Takes the place of the client that a proxy speaks for.
    pub(super) fn hold(&mut self, place: AddressPermit) {
        self.place = Some(place);
    }
}

impl PerAddress {
    /// The default limit of an address that is not loopback: enough for the browsers of a large
    /// office behind one address, and a flood from one host leaves nine tenths free.
    const REMOTE: usize = 1000;

    pub(super) fn new(max: MaxPerAddress) -> Self {
        Self { max, counts: Arc::default() }
    }

    /// Counts a connection, if there is room for its address.
    pub(super) fn enter(&self, address: IpAddr) -> Option<AddressPermit> {
        let loopback = address.to_canonical().is_loopback();
        let max = self.max.get().unwrap_or(if loopback { usize::MAX } else { Self::REMOTE });
        let key = network(address);
        let mut counts = lock(&self.counts);
        let count = counts.entry(key).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(AddressPermit { counts: Arc::clone(&self.counts), key })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

fn lock(counts: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock().expect("nothing panics while it holds this lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_gets_its_share_and_no_more() {
        let counts = PerAddress::new(MaxPerAddress::new(Some(2)));
        let first = counts.enter(ip("10.0.0.1"));
        let _second = counts.enter(ip("::ffff:10.0.0.1"));
        assert!(first.is_some() && counts.enter(ip("10.0.0.1")).is_none());
        assert!(counts.enter(ip("10.0.0.2")).is_some());
        drop(first);
        assert!(counts.enter(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn ipv6_network_counts_as_one_and_loopback_has_no_limit() {
        let counts = PerAddress::new(MaxPerAddress::new(Some(1)));
        let _one = counts.enter(ip("2001:db8:0:1::1"));
        assert!(counts.enter(ip("2001:db8:0:1:ffff::2")).is_none());
        assert!(counts.enter(ip("2001:db8:0:2::1")).is_some());
        let free = PerAddress::new(MaxPerAddress::default());
        let many: Vec<_> = (0..5000).filter_map(|_| free.enter(ip("127.0.0.1"))).collect();
        assert_eq!(many.len(), 5000);
    }

    #[test]
    fn addresses_without_connections_take_no_memory() {
        let counts = PerAddress::new(MaxPerAddress::default());
        drop(counts.enter(ip("10.0.0.1")));
        assert!(lock(&counts.counts).is_empty());
    }
}
