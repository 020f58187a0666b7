//! Pings, and whether the client has answered them.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;

/// The pings of a session.
pub(super) struct Pings {
    limits: Limits,
    pub(super) timer: Pin<Box<Sleep>>,
    last: Option<Ping>,
}

struct Ping {
    at: Instant,
    /// Bytes that had been received when it was sent. More of them are a sign of life.
    received: u64,
    answered: bool,
    checked: bool,
}

/// What is due when the timer fires.
pub(super) enum Beat {
    Ping,
    Missed,
    Wait,
}

impl Pings {
    pub(super) fn new(limits: Limits) -> Self {
        let timer = Box::pin(sleep_until(Instant::now() + limits.ping_interval));
        Self { limits, timer, last: None }
    }

    /// Notes a pong, and returns the time since the ping if it answers one.
    pub(super) fn answered(&mut self) -> Option<Duration> {
        let ping = self.last.as_mut().filter(|ping| !ping.answered)?;
        ping.answered = true;
        Some(ping.at.elapsed())
    }

    /// Returns what is due, and sets the timer anew. An answer that could not be read is not missed:
    /// the client has its full time from the moment at which the session reads again.
    pub(super) fn on_timer(&mut self, received: u64, reading: Option<Instant>) -> Beat {
        let now = Instant::now();
        let Limits { ping_interval, pong_timeout, .. } = self.limits;
        let (next, beat) = match &mut self.last {
            Some(ping) if !ping.checked => {
                let next = ping.at + ping_interval.max(pong_timeout);
                let end = reading.unwrap_or(now).max(ping.at) + pong_timeout;
                if ping.answered || received != ping.received {
                    ping.checked = true;
                    (next, Beat::Wait)
                } else if now < end {
                    (end, Beat::Wait)
                } else {
                    ping.checked = true;
                    (next, Beat::Missed)
                }
            }
            _ => {
                self.last = Some(Ping { at: now, received, answered: false, checked: false });
                (now + pong_timeout, Beat::Ping)
            }
        };
        self.timer.as_mut().reset(next);
        beat
    }
}
