//! The reader of one direction.

use super::boundaries::{
    BINARY, Boundaries, CLOSE, CONTINUATION, FrameHead, NextHead, PING, PONG, RSV, RSV1, TEXT,
};
use super::extensions::Extensions;
use super::inflate::{Inflate, Stop};
use super::message::Message;
use super::note::Note;
use super::scratch::Scratch;
use super::seen::{Control, Counts, Seen};
use super::write::{CONTROL_MAX, apply_mask};

/// The sender of the bytes. Frames of a client are masked, those of a server are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Opened the connection.
    Client,
    /// Accepted the connection.
    Server,
}

/// Compressed bytes that are inflated in one step: at most 2 MiB come of them, and the cost of a step
/// is small beside that of its bytes.
const STEP: usize = 2 << 10;

/// What a frame counts for in a budget at least: its head takes time, too.
const FRAME: usize = 2 << 10;

/// Reads one direction.
///
/// It is fed a copy of relayed bytes, in any pieces. A message that is neither masked, compressed nor
/// fragmented, and lies in one piece, is handed out as a slice of that piece. For other messages the
/// readers of a thread share buffers, so that an idle reader has no heap, except for an inflater of
/// 48 KB where permessage-deflate carries its context over, from the first compressed message on.
///
/// Memory is bounded by `max_message_bytes`, time by the bytes fed: deflate makes at most 1,032
/// bytes of one.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    /// Pings and pongs are handed out.
    control: bool,
    extensions: Extensions,
    limit: usize,
    boundaries: Boundaries,
    /// The current frame, and its fault.
    head: FrameHead,
    wrong: Option<Note>,
    /// The current message, and the payload kept of it.
    message: Option<Message>,
    pub(super) kept: Vec<u8>,
    /// The payload so far of a control frame that came in pieces.
    pub(super) piece: Vec<u8>,
    closed: bool,
    pub(super) inflate: Inflate,
    counts: Counts,
}

impl Reader {
    /// Begins at the first byte after the handshake. The payload of messages larger than
    /// `max_message_bytes` is cut there; `control` asks for pings and pongs too.
    #[must_use]
    pub fn new(
        side: Side,
        extensions: Extensions,
        max_message_bytes: usize,
        control: bool,
    ) -> Self {
        let takeover = match (extensions, side) {
            (Extensions::Deflate(deflate), Side::Client) => !deflate.client_no_context_takeover,
            (Extensions::Deflate(deflate), Side::Server) => !deflate.server_no_context_takeover,
            _ => false,
        };
        Self {
            side,
            control,
            extensions,
            limit: max_message_bytes,
            boundaries: Boundaries::new(),
            head: FrameHead::default(),
            wrong: None,
            message: None,
            kept: Vec::new(),
            piece: Vec::new(),
            closed: false,
            inflate: Inflate::new(takeover),
            counts: Counts::default(),
        }
    }

    /// Reads more bytes; `each` gets what they complete, in order.
    pub fn feed(&mut self, bytes: &[u8], each: impl FnMut(Seen<'_>)) {
        self.feed_within(bytes, &mut usize::MAX.clone(), each);
    }

    /// Reads bytes until `budget` is used, and returns how many it has read. The budget counts these
    /// bytes, at least 2 KiB for each frame, and those that they inflate to, which may exceed it by 2 MB.
    pub fn feed_within(
        &mut self,
        bytes: &[u8],
        budget: &mut usize,
        mut each: impl FnMut(Seen<'_>),
    ) -> usize {
        let mut scratch = Scratch::take();
        let lent = scratch.lend(&mut self.kept);
        let read = self.follow::<true>(bytes, budget, &mut scratch, &mut each);
        scratch.back(&mut self.kept, lent);
        scratch.give();
        read
    }

    /// Returns the bytes that are kept of an incomplete message.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.len()
    }

    /// Drops the payload of an incomplete message. The message gets [`Note::NoRoom`].
    pub fn drop_payload(&mut self) {
        if let Some(message) = &mut self.message
            && message.absent.is_none()
        {
            message.absent = Some(Note::NoRoom);
            self.kept = Vec::new();
        }
    }

    /// Follows more bytes without reading payloads: counts messages, and reports close frames and the
    /// end of readable bytes.
    ///
    /// The message that is incomplete when `feed` goes on is marked as [`Note::Skimmed`]. If compressed
    /// messages refer to earlier ones ([`carries_context`](Self::carries_context)), skimming part of
    /// one ends decoding: later ones are [`Note::NotDecoded`].
    pub fn skim(&mut self, bytes: &[u8], mut each: impl FnMut(Seen<'_>)) {
        if let Some(message) = &mut self.message {
            if message.inflates() {
                self.inflate.skip();
            }
            message.absent = Some(Note::Skimmed);
            self.kept = Vec::new();
        }
        let budget = &mut usize::MAX.clone();
        self.follow::<false>(bytes, budget, &mut Scratch::default(), &mut each);
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns whether compressed messages refer to earlier ones, so that skimming one makes all later
    /// ones unreadable.
    #[must_use]
    pub fn carries_context(&self) -> bool {
        self.inflate.takes_over()
    }

    /// Returns the position of the direction in its frames.
    #[must_use]
    pub fn boundaries(&self) -> &Boundaries {
        &self.boundaries
    }

    fn follow<const LISTEN: bool>(
        &mut self,
        bytes: &[u8],
        budget: &mut usize,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Seen<'_>),
    ) -> usize {
        let mut rest = bytes;
        loop {
            if *budget == 0 {
                return bytes.len() - rest.len();
            }
            if self.boundaries.between() {
                match self.boundaries.head(&mut rest) {
                    NextHead::Head(head) => self.begin::<LISTEN>(head, scratch, each),
                    NextHead::Incomplete => return bytes.len(),
                    NextHead::Unreadable => {
                        each(Seen::Unreadable { note: Note::ImpossibleLength });
                        self.message = None;
                        self.kept = Vec::new();
                        self.inflate.skip();
                        return bytes.len();
                    }
                }
            }
            let data = self.head.opcode <= BINARY;
            let compressed = data && self.message.as_ref().is_some_and(Message::inflates);
            let most = if LISTEN && compressed { STEP } else { usize::MAX };
            let part = self.boundaries.payload(&mut rest, most);
            *budget = budget.saturating_sub(part.len().max(FRAME));
            match self.head.opcode {
                CONTINUATION..=BINARY => {
                    let made = self.data_part::<LISTEN>(part, scratch, each);
                    *budget = budget.saturating_sub(made);
                }
                CLOSE => self.control_part::<LISTEN>(part, each),
                PING | PONG if self.control => self.control_part::<LISTEN>(part, each),
                PING | PONG => {}
                opcode if LISTEN && self.boundaries.between() => {
                    let note = self.wrong.unwrap_or(Note::ReservedOpcode(opcode));
                    let (size, wire) = (self.head.length, self.head.wire());
                    each(Seen::Reserved { opcode, size, wire, note });
                }
                _ => {}
            }
            if !self.boundaries.between() && rest.is_empty() {
                return bytes.len();
            }
        }
    }

    /// Begins a frame.
    fn begin<const LISTEN: bool>(
        &mut self,
        head: FrameHead,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Seen<'_>),
    ) {
        self.head = head;
        self.wrong = self.fault(&head);
        self.closed |= head.opcode == CLOSE;
        if head.opcode > BINARY {
            self.piece = Vec::new();
            return;
        }
        if head.opcode == CONTINUATION {
            if self.message.is_none() {
                self.wrong = self.wrong.or(Some(Note::NoStart));
            }
        } else if let Some(message) = &mut self.message {
            message.wrong = message.wrong.or(Some(Note::CutOff));
            if message.inflates() {
                self.inflate.skip();
            }
            self.finish::<LISTEN>(None, scratch, each);
        }
        let message = match &mut self.message {
            Some(message) => message,
            none => none.insert(Message::new(&head, self.extensions, &mut self.inflate, LISTEN)),
        };
        message.fragments = message.fragments.saturating_add(1);
        message.wire = message.wire.saturating_add(head.wire());
        message.wrong = message.wrong.or(self.wrong);
        if message.absent.is_none() {
            if head.rsv != 0 && self.extensions == Extensions::Unknown {
                message.absent = Some(Note::UnknownExtension);
                self.kept.clear();
            } else if !message.compressed
                && message.sent.saturating_add(head.length) > self.limit as u64
            {
                message.limit = Some(self.limit);
            }
        }
    }

    /// Returns the fault of a frame, as far as its head shows.
    fn fault(&self, head: &FrameHead) -> Option<Note> {
        let explained = match (self.extensions, head.opcode) {
            (Extensions::Unknown, _) => RSV,
            (Extensions::Deflate(_), TEXT | BINARY) => RSV1,
            _ => 0,
        };
        if self.closed && head.opcode < CLOSE {
            Some(Note::AfterClose)
        } else if !head.is_minimal() {
            Some(Note::LongLength)
        } else if head.mask.is_some() != (self.side == Side::Client) {
            Some(if head.mask.is_some() { Note::Masked } else { Note::Unmasked })
        } else if matches!(head.opcode, 3..=7 | 11..) {
            Some(Note::ReservedOpcode(head.opcode))
        } else if head.rsv & !explained != 0 {
            Some(Note::ReservedBits)
        } else if head.opcode < CLOSE {
            None
        } else if !head.fin {
            Some(Note::FragmentedControl)
        } else if head.length > CONTROL_MAX as u64 {
            Some(Note::LargeControl)
        } else {
            None
        }
    }

    /// Takes payload of a data frame, and returns how many bytes it inflates to.
    fn data_part<const LISTEN: bool>(
        &mut self,
        part: &[u8],
        scratch: &mut Scratch,
        each: &mut impl FnMut(Seen<'_>),
    ) -> usize {
        let message = self.message.as_mut().expect("begun with its first frame");
        let first = message.sent == 0;
        message.sent += part.len() as u64;
        self.counts.payload += part.len() as u64;
        let last = self.head.fin && self.boundaries.between();
        let (mut whole, mut inflated) = (None, 0);
        if message.inflates() {
            inflated = self.inflate_part(part, last, scratch);
        } else if message.absent.is_none() {
            let kept = &part[..part.len().min(self.limit - self.kept.len())];
            if first && last && self.head.mask.is_none() {
                whole = Some(kept);
            } else {
                let start = self.kept.len();
                append(&mut self.kept, kept, self.limit);
                if let Some(key) = self.head.mask {
                    let at = self.boundaries.offset(&self.head, part);
                    apply_mask(&mut self.kept[start..], key, at);
                }
            }
        }
        if last {
            self.finish::<LISTEN>(whole, scratch, each);
        }
        inflated
    }

    /// Inflates a piece of a message; to its end, with `last`. Returns how many bytes came of it.
    fn inflate_part(&mut self, part: &[u8], last: bool, scratch: &mut Scratch) -> usize {
        let Some(message) = self.message.as_mut() else { return 0 };
        let before = message.inflated;
        if message.sent == 0 {
            // RFC 7692 compresses an empty message to one byte. Some senders send none, which is
            // not a whole block once the tail is added.
            return 0;
        }
        scratch.compressed.clear();
        scratch.compressed.extend_from_slice(part);
        if let Some(key) = self.head.mask {
            apply_mask(&mut scratch.compressed, key, self.boundaries.offset(&self.head, part));
        }
        let (kept, limit) = (&mut self.kept, self.limit);
        match self.inflate.part(scratch, last, kept, &mut message.inflated, limit) {
            // Inflated for the context alone.
            Ok(()) if message.absent.is_some() => kept.clear(),
            Ok(()) if message.inflated > limit as u64 => {
                message.limit = Some(limit);
                kept.truncate(limit);
            }
            Ok(()) => {}
            Err(stop) => {
                let note = match stop {
                    Stop::Invalid => Note::InvalidDeflate,
                    Stop::Endless => Note::NotDecoded,
                };
                message.absent = Some(note);
                self.kept.clear();
                self.inflate.skip();
            }
        }
        let inflated = self.message.as_ref().map_or(before, |message| message.inflated) - before;
        usize::try_from(inflated).unwrap_or(usize::MAX)
    }

    /// Hands a message out, from `whole` if it came in one piece.
    fn finish<const LISTEN: bool>(
        &mut self,
        whole: Option<&[u8]>,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Seen<'_>),
    ) {
        let Some(message) = &self.message else { return };
        if message.inflates() {
            self.inflate.finish(scratch);
        }
        self.counts.messages += 1;
        self.counts.decoded = self.counts.decoded.saturating_add(message.size());
        if LISTEN {
            each(message.seen(whole.unwrap_or(&self.kept)));
        }
        self.message = None;
        self.kept.clear();
    }

    /// Takes payload of a control frame, and hands the frame out when it is complete.
    fn control_part<const LISTEN: bool>(&mut self, part: &[u8], each: &mut impl FnMut(Seen<'_>)) {
        let complete = self.boundaries.between();
        let kept = &part[..part.len().min(CONTROL_MAX - self.piece.len())];
        let mut unmasked = [0; CONTROL_MAX];
        let payload = if complete && self.piece.is_empty() {
            kept
        } else {
            self.piece.extend_from_slice(kept);
            &self.piece
        };
        if !complete {
            return;
        }
        let payload = match self.head.mask {
            None => payload,
            Some(key) => {
                let unmasked = &mut unmasked[..payload.len()];
                unmasked.copy_from_slice(payload);
                apply_mask(unmasked, key, 0);
                unmasked
            }
        };
        let (wire, note) = (self.head.wire(), self.wrong);
        match self.head.opcode {
            CLOSE => each(Seen::close(payload, note)),
            PING if LISTEN => each(Seen::Control { kind: Control::Ping, payload, wire, note }),
            PONG if LISTEN => each(Seen::Control { kind: Control::Pong, payload, wire, note }),
            _ => {}
        }
        self.piece = Vec::new();
    }
}

/// Appends to the kept payload of a message, whose capacity stays near `limit`.
fn append(kept: &mut Vec<u8>, part: &[u8], limit: usize) {
    let needed = kept.len() + part.len();
    if needed > kept.capacity() {
        let ahead = (kept.len() * 2).min(limit).max(needed);
        kept.reserve_exact(ahead - kept.len());
    }
    kept.extend_from_slice(part);
}
