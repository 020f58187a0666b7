//! The protocol of hub mode: frames become events, and commands on channels are carried out.

use std::sync::Arc;

use tungstenite::Message as Frame;

use super::Protocol;
use super::commands;
use crate::dialect::{self, Parsed};
use crate::event::{Body, Direction, EventId, Message, Opcode};
use crate::hub::{Connection, Hub, Outgoing};
use crate::problem::Problem;

/// The protocol of one connection.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Hub,
    /// Whether accepted frames are answered with the ids of their events.
    pub(super) ack: bool,
}

impl Protocol for Tap {
    type Outgoing = Outgoing;

    fn on_frame(&mut self, frame: Frame) -> Option<Frame> {
        match published(&self.connection, frame) {
            Ok(id) => id.filter(|_| self.ack).map(ack),
            Err(problem) => {
                self.hub.metrics().frame_errors.inc();
                Some(Frame::text(problem.frame()))
            }
        }
    }

    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame> {
        Some(commands::frame(outgoing))
    }
}

/// Publishes a data frame, or carries out the command in it. Control frames, a repeated registration
/// and frames after the end of the connection publish nothing.
fn published(connection: &Connection, frame: Frame) -> Result<Option<EventId>, Problem> {
    let (opcode, size, body) = match frame {
        Frame::Text(text) => match dialect::message(&text, connection.id())? {
            Parsed::Message(body) => (Opcode::Text, text.len(), body),
            Parsed::Command(command) => return commands::carry_out(connection, command).map(Some),
            Parsed::Nothing => return Ok(None),
        },
        Frame::Binary(bytes) => match dialect::binary(&bytes, connection.id())? {
            Some(command) => return commands::carry_out(connection, command).map(Some),
            None => (Opcode::Binary, bytes.len(), Body::Binary(bytes.as_ref().into())),
        },
        Frame::Close(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return Ok(None),
    };
    Ok(connection.publish(message(opcode, size, body)).ok())
}

pub(super) fn message(opcode: Opcode, size: usize, body: Body) -> Message {
    Message::new(Direction::In, opcode, size, body)
}

pub(super) fn ack(id: EventId) -> Frame {
    Frame::text(format!("{{\"ack\":\"{id}\"}}"))
}
