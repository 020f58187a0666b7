//! A listener of a connection: a WebSocket or a poll, as its keeper knows it.
//!
//! A listener holds no frames of its own: frames that it cannot send go back to the keeper.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::handle::{Command, Listener, SessionHandle};
use super::shared::Shared;
use super::waiting::Frame;
use crate::code;
use crate::hub::{CloseRequest, Ending};

/// Frames that a listener is handed at once: one while another is sent. The others wait with the
/// keeper, where their bytes are counted.
const HANDED: usize = 2;

/// The receiving end of a keeper. When it is dropped, frames that were not sent go back.
pub(super) struct ListenerGuard {
    shared: Arc<Shared>,
    pub(super) handle: Arc<SessionHandle>,
    listener: Uuid,
    commands: Sender<Command>,
    frames: Option<Receiver<Frame>>,
    close: oneshot::Receiver<CloseRequest>,
    /// Frames that could not be sent. They precede those in `frames`.
    pub(super) returned: Vec<Frame>,
    /// How the WebSocket ended.
    pub(super) ending: Option<Ending>,
    /// Whether it counts as one of the listeners.
    counted: bool,
}

impl ListenerGuard {
    /// Begins to listen. Returns `None` if the connection has ended.
    pub(super) async fn begin(shared: &Arc<Shared>, handle: &Arc<SessionHandle>) -> Option<Self> {
        let (frames, receiver) = mpsc::channel(HANDED);
        let (request, close) = oneshot::channel();
        let mut guard = Self {
            shared: Arc::clone(shared),
            handle: Arc::clone(handle),
            listener: Uuid::new_v4(),
            commands: handle.commands.clone(),
            frames: Some(receiver),
            close,
            returned: Vec::new(),
            ending: None,
            counted: false,
        };
        let listener = Listener { id: guard.listener, frames, close: request };
        handle.commands.send(Command::Listen(listener)).await.ok()?;
        shared.listeners.fetch_add(1, Relaxed);
        guard.counted = true;
        Some(guard)
    }

    /// Returns the next frame, or `None` if there will be no more. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        self.frames.as_mut()?.recv().await
    }

    /// Polls as [`ListenerGuard::next`] does.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.frames.as_mut().map_or(Poll::Ready(None), |frames| frames.poll_recv(cx))
    }

    /// Polls for the request to close.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest> {
        if self.close.is_terminated() {
            return Poll::Pending;
        }
        let normal = CloseRequest { code: code::NORMAL, reason: String::new() };
        // A keeper that has ended without a request had no complaint.
        std::pin::Pin::new(&mut self.close).poll(cx).map(|request| request.unwrap_or(normal))
    }

    /// Ends the listening, and returns all frames that would go back. The keeper knows of the end
    /// before this returns.
    pub(super) async fn end(mut self) -> Vec<Frame> {
        if let Some(frames) = &mut self.frames {
            drain(frames, &mut self.returned).await;
        }
        if let Ok(place) = self.commands.reserve().await {
            let (listener, returned) = (self.listener, Vec::new());
            place.send(Command::Left { listener, returned, ending: None });
            self.frames = None;
        }
        std::mem::take(&mut self.returned)
    }
}

/// Receives the remaining frames. The keeper may hold a permit of a closed channel and send a frame
/// with it later; only the end of the channel shows that none comes.
async fn drain(frames: &mut Receiver<Frame>, into: &mut Vec<Frame>) {
    frames.close();
    while let Some(frame) = frames.recv().await {
        into.push(frame);
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        if self.counted {
            self.shared.listeners.fetch_sub(1, Relaxed);
        }
        // A runtime that shuts down runs no more tasks.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Some(mut frames) = self.frames.take() else { return };
        let (commands, listener) = (self.commands.clone(), self.listener);
        let (mut returned, ending) = (std::mem::take(&mut self.returned), self.ending.take());
        self.shared.hub.run(async move {
            drain(&mut frames, &mut returned).await;
            // An error means that the connection has ended.
            let _ = commands.send(Command::Left { listener, returned, ending }).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::{Channelstream, ChannelstreamSettings, keeper};
    use super::*;

    /// Returns a listener, a permit that its keeper has reserved and not used yet, and the commands
    /// to the keeper.
    async fn listener() -> (ListenerGuard, mpsc::OwnedPermit<Frame>, Receiver<Command>) {
        let hub = crate::hub::Hub::new(crate::hub::Settings::default());
        let shared = Channelstream::new(hub, ChannelstreamSettings::new("secret")).shared;
        let (frames, received) = mpsc::channel(HANDED);
        let (commands, keeper) = mpsc::channel(1);
        let permit = frames.reserve_owned().await.expect("it is open");
        let guard = ListenerGuard {
            handle: keeper::tests::connect(&shared),
            shared,
            listener: Uuid::nil(),
            commands,
            frames: Some(received),
            close: oneshot::channel().1,
            returned: Vec::new(),
            ending: None,
            counted: false,
        };
        (guard, permit, keeper)
    }

    fn frame() -> Frame {
        Frame::new("{}".into(), false)
    }

    #[tokio::test]
    async fn what_a_keeper_hands_over_while_a_poll_ends_is_answered() {
        let (guard, permit, mut keeper) = listener().await;
        let mut end = std::pin::pin!(guard.end());
        assert!(futures_util::poll!(end.as_mut()).is_pending(), "something is on the way");
        permit.send(frame());
        assert_eq!(end.await.len(), 1);
        let left = keeper.recv().await;
        assert!(matches!(left, Some(Command::Left { returned, .. }) if returned.is_empty()));
        assert!(keeper.recv().await.is_none(), "it has left once");
    }

    #[tokio::test]
    async fn what_a_keeper_hands_over_while_a_listener_vanishes_goes_back() {
        let (mut guard, permit, mut keeper) = listener().await;
        guard.ending = Some(Ending::lost("gone"));
        drop(guard);
        tokio::task::yield_now().await;
        assert!(keeper.try_recv().is_err(), "something is on the way");
        permit.send(frame());
        let left = timeout(Duration::from_secs(20), keeper.recv()).await;
        let Ok(Some(Command::Left { returned, ending, .. })) = left else {
            panic!("it was to leave");
        };
        assert!(returned.len() == 1 && ending.is_some());
    }
}
