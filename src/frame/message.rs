//! A message that is not complete.

use super::boundaries::{FrameHead, RSV1, TEXT};
use super::extensions::Extensions;
use super::inflate::Inflate;
use super::note::Note;
use super::seen::{Payload, Seen};
use crate::event::Opcode;

/// The state of a message; the reader has its payload.
#[derive(Debug)]
pub(super) struct Message {
    opcode: Opcode,
    pub(super) compressed: bool,
    /// Frames that have begun.
    pub(super) fragments: u32,
    /// Payload bytes that have come.
    pub(super) sent: u64,
    /// Bytes that they inflate to.
    pub(super) inflated: u64,
    /// Bytes of its frames.
    pub(super) wire: u64,
    /// Its fault.
    pub(super) wrong: Option<Note>,
    /// The reason why its payload is not kept.
    pub(super) absent: Option<Note>,
}

impl Message {
    /// Begins with a head. Without `listen` its payload is not read.
    pub(super) fn new(
        head: &FrameHead,
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

    /// Returns whether it is inflated, even if it is too large: later messages may refer to it.
    pub(super) fn inflates(&self) -> bool {
        self.compressed && matches!(self.absent, None | Some(Note::TooLarge(_) | Note::NoRoom))
    }

    /// Returns its size, decoded if it was.
    pub(super) fn size(&self) -> u64 {
        if self.inflates() { self.inflated } else { self.sent }
    }

    /// Returns it with this payload.
    pub(super) fn seen<'a>(&self, bytes: &'a [u8]) -> Seen<'a> {
        let (payload, odd) = match (self.absent, self.opcode) {
            (Some(note), _) => (Payload::Absent, Some(note)),
            (None, Opcode::Text) => match std::str::from_utf8(bytes) {
                Ok(text) => (Payload::Text(text), None),
                Err(_) => (Payload::Bytes(bytes), Some(Note::InvalidText)),
            },
            (None, _) => (Payload::Bytes(bytes), None),
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
