//! Rates: how much one address, or one connection, may do in a second.
//!
//! The allowances of addresses are in a table of bounded size (`addresses`). A limit never waits: the
//! caller learns when to come back.

mod addresses;
mod allowance;
mod sign_ins;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::addresses::Addresses;
pub(crate) use self::addresses::network;
pub(crate) use self::allowance::Allowance;
pub use self::allowance::Rate;
use self::sign_ins::SignIns;
use crate::code::Code;
use crate::metrics::{Limit, Metrics};
use crate::problem::Problem;

/// The rates of addresses. The default is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// WebSocket handshakes.
    pub handshakes: Rate,
    /// Other requests to the server itself. Requests that proxy mode forwards do not count.
    pub calls: Rate,
    /// Credentials that are not good.
    pub sign_ins: Rate,
}

/// The limits of rates of a server, with what each address has used. Clones are the same.
#[derive(Debug, Clone)]
pub struct RateLimits(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    handshakes: Addresses,
    calls: Addresses,
    sign_ins: SignIns,
}

impl RateLimits {
    /// Creates the limits of a server. What they refuse is counted in `metrics`.
    #[must_use]
    pub fn new(rates: Rates, metrics: &Metrics) -> Self {
        let counter = |limit| metrics.limited(limit).clone();
        Self(Arc::new(Limits {
            handshakes: Addresses::new(rates.handshakes, counter(Limit::Handshakes)),
            calls: Addresses::new(rates.calls, counter(Limit::Calls)),
            sign_ins: SignIns::new(Addresses::new(rates.sign_ins, counter(Limit::SignIns))),
        }))
    }

    /// Counts a WebSocket handshake of an address.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(crate) fn handshake(&self, from: IpAddr) -> Result<(), TooFast> {
        self.0.handshakes.take(from, Instant::now()).map_err(|wait| TooFast("handshakes", wait))
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(crate) fn call(&self, from: IpAddr) -> Result<(), TooFast> {
        self.0.calls.take(from, Instant::now()).map_err(|wait| TooFast("requests", wait))
    }

    /// Returns whether a credential may be verified: an address that has shown too many wrong ones has
    /// to wait, unless this one was good before.
    ///
    /// # Errors
    ///
    /// The time until the address may try again.
    pub(crate) fn may_sign_in(&self, from: IpAddr, credential: &str) -> Result<(), TooFast> {
        let may = self.0.sign_ins.may_try(from, credential, Instant::now());
        may.map_err(|wait| TooFast("wrong credentials", wait))
    }

    /// Notes whether a credential was good.
    pub(crate) fn signed_in(&self, from: IpAddr, credential: &str, good: bool) {
        self.0.sign_ins.tried(from, credential, good, Instant::now());
    }
}

/// An address does too much of something, and when it may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast(&'static str, pub(crate) Duration);

impl From<TooFast> for Problem {
    fn from(TooFast(what, wait): TooFast) -> Self {
        let seconds = whole_seconds(wait);
        let detail = format!("too many {what} from this address; come back in {seconds} s");
        Self::new(Code::SlowDown, detail).retry_after(seconds)
    }
}

/// Returns the number of whole seconds after which a time has passed: at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_told_in_whole_seconds() {
        let seconds = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!([seconds(0), seconds(1), seconds(1000), seconds(1001)], [1, 1, 1, 2]);
    }
}
