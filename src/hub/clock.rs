//! The wall clock of the hub, and whether the ids of events are ahead of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::EventId;

/// Returns milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Ids that are ahead by less are no reason to warn: clocks are adjusted by such steps.
const NOTABLE: Duration = Duration::from_secs(1);

/// Returns how far the newest id is ahead of the clock.
///
/// Ids grow whatever the clock does. After the clock was set back, events keep the time of the event
/// before it, and count up, until the clock has passed that time.
pub(in crate::hub) fn ahead(newest: Option<EventId>, now_ms: u64) -> Duration {
    Duration::from_millis(newest.map_or(0, |id| id.ms.saturating_sub(now_ms)))
}

/// Warns once when the clock is behind the ids of the events, and says when it has caught up.
#[derive(Debug, Default)]
pub(in crate::hub) struct ClockWatch {
    behind: bool,
}

/// A change that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) enum ClockChange {
    /// Events have the time of an earlier event, by so much ahead of the clock.
    Behind(Duration),
    /// Events have their own time again.
    CaughtUp,
}

impl ClockWatch {
    /// Looks at the newest id and at the clock.
    pub(in crate::hub) fn look(
        &mut self,
        newest: Option<EventId>,
        now_ms: u64,
    ) -> Option<ClockChange> {
        let ahead = ahead(newest, now_ms);
        let change = match self.behind {
            false if ahead >= NOTABLE => ClockChange::Behind(ahead),
            true if ahead.is_zero() => ClockChange::CaughtUp,
            _ => return None,
        };
        self.behind = !self.behind;
        Some(change)
    }
}

impl ClockChange {
    /// Logs it.
    pub(in crate::hub) fn log(self) {
        match self {
            Self::Behind(ahead) => tracing::warn!(
                seconds = ahead.as_secs(),
                "the clock is behind the newest event: events have the time of that event until the clock has passed it"
            ),
            Self::CaughtUp => tracing::info!("the clock has passed the newest event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_goes_back_is_reported_once_until_it_has_caught_up() {
        let mut watch = ClockWatch::default();
        let mut id = EventId::default().next(1_000_000);
        assert_eq!(watch.look(None, 0), None);
        assert_eq!(watch.look(Some(id), 1_000_000), None);
        assert_eq!(watch.look(Some(id), 999_500), None, "a small step");
        let behind = ClockChange::Behind(Duration::from_secs(100));
        assert_eq!(watch.look(Some(id), 900_000), Some(behind));
        for now in [900_100, 950_000, 999_999] {
            id = id.next(now);
            assert_eq!(id.ms, 1_000_000, "ids grow, and stay at the time of the newest");
            assert_eq!(watch.look(Some(id), now), None);
        }
        assert_eq!(watch.look(Some(id), 1_000_000), Some(ClockChange::CaughtUp));
        assert_eq!(watch.look(Some(id.next(1_000_001)), 1_000_001), None);
        assert_eq!(watch.look(Some(id), 0), Some(ClockChange::Behind(Duration::from_secs(1000))));
    }
}
