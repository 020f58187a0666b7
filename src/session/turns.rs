//! The turns of a registered WebSocket, whatever is spoken on it.

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tungstenite::Message as Frame;
use tungstenite::error::ProtocolError;

use super::commands;
use super::socket::Socket;
use super::{CLOSING, Limits};
use crate::code::{self, Code};
use crate::event::ClosedBy;
use crate::hub::{CloseRequest, Connection, Ending, Hub, Mailbox, Outgoing};

/// Frames that a client may have read in one go before others get their turn. With tokio's own
/// budget of 128, a hundred clients that flood keep a listener waiting for 8 ms a round, in which
/// more comes than its socket holds; with 32 it is 2 ms, at 4 to 8 % of what a flood brings in.
const BURST: u32 = 32;

/// Who a client speaks with.
pub(crate) trait Protocol: Send + Sync {
    /// Waits until it can take a frame. Until then nothing is read from the client. Cancel safe.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Takes a frame of the client, and returns the answer.
    fn on_frame(&mut self, frame: Frame) -> Option<Frame>;

    /// Takes what others have for the client, and returns what it is sent of that.
    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame>;
}

/// A registered WebSocket.
pub(crate) struct Session {
    socket: Socket,
    hub: Hub,
    limits: Limits,
    timed_pings: bool,
}

impl Session {
    pub(super) fn new(socket: Socket, hub: Hub, limits: Limits, timed_pings: bool) -> Self {
        Self { socket, hub, limits, timed_pings }
    }

    /// Takes turns until the end, and says how that came: a frame of the client goes to the speaker,
    /// what others have for it becomes a frame, and silence becomes a ping.
    pub(crate) async fn run(
        &mut self,
        connection: &Connection,
        mut orders: Mailbox,
        mut protocol: impl Protocol,
    ) -> Ending {
        let mut pinged: Option<Ping> = None;
        let mut timer = Box::pin(sleep_until(Instant::now() + self.limits.ping_interval));
        // Since when the speaker is ready, so that the client is heard; `None` while it is not.
        let mut heard: Option<Instant> = None;
        let mut burst = 0_u32;
        loop {
            burst = burst.wrapping_add(1);
            if burst.is_multiple_of(BURST) {
                tokio::task::yield_now().await;
            }
            let turn = tokio::select! {
                frame = next(&mut self.socket, &protocol, &mut heard) => Turn::Frame(frame),
                Some((_, outgoing)) = orders.queue.next() => Turn::Send(outgoing),
                Ok(order) = &mut orders.close => Turn::Close(order),
                () = &mut timer => Turn::Timer,
            };
            let ended = match turn {
                Turn::Frame(Some(Ok(Frame::Pong(_)))) => {
                    if let Some(ping) = pinged.as_mut().filter(|ping| !ping.answered) {
                        ping.answered = true;
                        connection.round_trip(ping.at.elapsed());
                    }
                    Ok(())
                }
                Turn::Frame(Some(Ok(frame))) => self.frame(frame, &mut protocol).await,
                Turn::Frame(Some(Err(error))) => Err(self.fault(&error).await),
                Turn::Frame(None) => {
                    Err(Ending::lost("the connection ended without a close frame"))
                }
                Turn::Send(outgoing) => match protocol.on_outgoing(outgoing) {
                    Some(frame) => self.send(frame).await,
                    None => Ok(()),
                },
                Turn::Close(order) => Err(self.closed_on_request(order, &mut protocol).await),
                Turn::Timer => {
                    heard = heard.filter(|_| protocol.ready().now_or_never().is_some());
                    let (next, outcome) = self.heartbeat(&mut pinged, heard).await;
                    timer.as_mut().reset(next);
                    outcome
                }
            };
            if let Err(ending) = ended {
                return ending;
            }
        }
    }

    /// Lets the client's end of a WebSocket see all that was sent.
    pub(crate) async fn linger(&mut self) {
        self.socket.linger(CLOSING).await;
    }

    /// Hands a data frame to the speaker, or makes the end of a close frame.
    async fn frame(&mut self, frame: Frame, protocol: &mut impl Protocol) -> Result<(), Ending> {
        if let Frame::Close(frame) = frame {
            // The answer goes out before the end is told, so that "clean" is true.
            self.socket.flush(CLOSING).await;
            let (code, reason) = match frame {
                Some(frame) => (frame.code.into(), frame.reason.to_string()),
                None => (code::absent::NO_STATUS, String::new()),
            };
            return Err(Ending { code, reason, clean: true, by: ClosedBy::Client, wire: None });
        }
        match protocol.on_frame(frame) {
            Some(answer) => self.send(answer).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Ending> {
        match timeout(self.limits.pong_timeout, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ending::lost(error.to_string())),
            Err(_elapsed) => Err(silent("the client reads nothing")),
        }
    }

    /// Pings, or looks whether the last ping was answered by anything at all. Returns when to
    /// look again. An answer that nobody could hear is not missed: the client has its time anew from
    /// when it is `heard`.
    async fn heartbeat(
        &mut self,
        pinged: &mut Option<Ping>,
        heard: Option<Instant>,
    ) -> (Instant, Result<(), Ending>) {
        let now = Instant::now();
        match pinged {
            Some(ping) if !ping.looked => {
                let next = ping.at + self.limits.ping_interval.max(self.limits.pong_timeout);
                if ping.answered || self.socket.received() != ping.received {
                    ping.looked = true;
                    return (next, Ok(()));
                }
                let end = heard.unwrap_or(now).max(ping.at) + self.limits.pong_timeout;
                if now < end {
                    return (end, Ok(()));
                }
                ping.looked = true;
                let reason =
                    format!("nothing came within {:?} of a ping", self.limits.pong_timeout);
                (next, Err(silent(&reason)))
            }
            _ => {
                let received = self.socket.received();
                *pinged = Some(Ping { at: now, received, answered: false, looked: false });
                let payload = if self.timed_pings { commands::time().into() } else { Bytes::new() };
                (now + self.limits.pong_timeout, self.send(Frame::Ping(payload)).await)
            }
        }
    }

    async fn closed_on_request(
        &mut self,
        order: CloseRequest,
        protocol: &mut impl Protocol,
    ) -> Ending {
        // Nothing is answered any more.
        let last_words = |frame| {
            let _ = protocol.on_frame(frame);
        };
        let (code, reason) = (order.code, order.reason.as_str());
        let clean = self.socket.close_and_wait(code, reason, CLOSING, last_words).await;
        Ending { code: order.code, reason: order.reason, clean, by: ClosedBy::Tap, wire: None }
    }

    /// Ends a session on an error of the socket, with a close frame where it was the client's.
    async fn fault(&mut self, error: &tungstenite::Error) -> Ending {
        match Fault::of(error) {
            Fault::Lost(reason) => Ending::lost(reason),
            Fault::Ours(code, reason) => {
                self.hub.metrics().frame_errors.inc();
                self.socket.close(code.close(), &reason, CLOSING).await;
                Ending { code: code.close(), reason, clean: false, by: ClosedBy::Tap, wire: None }
            }
        }
    }
}

/// Returns what comes next, once the speaker is ready, and keeps since when it is. Cancel safe.
async fn next(
    socket: &mut Socket,
    protocol: &impl Protocol,
    heard: &mut Option<Instant>,
) -> Option<Result<Frame, tungstenite::Error>> {
    if protocol.ready().now_or_never().is_none() {
        *heard = None;
        protocol.ready().await;
    }
    heard.get_or_insert_with(Instant::now);
    socket.next().await
}

enum Turn {
    Frame(Option<Result<Frame, tungstenite::Error>>),
    Send(Outgoing),
    Close(CloseRequest),
    Timer,
}

struct Ping {
    at: Instant,
    /// Bytes that had come when it was sent: more of them are a sign of life.
    received: u64,
    answered: bool,
    looked: bool,
}

/// What an error of the socket means.
pub(super) enum Fault {
    /// The connection is gone.
    Lost(String),
    /// The client did what it may not; the code says what.
    Ours(Code, String),
}

impl Fault {
    pub(super) fn of(error: &tungstenite::Error) -> Self {
        use tungstenite::Error;
        match error {
            Error::Capacity(what) => Self::Ours(Code::TooLarge, what.to_string()),
            Error::Utf8(_) => Self::Ours(Code::InvalidText, "text frames hold UTF-8".to_owned()),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Lost("the connection ended without a close frame".to_owned())
            }
            Error::Protocol(what) => Self::Ours(Code::Protocol, what.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

fn silent(reason: &str) -> Ending {
    Ending {
        code: Code::Timeout.close(),
        reason: reason.to_owned(),
        clean: false,
        by: ClosedBy::Network,
        wire: None,
    }
}
