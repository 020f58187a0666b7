//! Limits attempts to guess a credential, and the work of verifying wrong ones.
//!
//! Wrong credentials count, right ones do not. A credential that was good before is verified whatever
//! its address has done: an attacker does not lock out its neighbours behind the same address.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::addresses::Addresses;

/// Credentials that are remembered as good: 64 KiB of hashes. When there are more, all are forgotten.
const GOOD: usize = 4096;

#[derive(Debug)]
pub(super) struct SignIns {
    wrong: Addresses,
    /// Hashes of credentials that were good, by a key that only this process knows. A collision lets a
    /// credential be verified, and nothing else.
    good: Mutex<HashSet<u64>>,
    key: RandomState,
}

impl SignIns {
    pub(super) fn new(wrong: Addresses) -> Self {
        Self { wrong, good: Mutex::default(), key: RandomState::new() }
    }

    /// Returns whether a credential may be verified.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(super) fn may_try(
        &self,
        from: IpAddr,
        credential: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        if self.lock().contains(&self.key.hash_one(credential)) {
            return Ok(());
        }
        self.wrong.check(from, now)
    }

    /// Notes whether a credential was good.
    pub(super) fn tried(&self, from: IpAddr, credential: &str, good: bool, now: Instant) {
        let hash = self.key.hash_one(credential);
        let mut known = self.lock();
        if !good {
            known.remove(&hash);
            drop(known);
            // Many may have been made at one time, before the first was found to be wrong.
            self.wrong.charge(from, now);
            return;
        }
        if known.len() >= GOOD && !known.contains(&hash) {
            known.clear();
        }
        known.insert(hash);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.good.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::super::allowance::Rate;
    use super::*;

    #[test]
    fn wrong_credentials_are_limited_and_good_ones_pass_beside_them() {
        let wrong = Addresses::new(Rate::everywhere(1), Counter::default());
        let (limit, now) = (SignIns::new(wrong), Instant::now());
        let here = IpAddr::from([127, 0, 0, 1]);
        for n in 0..1000 {
            let good = format!("good {n}");
            assert_eq!(limit.may_try(here, &good, now), Ok(()), "good ones do not count");
            limit.tried(here, &good, true, now);
        }
        let guesses = (0..100).filter(|n| {
            let guess = format!("guess {n}");
            let may = limit.may_try(here, &guess, now).is_ok();
            if may {
                limit.tried(here, &guess, false, now);
            }
            may
        });
        assert_eq!(guesses.count(), 11);
        assert_eq!(limit.may_try(here, "good 7", now), Ok(()));
        assert!(limit.may_try(here, "good of another", now).is_err());
        assert_eq!(limit.may_try([10, 0, 0, 1].into(), "good of another", now), Ok(()));
        // A credential that has ended is like any other wrong one.
        limit.tried(here, "good 7", false, now);
        assert!(limit.may_try(here, "good 7", now).is_err());
    }

    /// All of them are asked for before the first one is found to be wrong.
    #[test]
    fn each_guess_of_a_batch_is_paid_for() {
        let wrong = Addresses::new(Rate::everywhere(1), Counter::default());
        let (limit, now) = (SignIns::new(wrong), Instant::now());
        let here = IpAddr::from([127, 0, 0, 1]);
        let guesses: Vec<String> = (0..50).map(|n| format!("guess {n}")).collect();
        assert!(guesses.iter().all(|guess| limit.may_try(here, guess, now).is_ok()));
        for guess in &guesses {
            limit.tried(here, guess, false, now);
        }
        assert_eq!(limit.may_try(here, "next", now), Err(Duration::from_secs(40)));
        // However many there were, the wait has an end.
        (0..10_000).for_each(|n| limit.tried(here, &n.to_string(), false, now));
        assert_eq!(limit.may_try(here, "next", now), Err(Duration::from_secs(90)));
    }

    #[test]
    fn good_credentials_take_bounded_memory() {
        let limit = SignIns::new(Addresses::new(Rate::NONE, Counter::default()));
        for n in 0..3 * GOOD {
            limit.tried([127, 0, 0, 1].into(), &n.to_string(), true, Instant::now());
        }
        assert!(limit.lock().len() <= GOOD);
    }
}
