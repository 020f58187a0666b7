//! Commands on channels: carries them out, and encodes what members receive.

use tungstenite::{Message as Frame, Utf8Bytes};

use crate::code::Code;
use crate::dialect::{self, Command};
use crate::event::{Body, EventId, Opcode};
use crate::hub::{Connection, Credential, Outgoing, Publication};
use crate::problem::Problem;

/// Carries out a command, and returns the id of the newest event after it.
pub(super) fn carry_out(connection: &Connection, command: Command) -> Result<EventId, Problem> {
    let done = match command {
        Command::Subscribe { channels, token, last } => {
            let token = token.as_deref().map_or(Credential::None, Credential::Token);
            connection.join(&channels, token, last)
        }
        Command::Unsubscribe { channels } => connection.leave(&channels),
        Command::Publish { channel, message } => {
            let size = message.as_str().len();
            let body = Body::Value(message);
            connection.publish_to(Publication::new(channel, Opcode::Text, size, body))
        }
    };
    done.map_err(Problem::from)
}

/// Encodes an item for the client.
pub(super) fn frame(outgoing: Outgoing) -> Frame {
    match outgoing {
        Outgoing::Text(text) => Frame::text(text),
        Outgoing::Binary(bytes) => Frame::Binary(bytes),
        Outgoing::Delivered(delivered) => {
            let frame = delivered.frame(|delivered| dialect::delivery(delivered.body())).clone();
            Frame::Text(Utf8Bytes::try_from(frame).expect("the frame was made of text"))
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
