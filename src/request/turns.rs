//! The body of a finite answer, written in turns.
//!
//! A server polls a body again and again for as long as the socket takes what it returns: a client
//! that reads fast would have a long answer written in one turn of its task, for a hundred
//! milliseconds and more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};

/// How long pieces may be written before other tasks get their turn.
const TURN: Duration = Duration::from_millis(1);

/// A body that lets other tasks run once its pieces have taken a millisecond.
#[derive(Debug)]
pub(crate) struct InTurns<B> {
    body: B,
    busy: Duration,
}

impl<B> InTurns<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, busy: Duration::ZERO }
    }
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for InTurns<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.busy >= TURN {
            self.busy = Duration::ZERO;
            crate::hub::yield_turn(cx);
            return Poll::Pending;
        }
        let began = Instant::now();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.busy = if polled.is_ready() { self.busy + began.elapsed() } else { Duration::ZERO };
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// A body without an end, whose pieces take half a turn.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            std::thread::sleep(TURN / 2);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[test]
    fn body_lets_others_run_between_its_pieces() {
        let mut body = InTurns::new(Endless);
        let mut cx = Context::from_waker(Waker::noop());
        let polls: Vec<_> =
            (0..30).map(|_| Pin::new(&mut body).poll_frame(&mut cx).is_pending()).collect();
        let pauses = polls.iter().filter(|pending| **pending).count();
        assert!(pauses >= 10 && !polls[0], "{polls:?}");
        assert!(
            polls.windows(2).all(|pair| pair != [true, true]),
            "each turn has a piece: {polls:?}"
        );
    }
}
