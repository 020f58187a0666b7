//! Limits how often something is logged.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Permits one log line in each pause.
#[derive(Debug)]
pub(crate) struct Throttle {
    pause: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, last: Mutex::default() }
    }

    /// Returns whether the next line is due, and notes it then.
    pub(crate) fn is_due(&self) -> bool {
        let mut last = self.last.lock().expect("nothing panics while it holds this lock");
        let due = last.is_none_or(|last| last.elapsed() >= self.pause);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_due_in_each_pause() {
        let hour = Throttle::new(Duration::from_hours(1));
        assert_eq!([(); 3].map(|()| hour.is_due()), [true, false, false]);
        let none = Throttle::new(Duration::ZERO);
        assert_eq!([(); 3].map(|()| none.is_due()), [true, true, true]);
    }
}
