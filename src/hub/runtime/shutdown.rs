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

/// The reason in the close frames that clients get when the hub stops.
const STOPPING: &str = "the server is stopping";

impl Hub {
    /// Stops the hub: nothing registers any more, connections are closed with 1001 and their `close`
    /// events published, then the streams of the listeners end. Returns when all are gone, or after
    /// `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        let deadline = Instant::now() + grace;
        shared.sequence().state.stopping = true;
        shared.stopping.cancel();
        let (code, reason) = (Code::Stopping.close(), STOPPING.to_owned());
        self.each_connection(deadline, |handle| {
            handle.request_close(CloseRequest { code, reason: reason.clone() });
        })
        .await;
        shared.connected.close();
        // Half of the time for the clients to answer; the rest for the listeners to read of it.
        let _ = tokio::time::timeout(grace / 2, shared.connected.wait()).await;
        // Connections in many channels take long to end. Those that are left at the end of the grace
        // end without events.
        self.each_connection(deadline - grace / 8, |handle| {
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
            let _ = tokio::task::spawn_blocking(move || shared.store.close()).await;
        }
    }

    /// Does something with each connection, as many as are reached before `end`, and lets other tasks
    /// run in between.
    async fn each_connection(&self, end: Instant, mut each: impl FnMut(&Arc<ConnectionHandle>)) {
        let mut after = 0;
        loop {
            let piece = self.shared.sequence().state.connections(after, 64);
            let Some(last) = piece.last() else { return };
            after = last.number;
            for handle in &piece {
                if Instant::now() >= end {
                    return;
                }
                each(handle);
            }
            tokio::task::yield_now().await;
        }
    }
}
