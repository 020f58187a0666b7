//! The allowances of addresses, in a table of bounded size.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use super::allowance::{Allowance, Rate};

/// Addresses that are remembered: 4 MiB of them. An address whose allowance is full is forgotten when
/// there is no room. While all of them have taken something, new addresses share one allowance.
const ADDRESSES: usize = 1 << 16;

/// Time between two searches for addresses to forget: a search takes a millisecond.
const SEARCH: Duration = Duration::from_secs(1);

/// The allowances of all addresses. IPv6 addresses count by their [`network`].
#[derive(Debug)]
pub(super) struct Addresses {
    rate: Rate,
    table: Mutex<Table>,
    /// Counts what was refused.
    refused: Counter,
}

#[derive(Debug, Default)]
struct Table {
    allowances: HashMap<IpAddr, Allowance>,
    searched: Option<Instant>,
}

/// The key of all addresses that found no room.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Addresses {
    pub(super) fn new(rate: Rate, refused: Counter) -> Self {
        Self { rate, table: Mutex::default(), refused }
    }

    /// Takes one from the allowance of an address.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(super) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.rate.of(address) else { return Ok(()) };
        let mut table = self.lock();
        let key = table.key(address, now);
        let allowance = table.allowances.entry(key).or_insert_with(|| Allowance::new(rate, now));
        let taken = allowance.take(1, now);
        drop(table);
        taken.inspect_err(|_| _ = self.refused.inc())
    }

    /// Takes one that an address has used already.
    pub(super) fn charge(&self, address: IpAddr, now: Instant) {
        let Some(rate) = self.rate.of(address) else { return };
        let mut table = self.lock();
        let key = table.key(address, now);
        table.allowances.entry(key).or_insert_with(|| Allowance::new(rate, now)).charge(1, now);
    }

    /// Returns whether an address may take something, and takes nothing.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(super) fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.rate.of(address).is_none() {
            return Ok(());
        }
        let mut table = self.lock();
        let key = table.key(address, now);
        let checked = table.allowances.get(&key).map_or(Ok(()), |allowance| allowance.check(now));
        drop(table);
        checked.inspect_err(|_| _ = self.refused.inc())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}

impl Table {
    /// Returns the key of an address, for which there is room.
    fn key(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let key = network(address);
        if self.allowances.len() < ADDRESSES || self.allowances.contains_key(&key) {
            return key;
        }
        if self.searched.is_none_or(|at| now.saturating_duration_since(at) >= SEARCH) {
            self.searched = Some(now);
            self.allowances.retain(|_, allowance| !allowance.is_full(now));
        }
        if self.allowances.len() < ADDRESSES { key } else { OTHERS }
    }
}

/// Returns what addresses are counted by. Of IPv6 it is the first 64 bits, since one customer owns all
/// of the others.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_that_is_too_fast_slows_itself_only() {
        let (limit, now) =
            (Addresses::new(Rate::everywhere(1), Counter::default()), Instant::now());
        assert_eq!((0..20).filter(|_| limit.take(ip("10.0.0.1"), now).is_ok()).count(), 11);
        assert_eq!(limit.take(ip("10.0.0.1"), now), Err(Duration::from_secs(1)));
        assert_eq!(limit.check(ip("::ffff:10.0.0.1"), now), Err(Duration::from_secs(1)));
        assert_eq!(limit.take(ip("10.0.0.2"), now), Ok(()));
        assert_eq!(limit.refused.get(), 11);
        assert_eq!(limit.take(ip("10.0.0.1"), now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn ipv6_network_counts_as_one() {
        let (limit, now) =
            (Addresses::new(Rate::everywhere(1), Counter::default()), Instant::now());
        for host in 0..11 {
            assert_eq!(limit.take(ip(&format!("2001:db8::{host:x}:1")), now), Ok(()));
        }
        assert!(limit.take(ip("2001:db8::ffff"), now).is_err());
        assert!(limit.take(ip("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn table_has_a_bound_and_forgets_addresses_that_owe_nothing() {
        let (limit, start) =
            (Addresses::new(Rate::everywhere(1), Counter::default()), Instant::now());
        let address = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
        let all = u32::try_from(ADDRESSES).expect("a small number");
        for n in 0..all + 5 {
            assert_eq!(limit.take(address(n), start), Ok(()), "{n}");
        }
        assert_eq!(limit.lock().allowances.len(), ADDRESSES + 1, "and the shared one");
        // Those without room share an allowance, whatever their number.
        assert_eq!((0..100).filter(|n| limit.take(address(all + n), start).is_ok()).count(), 6);
        assert_eq!(limit.lock().allowances.len(), ADDRESSES + 1);
        let later = start + Duration::from_secs(20);
        assert_eq!(limit.take(address(all + 7), later), Ok(()));
        assert_eq!(limit.lock().allowances.len(), 1);
    }
}
