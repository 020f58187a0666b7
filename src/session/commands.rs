//! Commands on channels: carries them out, and encodes what members receive.

use std::sync::Arc;

use tungstenite::{Message as Frame, Utf8Bytes};

use crate::access::Caller;
use crate::code::Code;
use crate::dialect::{self, Command, InvalidFrame};
use crate::event::{Body, EventId, Opcode};
use crate::hub::{Connection, Hub, Kept, Outgoing, Publication};
use crate::json::Json;
use crate::problem::Problem;

/// What a command has done.
#[derive(Debug)]
pub(super) enum Done {
    /// The newest event after it.
    Event(EventId),
    /// It asked for this `pong`.
    Pong(Json),
}

/// Carries out a command of a registered connection.
///
/// # Errors
///
/// If the channel, or the credential of the connection, does not allow it.
pub(super) fn carry_out(
    hub: &Hub,
    connection: &Connection,
    caller: &Caller,
    command: Command,
) -> Result<Done, Problem> {
    let done = match command {
        Command::Subscribe { channels, token, last, after } => {
            let kept = after.map_or(Kept::Last(last), Kept::After);
            return caller
                .join(hub, connection, &channels, token.as_deref(), kept)
                .map(Done::Event);
        }
        Command::Unsubscribe { channels } => connection.leave(&channels),
        Command::Publish { channel, message } => {
            caller.may_publish_to(hub, &channel)?;
            let size = message.as_str().len();
            let body = Body::Value(message);
            connection.publish_to(Publication::new(channel, Opcode::Text, size, body))
        }
        Command::PublishBytes { channel, bytes } => {
            caller.may_publish_to(hub, &channel)?;
            let (size, body) = (bytes.len(), Body::Binary(bytes.as_ref().into()));
            connection.publish_to(Publication::new(channel, Opcode::Binary, size, body))
        }
        Command::Ping(id) => return Ok(Done::Pong(id)),
        Command::Register(_) => return Err(InvalidFrame::Registered.into()),
    };
    done.map(Done::Event).map_err(Problem::from)
}

/// Encodes an item for a client. A client that registered by command gets ids with messages of
/// channels, and text in a form that no frame of the server has.
pub(super) fn frame(outgoing: Outgoing, by_command: bool) -> Frame {
    match outgoing {
        Outgoing::Text(text) if by_command => Frame::text(dialect::wrapped(&text)),
        Outgoing::Text(text) => Frame::text(text),
        Outgoing::Binary(bytes) => Frame::Binary(bytes),
        Outgoing::Delivered(delivered) => {
            let frame = if by_command {
                delivered.frame_with_id(|delivered| {
                    dialect::delivery(delivered.body(), Some(delivered.event.id))
                })
            } else {
                delivered.frame(|delivered| dialect::delivery(delivered.body(), None))
            };
            Frame::Text(Utf8Bytes::try_from(frame.clone()).expect("the frame was made of text"))
        }
        Outgoing::Resumed(channel, resumption) => {
            let messages = resumption.messages.iter().map(Arc::as_ref);
            Frame::text(dialect::resumed(&channel, messages, resumption.complete))
        }
        Outgoing::Present(channel, users) => Frame::text(dialect::present(&channel, &users)),
        Outgoing::Expelled(channel) => {
            let words = format!(
                "the token for the channel {channel:?} has expired; subscribe again with a new one"
            );
            let error = Problem::new(Code::Unauthorized, words).frame();
            Frame::text(dialect::expelled(&channel, &error))
        }
    }
}
