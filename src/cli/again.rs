//! Asks a task to read its files again, and waits until it has.

use tokio::sync::{mpsc, oneshot};

/// The side that asks.
#[derive(Debug)]
pub(super) struct Asker(mpsc::Sender<Asked>);

/// The side of the task. Without an asker, it waits for nothing.
#[derive(Debug)]
pub(super) struct Requests(mpsc::Receiver<Asked>);

/// A request. The asker waits until it is dropped.
#[derive(Debug)]
pub(super) struct Asked(#[expect(dead_code, reason = "dropping it answers")] oneshot::Sender<()>);

/// Creates the two sides.
pub(super) fn pair() -> (Asker, Requests) {
    let (asker, requests) = mpsc::channel(1);
    (Asker(asker), Requests(requests))
}

impl Asker {
    /// Asks, and waits until the task has read its files, or has ended.
    pub(super) async fn ask(&self) {
        let (asked, answer) = oneshot::channel();
        if self.0.send(Asked(asked)).await.is_ok() {
            // The sender is dropped, and sends nothing.
            let _ = answer.await;
        }
    }
}

impl Requests {
    /// Returns the next request, or `None` once the asker is gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Asked> {
        self.0.recv().await
    }
}
