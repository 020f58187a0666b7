//! Limits of what one WebSocket sends: frames and bytes a second.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Limits;
use crate::metrics::Limit;
use crate::rate::{Allowance, Rate, whole_seconds};

/// The allowances of one WebSocket. A WebSocket without limits has none of these.
#[derive(Debug)]
pub(super) struct Flow {
    frames: Option<Allowance>,
    bytes: Option<Allowance>,
}

/// A client sends more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many {} a second; come back in {} s", limit.as_str(), whole_seconds(*wait))]
pub(super) struct TooFast {
    /// [`Limit::Frames`] or [`Limit::Bytes`].
    pub(super) limit: Limit,
    wait: Duration,
}

impl Flow {
    /// Returns the limits of a client; `None` if it has none.
    pub(super) fn of(limits: &Limits, client: IpAddr, now: Instant) -> Option<Box<Self>> {
        let allowance =
            |rate: Rate| rate.of(client).map(|per_second| Allowance::new(per_second, now));
        let flow = Self { frames: allowance(limits.frames), bytes: allowance(limits.bytes) };
        (flow.frames.is_some() || flow.bytes.is_some()).then(|| Box::new(flow))
    }

    /// Counts what a client has sent.
    ///
    /// # Errors
    ///
    /// If that is more than it may send. What came before has been counted.
    pub(super) fn take(&mut self, frames: u64, bytes: u64, now: Instant) -> Result<(), TooFast> {
        for (limit, allowance, amount) in
            [(Limit::Frames, &mut self.frames, frames), (Limit::Bytes, &mut self.bytes, bytes)]
        {
            if let Some(allowance) = allowance {
                allowance.take(amount, now).map_err(|wait| TooFast { limit, wait })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_without_limits_takes_no_memory_for_them() {
        let (limits, now) = (Limits::default(), Instant::now());
        assert!(Flow::of(&limits, [10, 0, 0, 1].into(), now).is_none());
        let limits = Limits { frames: Rate::beyond_loopback(5), ..limits };
        assert!(Flow::of(&limits, [127, 0, 0, 1].into(), now).is_none());
        assert!(Flow::of(&limits, [10, 0, 0, 1].into(), now).is_some());
    }

    #[test]
    fn frames_and_bytes_count_each_for_itself() {
        let now = Instant::now();
        let (frames, bytes) = (Rate::everywhere(10), Rate::everywhere(1000));
        let limits = Limits { frames, bytes, ..Limits::default() };
        let flow = || Flow::of(&limits, [127, 0, 0, 1].into(), now).expect("limits");
        let mut small = flow();
        let passed = (0..1000).take_while(|_| small.take(1, 6, now).is_ok()).count();
        assert_eq!(passed, 101);
        let error = small.take(1, 6, now).expect_err("too many");
        assert_eq!(error.to_string(), "too many frames a second; come back in 1 s");
        let mut large = flow();
        let passed = (0..1000).take_while(|_| large.take(0, 4096, now).is_ok()).count();
        assert_eq!(passed, 3);
        assert_eq!(large.take(0, 4096, now).expect_err("too many").limit, Limit::Bytes);
    }
}
