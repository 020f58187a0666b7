//! One WebSocket in hub mode, from its first frame to its last.
//!
//! A session registers, then takes turns. What the client's frames mean is the
//! business of a `Protocol`: the tap's own dialect here, the hooks of a program elsewhere. However
//! a session ends, the [`Connection`] that it holds publishes one `close`. No await point here holds
//! a lock; each write has a time limit, so that a client which never reads ends its own session and
//! nothing else.

mod commands;
pub(crate) mod handshake;
mod socket;
mod tap;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tungstenite::Message as Frame;

use crate::code::Code;
use crate::dialect::{self, Command, First};
use crate::event::{Connect, ConnectionId, Opcode};
use crate::hub::{Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::Problem;

pub use handshake::UpgradeContext;
pub(crate) use handshake::{Opened, open, upgrade};
pub(crate) use socket::Socket;
use tap::{Tap, ack, message};
use turns::Fault;
pub(crate) use turns::{Protocol, Session};

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
pub(crate) const CLOSING: Duration = Duration::from_secs(2);

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
    _seat: ConnectionPermit,
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
            let connection = Arc::new(connection);
            let tap =
                Tap { connection: Arc::clone(&connection), hub: hub.clone(), ack: arrival.ack };
            let mut session = Session::new(socket, hub, limits, arrival.timed_pings);
            let ending = session.run(&connection, orders, tap).await;
            connection.end(ending);
            return session.linger().await;
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
) -> Result<Option<(Connection, Mailbox)>, Problem> {
    if let Some(id) = &arrival.id {
        return Ok(Some(hub.connect(id.clone(), arrival.connect.clone())?));
    }
    loop {
        let (first, opcode, size) = match socket.next().await {
            Some(Ok(Frame::Text(text))) => {
                (dialect::registration(&text)?, Opcode::Text, text.len())
            }
            Some(Ok(Frame::Binary(bytes))) => {
                (dialect::binary_registration(&bytes)?, Opcode::Binary, bytes.len())
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => continue,
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
        };
        let (connection, orders, reply) = match first {
            First::Id(id, body) => {
                let (connection, orders) = hub.connect(id, arrival.connect.clone())?;
                let published =
                    body.and_then(|body| connection.publish(message(opcode, size, body)).ok());
                let reply = published.filter(|_| arrival.ack).map(ack);
                (connection, orders, reply)
            }
            First::Command(id, command) => first_command(hub, arrival, id, command)?,
        };
        if let Some(reply) = reply {
            let _ = socket.send(reply).await;
        }
        return Ok(Some((connection, orders)));
    }
}

/// Registers a connection that begins with a command, under its id or one that is made, and carries
/// it out.
fn first_command(
    hub: &Hub,
    arrival: &Arrival,
    id: Option<ConnectionId>,
    command: Command,
) -> Result<(Connection, Mailbox, Option<Frame>), Problem> {
    let connect = arrival.connect.clone();
    let (connection, orders) = match id {
        Some(id) => hub.connect(id, connect)?,
        None => hub.connect_with_generated_id(None, connect)?,
    };
    let reply = match commands::carry_out(&connection, command) {
        Ok(id) => arrival.ack.then(|| ack(id)),
        Err(problem) => {
            hub.metrics().frame_errors.inc();
            Some(Frame::text(problem.frame()))
        }
    };
    Ok((connection, orders, reply))
}
