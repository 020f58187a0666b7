//! Limits a warning to one a minute.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Time between two warnings.
const PAUSE: Duration = Duration::from_mins(1);

/// When the last warning was.
#[derive(Debug, Default)]
pub(super) struct Warned(Mutex<Option<Instant>>);

impl Warned {
    /// Returns whether the next warning is due, and notes it then.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let due = last.is_none_or(|at| at.elapsed() >= PAUSE);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
