//! The body of a finite answer, written in turns.
//!
//! A server polls a body again and again for as long as the socket takes what it returns: a client
//! that reads fast would have a long answer written in one turn of its task, for a hundred
//! milliseconds and more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::hub::Turns;

/// How long pieces may be written before other tasks get their turn.
const TURN: Duration = Duration::from_millis(1);

/// A body whose pieces are written in turns, and that lets other tasks run once they have taken a
/// millisecond.
#[derive(Debug)]
pub(crate) struct InTurns<B> {
    body: B,
    turns: Turns,
    busy: Duration,
}

impl<B> InTurns<B> {
    pub(crate) fn new(turns: Turns, body: B) -> Self {
        Self { body, turns, busy: Duration::ZERO }
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
        let _turn = ready!(self.turns.poll_take(cx));
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

    #[tokio::test]
    async fn body_lets_others_run_between_its_pieces() {
        let turns = crate::hub::Hub::new(crate::hub::Settings::default()).turns();
        let search = || {
            let mut body = InTurns::new(turns, Endless);
            let mut cx = Context::from_waker(Waker::noop());
            let polls: Vec<_> =
                (0..30).map(|_| Pin::new(&mut body).poll_frame(&mut cx).is_pending()).collect();
            let pauses = polls.iter().filter(|pending| **pending).count();
            assert!(pauses >= 10 && !polls[0], "{polls:?}");
            assert!(
                polls.windows(2).all(|pair| pair != [true, true]),
                "each turn has a piece: {polls:?}"
            );
        };
        // Out of the runtime, so that turns come back without a task of the hub.
        std::thread::scope(|scope| scope.spawn(search).join().expect("no panic"));
    }
}
