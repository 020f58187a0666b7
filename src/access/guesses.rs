//! Counts wrong credentials of an address.

use std::net::IpAddr;

use crate::code::Code;
use crate::problem::Problem;
use crate::rate::RateLimits;

/// The limit of wrong credentials of one address.
#[derive(Debug, Clone)]
pub(super) struct Guesses {
    rates: RateLimits,
    from: IpAddr,
}

/// What a credential has turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Wrong,
    /// It was not judged: nothing is known of it.
    Unknown,
}

impl Outcome {
    /// Returns what a problem says of a credential.
    pub(super) fn of(problem: &Problem) -> Self {
        match problem.code {
            Code::Unauthorized | Code::Forbidden => Self::Wrong,
            _ => Self::Unknown,
        }
    }
}

impl Guesses {
    pub(super) fn new(rates: RateLimits, from: IpAddr) -> Self {
        Self { rates, from }
    }

    /// Checks that a credential may be verified. What becomes of it has to be noted.
    ///
    /// # Errors
    ///
    /// [`Code::SlowDown`] if the address has shown too many wrong ones.
    pub(super) fn may_try(&self, credential: &str) -> Result<(), Problem> {
        Ok(self.rates.may_sign_in(self.from, credential)?)
    }

    /// Notes what a credential has turned out to be.
    pub(super) fn note(&self, credential: &str, outcome: Outcome) {
        if outcome != Outcome::Unknown {
            self.rates.signed_in(self.from, credential, outcome == Outcome::Good);
        }
    }
}
