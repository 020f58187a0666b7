//! The body of a stream: what waits in the queue, and a sign of life when nothing does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What is sent when nothing is. No empty line follows: some clients take one for an event.
const BEAT: &[u8] = b":\n";

pub(super) struct Queue {
    waiting: mpsc::Receiver<Bytes>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    beat: Option<Duration>,
    /// Set when it is first waited for, within the runtime of the server.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Queue {
    pub(super) fn new(
        waiting: mpsc::Receiver<Bytes>,
        closed: CancellationToken,
        beat: Option<Duration>,
    ) -> Self {
        let closed = Box::pin(closed.cancelled_owned());
        Self { waiting, closed, ended: false, beat, timer: None }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.ended && self.closed.as_mut().poll(cx).is_ready() {
            self.ended = true;
            // What is queued already is still handed out.
            self.waiting.close();
        }
        if let Poll::Ready(piece) = self.waiting.poll_recv(cx) {
            self.wind();
            return Poll::Ready(piece);
        }
        let Some(pause) = self.beat else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(pause)));
        ready!(timer.as_mut().poll(cx));
        self.wind();
        Poll::Ready(Some(Bytes::from_static(BEAT)))
    }

    /// Lets the time of silence begin again.
    fn wind(&mut self) {
        if let (Some(pause), Some(timer)) = (self.beat, &mut self.timer) {
            timer.as_mut().reset(Instant::now() + pause);
        }
    }
}

impl http_body::Body for Queue {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_piece(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
