//! The protocol of hub mode: frames become events, and commands on channels are carried out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tungstenite::Message as Frame;

use super::Protocol;
use super::commands::{self, Done};
use super::protocol::Receipt;
use crate::access::Caller;
use crate::dialect::{self, Command, Parsed};
use crate::event::{Body, Channel, Direction, EventId, Message, Opcode};
use crate::hub::{Connection, Hub, NotKept, Outgoing};
use crate::problem::Problem;

/// The protocol of one connection.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Hub,
    /// Whether accepted frames are answered with the ids of their events.
    pub(super) ack: bool,
    /// The bearer of the credential of the handshake.
    pub(super) caller: Caller,
    /// The number of data frames so far, if the client registered by command: its answers are
    /// numbered, and what others send it is wrapped.
    pub(super) frames: Option<u64>,
    /// The channel that was last published to.
    pub(super) channel: Option<Channel>,
    /// The event that the last answer acknowledges.
    pub(super) event: Option<EventId>,
    /// Ends when what was published to a channel is nearly delivered.
    pub(super) delivery: Option<Delivering>,
}

/// Waits for a channel to deliver.
pub(super) struct Delivering(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Delivering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivering").finish_non_exhaustive()
    }
}

impl Protocol for Tap {
    type Outgoing = Outgoing;

    /// A client that publishes faster than its channel delivers is not read until the channel has
    /// caught up.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(channel) = self.channel.take()
            && self.hub.is_behind(&channel)
        {
            let hub = self.hub.clone();
            self.delivery = Some(Delivering(Box::pin(async move { hub.room_in(&channel).await })));
        }
        if let Some(Delivering(delivered)) = &mut self.delivery {
            ready!(delivered.as_mut().poll(cx));
            self.delivery = None;
        }
        Poll::Ready(())
    }

    fn on_frame(&mut self, frame: Frame) -> Option<Frame> {
        let is_data = frame.is_text() || frame.is_binary();
        if is_data && let Some(frames) = &mut self.frames {
            *frames += 1;
        }
        let (hub, connection) = (&self.hub, &self.connection);
        match published(hub, connection, &self.caller, frame, &mut self.channel) {
            Ok(Some(done)) => {
                let (answer, event) = answer(done, self.ack, self.frames)?;
                self.event = event;
                Some(answer)
            }
            // Where frames are numbered, each has an answer.
            Ok(None) => {
                self.frames.filter(|_| is_data && self.ack).map(|frame| ack(None, Some(frame)))
            }
            Err(problem) => {
                self.hub.metrics().frame_errors.inc();
                Some(Frame::text(dialect::numbered(problem.frame(), self.frames)))
            }
        }
    }

    fn take_receipt(&mut self) -> Option<Receipt> {
        let receipt = self.hub.receipt(self.event.take()?)?;
        Some(Box::pin(async move { receipt.await.map_err(not_kept) }))
    }

    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame> {
        Some(commands::frame(outgoing, self.frames.is_some()))
    }
}

/// Publishes a data frame, or carries out the command in it. Control frames, a repeated registration
/// and frames after the end of the connection publish nothing.
fn published(
    hub: &Hub,
    connection: &Connection,
    caller: &Caller,
    frame: Frame,
    channel: &mut Option<Channel>,
) -> Result<Option<Done>, Problem> {
    let mut carry_out = |command: Command| {
        if let Command::Publish { channel: to, .. } | Command::PublishBytes { channel: to, .. } =
            &command
        {
            *channel = Some(to.clone());
        }
        commands::carry_out(hub, connection, caller, command).map(Some)
    };
    let (opcode, size, body) = match frame {
        Frame::Text(text) => match dialect::message(&text, connection.id())? {
            Parsed::Message(body) => (Opcode::Text, text.len(), body),
            Parsed::Command(command) => return carry_out(command),
            Parsed::Nothing => return Ok(None),
        },
        Frame::Binary(bytes) => match dialect::binary(&bytes, connection.id())? {
            Some(command) => return carry_out(command),
            None => (Opcode::Binary, bytes.len(), Body::Binary(bytes.as_ref().into())),
        },
        Frame::Close(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(None),
    };
    Ok(connection.publish(message(opcode, size, body)).ok().map(Done::Event))
}

pub(super) fn message(opcode: Opcode, size: usize, body: Body) -> Message {
    Message::new(Direction::In, opcode, size, body)
}

/// Returns the answer to a frame that was carried out, if the client asked for one, and the event that
/// it acknowledges.
pub(super) fn answer(
    done: Done,
    acks: bool,
    frame: Option<u64>,
) -> Option<(Frame, Option<EventId>)> {
    match done {
        Done::Pong(id) => Some((Frame::text(dialect::pong(&id)), None)),
        Done::Event(id) => acks.then(|| (ack(Some(id), frame), Some(id))),
    }
}

/// Returns what is sent in place of an ack.
pub(super) fn not_kept(not: NotKept) -> Frame {
    Frame::text(Problem::from(not).frame())
}

pub(super) fn ack(id: Option<EventId>, frame: Option<u64>) -> Frame {
    Frame::text(dialect::ack(id, frame))
}
