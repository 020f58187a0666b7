//! Serves a WebSocket in hub mode: registers it, then runs its session.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tungstenite::Message as Frame;

use super::socket::Socket;
use super::tap::{Tap, ack, message};
use super::turns::{Fault, Session};
use super::{CLOSING, Limits, commands};
use crate::code::Code;
use crate::dialect::{self, Command, First};
use crate::event::{Connect, ConnectionId, Opcode};
use crate::hub::{Connection, ConnectionPermit, Hub, Mailbox};
use crate::problem::Problem;

/// A client in hub mode, as the handshake describes it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) connect: Connect,
    /// The id in the URL.
    pub(super) id: Option<ConnectionId>,
    /// Whether accepted frames are answered with the ids of their events.
    pub(super) ack: bool,
    /// Held as long as the socket is open.
    pub(super) _permit: ConnectionPermit,
}

/// Serves a WebSocket until it ends.
pub(super) async fn serve(mut session: Session, arrival: Arrival, hub: Hub, limits: Limits) {
    let deadline = Instant::now() + limits.register_timeout;
    let socket = &mut session.socket;
    let registered = tokio::select! {
        registered = timeout_at(deadline, register(socket, &arrival, &hub)) => registered,
        () = hub.stopping().cancelled() => {
            return session.refuse(Code::Stopping.close(), "the server is stopping").await;
        }
    };
    let problem = match registered {
        Ok(Ok(Some((connection, mut mailbox)))) => {
            let connection = Arc::new(connection);
            let (held, ack) = (Arc::clone(&connection), arrival.ack);
            let mut tap = Tap { connection: held, hub, ack, channel: None, delivery: None };
            let ending = session.run(&connection, &mut mailbox, &mut tap).await;
            // From here on nothing is queued for the client.
            drop(mailbox);
            connection.end(ending);
            return session.linger().await;
        }
        // It left before it registered, so that there is no connection to publish an event of.
        Ok(Ok(None)) => return,
        Ok(Err(problem)) => problem,
        Err(_elapsed) => Problem::new(
            Code::Timeout,
            "the connection did not register in time; send {\"connectionId\":\"…\"} first",
        ),
    };
    hub.metrics().frame_errors.inc();
    // Clients of a server that stops are closed alike, registered or not: without an error.
    if problem.code != Code::Stopping {
        let _ = timeout(CLOSING, socket.send(Frame::text(problem.frame()))).await;
    }
    session.refuse(problem.code.close(), &problem.detail).await;
}

/// Registers a connection by the URL or by its first frame. Returns `None` if the client has left.
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
                    Fault::Violation(code, detail) => Err(Problem::new(code, detail)),
                };
            }
            Some(Ok(Frame::Close(_))) => {
                socket.linger(CLOSING).await;
                return Ok(None);
            }
            None => return Ok(None),
        };
        let (connection, mailbox, reply) = match first {
            First::Id(id, body) => {
                let (connection, mailbox) = hub.connect(id, arrival.connect.clone())?;
                let published =
                    body.and_then(|body| connection.publish(message(opcode, size, body)).ok());
                let reply = published.filter(|_| arrival.ack).map(ack);
                (connection, mailbox, reply)
            }
            First::Command(id, command) => first_command(hub, arrival, id, command)?,
        };
        if let Some(reply) = reply {
            let _ = socket.send(reply).await;
        }
        return Ok(Some((connection, mailbox)));
    }
}

/// Registers a connection whose first frame is a command, under its id or a generated one, and
/// carries the command out.
fn first_command(
    hub: &Hub,
    arrival: &Arrival,
    id: Option<ConnectionId>,
    command: Command,
) -> Result<(Connection, Mailbox, Option<Frame>), Problem> {
    let connect = arrival.connect.clone();
    let (connection, mailbox) = match id {
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
    Ok((connection, mailbox, reply))
}
