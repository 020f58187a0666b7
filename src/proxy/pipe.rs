//! One direction of a relay: reads, writes on, and keeps what the far end does not take yet.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tap::Tap;
use crate::event::{Direction, Opcode};
use crate::frame;
use crate::hub::Outgoing;

/// Bytes read at once. With less, large messages take more turns; more is not faster.
const SCRATCH: usize = 64 << 10;

/// Bytes that may wait for an end to take them: reading goes on while one write is under way.
/// While this much waits, injected messages stay in their queue, which refuses further ones.
const HOLD: usize = 64 << 10;

/// Capacity that a direction keeps for waiting bytes while none wait.
const KEEP: usize = 4 << 10;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// One end of a relayed connection.
pub(super) type End = TokioIo<Upgraded>;

/// One direction of a relayed connection.
pub(super) struct Pipe {
    pub(super) direction: Direction,
    /// Bytes that the far end has not taken yet; those before `sent` it has taken.
    waiting: Vec<u8>,
    sent: usize,
    /// Bytes that the far end has taken in all.
    pub(super) written: u64,
    /// Injected frames, for the next place between two messages.
    inserts: Vec<u8>,
    passing: Passing,
    unflushed: bool,
    pub(super) source: Source,
    /// The error that a write to the source has reported.
    pub(super) failure: Option<io::Error>,
    /// Nothing is left to do.
    pub(super) done: bool,
}

/// Which bytes of the source are passed on.
#[derive(PartialEq, Eq)]
enum Passing {
    /// All of them.
    All,
    /// Those before the injected close frame, which is the last of the injected frames.
    UntilOurs,
    /// None: the injected close frame has been written.
    Nothing,
}

/// State of the sending end of a direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It may send more.
    Open,
    /// It has ended its half of the connection.
    Ended,
    /// Its connection has failed, most likely by a reset.
    Failed,
}

impl Pipe {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            waiting: Vec::new(),
            sent: 0,
            written: 0,
            inserts: Vec::new(),
            passing: Passing::All,
            unflushed: false,
            source: Source::Open,
            failure: None,
            done: false,
        }
    }

    /// Returns whether the far end has taken all bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    /// Returns whether an injected message may be taken out of its queue.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() - self.sent + self.inserts.len() < HOLD
    }

    /// Returns whether injected frames have not been written yet.
    pub(super) fn has_inserts(&self) -> bool {
        !self.inserts.is_empty()
    }

    /// Returns whether the far end keeps the source from being read.
    pub(super) fn is_blocked(&self) -> bool {
        !self.done && !self.is_empty() && !self.reads()
    }

    fn reads(&self) -> bool {
        self.source == Source::Open && self.waiting.len() - self.sent < HOLD
    }

    /// Takes an injected message, for the next place between two messages.
    pub(super) fn inject(&mut self, message: Outgoing) {
        let mask = mask(self.direction);
        match message {
            Outgoing::Text(text) => {
                frame::data_frame(Opcode::Text, text.as_bytes(), mask, &mut self.inserts);
            }
            Outgoing::Binary(bytes) => {
                frame::data_frame(Opcode::Binary, &bytes, mask, &mut self.inserts);
            }
            // A relayed connection is a member of no channel and has no user.
            Outgoing::Delivered(_)
            | Outgoing::Present(..)
            | Outgoing::Resumed(..)
            | Outgoing::Expelled(_) => {}
        }
    }

    /// Injects a close frame, after which nothing of the source is passed on.
    pub(super) fn inject_close(&mut self, code: u16, reason: &str) {
        frame::close_frame(code, reason, mask(self.direction), &mut self.inserts);
        self.passing = Passing::UntilOurs;
    }

    /// Puts injected frames behind the bytes read so far, if a message ends there.
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

    /// Moves bytes as far as both ends allow, and returns whether it moved any.
    ///
    /// # Errors
    ///
    /// If the far end takes nothing any more.
    pub(super) fn poll_move(
        &mut self,
        from: &mut End,
        to: &mut End,
        tap: &mut Tap,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut moved = self.insert(tap);
        moved |= self.poll_write(to, cx)?;
        if self.reads() && tap.may_read(self.direction) {
            moved |= self.poll_read(from, to, tap, cx)?;
        }
        Ok(moved)
    }

    /// Writes waiting bytes, as far as the far end takes them.
    fn poll_write(&mut self, to: &mut End, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while self.sent < self.waiting.len() {
            match Pin::new(&mut *to).poll_write(cx, &self.waiting[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.sent += written;
                    self.written += written as u64;
                }
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

    /// Reads once, writes that on, and hands a copy to the tap.
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
                    self.end(tap);
                    return Ok(true);
                }
                Poll::Ready(Ok(())) => {}
                // An upstream that ends TCP without the end of TLS before.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.end(tap);
                    return Ok(true);
                }
                Poll::Ready(Err(error)) => {
                    self.fail(tap, &error);
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

    /// Notes the end of the source. After a failed write to it, that is a failure.
    fn end(&mut self, tap: &mut Tap) {
        if let Some(error) = self.failure.take() {
            self.fail(tap, &error);
        } else {
            tap.cause().ended(self.direction);
            self.source = Source::Ended;
        }
    }

    /// Notes that the connection to the source has failed.
    pub(super) fn fail(&mut self, tap: &mut Tap, error: &io::Error) {
        tap.cause().failed(self.direction, error);
        self.source = Source::Failed;
    }

    /// Writes bytes of the source on, with injected frames at the first place between two messages.
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
            self.written += written as u64;
            self.unflushed = true;
            self.waiting.extend_from_slice(&bytes[written..]);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
        self.poll_write(to, cx).map(drop)
    }
}

/// Returns the mask for frames of a direction: those to a server are masked (RFC 6455 section 5.3).
fn mask(direction: Direction) -> Option<[u8; 4]> {
    (direction == Direction::In).then(|| fastrand::u32(..).to_ne_bytes())
}
