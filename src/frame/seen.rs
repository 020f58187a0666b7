//! What a reader tells.

use std::borrow::Cow;

use super::Note;
use crate::code;
use crate::event::Opcode;

/// What a reader has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A message, complete.
    Message {
        /// Text or binary.
        opcode: Opcode,
        /// What it says.
        payload: Payload<'a>,
        /// Bytes of the decoded payload; of the payload as it was sent, if it was not decoded.
        size: u64,
        /// Bytes of all its frames, heads included.
        wire: u64,
        /// Of how many frames it is made.
        fragments: u32,
        /// Whether it came compressed.
        compressed: bool,
        /// What is wrong with it, or why it has no payload.
        note: Option<Note>,
    },
    /// A ping or a pong, to readers that are asked for them.
    Control {
        /// Which of them.
        kind: Control,
        /// Its first 125 bytes, which are all it may have.
        payload: &'a [u8],
        /// Bytes of the frame, its head included.
        wire: u64,
        /// What is wrong with it.
        note: Option<Note>,
    },
    /// A close frame.
    Close {
        /// Why; 1005 if it does not say.
        code: u16,
        /// Why, in words. What is no UTF-8 is replaced by U+FFFD.
        reason: Cow<'a, str>,
        /// What is wrong with it.
        note: Option<Note>,
    },
    /// A frame with an opcode that means nothing.
    Reserved {
        /// The opcode: 3 to 7, 11 to 15.
        opcode: u8,
        /// Bytes of its payload.
        size: u64,
        /// Bytes of the frame, its head included.
        wire: u64,
        /// What is wrong with it.
        note: Note,
    },
    /// Nobody can tell where the next frame begins. Said once; all that follows is ignored.
    Unreadable {
        /// What came instead of a frame.
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

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes: of a binary message, or of a text that is no UTF-8.
    Bytes(&'a [u8]),
    /// Not decoded or not kept; the note says why.
    Absent,
}

/// The control frames that are not the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or says that its sender is there.
    Pong,
}

/// What has passed, skimmed or read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data messages that are complete.
    pub messages: u64,
    /// Payload bytes of data frames, as they were sent.
    pub payload: u64,
    /// The sum of the `size` of all complete messages: decoded where they were.
    pub decoded: u64,
}
