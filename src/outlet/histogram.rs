//! Counts of events over time, for a chart: a member of `format=marks`.
//!
//! A step without events has no entry, so that silence costs nothing. If there are more than
//! [`Histogram::MOST`] entries, the step doubles: the answer is bounded whatever the range is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::EventId;

/// The length of a step before any doubling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step(pub(super) Duration);

impl Step {
    /// The longest step. Doubling starts below it and stays far from the end of an integer.
    pub(super) const MAX: Duration = Duration::from_hours(24);
}

/// Numbers of events by the step of time in which they happened.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Milliseconds of a step.
    step: u64,
    /// By the number of the step, counted from 1970.
    counts: BTreeMap<u64, u64>,
}

impl Histogram {
    /// About twice the columns that a wide screen has room for.
    const MOST: usize = 4096;

    pub(super) fn new(Step(step): Step) -> Self {
        let step = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { step, counts: BTreeMap::new() }
    }

    /// Counts an event.
    pub(super) fn add(&mut self, id: EventId) {
        *self.counts.entry(id.ms / self.step).or_default() += 1;
        while self.counts.len() > Self::MOST {
            self.step *= 2;
            let fine = std::mem::take(&mut self.counts);
            for (step, count) in fine {
                *self.counts.entry(step / 2).or_default() += count;
            }
        }
    }

    /// Writes the members `"step"` and `"counts"`: milliseconds, and pairs of the time at which a step
    /// begins and the events in it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!(",\"step\":{},\"counts\":[", self.step).as_bytes());
        for (n, (step, count)) in self.counts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let begin = step * self.step;
            out.extend_from_slice(format!("{comma}[{begin},{count}]").as_bytes());
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(step: Duration, times: &[u64]) -> (u64, BTreeMap<u64, u64>) {
        let mut histogram = Histogram::new(Step(step));
        for ms in times {
            histogram.add(EventId { ms: *ms, seq: 0 });
        }
        (histogram.step, histogram.counts)
    }

    #[test]
    fn a_long_time_doubles_the_step_and_loses_no_event() {
        let times: Vec<u64> = (0..100_000).map(|n| n * 1000).collect();
        let (step, counts) = counted(Duration::from_millis(250), &times);
        assert_eq!(step, 32_000);
        assert_eq!(counts.values().sum::<u64>(), 100_000);
        assert!(counts.values().all(|count| *count == 32));
    }

    #[test]
    fn silence_has_no_entry() {
        let mut histogram = Histogram::new(Step(Duration::from_secs(1)));
        for ms in [5000, 5999, 1_000_000] {
            histogram.add(EventId { ms, seq: 0 });
        }
        let mut out = Vec::new();
        histogram.write(&mut out);
        assert_eq!(out, b",\"step\":1000,\"counts\":[[5000,2],[1000000,1]]");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn counts_are_those_of_a_list(
            times in prop::collection::vec(0_u64..10_000_000, 0..6000), step in 1_u64..2000,
        ) {
            let (step, counts) = counted(Duration::from_millis(step), &times);
            let mut naive = BTreeMap::<u64, u64>::new();
            for ms in times {
                *naive.entry(ms / step).or_default() += 1;
            }
            prop_assert_eq!(counts, naive);
        }
    }
}
