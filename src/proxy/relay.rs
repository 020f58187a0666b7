//! Bytes from one end to the other, both ways, until both are done.
//!
//! What is read is written on at once, from the same buffer; only then does the tap see it. What
//! the other end does not take is kept, up to a bound, and nothing more is read until there is
//! room: so a slow end slows its own peer and nobody else. Ends, half-ends and resets are passed
//! on as they are. No await point here holds a lock.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::tap::Tap;
use crate::event::{Direction, Opcode};
use crate::frame;
use crate::hub::{CloseRequest, Mailbox, Outgoing, Queued};
use crate::request::Abort;

/// What is read at once. With less, large messages take more turns; more is no quicker.
const SCRATCH: usize = 64 << 10;

/// What may wait for an end to take it, each way: reading goes on while one write is under way.
/// While so much waits, messages of ours stay in their queue, which refuses what is too much.
const HOLD: usize = 64 << 10;

/// Memory that a direction keeps for what waits, once nothing does.
const KEEP: usize = 4 << 10;

/// How long both ends have to answer a close frame of ours.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a TCP connection may stay after both sides have said that their WebSocket is closed.
const LINGER: Duration = Duration::from_secs(10);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

type End = TokioIo<Upgraded>;

/// Relays until both directions have ended, or an order ends them; then tells how that came.
/// The client stands before the server in `ends` and `aborts`.
pub(super) async fn run(ends: [End; 2], aborts: [Abort; 2], tap: Tap, orders: Mailbox) {
    let pipes = [Pipe::new(Direction::In), Pipe::new(Direction::Out)];
    let Mailbox { queue, close } = orders;
    let queue = Some(queue);
    let mut relay =
        Relay { ends, aborts, pipes, tap, close, queue, next: None, closing: None, ordered: false };
    poll_fn(|cx| relay.poll(cx)).await;
    relay.tap.end();
}

struct Relay {
    ends: [End; 2],
    aborts: [Abort; 2],
    pipes: [Pipe; 2],
    tap: Tap,
    close: oneshot::Receiver<CloseRequest>,
    /// Messages of ours; `None` once no place for them can come, so that they are refused.
    queue: Option<Queued>,
    /// Taken out of the queue, and too much for its direction.
    next: Option<(Direction, Outgoing)>,
    closing: Option<Pin<Box<Sleep>>>,
    /// The end is ours, so that we end the TCP connections too.
    ordered: bool,
}

/// One direction.
struct Pipe {
    direction: Direction,
    /// What the far end has not taken yet; up to `sent` it has.
    waiting: Vec<u8>,
    sent: usize,
    /// Frames of ours, for the next place between two messages.
    inserts: Vec<u8>,
    passing: Passing,
    unflushed: bool,
    source: Source,
    /// Nothing is left to do.
    done: bool,
}

/// What becomes of what the source says.
#[derive(PartialEq, Eq)]
enum Passing {
    /// It is passed on.
    All,
    /// It is, up to the close frame that is the last of our frames.
    UntilOurs,
    /// Our close frame has gone; nothing comes after it.
    Nothing,
}

#[derive(PartialEq, Eq)]
enum Source {
    Open,
    Ended,
    Reset,
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_orders(cx);
        let mut moved = true;
        while moved {
            moved = false;
            for n in 0..2 {
                moved |= self.poll_pipe(n, cx);
            }
            moved |= self.next.is_some() && self.poll_orders(cx);
        }
        self.refuse_what_has_no_place(cx);
        if self.pipes.iter().all(|pipe| pipe.done) {
            return Poll::Ready(());
        }
        if self.tap.both_closed() {
            // Nothing can follow but the ends of the TCP connections.
            self.tap.end();
            self.closing.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        }
        if let Some(deadline) = &mut self.closing {
            let answered = self.ordered && self.tap.both_closed();
            if answered && self.pipes.iter().all(Pipe::is_empty)
                || deadline.as_mut().poll(cx).is_ready()
            {
                for end in &mut self.ends {
                    // What cannot be ended in good order at once ends by being dropped.
                    let _ = Pin::new(end).poll_shutdown(cx);
                }
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Takes what others want of this connection; returns whether there was anything.
    fn poll_orders(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = false;
        while self.closing.is_none() {
            if let Poll::Ready(Ok(order)) = Pin::new(&mut self.close).poll(cx) {
                self.close(&order);
                return true;
            }
            if self.next.is_none()
                && let Some(queue) = &mut self.queue
                && let Poll::Ready(next) = queue.poll_next(cx)
            {
                self.next = next;
            }
            match self.next.take() {
                Some((direction, message)) if self.has_room(direction) => {
                    self.pipes[direction as usize].take(message);
                    taken = true;
                }
                // It is looked at again when its direction has moved.
                next => {
                    self.next = next;
                    break;
                }
            }
        }
        taken
    }

    fn has_room(&self, direction: Direction) -> bool {
        let pipe = &self.pipes[direction as usize];
        pipe.waiting.len() - pipe.sent + pipe.inserts.len() < HOLD
    }

    /// Closes the queue once a direction has no place for a message any more, so that what comes
    /// later is refused; tells of what was taken before that.
    fn refuse_what_has_no_place(&mut self, cx: &mut Context<'_>) {
        if self.queue.is_none() {
            return;
        }
        let shut = self.pipes.each_ref().map(|pipe| {
            pipe.done || pipe.source != Source::Open || !self.tap.takes_messages(pipe.direction)
        });
        if self.closing.is_none() && shut == [false; 2] {
            return;
        }
        let mut lost = [0, 1].map(|n| shut[n] && !self.pipes[n].inserts.is_empty());
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

    fn close(&mut self, order: &CloseRequest) {
        self.tap.ordered(order);
        self.ordered = true;
        for pipe in &mut self.pipes {
            let mask = mask(pipe.direction);
            frame::close_frame(order.code, &order.reason, mask, &mut pipe.inserts);
            pipe.passing = Passing::UntilOurs;
        }
        self.closing = Some(Box::pin(sleep_until(Instant::now() + CLOSING)));
    }

    /// Moves what can be moved in one direction; returns whether that was anything.
    fn poll_pipe(&mut self, n: usize, cx: &mut Context<'_>) -> bool {
        let pipe = &mut self.pipes[n];
        if pipe.done {
            return false;
        }
        let [client, server] = &mut self.ends;
        let (from, to) = if n == 0 { (client, server) } else { (server, client) };
        let mut moved = pipe.insert(&self.tap);
        let moving = pipe.poll_write(to, cx).and_then(|written| {
            moved |= written;
            if pipe.source == Source::Open && pipe.waiting.len() - pipe.sent < HOLD {
                moved |= pipe.poll_read(from, to, &mut self.tap, cx)?;
            }
            Ok(())
        });
        if moving.is_err() {
            // The far end takes nothing any more. What it has said still goes the other way; its
            // own end or reset is what ends the connection.
            self.tap.broken(pipe.direction);
            pipe.done = true;
            return true;
        }
        if pipe.source == Source::Open || !pipe.is_empty() {
            return moved;
        }
        let far = 1 - n;
        match pipe.source {
            Source::Reset => {
                self.aborts[far].abort();
                self.pipes[0].done = true;
                self.pipes[1].done = true;
            }
            Source::Ended => match Pin::new(to).poll_shutdown(cx) {
                Poll::Pending => return moved,
                Poll::Ready(_) => pipe.done = true,
            },
            Source::Open => {}
        }
        true
    }
}

impl Pipe {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            waiting: Vec::new(),
            sent: 0,
            inserts: Vec::new(),
            passing: Passing::All,
            unflushed: false,
            source: Source::Open,
            done: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    /// Takes a message of ours, for the next place.
    fn take(&mut self, message: Outgoing) {
        let mask = mask(self.direction);
        match message {
            Outgoing::Text(text) => {
                frame::data_frame(Opcode::Text, text.as_bytes(), mask, &mut self.inserts);
            }
            Outgoing::Binary(bytes) => {
                frame::data_frame(Opcode::Binary, &bytes, mask, &mut self.inserts);
            }
            // A relayed connection is in no channel, and nobody's.
            Outgoing::Delivered(_) | Outgoing::Present(..) | Outgoing::Expelled(_) => {}
        }
    }

    /// Puts frames of ours behind what has been read, if a message ends there.
    fn insert(&mut self, tap: &Tap) -> bool {
        let now = !self.inserts.is_empty() && tap.between_messages(self.direction);
        if now {
            self.put_inserts();
        }
        now
    }

    fn put_inserts(&mut self) {
        self.waiting.append(&mut self.inserts);
        if self.passing == Passing::UntilOurs {
            self.passing = Passing::Nothing;
        }
    }

    /// Writes what waits, as far as the far end takes it.
    fn poll_write(&mut self, to: &mut End, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while self.sent < self.waiting.len() {
            match Pin::new(&mut *to).poll_write(cx, &self.waiting[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.sent += written,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(moved),
            }
            moved = true;
            self.unflushed = true;
        }
        self.sent = 0;
        self.waiting.clear();
        if self.waiting.capacity() > KEEP {
            self.waiting = Vec::new();
        }
        if self.unflushed && Pin::new(to).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(moved)
    }

    /// Reads once, writes that on, and shows it to the tap.
    fn poll_read(
        &mut self,
        from: &mut End,
        to: &mut End,
        tap: &mut Tap,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        READ.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            match Pin::new(from).poll_read(cx, &mut buf) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    tap.ended(self.direction);
                    self.source = Source::Ended;
                    return Ok(true);
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    tap.reset();
                    self.source = Source::Reset;
                    return Ok(true);
                }
            }
            let bytes = buf.filled();
            let shown = self.passing != Passing::Nothing;
            let passed = self.pass_on(bytes, to, tap, cx);
            tap.feed(self.direction, bytes, shown);
            passed.map(|()| true)
        })
    }

    /// Writes bytes of the source on, with frames of ours between them where there is a place.
    fn pass_on(
        &mut self,
        bytes: &[u8],
        to: &mut End,
        tap: &Tap,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.passing == Passing::Nothing {
            return Ok(());
        }
        let place = if self.inserts.is_empty() { None } else { tap.place(self.direction, bytes) };
        if let Some(place) = place {
            self.waiting.extend_from_slice(&bytes[..place]);
            self.put_inserts();
            if self.passing != Passing::Nothing {
                self.waiting.extend_from_slice(&bytes[place..]);
            }
        } else if self.waiting.is_empty() {
            let written = match Pin::new(&mut *to).poll_write(cx, bytes) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            self.unflushed = true;
            self.waiting.extend_from_slice(&bytes[written..]);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
        self.poll_write(to, cx).map(drop)
    }
}

/// Frames to a server are masked (RFC 6455 section 5.3).
fn mask(direction: Direction) -> Option<[u8; 4]> {
    (direction == Direction::In).then(|| fastrand::u32(..).to_ne_bytes())
}
