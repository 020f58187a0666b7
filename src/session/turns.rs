//! The loop of a WebSocket session, whatever protocol it speaks.
//!
//! One task owns the socket. It awaits the next frame, the next item to send, the request to close
//! and the ping timer; every write has a time limit, so that a client that does not read ends its
//! own session only. No lock is held at an await point.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout};
use tungstenite::Message as Frame;
use tungstenite::error::ProtocolError;

use super::answers::Answers;
use super::clock::unix_seconds;
use super::flow::TooFast;
use super::log_room::LogRoom;
use super::pings::{Beat, Pings};
use super::protocol::{Next, Outbox, Protocol};
use super::socket::{BATCH_BYTES, Socket};
use super::strict::LongLength;
use super::{CLOSING, Limits};
use crate::code::{self, Code};
use crate::event::ClosedBy;
use crate::hub::{CloseRequest, Connection, Ending, Hub, Turn, Turns};
use crate::metrics::Metrics;

/// Frames that a session may read or send before other tasks get their turn. With tokio's own
/// budget of 128, a hundred clients that flood keep a listener waiting for 8 ms a round, in which
/// more arrives than its socket holds; with 32 it is 2 ms, at 4 to 8 % of the throughput of a flood.
const BURST: u32 = 32;

/// Frames of this many bytes need a turn. One that enters a thousand channels takes milliseconds: four
/// clients that sent such frames without a pause, each on a new connection, kept others waiting for
/// 40 ms at the median. A shorter frame takes microseconds, of which a turn would be a large part.
pub(super) const LONG: usize = 1 << 10;

/// An open WebSocket.
#[derive(Debug)]
pub struct Session {
    pub(super) socket: Socket,
    hub: Hub,
    limits: Limits,
    /// Whether pings carry the time.
    pub(super) timed_pings: bool,
    /// Frames since the session last yielded to other tasks.
    work: u32,
    /// Turns for long frames.
    turns: Turns,
    /// A long frame that waits for its turn.
    long: Option<Frame>,
    /// Ends when the log on disk has caught up.
    log_room: LogRoom,
}

/// Why a session stops taking turns.
enum Stop {
    /// It has ended.
    Ended(Ending),
    /// It is to be closed.
    Requested(CloseRequest),
}

impl From<Ending> for Stop {
    fn from(ending: Ending) -> Self {
        Self::Ended(ending)
    }
}

impl Session {
    pub(super) fn new(socket: Socket, hub: Hub, limits: Limits) -> Self {
        let turns = hub.turns();
        Self {
            socket,
            hub,
            limits,
            timed_pings: false,
            work: 0,
            turns,
            long: None,
            log_room: LogRoom::default(),
        }
    }

    /// Serves the WebSocket until it ends, and returns how it ended: frames of the client go to
    /// `protocol`, items of `outbox` become frames, and silence becomes a ping. The round trip of a
    /// ping is noted in `connection`. [`Session::linger`] should follow.
    pub async fn run<P: Protocol>(
        &mut self,
        connection: &Connection,
        outbox: &mut impl Outbox<Item = P::Outgoing>,
        protocol: &mut P,
    ) -> Ending {
        let mut pings = Pings::new(self.limits);
        // Since when the protocol is ready, so that the client is read; `None` while it is not.
        let mut reading: Option<Instant> = None;
        let mut answers = Answers::default();
        loop {
            self.work += 1;
            if self.work >= BURST {
                self.work = 0;
                tokio::task::yield_now().await;
            }
            let full = answers.is_full();
            if full {
                reading = None;
            }
            let step = tokio::select! {
                (frame, turn) = self.next_frame(protocol, connection, &mut reading), if !full => {
                    Step::Frame(frame, turn)
                }
                answer = poll_fn(|cx| answers.poll_next(cx)) => Step::Answer(answer),
                next = poll_fn(|cx| outbox.poll_next(cx)) => Step::Next(next),
                () = pings.timer.as_mut() => Step::Timer,
            };
            let outcome = match step {
                Step::Frame(Some(Ok(Frame::Pong(_))), _) => {
                    if let Some(time) = pings.answered() {
                        connection.round_trip(time);
                    }
                    Ok(())
                }
                Step::Frame(Some(Ok(frame)), turn) => {
                    self.on_frame(frame, turn, outbox, protocol, &mut answers).await
                }
                Step::Frame(Some(Err(error)), _) => Err(self.fault(&error).await.into()),
                Step::Frame(None, _) => {
                    Err(Ending::lost("the connection ended without a close frame").into())
                }
                Step::Answer(answer) => self.send_answers(answer, &mut answers, outbox).await,
                Step::Next(next) => self.send_batch(next, outbox, protocol).await,
                Step::Timer => {
                    reading = reading.filter(|_| {
                        protocol.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
                    });
                    self.heartbeat(&mut pings, reading, outbox).await
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::Ended(ending)) => return ending,
                Err(Stop::Requested(request)) => return self.close(request, protocol).await,
            }
        }
    }

    /// Waits, for a limited time, until the client has received everything that was sent.
    pub async fn linger(&mut self) {
        self.socket.linger(CLOSING).await;
    }

    /// Closes a WebSocket that is not served.
    pub async fn refuse(mut self, code: u16, reason: &str) {
        self.socket.close(code, reason, CLOSING).await;
        self.linger().await;
    }

    /// Returns the next frame once the protocol is ready, and the turn of a long one. Notes since when
    /// the client is read. Cancel safe.
    async fn next_frame(
        &mut self,
        protocol: &mut impl Protocol,
        connection: &Connection,
        reading: &mut Option<Instant>,
    ) -> (Option<Result<Frame, tungstenite::Error>>, Option<Turn>) {
        poll_fn(|cx| {
            let ready = match protocol.poll_ready(cx) {
                Poll::Ready(()) => self.log_room.poll(cx, &self.hub),
                Poll::Pending => Poll::Pending,
            };
            if ready.is_pending() {
                *reading = None;
            }
            ready
        })
        .await;
        if self.long.is_none() {
            reading.get_or_insert_with(Instant::now);
            let frame = poll_fn(|cx| {
                let frame = self.socket.poll_next_unpin(cx);
                if frame.is_pending() {
                    // The client has nothing more to say for now, so its events are complete.
                    connection.settle();
                }
                frame
            });
            match frame.await {
                Some(Ok(frame)) if frame.len() >= LONG => self.long = Some(frame),
                frame => return (frame, None),
            }
        }
        let turn = poll_fn(|cx| {
            let turn = self.turns.poll_take(cx);
            if turn.is_pending() {
                connection.settle();
                *reading = None;
            }
            turn
        });
        let turn = turn.await;
        (self.long.take().map(Ok), Some(turn))
    }

    /// Sends an answer, and those behind it that wait for nothing more, with one flush.
    async fn send_answers(
        &mut self,
        first: Frame,
        answers: &mut Answers,
        outbox: &mut impl Outbox,
    ) -> Result<(), Stop> {
        self.start(first)?;
        for answer in answers.ready() {
            self.start(answer)?;
        }
        self.flush(outbox).await
    }

    /// Hands a data frame to the protocol, or turns a close frame into the end.
    async fn on_frame(
        &mut self,
        frame: Frame,
        turn: Option<Turn>,
        outbox: &mut impl Outbox,
        protocol: &mut impl Protocol,
        answers: &mut Answers,
    ) -> Result<(), Stop> {
        if let Frame::Close(frame) = frame {
            // The answer is written before the end is published, so that `clean` is true.
            self.socket.flush(CLOSING).await;
            let (code, reason) = match frame {
                Some(frame) => (frame.code.into(), frame.reason.to_string()),
                None => (code::absent::NO_STATUS, String::new()),
            };
            return Err(
                Ending { code, reason, clean: true, by: ClosedBy::Client, wire: None }.into()
            );
        }
        let answer = protocol.on_frame(frame);
        drop(turn);
        match answer.and_then(|answer| answers.pass(protocol.take_receipt(), answer)) {
            Some(answer) => self.send(answer, outbox).await,
            None => Ok(()),
        }
    }

    /// Sends an item and those that wait behind it with one flush.
    async fn send_batch<P: Protocol>(
        &mut self,
        next: Next<P::Outgoing>,
        outbox: &mut impl Outbox<Item = P::Outgoing>,
        protocol: &mut P,
    ) -> Result<(), Stop> {
        let request = self.start_batch(next, outbox, protocol)?;
        self.flush(outbox).await?;
        protocol.on_written();
        request.map_or(Ok(()), |request| Err(Stop::Requested(request)))
    }

    /// Starts to send an item and those that wait behind it, up to [`BATCH_BYTES`] or [`BURST`] of
    /// them. Returns the request to close if that comes next.
    fn start_batch<P: Protocol>(
        &mut self,
        mut next: Next<P::Outgoing>,
        outbox: &mut impl Outbox<Item = P::Outgoing>,
        protocol: &mut P,
    ) -> Result<Option<CloseRequest>, Ending> {
        // A pending poll leaves a waker that does nothing; the next turn polls again.
        let mut cx = Context::from_waker(Waker::noop());
        let (mut bytes, mut left) = (0, BURST);
        loop {
            let outgoing = match next {
                Next::Item(outgoing) => outgoing,
                Next::Close(request) => return Ok(Some(request)),
            };
            if let Some(frame) = protocol.on_outgoing(outgoing) {
                bytes += frame.len();
                self.start(frame)?;
            }
            (left, self.work) = (left - 1, self.work + 1);
            if left == 0 || bytes >= BATCH_BYTES {
                return Ok(None);
            }
            match outbox.poll_next(&mut cx) {
                Poll::Ready(another) => next = another,
                Poll::Pending => return Ok(None),
            }
        }
    }

    async fn send(&mut self, frame: Frame, outbox: &mut impl Outbox) -> Result<(), Stop> {
        self.start(frame)?;
        self.flush(outbox).await
    }

    fn start(&mut self, frame: Frame) -> Result<(), Ending> {
        self.socket.start(frame).map_err(|error| Ending::lost(error.to_string()))
    }

    /// Writes what was started. A request to close does not wait for a client that does not read.
    async fn flush(&mut self, outbox: &mut impl Outbox) -> Result<(), Stop> {
        let Self { socket, turns, long, .. } = self;
        let mut written = std::pin::pin!(socket.written());
        let written = poll_fn(|cx| {
            let written = written.as_mut().poll(cx);
            if written.is_pending() && long.is_some() {
                turns.give_up();
            }
            written
        });
        let mut writing = std::pin::pin!(timeout(self.limits.pong_timeout, written));
        let (written, request) = tokio::select! {
            biased;
            written = &mut writing => (written, None),
            request = poll_fn(|cx| outbox.poll_close(cx)) => match timeout(CLOSING, writing).await {
                Ok(written) => (written, Some(request)),
                Err(_elapsed) => return Err(Stop::Requested(request)),
            },
        };
        match written {
            Ok(Ok(())) => request.map_or(Ok(()), |request| Err(Stop::Requested(request))),
            Ok(Err(error)) => Err(Ending::lost(error.to_string()).into()),
            Err(_elapsed) => Err(timed_out("the client reads nothing".to_owned()).into()),
        }
    }

    /// Sends a ping, or ends the session if nothing has arrived since the last one.
    async fn heartbeat(
        &mut self,
        pings: &mut Pings,
        reading: Option<Instant>,
        outbox: &mut impl Outbox,
    ) -> Result<(), Stop> {
        match pings.on_timer(self.socket.received(), reading) {
            Beat::Wait => Ok(()),
            Beat::Missed => {
                let limit = self.limits.pong_timeout;
                Err(timed_out(format!("nothing came within {limit:?} of a ping")).into())
            }
            Beat::Ping => {
                let payload = if self.timed_pings { unix_seconds().into() } else { Bytes::new() };
                self.send(Frame::Ping(payload), outbox).await
            }
        }
    }

    /// Closes the WebSocket on request.
    async fn close(&mut self, request: CloseRequest, protocol: &mut impl Protocol) -> Ending {
        // Frames that the client sent before it saw the close frame are handled and not answered.
        let last_frames = |frame| {
            let _ = protocol.on_frame(frame);
        };
        let CloseRequest { code, reason } = request;
        let clean = self.socket.close_and_wait(code, &reason, CLOSING, last_frames).await;
        Ending { code, reason, clean, by: ClosedBy::Tap, wire: None }
    }

    /// Ends the session on an error of the socket, with a close frame if the client caused it.
    async fn fault(&mut self, error: &tungstenite::Error) -> Ending {
        match Fault::of(error, self.hub.metrics()) {
            Fault::Lost(reason) => Ending::lost(reason),
            Fault::Violation(code, reason) => {
                self.hub.metrics().frame_errors.inc();
                self.socket.close(code.close(), &reason, CLOSING).await;
                Ending { code: code.close(), reason, clean: false, by: ClosedBy::Tap, wire: None }
            }
        }
    }
}

/// What a session does next.
enum Step<T> {
    /// Handles a frame, in a turn if it is a long one.
    Frame(Option<Result<Frame, tungstenite::Error>>, Option<Turn>),
    /// Sends an answer whose receipt has come.
    Answer(Frame),
    Next(Next<T>),
    Timer,
}

/// What an error of the socket means.
pub(super) enum Fault {
    /// The connection is gone.
    Lost(String),
    /// The client violated the protocol or a limit.
    Violation(Code, String),
}

impl Fault {
    pub(super) fn of(error: &tungstenite::Error, metrics: &Metrics) -> Self {
        use tungstenite::Error;
        if let Some(too_fast) = cause::<TooFast>(error) {
            metrics.limited(too_fast.limit).inc();
            return Self::Violation(Code::SlowDown, too_fast.to_string());
        }
        if let Some(long) = cause::<LongLength>(error) {
            return Self::Violation(Code::Protocol, long.to_string());
        }
        match error {
            Error::Capacity(what) => Self::Violation(Code::TooLarge, what.to_string()),
            Error::Utf8(_) => {
                Self::Violation(Code::InvalidText, "text frames hold UTF-8".to_owned())
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Lost("the connection ended without a close frame".to_owned())
            }
            Error::Protocol(what) => Self::Violation(Code::Protocol, what.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

/// Returns the error of the connection that stands behind one of the socket.
fn cause<E: std::error::Error + 'static>(error: &tungstenite::Error) -> Option<&E> {
    match error {
        tungstenite::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn timed_out(reason: String) -> Ending {
    let code = Code::Timeout.close();
    Ending { code, reason, clean: false, by: ClosedBy::Network, wire: None }
}
