//! A budget of time for one poll, so that no reader holds up a worker.

use std::future::Future as _;
use std::pin::pin;
use std::task::Context;
use std::time::{Duration, Instant};

/// What one poll may take, give or take one event: long enough to amortise the switch of tasks, short
/// enough that a hundred readers with costly filters delay a relayed message by little.
const POLL: Duration = Duration::from_millis(1);

/// The time of a poll. The clock is first read when it is first asked.
#[derive(Debug)]
pub(crate) struct Pace {
    time: Duration,
    end: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { time: POLL, end: None }
    }
}

impl Pace {
    /// Creates the pace of a poll that has no turn: a quarter of the time.
    pub(super) fn without_turn() -> Self {
        Self { time: POLL / 4, end: None }
    }

    /// Returns whether the poll may go on.
    pub(crate) fn may_go_on(&mut self) -> bool {
        let now = Instant::now();
        now < *self.end.get_or_insert(now + self.time)
    }
}

/// Lets other tasks run before this one is polled again, those that wait for a socket too: the wake
/// is deferred until the worker has looked at the sockets. With a plain wake, a worker looks at them
/// once in 61 polls of tasks, which is 61 ms if each takes a millisecond.
pub(crate) fn yield_turn(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
