//! The delays of a replay, summed up. Pure.

use std::fmt;
use std::time::Duration;

/// A distribution of delays.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    late: Vec<Duration>,
}

impl Timing {
    /// Returns the distribution of some delays.
    #[must_use]
    pub fn new(mut late: Vec<Duration>) -> Self {
        late.sort_unstable();
        Self { late }
    }

    /// Returns a percentile, such as the 99th.
    #[must_use]
    pub fn percentile(&self, of_a_hundred: usize) -> Duration {
        let last = self.late.len().saturating_sub(1);
        let at = (last * of_a_hundred + 50) / 100;
        self.late.get(at.min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |part| self.percentile(part).as_secs_f64() * 1e6;
        let (half, most, worst) = (us(50), us(99), us(100));
        write!(
            f,
            "{} messages sent after their time by p50 {half:.0} µs, p99 {most:.0} µs, at most {worst:.0} µs",
            self.late.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_printed() {
        let timing = Timing::new((0..=100).rev().map(Duration::from_micros).collect());
        assert_eq!(
            timing.to_string(),
            "101 messages sent after their time by p50 50 µs, p99 99 µs, at most 100 µs"
        );
        assert_eq!(Timing::default().percentile(50), Duration::ZERO);
    }
}
