//! Serves a WebSocket in hub mode: registers it, then runs its session.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tungstenite::Message as Frame;

use super::leased::Leased;
use super::socket::Socket;
use super::tap::{Tap, ack, answer, message, not_kept};
use super::turns::{Fault, LONG, Session};
use super::{CLOSING, Limits, commands};
use crate::access::Caller;
use crate::code::Code;
use crate::dialect::{self, Command, First, InvalidFrame, Registration};
use crate::event::{Connect, ConnectionId, EventId, Opcode};
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
    /// The bearer of the credential of the handshake.
    pub(super) caller: Caller,
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
        Ok(Ok(Some(Registered { connection, mut mailbox, by_command }))) => {
            let connection = Arc::new(connection);
            let ended = hub.clone();
            let mut tap = Tap {
                connection: Arc::clone(&connection),
                hub,
                ack: arrival.ack,
                caller: arrival.caller.clone(),
                frames: by_command.then_some(0),
                channel: None,
                event: None,
                delivery: None,
            };
            let ending = match arrival.caller.ended() {
                Some(ended) => {
                    let mut leased = Leased { mailbox: &mut mailbox, ended: Some(ended) };
                    session.run(&connection, &mut leased, &mut tap).await
                }
                None => session.run(&connection, &mut mailbox, &mut tap).await,
            };
            // From here on nothing is queued for the client.
            drop(mailbox);
            let turn = if connection.is_costly_to_end() { Some(ended.turn().await) } else { None };
            connection.end(ending);
            drop(turn);
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

/// A connection that has registered.
struct Registered {
    connection: Connection,
    mailbox: Mailbox,
    /// Whether it registered by the command `register`.
    by_command: bool,
}

/// The answer to the first frame, and the event that it acknowledges.
type Reply = (Frame, Option<EventId>);

/// Registers a connection by the URL or by its first frame. Returns `None` if the client has left.
async fn register(
    socket: &mut Socket,
    arrival: &Arrival,
    hub: &Hub,
) -> Result<Option<Registered>, Problem> {
    if let Some(id) = &arrival.id {
        hub.room_in_log().await;
        let (connection, mailbox) = hub.connect(id.clone(), arrival.connect.clone())?;
        return Ok(Some(Registered { connection, mailbox, by_command: false }));
    }
    loop {
        let next = socket.next().await;
        hub.room_in_log().await;
        // As a session does with each frame.
        let turn = match &next {
            Some(Ok(frame)) if frame.len() >= LONG => Some(hub.turn().await),
            _ => None,
        };
        let (first, opcode, size) = match next {
            Some(Ok(Frame::Text(text))) => {
                (dialect::registration(&text)?, Opcode::Text, text.len())
            }
            Some(Ok(Frame::Binary(bytes))) => {
                (dialect::binary_registration(&bytes)?, Opcode::Binary, bytes.len())
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => continue,
            Some(Err(error)) => {
                return match Fault::of(&error, hub.metrics()) {
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
        let (registered, reply) = match first {
            First::Id(id, body) => {
                let (connection, mailbox) = hub.connect(id, arrival.connect.clone())?;
                let published =
                    body.and_then(|body| connection.publish(message(opcode, size, body)).ok());
                let reply =
                    published.filter(|_| arrival.ack).map(|id| (ack(Some(id), None), Some(id)));
                (Registered { connection, mailbox, by_command: false }, reply)
            }
            First::Command(id, Command::Register(registration)) => {
                by_command(hub, arrival, id, registration)?
            }
            First::Command(id, command) => first_command(hub, arrival, id, command)?,
        };
        drop(turn);
        if let Some((reply, event)) = reply {
            let kept = match event {
                Some(event) => hub.kept(event).await,
                None => Ok(()),
            };
            let reply = kept.map_or_else(not_kept, |()| reply);
            let _ = socket.send(reply).await;
        }
        return Ok(Some(registered));
    }
}

/// Registers a connection whose first frame is `register`.
fn by_command(
    hub: &Hub,
    arrival: &Arrival,
    id: Option<ConnectionId>,
    registration: Registration,
) -> Result<(Registered, Option<Reply>), Problem> {
    let connect = arrival.connect.clone();
    let Registration { id: named, secret } = registration;
    let id = named.or(id).ok_or(InvalidFrame::NoRegistration)?;
    let (connection, mailbox, resumed) = hub.connect_with_secret(id, secret, connect)?;
    let reply = Frame::text(dialect::registered(connection.id(), resumed));
    Ok((Registered { connection, mailbox, by_command: true }, Some((reply, None))))
}

/// Registers a connection whose first frame is a command, under its id or a generated one, and
/// carries the command out.
fn first_command(
    hub: &Hub,
    arrival: &Arrival,
    id: Option<ConnectionId>,
    command: Command,
) -> Result<(Registered, Option<Reply>), Problem> {
    let connect = arrival.connect.clone();
    let (connection, mailbox) = match id {
        Some(id) => hub.connect(id, connect)?,
        None => hub.connect_with_generated_id(None, connect)?,
    };
    let reply = match commands::carry_out(hub, &connection, &arrival.caller, command) {
        Ok(done) => answer(done, arrival.ack, None),
        Err(problem) => {
            hub.metrics().frame_errors.inc();
            Some((Frame::text(problem.frame()), None))
        }
    };
    Ok((Registered { connection, mailbox, by_command: false }, reply))
}
