//! The body of a stream: the queued events, and a comment after a time of silence.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The comment. No empty line follows, since some clients take one for an event.
const BEAT: &[u8] = b":\n";

pub(super) struct Queue {
    waiting: mpsc::Receiver<Bytes>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    beat: Option<Duration>,
    /// Created at the first wait, within the runtime of the server.
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
            // Queued events are still sent.
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

    /// Restarts the time of silence.
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
