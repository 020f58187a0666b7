//! The times of messages in archives. Chrome and mitmproxy write seconds since 1970, Playwright
//! milliseconds, other programs seconds since some other moment: those count from the handshake.

/// Milliseconds of a year.
const YEAR: f64 = 366.0 * 86_400e3;

/// Handshakes before this moment, a day after the beginning of 1970, have no time.
const NO_TIME: u64 = 86_400_000;

/// Reads the times of the messages of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// When the connection began, in milliseconds since 1970.
    start: Option<u64>,
    /// For times of another epoch: the first of them, and the milliseconds of their unit.
    other: Option<(f64, f64)>,
}

impl Clock {
    /// Takes the time of the handshake, the times of all messages as they are written, and the
    /// duration of the entry in milliseconds.
    pub(super) fn new(started: Option<u64>, times: &[f64], duration: f64) -> Self {
        let start = started.filter(|start| *start >= NO_TIME);
        let known = || times.iter().copied().filter(|time| since_1970(*time).is_some());
        let first = known().next();
        let other = start.zip(first).filter(|(start, first)| !near(*first, *start));
        let other = other.map(|(_, first)| {
            let span = known().fold(first, f64::max) - first;
            // Milliseconds, if seconds would last far longer than the entry.
            let is_ms = span * 1e3 > 2.0 * duration && span <= 2.0 * duration;
            (first, if is_ms { 1.0 } else { 1e3 })
        });
        Self { start: start.or(first.and_then(since_1970).map(rounded)), other }
    }

    /// Returns when the connection began, as far as it is known.
    pub(super) fn start(&self) -> Option<u64> {
        self.start
    }

    /// Returns a time in milliseconds since 1970; `None` if there is none, or one that lies years
    /// away from the handshake.
    pub(super) fn ms(&self, time: f64) -> Option<u64> {
        let absolute = since_1970(time)?;
        let start = self.start?;
        let Some((first, unit)) = self.other else {
            return near(time, start).then_some(rounded(absolute));
        };
        let after = (time - first) * unit;
        if near(time, start) {
            Some(rounded(absolute))
        } else if after.abs() < YEAR {
            Some(start + rounded(after.max(0.0)))
        } else {
            None
        }
    }
}

/// Returns milliseconds of a time in seconds, milliseconds or microseconds since 1970.
fn since_1970(time: f64) -> Option<f64> {
    match time {
        // As seconds this is the year 5138, as milliseconds 1973.
        _ if time > 0.0 && time < 1e11 => Some(time * 1e3),
        _ if (1e11..1e14).contains(&time) => Some(time),
        _ if (1e14..1e17).contains(&time) => Some(time / 1e3),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn near(time: f64, start: u64) -> bool {
    since_1970(time).is_some_and(|ms| (ms - start as f64).abs() < YEAR)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is positive and below 1e14"
)]
fn rounded(ms: f64) -> u64 {
    (ms + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_another_epoch_count_from_the_handshake() {
        const START: u64 = 1_740_823_200_000;
        for (times, duration, ms) in [
            (&[1_740_823_201.0, 1_740_823_201.2][..], 1500.0, &[1000, 1200][..]),
            (&[1_740_823_201_000.0, 1_740_823_201_200.0], 1500.0, &[1000, 1200]),
            (&[1_740_823_201_000_000.0], 1500.0, &[1000]),
            (&[52_341.12, 52_342.5], 1500.0, &[0, 1380]),
            (&[52_341_120.0, 52_342_500.0], 1500.0, &[0, 1380]),
            (&[762_500_000.0, 762_500_001.0], 1500.0, &[0, 1000]),
        ] {
            let clock = Clock::new(Some(START), times, duration);
            let read: Vec<_> =
                times.iter().map(|time| clock.ms(*time).map(|ms| ms - START)).collect();
            assert_eq!(read, ms.iter().map(|ms| Some(*ms)).collect::<Vec<_>>(), "{times:?}");
        }
    }

    #[test]
    fn times_that_are_none_are_left_out() {
        let clock = Clock::new(Some(1_740_823_200_000), &[-1.0, 1_740_823_201.0], 0.0);
        for time in [-1.0, 0.0, f64::NAN, f64::INFINITY, 1e18, 5.0] {
            assert_eq!(clock.ms(time), None, "{time}");
        }
        assert_eq!(Clock::new(None, &[], 0.0).start(), None);
        assert_eq!(Clock::new(Some(0), &[1_740_823_201.0], 0.0).start(), Some(1_740_823_201_000));
    }
}
