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
    /// The limit, if it is larger; its payload is kept up to there.
    pub(super) limit: Option<usize>,
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
            limit: None,
        }
    }

    /// Returns whether it is inflated, even if it is not kept: later messages may refer to it.
    pub(super) fn inflates(&self) -> bool {
        self.compressed && matches!(self.absent, None | Some(Note::NoRoom))
    }

    /// Returns its size, decoded if it was.
    pub(super) fn size(&self) -> u64 {
        if self.inflates() { self.inflated } else { self.sent }
    }

    /// Returns it with this payload.
    pub(super) fn seen<'a>(&self, bytes: &'a [u8]) -> Seen<'a> {
        let (payload, odd) = match (self.absent, self.opcode) {
            (Some(note), _) => (Payload::Absent, Some(note)),
            (None, Opcode::Text) => match self.text(bytes) {
                Some(text) => (Payload::Text(text), None),
                None => (Payload::Bytes(bytes), Some(Note::InvalidText)),
            },
            (None, _) => (Payload::Bytes(bytes), None),
        };
        let cut = self.limit.filter(|_| self.absent.is_none()).map(Note::TooLarge);
        Seen::Message {
            opcode: self.opcode,
            payload,
            truncated: cut.is_some(),
            size: self.size(),
            wire: self.wire,
            fragments: self.fragments,
            compressed: self.compressed,
            note: self.wrong.or(odd).or(cut),
        }
    }

    /// Returns its text; of one that is cut, without a character that the cut has split.
    fn text<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(fault) if self.limit.is_some() && fault.error_len().is_none() => {
                std::str::from_utf8(&bytes[..fault.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}
