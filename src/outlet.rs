//! How listeners read the stream over HTTP: as a live stream, by long polling, or as a finite
//! answer. All read the same [`Subscription`](crate::hub::Subscription) or
//! [`Scan`](crate::hub::Scan) and differ in framing only.

pub(crate) mod export;
mod har;
pub(crate) mod live;
mod needle;
pub(crate) mod poll;
pub(crate) mod query;

use std::time::Duration;

/// How long an EventSource waits before it comes back to a healthy server.
const RETRY: Duration = Duration::from_secs(2);

/// Returns a waiting time for those who all come back at once: after a restart, or to a full
/// server. Between half of [`RETRY`] and two and a half times that: 1 to 5 s.
pub(crate) fn retry_with_jitter() -> Duration {
    RETRY.mul_f64(0.5 + 2.0 * fastrand::f64())
}

/// Marks a response whose body ends only when the listener or the server goes. A server may serve
/// it in a way that would not pay for others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endless;
