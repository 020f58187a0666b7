//! A message under way.

use super::boundaries::{Head, RSV1, TEXT};
use super::inflate::Inflate;
use super::{Extensions, Note, Payload, Seen};
use crate::event::Opcode;

/// What is known of a message so far; its payload is with the reader.
#[derive(Debug)]
pub(super) struct Message {
    opcode: Opcode,
    pub(super) compressed: bool,
    /// Frames that have begun.
    pub(super) fragments: u32,
    /// Payload bytes that have come.
    pub(super) sent: u64,
    /// What they have been inflated to.
    pub(super) inflated: u64,
    /// Bytes of its frames.
    pub(super) wire: u64,
    /// What is wrong with it.
    pub(super) wrong: Option<Note>,
    /// Why nothing is kept of it.
    pub(super) absent: Option<Note>,
}

impl Message {
    /// Begins with a head; `listen` tells whether anybody wants to read it.
    pub(super) fn new(
        head: &Head,
        extensions: Extensions,
        inflate: &mut Inflate,
        listen: bool,
    ) -> Self {
        let compressed = head.rsv & RSV1 != 0 && matches!(extensions, Extensions::Deflate(_));
        let absent = if !listen {
            Some(Note::Skimmed)
        } else if compressed && inflate.lost() {
            Some(Note::NotDecoded)
        } else {
            None
        };
        if compressed && absent.is_some() {
            inflate.skip();
        }
        Self {
            opcode: if head.opcode == TEXT { Opcode::Text } else { Opcode::Binary },
            compressed,
            fragments: 0,
            sent: 0,
            inflated: 0,
            wire: 0,
            wrong: None,
            absent,
        }
    }

    /// Returns whether it is being inflated: also if it is too large, for the context's sake.
    pub(super) fn inflates(&self) -> bool {
        self.compressed && matches!(self.absent, None | Some(Note::TooLarge(_)))
    }

    /// Returns how many bytes it has: decoded if it was.
    pub(super) fn size(&self) -> u64 {
        if self.inflates() { self.inflated } else { self.sent }
    }

    /// Tells of it, with this payload.
    pub(super) fn seen<'a>(&self, bytes: &'a [u8]) -> Seen<'a> {
        let (payload, odd) = match (self.absent, self.opcode) {
            (Some(note), _) => (Payload::Absent, Some(note)),
            (None, Opcode::Binary) => (Payload::Bytes(bytes), None),
            (None, Opcode::Text) => match std::str::from_utf8(bytes) {
                Ok(text) => (Payload::Text(text), None),
                Err(_) => (Payload::Bytes(bytes), Some(Note::InvalidText)),
            },
        };
        Seen::Message {
            opcode: self.opcode,
            payload,
            size: self.size(),
            wire: self.wire,
            fragments: self.fragments,
            compressed: self.compressed,
            note: self.wrong.or(odd),
        }
    }
}
