//! Relays bytes between two ends, both ways, until both directions are done.
//!
//! Bytes are written on as soon as they are read, from the same buffer; the tap reads them
//! afterwards. Bytes that the other end does not take are kept, up to a bound, and reading stops
//! until there is room, so that a slow end slows its own peer only. Ends, half-closes and resets
//! are passed on. While a direction is not read, the state of its source is asked for at intervals,
//! so that a reset is noticed whatever waits. A poll ends when the tap has used its budget. No await
//! point holds a lock.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, Sleep, interval, sleep_until};

use super::pipe::{End, Pipe, Source};
use super::tap::Tap;
use crate::event::Direction;
use crate::hub::{CloseRequest, Mailbox, Outgoing, Queued, Turns, yield_turn};
use crate::socket::SocketControl;

/// How long both ends have to answer an injected close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a TCP connection may stay after both sides have sent a close frame.
const LINGER: Duration = Duration::from_secs(10);

/// How often a source that is not read is asked whether its connection still stands.
const ASK: Duration = Duration::from_millis(250);

/// How long a far end may take nothing once its peer has ended: half a minute, as long as the
/// kernel keeps unacknowledged bytes on the other sockets of the server.
const STUCK: Duration = Duration::from_secs(30);

/// The same once the connection to its peer has failed: nothing more can follow, and the reset is
/// to reach the far end soon.
const STUCK_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Relays until both directions are done or a close request ends them, and publishes the end.
/// The client comes before the server in `ends` and `controls`.
pub(super) async fn run(ends: [End; 2], controls: [SocketControl; 2], tap: Tap, mailbox: Mailbox) {
    let pipes = [Pipe::new(Direction::In), Pipe::new(Direction::Out)];
    let Mailbox { queue, close } = mailbox;
    let turns = tap.turns();
    let mut relay = Relay {
        ends,
        controls,
        pipes,
        tap,
        close,
        queue: Some(queue),
        next: None,
        deadline: None,
        closed_by_request: false,
        blocked: None,
        turns,
        needs_turn: false,
    };
    poll_fn(|cx| relay.poll(cx)).await;
    relay.tap.end();
}

struct Relay {
    ends: [End; 2],
    controls: [SocketControl; 2],
    pipes: [Pipe; 2],
    tap: Tap,
    close: oneshot::Receiver<CloseRequest>,
    /// Injected messages; `None` once no place for them can come, so that they are refused.
    queue: Option<Queued>,
    /// An injected message that its direction has no room for.
    next: Option<(Direction, Outgoing)>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The relay ends the TCP connections too.
    closed_by_request: bool,
    blocked: Option<Box<Blocked>>,
    /// Turns for what the tap reads beyond its budget.
    turns: Turns,
    needs_turn: bool,
}

/// Kept while a far end keeps a source from being read.
struct Blocked {
    ask: Interval,
    /// What each far end had taken in all, and since when it took nothing more.
    written: [(u64, Instant); 2],
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = if self.needs_turn { Some(ready!(self.turns.poll_take(cx))) } else { None };
        self.needs_turn = false;
        let polled = self.poll_within(cx);
        drop(turn);
        if polled.is_pending() && self.tap.needs_turn() {
            self.needs_turn = true;
            yield_turn(cx);
        }
        polled
    }

    fn poll_within(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tap.begin_turn();
        loop {
            self.poll_requests(cx);
            self.poll_pipes(cx);
            if !self.poll_blocked(cx) {
                break;
            }
        }
        self.refuse_unplaced(cx);
        if self.pipes.iter().all(|pipe| pipe.done) {
            return Poll::Ready(());
        }
        if self.tap.both_closed() {
            // Only the ends of the TCP connections can follow.
            self.tap.end();
            self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        }
        if let Some(deadline) = &mut self.deadline {
            let answered = self.closed_by_request && self.tap.both_closed();
            if answered && self.pipes.iter().all(Pipe::is_empty)
                || deadline.as_mut().poll(cx).is_ready()
            {
                for end in &mut self.ends {
                    // An end that cannot be shut down at once is closed by being dropped.
                    let _ = Pin::new(end).poll_shutdown(cx);
                }
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Takes the close request and injected messages; returns whether there were any.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = false;
        while self.deadline.is_none() {
            if let Poll::Ready(Ok(request)) = Pin::new(&mut self.close).poll(cx) {
                self.close(&request);
                return true;
            }
            if self.next.is_none()
                && let Some(queue) = &mut self.queue
                && let Poll::Ready(next) = queue.poll_next(cx)
            {
                self.next = next;
            }
            match self.next.take() {
                Some((direction, message)) if self.pipes[direction as usize].has_room() => {
                    self.pipes[direction as usize].inject(message);
                    taken = true;
                }
                // Tried again when its direction has moved.
                next => {
                    self.next = next;
                    break;
                }
            }
        }
        taken
    }

    /// Closes the queue once a direction has no place for a message any more, so that later ones
    /// are refused, and publishes that those taken before are lost.
    fn refuse_unplaced(&mut self, cx: &mut Context<'_>) {
        if self.queue.is_none() {
            return;
        }
        let shut = self.pipes.each_ref().map(|pipe| {
            pipe.done || pipe.source != Source::Open || !self.tap.takes_messages(pipe.direction)
        });
        if self.deadline.is_none() && shut == [false; 2] {
            return;
        }
        let mut lost = [0, 1].map(|n| shut[n] && self.pipes[n].has_inserts());
        let mut queue = self.queue.take();
        let queued = std::iter::from_fn(|| match queue.as_mut()?.poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => None,
        });
        for (direction, _) in self.next.take().into_iter().chain(queued) {
            lost[direction as usize] = true;
        }
        for pipe in self.pipes.iter().filter(|pipe| lost[pipe.direction as usize]) {
            self.tap.unplaced(pipe.direction);
        }
    }

    fn close(&mut self, request: &CloseRequest) {
        self.tap.cause().close_requested(request);
        self.closed_by_request = true;
        for pipe in &mut self.pipes {
            pipe.inject_close(request.code, &request.reason);
        }
        self.deadline = Some(Box::pin(sleep_until(Instant::now() + CLOSING)));
    }

    /// Moves bytes until no direction moves any more.
    fn poll_pipes(&mut self, cx: &mut Context<'_>) {
        let mut moved = true;
        while moved {
            moved = false;
            for n in 0..2 {
                moved |= self.poll_pipe(n, cx);
            }
            moved |= self.next.is_some() && self.poll_requests(cx);
        }
    }

    /// Moves bytes in one direction; returns whether it moved any.
    fn poll_pipe(&mut self, n: usize, cx: &mut Context<'_>) -> bool {
        let pipe = &mut self.pipes[n];
        if pipe.done {
            return false;
        }
        let [client, server] = &mut self.ends;
        let (from, to) = if n == 0 { (client, server) } else { (server, client) };
        let moved = match pipe.poll_move(from, to, &mut self.tap, cx) {
            Ok(moved) => moved,
            Err(error) => {
                // Bytes that the far end has sent still go the other way; its own end, or failure,
                // ends the connection.
                pipe.done = true;
                if error.kind() != io::ErrorKind::BrokenPipe {
                    self.pipes[1 - n].failure = Some(error);
                }
                return true;
            }
        };
        match pipe.source {
            Source::Open => return moved,
            Source::Failed => {
                self.tap.end();
                if !self.pipes[n].is_empty() {
                    return moved;
                }
                self.reset(1 - n);
            }
            Source::Ended if !pipe.is_empty() => return moved,
            Source::Ended => match Pin::new(to).poll_shutdown(cx) {
                Poll::Pending => return moved,
                Poll::Ready(_) => pipe.done = true,
            },
        }
        true
    }

    /// Ends both directions, one end by a reset.
    fn reset(&mut self, end: usize) {
        self.controls[end].reset_on_close();
        self.pipes[0].done = true;
        self.pipes[1].done = true;
    }

    /// Looks after directions whose far end takes nothing; returns whether anything has changed.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.pipes.iter().any(Pipe::is_blocked) {
            // A flow that stops now and then keeps its timer.
            if self.pipes.iter().all(Pipe::is_empty) {
                self.blocked = None;
            }
            return false;
        }
        let written = self.pipes.each_ref().map(|pipe| (pipe.written, Instant::now()));
        let blocked = self.blocked.get_or_insert_with(|| {
            let mut ask = interval(ASK);
            ask.reset();
            Box::new(Blocked { ask, written })
        });
        let mut changed = false;
        while blocked.ask.poll_tick(cx).is_ready() {
            for (before, now) in blocked.written.iter_mut().zip(written) {
                if now.0 > before.0 {
                    *before = now;
                }
            }
            changed = true;
        }
        if changed {
            for (n, (_, since)) in blocked.written.into_iter().enumerate() {
                self.ask(n, since.elapsed(), cx);
            }
        }
        changed
    }

    /// Asks for the state of a source that is not read, and gives up a far end that is `stuck` for
    /// too long while its peer is gone.
    fn ask(&mut self, n: usize, stuck: Duration, cx: &mut Context<'_>) {
        let (pipe, end) = (&mut self.pipes[n], &mut self.ends[n]);
        if !pipe.is_blocked() {
            return;
        }
        let mut ended = pipe.source == Source::Ended;
        if pipe.source != Source::Failed {
            let state = self.controls[n].ask(|| match Pin::new(end).poll_flush(cx) {
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            });
            match (state, pipe.failure.take()) {
                (Err(error), _) | (Ok(true), Some(error)) => pipe.fail(&mut self.tap, &error),
                (Ok(state), failure) => {
                    pipe.failure = failure;
                    ended |= state;
                }
            }
        }
        if ended {
            self.tap.cause().ended(pipe.direction);
        }
        let limit = if pipe.source == Source::Failed { STUCK_AFTER_FAILURE } else { STUCK };
        if (ended || pipe.source == Source::Failed) && stuck >= limit {
            self.tap.cause().stuck(pipe.direction, stuck);
            self.reset(1 - n);
        }
    }
}
