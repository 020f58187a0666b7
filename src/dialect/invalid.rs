//! Reasons for which a frame of a client is not accepted.

use crate::event::{InvalidChannel, InvalidClientSecret, InvalidConnectionId, InvalidEventId};

/// Channels that one command may name. A connection may be in as many, and the lock of the stream is
/// held while all of them are joined.
pub(super) const MAX_NAMES: usize = 1000;

/// Why a frame is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// The first frame does not register.
    #[error(
        "the first frame must be a JSON object with a connectionId, such as {{\"connectionId\":\"a\"}}"
    )]
    NoRegistration,
    /// The first frame registers with an invalid id.
    #[error(transparent)]
    InvalidId(#[from] InvalidConnectionId),
    /// The key `connectionId` occurs twice: parsers would disagree on the sender of the frame.
    #[error("connectionId stands twice in the object; once would be right")]
    RepeatedId,
    /// A registered client names the id of another connection.
    #[error(
        "this connection is registered under another connectionId; leave the key out or send the same"
    )]
    IdMismatch,
    /// The key `close` is reserved for the event with which the server reports the end of a connection.
    #[error("the key \"close\" is reserved for the server; put it inside \"message\"")]
    ReservedKey,
    /// A command whose parameters cannot be parsed.
    #[error("this command cannot be read; something like {0} is right")]
    Command(&'static str),
    /// A command names too many channels.
    #[error("a command names at most {MAX_NAMES} channels; several commands are right for more")]
    TooManyNames,
    /// A command names an invalid channel.
    #[error(transparent)]
    InvalidChannel(#[from] InvalidChannel),
    /// A command that registers has an invalid secret.
    #[error(transparent)]
    InvalidSecret(#[from] InvalidClientSecret),
    /// A command to subscribe has an invalid event id.
    #[error(transparent)]
    InvalidEventId(#[from] InvalidEventId),
    /// A command publishes bytes that cannot be decoded.
    #[error(
        "a message with the encoding base64 is a string in the standard alphabet, with padding"
    )]
    InvalidBase64,
    /// A registered connection registers again by a command.
    #[error("this connection is registered already; register is the first frame of a connection")]
    Registered,
}
