//! Results of a reader.

use std::borrow::Cow;

use super::note::Note;
use crate::code;
use crate::event::Opcode;

/// A message, frame or fault that a reader has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A message, complete.
    Message {
        /// Text or binary.
        opcode: Opcode,
        /// Its payload.
        payload: Payload<'a>,
        /// Whether its payload is the beginning only: the message is larger than the limit.
        truncated: bool,
        /// Bytes of the whole decoded payload; of the payload as it was sent, if it was not decoded.
        size: u64,
        /// Bytes of all its frames, heads included.
        wire: u64,
        /// Number of its frames.
        fragments: u32,
        /// Whether it came compressed.
        compressed: bool,
        /// Its fault, or the reason why it has no payload or a part of it.
        note: Option<Note>,
    },
    /// A ping or a pong, from readers that are asked for them.
    Control {
        /// Its kind.
        kind: Control,
        /// Its first 125 bytes, the most that it may have.
        payload: &'a [u8],
        /// Bytes of the frame, its head included.
        wire: u64,
        /// Its fault.
        note: Option<Note>,
    },
    /// A close frame.
    Close {
        /// Its code; 1005 if it has none.
        code: u16,
        /// Its reason. Invalid UTF-8 is replaced by U+FFFD.
        reason: Cow<'a, str>,
        /// Its fault.
        note: Option<Note>,
    },
    /// A frame with a reserved opcode.
    Reserved {
        /// The opcode: 3 to 7, 11 to 15.
        opcode: u8,
        /// Bytes of its payload.
        size: u64,
        /// Bytes of the frame, its head included.
        wire: u64,
        /// Its fault.
        note: Note,
    },
    /// The start of the next frame is unknown. Reported once; later bytes are ignored.
    Unreadable {
        /// The fault.
        note: Note,
    },
}

impl<'a> Seen<'a> {
    /// Reads the payload of a close frame (RFC 6455 section 5.5.1).
    pub(super) fn close(payload: &'a [u8], wrong: Option<Note>) -> Self {
        let (code, reason, odd) = match payload {
            [] => (code::absent::NO_STATUS, &[][..], None),
            [_] => (code::absent::NO_STATUS, &[][..], Some(Note::ShortClose)),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                (code, reason, (!code::may_be_sent(code)).then_some(Note::CloseCode(code)))
            }
        };
        let reason = String::from_utf8_lossy(reason);
        let mangled = matches!(reason, Cow::Owned(_)).then_some(Note::InvalidReason);
        Self::Close { code, reason, note: wrong.or(odd).or(mangled) }
    }
}

/// The payload of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes of a binary message, or of a text that is not UTF-8.
    Bytes(&'a [u8]),
    /// Not decoded or not kept; the note gives the reason.
    Absent,
}

/// Control frames other than close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Requests a pong.
    Ping,
    /// Answers a ping, or is a sign of life.
    Pong,
}

/// Totals of a direction, skimmed or read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data messages that are complete.
    pub messages: u64,
    /// Payload bytes of data frames, as they were sent.
    pub payload: u64,
    /// The sum of the `size` of all complete messages: decoded where they were.
    pub decoded: u64,
}
