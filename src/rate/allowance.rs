//! Rates, and how much is left of one.
//!
//! An [`Allowance`] follows the generic cell rate algorithm, whose state is one point in time. The
//! arithmetic is twenty lines. Crates such as governor bring six more crates, count with atomics that one
//! task does not need, have no bound on the number of addresses, and cannot be asked without taking.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// The time whose allowance may be used at once.
const BURST: Duration = Duration::from_secs(10);

/// What one who has used much more than the rate waits at most.
const MOST_DEBT: Duration = Duration::from_secs(100);

/// How much is allowed in a second; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// For addresses of loopback.
    pub loopback: Option<NonZeroU64>,
    /// For all other addresses.
    pub remote: Option<NonZeroU64>,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { loopback: None, remote: None };

    /// Returns the same limit for all addresses. 0 is no limit.
    #[must_use]
    pub const fn everywhere(per_second: u64) -> Self {
        let rate = NonZeroU64::new(per_second);
        Self { loopback: rate, remote: rate }
    }

    /// Returns a limit for addresses that are not loopback. 0 is no limit.
    #[must_use]
    pub const fn beyond_loopback(per_second: u64) -> Self {
        Self { loopback: None, remote: NonZeroU64::new(per_second) }
    }

    /// Returns the limit of an address.
    pub(crate) fn of(self, address: IpAddr) -> Option<NonZeroU64> {
        if address.to_canonical().is_loopback() { self.loopback } else { self.remote }
    }
}

/// How much of a rate is left. Time in which nothing is taken fills it up to [`BURST`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    rate: NonZeroU64,
    /// What was taken is paid for at this time.
    paid: Instant,
}

impl Allowance {
    pub(crate) fn new(rate: NonZeroU64, now: Instant) -> Self {
        Self { rate, paid: now }
    }

    /// Takes an amount, unless more than the allowance of [`BURST`] was taken before.
    ///
    /// # Errors
    ///
    /// The time until something may be taken.
    pub(crate) fn take(&mut self, amount: u64, now: Instant) -> Result<(), Duration> {
        self.check(now)?;
        self.add(amount, now);
        Ok(())
    }

    /// Takes an amount that has been used already, also beyond the allowance, up to [`MOST_DEBT`].
    pub(super) fn charge(&mut self, amount: u64, now: Instant) {
        self.add(amount, now);
        self.paid = self.paid.min(now + MOST_DEBT);
    }

    fn add(&mut self, amount: u64, now: Instant) {
        let price = u128::from(amount) * 1_000_000_000 / u128::from(self.rate.get());
        let price = Duration::from_nanos(u64::try_from(price).unwrap_or(u64::MAX));
        self.paid = self.paid.max(now).checked_add(price).unwrap_or(self.paid);
    }

    /// Returns whether something may be taken.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(super) fn check(self, now: Instant) -> Result<(), Duration> {
        let debt = self.paid.saturating_duration_since(now);
        match debt.checked_sub(BURST) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    /// Returns whether all that was taken is paid for, as if nothing had been taken.
    pub(super) fn is_full(self, now: Instant) -> bool {
        self.paid <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowance(rate: u64, now: Instant) -> Allowance {
        Allowance::new(NonZeroU64::new(rate).expect("above zero"), now)
    }

    #[test]
    fn ten_seconds_may_come_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut left = allowance(5, start);
        // One more than fifty: the first that exceeds the allowance still passes.
        let burst = (0..100).filter(|_| left.take(1, start).is_ok()).count();
        assert_eq!(burst, 51);
        assert_eq!(left.take(1, start), Err(Duration::from_millis(200)));
        let mut later = start + Duration::from_millis(200);
        for _ in 0..20 {
            assert_eq!(left.take(1, later), Ok(()));
            assert!(left.take(1, later).is_err());
            later += Duration::from_millis(200);
        }
        assert!(left.is_full(later + BURST));
    }

    #[test]
    fn address_of_loopback_in_any_form_has_the_rate_of_loopback() {
        let rate = Rate::beyond_loopback(5);
        for text in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(rate.of(text.parse().expect("an address")), None, "{text}");
        }
        assert_eq!(rate.of([10, 0, 0, 1].into()), NonZeroU64::new(5));
        assert_eq!(Rate::everywhere(0), Rate::NONE);
    }

    proptest! {
        /// In any span of time no more passes than its allowance, that of the burst, and one amount.
        #[test]
        fn rate_holds_in_every_span(
            rate in 1_u64..1000,
            steps in prop::collection::vec((0_u64..2_000, 0_u64..3000), 1..200),
        ) {
            let start = Instant::now();
            let mut left = allowance(rate, start);
            let (mut now, mut passed) = (start, Vec::new());
            for (millis, amount) in steps {
                now += Duration::from_millis(millis);
                match left.take(amount, now) {
                    Ok(()) => passed.push((now, amount)),
                    Err(wait) => prop_assert!(left.check(now + wait).is_ok()),
                }
            }
            for (first, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0_u64;
                for (until, amount) in &passed[first..] {
                    let span = until.duration_since(*from) + BURST;
                    // Each price is rounded down to nanoseconds.
                    let allowed = (span.as_nanos() + passed.len() as u128) * u128::from(rate);
                    prop_assert!(u128::from(sum) * 1_000_000_000 <= allowed, "{sum} in {span:?}");
                    sum += amount;
                }
            }
        }
    }
}
