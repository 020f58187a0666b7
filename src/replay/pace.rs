//! The speed of a replay, and waiting more exactly than a timer.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The speed of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// A multiple of the recorded speed.
    Times(f64),
    /// Without pauses: each message is sent as soon as the answers before it have come.
    Max,
}

/// Description of a right speed.
const RIGHT: &str = "a speed is a number from 0.1 to 100, or max";

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times: f64 = text.trim_end_matches('x').parse().map_err(|_| RIGHT)?;
        if (0.1..=100.0).contains(&times) { Ok(Self::Times(times)) } else { Err(RIGHT) }
    }
}

impl Speed {
    /// Returns how long a recorded time takes at this speed.
    #[must_use]
    pub fn scale(self, time: Duration) -> Duration {
        match self {
            Self::Times(times) => time.div_f64(times),
            Self::Max => Duration::ZERO,
        }
    }
}

/// The last part of a wait, which polls the clock and yields to other tasks in between. The timer of
/// tokio rounds up to a millisecond, and so does the kernel: with 1 ms here half of all messages were
/// 0.1 ms late or more.
const LAST: Duration = Duration::from_millis(2);

/// Waits until a point in time. Cancel safe.
pub(super) async fn until(due: Instant) {
    if let Some(early) = due.checked_sub(LAST)
        && early > Instant::now()
    {
        sleep_until(early).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2".parse(), Ok(Speed::Times(2.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        for text in ["0", "0.05", "101", "-1", "fast", "", "NaN", "inf"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(Speed::Times(4.0).scale(second), Duration::from_millis(250));
        assert_eq!(Speed::Max.scale(second), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_time_is_never_met_early() {
        for ms in [0, 1, 5] {
            let due = Instant::now() + Duration::from_millis(ms);
            until(due).await;
            assert!(Instant::now() >= due);
        }
    }
}
