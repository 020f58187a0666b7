//! How closely the times of a recording were met. Pure.

use std::fmt;
use std::time::Duration;

/// By how much messages were sent after their time.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    late: Vec<Duration>,
}

impl Timing {
    /// Makes the distribution of some delays.
    #[must_use]
    pub fn new(mut late: Vec<Duration>) -> Self {
        late.sort_unstable();
        Self { late }
    }

    /// Returns the delay that this part of all is not above, such as 0.99.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let last = self.late.len().saturating_sub(1);
        let at = (part * last as f64).round() as usize;
        self.late.get(at.min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |part| self.quantile(part).as_secs_f64() * 1e6;
        let (half, most, worst) = (us(0.5), us(0.99), us(1.0));
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
    fn quantiles_are_told() {
        let timing = Timing::new((0..=100).rev().map(Duration::from_micros).collect());
        assert_eq!(
            timing.to_string(),
            "101 messages sent after their time by p50 50 µs, p99 99 µs, at most 100 µs"
        );
        assert_eq!(Timing::default().quantile(0.5), Duration::ZERO);
    }
}
