//! The stream over HTTP: live, by long polling, or as a finite answer. All read the same [`Subscription`](crate::hub::Subscription) or
//! [`Scan`](crate::hub::Scan) and differ in framing only.

mod content;
pub(crate) mod export;
mod har;
mod histogram;
pub(crate) mod live;
mod needle;
pub(crate) mod poll;
pub(crate) mod query;
mod search_time;

use std::time::Duration;

/// The reconnection time of an EventSource while the server is healthy.
const RETRY: Duration = Duration::from_secs(2);

/// Returns a random reconnection time of 1 to 5 s, so that clients do not return all at once after a
/// restart or to a full server.
pub(crate) fn retry_with_jitter() -> Duration {
    RETRY.mul_f64(0.5 + 2.0 * fastrand::f64())
}

/// Marks a response whose body ends only with the listener or the server, for which a server may have
/// a path of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endless;
