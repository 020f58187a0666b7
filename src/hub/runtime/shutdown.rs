//! How a hub stops.

use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use tokio::time::Instant;

use crate::code::Code;
use crate::event::ClosedBy;
use crate::hub::Hub;
use crate::hub::connections::handle::{CloseRequest, ConnectionHandle, Ending};
use crate::hub::listeners::listener::Signal;

/// Time between the ends of two connections that a client notices least: fewer than
/// [`Settings::drain_time`](crate::hub::Settings) has room for end sooner.
const PER_CONNECTION: Duration = Duration::from_millis(50);

/// The same of listeners, for which nothing but a reconnect is at stake.
const PER_LISTENER: Duration = Duration::from_millis(5);

/// The least reconnection time of a listener after a shutdown: the next process needs time to start.
const RETURN: Duration = Duration::from_millis(500);

/// Time for the log on disk to close after the grace. A disk may never answer.
const CLOSE: Duration = Duration::from_secs(1);

/// The reason in the close frames that clients get when the hub stops.
const STOPPING: &str = "the server is stopping";

impl Hub {
    /// Stops the hub: nothing registers any more, connections are closed with 1001 and their `close`
    /// events published, then the streams of the listeners end. The closes are spread over
    /// [`drain_time`](crate::hub::Settings), within half of `grace`. Returns when all are gone, or
    /// after `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        let began = Instant::now();
        let deadline = began + grace;
        shared.draining.cancel();
        shared.stopping.cancel();
        let connections = {
            let mut sequence = shared.sequence();
            sequence.state.stopping = true;
            sequence.state.connection_count()
        };
        let spread = shared.settings().drain_time.min(grace / 2);
        let spread = spread.min(times(PER_CONNECTION, connections));
        let (code, reason) = (Code::Stopping.close(), STOPPING.to_owned());
        self.each_connection(deadline, Spread { over: spread, count: connections }, |handle| {
            handle.request_close(CloseRequest { code, reason: reason.clone() });
        })
        .await;
        shared.connected.close();
        // Time for the clients to answer; the rest is for the listeners to read of it.
        let answered = began + (grace / 2).max(spread + grace / 4);
        let _ = tokio::time::timeout_at(answered, shared.connected.wait()).await;
        // Connections in many channels take long to end. Those that are left at the end of the grace
        // end without events.
        self.each_connection(deadline - grace / 8, Spread::default(), |handle| {
            let reason = reason.clone();
            let ending = Ending { code, reason, clean: false, by: ClosedBy::Tap, wire: None };
            shared.end(handle, ending);
        })
        .await;
        shared.empty_inbox();
        shared.flush();
        if let Some(progress) = shared.store.progress() {
            let (head, _) = shared.sequence().order.head();
            let _ = tokio::time::timeout_at(deadline, progress.reach(head)).await;
        }
        shared.over.store(true, Release);
        shared.signal(Signal::Over);
        shared.listening.close();
        shared.serving.close();
        shared.tasks.close();
        let served = async { tokio::join!(shared.listening.wait(), shared.serving.wait()) };
        let _ = tokio::time::timeout_at(deadline, served).await;
        shared.stopped.cancel();
        shared.serving.wait().await;
        shared.tasks.wait().await;
        if shared.store.progress().is_some() {
            let shared = Arc::clone(shared);
            // A panic of the thread is that of a close, which has nothing to return.
            let closed = tokio::task::spawn_blocking(move || shared.store.close());
            if tokio::time::timeout_at(deadline + CLOSE, closed).await.is_err() {
                tracing::error!("the log on disk was not closed in time; the next start checks it");
            }
        }
    }

    /// Returns a random time after which a listener may return to the next process, so that all of
    /// them return over [`drain_time`](crate::hub::Settings), and a few of them at once.
    pub(crate) fn return_time(&self) -> Duration {
        let spread = times(PER_LISTENER, self.shared.listeners.len());
        RETURN + self.shared.settings().drain_time.min(spread).mul_f64(fastrand::f64())
    }

    /// Does something with each connection, as many as are reached before `end`, and lets other tasks
    /// run in between.
    async fn each_connection(
        &self,
        end: Instant,
        spread: Spread,
        mut each: impl FnMut(&Arc<ConnectionHandle>),
    ) {
        let (began, mut after, mut done) = (Instant::now(), 0, 0);
        loop {
            let piece = self.shared.sequence().state.connections(after, 64);
            let Some(last) = piece.last() else { return };
            after = last.number;
            for handle in &piece {
                let due = began + spread.after(done);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.min(end)).await;
                }
                if Instant::now() >= end {
                    return;
                }
                each(handle);
                done += 1;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A time over which work on a number of items is spread evenly, the first at once.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    over: Duration,
    count: usize,
}

impl Spread {
    /// Returns the time after which an item is due, of which `before` come before it.
    fn after(self, before: usize) -> Duration {
        let nanos = self.over.as_nanos() * before as u128 / self.count.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(self.over)
    }
}

fn times(each: Duration, count: usize) -> Duration {
    each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_spread_evenly() {
        let spread = Spread { over: Duration::from_secs(1), count: 4 };
        let due: Vec<_> = (0..6).map(|n| spread.after(n).as_millis()).collect();
        assert_eq!(due, [0, 250, 500, 750, 1000, 1000]);
        assert_eq!(Spread::default().after(usize::MAX), Duration::ZERO);
    }
}
