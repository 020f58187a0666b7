//! What a session serves: the protocol of the client, and the items that others send it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tungstenite::Message as Frame;

use crate::hub::{CloseRequest, Mailbox, Outgoing};

/// What a session does with frames of the client and with items for the client.
///
/// None of the methods blocks. A session calls them from one task.
pub trait Protocol: Send {
    /// What an [`Outbox`] yields for the client.
    type Outgoing: Send;

    /// Polls whether the protocol can take a frame. While it is pending, the session reads nothing
    /// from the client, and does not count the silence of the client as missed pongs.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Handles a frame of the client, and returns the answer.
    fn on_frame(&mut self, frame: Frame) -> Option<Frame>;

    /// Returns what the answer to the last frame waits for; `None` if it may be sent at once. Later
    /// answers wait behind it.
    fn take_receipt(&mut self) -> Option<Receipt> {
        None
    }

    /// Handles an item for the client, and returns the frame to send.
    fn on_outgoing(&mut self, outgoing: Self::Outgoing) -> Option<Frame>;

    /// Called after all frames that [`Protocol::on_outgoing`] has returned so far were written to
    /// the socket. If the session ends before, they were not, or not all of them.
    fn on_written(&mut self) {}
}

/// What an answer waits for. An error is sent in place of the answer.
pub type Receipt = Pin<Box<dyn Future<Output = Result<(), Frame>> + Send>>;

/// What an [`Outbox`] yields.
#[derive(Debug)]
pub enum Next<T> {
    /// An item for the client.
    Item(T),
    /// The session is to be closed. Nothing is polled after this.
    Close(CloseRequest),
}

/// Items for the client of a session, and the request to close it.
pub trait Outbox: Send {
    /// An item for the client.
    type Item: Send;

    /// Polls for the next item or the request to close, in the order in which they count.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Self::Item>>;

    /// Polls for the request to close past all items. A session calls this while a write hangs.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest>;
}

/// A request to close overtakes what waits in the queue.
impl Outbox for Mailbox {
    type Item = Outgoing;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Outgoing>> {
        if let Poll::Ready(request) = self.poll_close(cx) {
            return Poll::Ready(Next::Close(request));
        }
        match self.queue.poll_next(cx) {
            Poll::Ready(Some((_, outgoing))) => Poll::Ready(Next::Item(outgoing)),
            // The end of the queue is the end of the connection, of which a request tells.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest> {
        if self.close.is_terminated() {
            return Poll::Pending;
        }
        match Pin::new(&mut self.close).poll(cx) {
            Poll::Ready(Ok(request)) => Poll::Ready(request),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}
