//! Distributions: what quantiles are asked of.
//!
//! An observation takes a short lock: all of them are sampled.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The distributions of one hub.
#[derive(Debug)]
pub(crate) struct Histograms {
    /// Seconds from the time of an event until a live listener's socket is given it.
    pub(crate) delivery: Histogram,
    /// Events that are sent together.
    batch: Histogram,
    /// Seconds for the filter of one listener and the events of a batch.
    pub(crate) filter: Histogram,
}

/// Times of events have milliseconds, so that nothing finer is told apart.
const DELIVERY: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// One segment has up to about a thousand events.
const BATCH: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// A verdict that others have reached takes a fraction of a microsecond; a turn ends after a
/// millisecond.
const FILTER: [f64; 9] = [1e-6, 4e-6, 1.6e-5, 6.4e-5, 2.5e-4, 1e-3, 4e-3, 1.6e-2, 6.4e-2];

impl Histograms {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let delivery = Histogram::new(DELIVERY);
        registry.register_with_unit(
            "delivery_latency",
            "Time from an event to its write to a listener that follows live, sampled",
            Unit::Seconds,
            delivery.clone(),
        );
        let batch = Histogram::new(BATCH);
        registry.register(
            "batch_events",
            "Events that are sent to listeners together, sampled",
            batch.clone(),
        );
        let filter = Histogram::new(FILTER);
        registry.register_with_unit(
            "filter_duration",
            "Time for the filter of one listener and the events of a batch, sampled",
            Unit::Seconds,
            filter.clone(),
        );
        Self { delivery, batch, filter }
    }

    /// Observes a batch of so many events.
    pub(crate) fn batch_of(&self, events: u64) {
        self.batch.observe(u32::try_from(events).unwrap_or(u32::MAX).into());
    }
}

/// Chooses which of many things are observed: the first, and every sixteenth after it. Two readings of
/// the clock and an observation then take less than a hundredth of what a write takes.
#[derive(Debug, Default)]
pub(crate) struct Sampler(u8);

impl Sampler {
    const EVERY: u8 = 16;

    /// Counts one thing. Returns whether it is to be observed.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.0 == 0;
        self.0 = (self.0 + 1) % Self::EVERY;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_every_sixteenth_is_sampled() {
        let mut sampler = Sampler::default();
        let due: Vec<_> = (0..40).filter(|_| sampler.is_due()).collect();
        assert_eq!(due, [0, 16, 32]);
    }
}
