//! One WebSocket in hub mode, from its first frame to its last.
//!
//! A session registers, then takes turns: a frame of the client becomes an event, an order of the
//! hub becomes a frame, and silence becomes a ping. However it ends, the [`Connection`] that it
//! holds publishes one `close`. No await point here holds a lock; each write has a time limit, so
//! that a client which never reads ends its own session and nothing else.

mod commands;
mod handshake;
mod socket;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tungstenite::Message as Frame;
use tungstenite::error::ProtocolError;

use crate::code::{self, Code};
use crate::dialect::{self, Command, First, Refusal, Said};
use crate::event::{Body, By, Connect, ConnectionId, Direction, EventId, Message, Opcode};
use crate::hub::{CloseOrder, Connection, Ending, Hub, Orders, Outgoing, Seat};
use crate::problem::Problem;

pub(crate) use handshake::{Door, accept, upgrade};
pub(crate) use socket::Socket;

/// The times of a session, and how large a message may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A message larger than this ends the session.
    pub max_message_bytes: usize,
    /// How long a connection may stay unregistered.
    pub register_timeout: Duration,
    /// How often a client is pinged.
    pub ping_interval: Duration,
    /// How long it may stay silent after that, and how long a write may take.
    pub pong_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 1 << 20,
            register_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
        }
    }
}

/// How long a client has to answer our close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// Frames that a client may have read in one go before others get their turn. With tokio's own
/// budget of 128, a hundred clients that flood keep a listener waiting for 8 ms a round, in which
/// more comes than its socket holds; with 32 it is 2 ms, at 4 to 8 % of what a flood brings in.
const BURST: u32 = 32;

/// What the handshake has found out.
#[derive(Debug)]
struct Arrival {
    connect: Connect,
    /// The id in the URL.
    id: Option<ConnectionId>,
    /// Whether accepted frames are answered with the ids of their events.
    ack: bool,
    /// Whether pings carry the time, as those of channelize do.
    timed_pings: bool,
    /// Kept as long as the socket is open.
    _seat: Seat,
}

/// Serves a WebSocket until it ends.
async fn serve(mut socket: Socket, arrival: Arrival, hub: Hub, limits: Limits) {
    let deadline = Instant::now() + limits.register_timeout;
    let registered = tokio::select! {
        registered = timeout_at(deadline, register(&mut socket, &arrival, &hub)) => registered,
        () = hub.stopping().cancelled() => {
            socket.close(Code::Stopping.close(), "the server is stopping", CLOSING).await;
            return socket.linger(CLOSING).await;
        }
    };
    let problem = match registered {
        Ok(Ok(Some((connection, orders)))) => {
            let (ack, timed_pings) = (arrival.ack, arrival.timed_pings);
            let mut session = Session { socket, connection, hub, limits, ack, timed_pings };
            let ending = session.run(orders).await;
            session.connection.end(ending);
            return session.socket.linger(CLOSING).await;
        }
        // It left before it said who it is: nobody's event.
        Ok(Ok(None)) => return,
        Ok(Err(problem)) => problem,
        Err(_elapsed) => Problem::new(
            Code::Timeout,
            "the connection did not register in time; send {\"connectionId\":\"…\"} first",
        ),
    };
    hub.metrics().frame_errors.inc();
    let _ = timeout(CLOSING, socket.send(Frame::text(problem.frame()))).await;
    socket.close(problem.code.close(), &problem.detail, CLOSING).await;
    socket.linger(CLOSING).await;
}

/// Registers by the URL or by the first frame. `None`: the client has left.
async fn register(
    socket: &mut Socket,
    arrival: &Arrival,
    hub: &Hub,
) -> Result<Option<(Connection, Orders)>, Problem> {
    if let Some(id) = &arrival.id {
        return Ok(Some(hub.connect(id.clone(), arrival.connect.clone())?));
    }
    loop {
        match socket.next().await {
            Some(Ok(Frame::Text(text))) => {
                let (connection, orders, reply) = match dialect::registration(&text)? {
                    First::Id(id, body) => {
                        let (connection, orders) = hub.connect(id, arrival.connect.clone())?;
                        let published = body.and_then(|body| {
                            connection.publish(message(Opcode::Text, text.len(), body)).ok()
                        });
                        let reply = published.filter(|_| arrival.ack).map(ack);
                        (connection, orders, reply)
                    }
                    First::Command(command) => first_command(hub, arrival, command)?,
                };
                if let Some(reply) = reply {
                    let _ = socket.send(reply).await;
                }
                return Ok(Some((connection, orders)));
            }
            Some(Ok(Frame::Binary(bytes))) => {
                let command = dialect::binary(&bytes)?.ok_or(Refusal::NoRegistration)?;
                let (connection, orders, reply) = first_command(hub, arrival, command)?;
                if let Some(reply) = reply {
                    let _ = socket.send(reply).await;
                }
                return Ok(Some((connection, orders)));
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Err(error)) => {
                return match Fault::of(&error) {
                    Fault::Lost(_) => Ok(None),
                    Fault::Ours(code, detail) => Err(Problem::new(code, detail)),
                };
            }
            Some(Ok(Frame::Close(_))) => {
                socket.linger(CLOSING).await;
                return Ok(None);
            }
            None => return Ok(None),
        }
    }
}

/// Registers a connection that begins with a command, under an id that is made, and carries it out.
fn first_command(
    hub: &Hub,
    arrival: &Arrival,
    command: Command,
) -> Result<(Connection, Orders, Option<Frame>), Problem> {
    let (connection, orders) = hub.connect_relayed(None, arrival.connect.clone())?;
    let reply = match commands::carry_out(&connection, command) {
        Ok(id) => arrival.ack.then(|| ack(id)),
        Err(problem) => {
            hub.metrics().frame_errors.inc();
            Some(Frame::text(problem.frame()))
        }
    };
    Ok((connection, orders, reply))
}

/// A registered WebSocket.
struct Session {
    socket: Socket,
    connection: Connection,
    hub: Hub,
    limits: Limits,
    ack: bool,
    timed_pings: bool,
}

impl Session {
    /// Takes turns until the end, and says how that came.
    async fn run(&mut self, mut orders: Orders) -> Ending {
        let mut pinged: Option<Ping> = None;
        let mut timer = Box::pin(sleep_until(Instant::now() + self.limits.ping_interval));
        let mut burst = 0_u32;
        loop {
            burst = burst.wrapping_add(1);
            if burst.is_multiple_of(BURST) {
                tokio::task::yield_now().await;
            }
            let turn = tokio::select! {
                frame = self.socket.next() => Turn::Frame(frame),
                Some((_, outgoing)) = orders.queue.next() => Turn::Send(outgoing),
                Ok(order) = &mut orders.close => Turn::Close(order),
                () = &mut timer => Turn::Timer,
            };
            let ended = match turn {
                Turn::Frame(Some(Ok(Frame::Pong(_)))) => {
                    if let Some(ping) = pinged.as_mut().filter(|ping| !ping.answered) {
                        ping.answered = true;
                        self.connection.round_trip(ping.at.elapsed());
                    }
                    Ok(())
                }
                Turn::Frame(Some(Ok(frame))) => self.frame(frame).await,
                Turn::Frame(Some(Err(error))) => Err(self.fault(&error).await),
                Turn::Frame(None) => {
                    Err(Ending::lost("the connection ended without a close frame"))
                }
                Turn::Send(outgoing) => self.send(commands::frame(outgoing)).await,
                Turn::Close(order) => Err(self.closed_by_order(order).await),
                Turn::Timer => {
                    let (next, outcome) = self.heartbeat(&mut pinged).await;
                    timer.as_mut().reset(next);
                    outcome
                }
            };
            if let Err(ending) = ended {
                return ending;
            }
        }
    }

    /// Makes an event of a data frame, or the end of a close frame.
    async fn frame(&mut self, frame: Frame) -> Result<(), Ending> {
        if let Frame::Close(frame) = frame {
            // The answer goes out before the end is told, so that "clean" is true.
            self.socket.flush(CLOSING).await;
            let (code, reason) = match frame {
                Some(frame) => (frame.code.into(), frame.reason.to_string()),
                None => (code::absent::NO_STATUS, String::new()),
            };
            return Err(Ending { code, reason, clean: true, by: By::Client, wire: None });
        }
        match published(&self.connection, frame) {
            Ok(Some(id)) if self.ack => self.send(ack(id)).await,
            Ok(_) => Ok(()),
            Err(problem) => {
                self.hub.metrics().frame_errors.inc();
                self.send(Frame::text(problem.frame())).await
            }
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
    /// look again.
    async fn heartbeat(&mut self, pinged: &mut Option<Ping>) -> (Instant, Result<(), Ending>) {
        let now = Instant::now();
        match pinged {
            Some(ping) if !ping.looked => {
                ping.looked = true;
                let next = ping.at + self.limits.ping_interval.max(self.limits.pong_timeout);
                if ping.answered || self.socket.received() != ping.received {
                    return (next, Ok(()));
                }
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

    async fn closed_by_order(&mut self, order: CloseOrder) -> Ending {
        let last_words = |frame| {
            let _ = published(&self.connection, frame);
        };
        let (code, reason) = (order.code, order.reason.as_str());
        let clean = self.socket.close_and_wait(code, reason, CLOSING, last_words).await;
        Ending { code: order.code, reason: order.reason, clean, by: By::Tap, wire: None }
    }

    /// Ends a session on an error of the socket, with a close frame where it was the client's.
    async fn fault(&mut self, error: &tungstenite::Error) -> Ending {
        match Fault::of(error) {
            Fault::Lost(reason) => Ending::lost(reason),
            Fault::Ours(code, reason) => {
                self.hub.metrics().frame_errors.inc();
                self.socket.close(code.close(), &reason, CLOSING).await;
                Ending { code: code.close(), reason, clean: false, by: By::Tap, wire: None }
            }
        }
    }
}

enum Turn {
    Frame(Option<Result<Frame, tungstenite::Error>>),
    Send(Outgoing),
    Close(CloseOrder),
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
enum Fault {
    /// The connection is gone.
    Lost(String),
    /// The client did what it may not; the code says what.
    Ours(Code, String),
}

impl Fault {
    fn of(error: &tungstenite::Error) -> Self {
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

/// Publishes a data frame, or carries out what it orders; the other frames, a repeated
/// registration, and what comes after the end are no events.
fn published(connection: &Connection, frame: Frame) -> Result<Option<EventId>, Problem> {
    let (opcode, size, body) = match frame {
        Frame::Text(text) => match dialect::message(&text, connection.id())? {
            Said::Message(body) => (Opcode::Text, text.len(), body),
            Said::Command(command) => return commands::carry_out(connection, command).map(Some),
            Said::Nothing => return Ok(None),
        },
        Frame::Binary(bytes) => match dialect::binary(&bytes)? {
            Some(command) => return commands::carry_out(connection, command).map(Some),
            None => (Opcode::Binary, bytes.len(), Body::Binary(bytes.as_ref().into())),
        },
        Frame::Close(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(None),
    };
    Ok(connection.publish(message(opcode, size, body)).ok())
}

fn message(opcode: Opcode, size: usize, body: Body) -> Message {
    Message::new(Direction::In, opcode, size, body)
}

fn ack(id: EventId) -> Frame {
    Frame::text(format!("{{\"ack\":\"{id}\"}}"))
}

fn silent(reason: &str) -> Ending {
    Ending {
        code: Code::Timeout.close(),
        reason: reason.to_owned(),
        clean: false,
        by: By::Network,
        wire: None,
    }
}
