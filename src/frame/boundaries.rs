//! Finds the boundaries of frames: reads their heads and skips their payloads (RFC 6455 section 5.2).

/// Reserved bits of a head, as they stand in its first byte.
pub(super) const RSV: u8 = 0x70;
/// The first of them, which marks a compressed message (RFC 7692 section 6).
pub(super) const RSV1: u8 = 0x40;

/// The bit that marks the last frame of a message.
pub(super) const FIN: u8 = 0x80;
/// The bit of the second byte that says that a mask follows.
pub(super) const MASKED: u8 = 0x80;

/// Instead of a length: it follows in two bytes.
pub(super) const LENGTH_16: u8 = 0x7E;
/// Instead of a length: it follows in eight bytes.
pub(super) const LENGTH_64: u8 = 0x7F;

/// A frame of a message that has begun.
pub(super) const CONTINUATION: u8 = 0x0;
/// The first frame of a text.
pub(super) const TEXT: u8 = 0x1;
/// The first frame of a binary message.
pub(super) const BINARY: u8 = 0x2;
/// A close frame.
pub(super) const CLOSE: u8 = 0x8;
/// A ping.
pub(super) const PING: u8 = 0x9;
/// A pong.
pub(super) const PONG: u8 = 0xA;

/// Two bytes, a length of eight and a mask of four.
const LONGEST: usize = 14;

/// The head of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameHead {
    /// The last frame of its message.
    pub fin: bool,
    /// The reserved bits, at their positions in the first byte.
    pub rsv: u8,
    /// The low four bits of the first byte.
    pub opcode: u8,
    /// The masking key of a masked frame.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub length: u64,
    /// Bytes of the head.
    pub size: u8,
}

impl FrameHead {
    /// The opcode of a close frame.
    pub const CLOSE: u8 = CLOSE;

    /// Reads a head. `None` if it is not complete.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (length, at) = match second & !MASKED {
            LENGTH_16 => (u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
            LENGTH_64 => (u64::from_be_bytes(*bytes[2..].first_chunk()?), 10),
            length => (u64::from(length), 2),
        };
        let (mask, size) = if second & MASKED == 0 {
            (None, at)
        } else {
            (Some(*bytes[usize::from(at)..].first_chunk()?), at + 4)
        };
        let (fin, rsv, opcode) = (first & FIN != 0, first & RSV, first & 0x0F);
        Some(Self { fin, rsv, opcode, mask, length, size })
    }

    /// Returns whether the length is written in as few bytes as possible (RFC 6455 section 5.2).
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        let length_size = self.size - if self.mask.is_some() { 4 } else { 0 };
        match length_size {
            4 => self.length > 125,
            10 => self.length > 0xFFFF,
            _ => true,
        }
    }

    /// Returns the bytes of the frame with its head.
    pub(super) fn wire(&self) -> u64 {
        self.length.saturating_add(u64::from(self.size))
    }
}

/// The result of reading a head.
#[derive(Debug)]
pub(super) enum NextHead {
    /// A frame; its payload follows.
    Head(FrameHead),
    /// The head is not complete.
    Incomplete,
    /// The length is impossible.
    Unreadable,
}

/// Follows the frames of one direction by their heads, to find the places where a message may be
/// injected.
///
/// 32 bytes, no heap, and about three nanoseconds a frame: cheap enough for connections that never
/// get an injected message.
#[derive(Debug, Clone, Default)]
pub struct Boundaries {
    /// Payload bytes of the current frame that have not come yet.
    remaining: u64,
    /// The start of an incomplete head.
    partial: [u8; LONGEST],
    filled: u8,
    /// A fragmented message is not complete.
    inside: bool,
    /// A close frame has passed; no message may follow it.
    closed: bool,
    /// A head was impossible; the start of the next one is unknown.
    unreadable: bool,
}

impl Boundaries {
    /// Begins at the first byte after the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether a whole message may be injected here: between two frames, not inside a
    /// fragmented message, and not after a close frame or an unreadable head.
    #[must_use]
    pub fn open(&self) -> bool {
        self.remaining == 0 && self.filled == 0 && !self.inside && !self.closed && !self.unreadable
    }

    /// Returns whether no place for a message can come: a close frame or an unreadable head has passed.
    #[must_use]
    pub fn over(&self) -> bool {
        self.closed || self.unreadable
    }

    /// Follows more bytes, and returns the first offset in them at which a message may be injected:
    /// `Some(0)` before all of them, `Some(bytes.len())` after. All bytes are followed, so
    /// [`open`](Self::open) then is about their end.
    pub fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut first = self.open().then_some(0);
        let mut rest = bytes;
        loop {
            self.payload(&mut rest, usize::MAX);
            if first.is_none() && self.open() {
                first = Some(bytes.len() - rest.len());
            }
            if rest.is_empty() {
                return first;
            }
            // An incomplete or unreadable head takes all bytes.
            self.head(&mut rest);
        }
    }

    /// Follows more bytes. `each` gets the head of every frame with the payload bytes at hand and
    /// their offset in the payload: once the head is complete, and again while payload comes. It
    /// returns `false` to stop. Returns the offset of the end of the bytes that it was given last.
    pub fn follow(
        &mut self,
        bytes: &mut [u8],
        current: &mut FrameHead,
        mut each: impl FnMut(&FrameHead, u64, &mut [u8]) -> bool,
    ) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.remaining == 0 {
                let mut rest = &bytes[at..];
                let head = self.head(&mut rest);
                at = bytes.len() - rest.len();
                match head {
                    NextHead::Head(head) => *current = head,
                    NextHead::Incomplete | NextHead::Unreadable => return None,
                }
            }
            let offset = current.length - self.remaining;
            let length = self.payload(&mut &bytes[at..], usize::MAX).len();
            let more = each(current, offset, &mut bytes[at..at + length]);
            at += length;
            if !more {
                return Some(at);
            }
        }
        None
    }

    /// Takes payload bytes of the current frame off the front, `most` at most.
    pub(super) fn payload<'a>(&mut self, rest: &mut &'a [u8], most: usize) -> &'a [u8] {
        let most = rest.len().min(most);
        let count = usize::try_from(self.remaining).map_or(most, |n| n.min(most));
        let (payload, after) = rest.split_at(count);
        *rest = after;
        self.remaining -= count as u64;
        payload
    }

    /// Returns the offset in the payload of the part taken last.
    pub(super) fn offset(&self, head: &FrameHead, part: &[u8]) -> u64 {
        head.length - self.remaining - part.len() as u64
    }

    /// Returns whether the payload of the current frame is complete.
    pub(super) fn between(&self) -> bool {
        self.remaining == 0
    }

    /// Takes the next head off the front, or all of `rest` if the head is not complete.
    pub(super) fn head(&mut self, rest: &mut &[u8]) -> NextHead {
        if self.unreadable {
            *rest = &[];
            return NextHead::Incomplete;
        }
        let head = if self.filled == 0
            && let Some(head) = FrameHead::parse(rest)
        {
            *rest = &rest[usize::from(head.size)..];
            head
        } else if let Some(head) = self.put_together(rest) {
            head
        } else {
            return NextHead::Incomplete;
        };
        if head.length > i64::MAX as u64 {
            self.unreadable = true;
            return NextHead::Unreadable;
        }
        self.remaining = head.length;
        match head.opcode {
            CONTINUATION..=BINARY => self.inside = !head.fin,
            CLOSE => self.closed = true,
            _ => {}
        }
        NextHead::Head(head)
    }

    /// Takes bytes one by one until a head is complete.
    #[cold]
    fn put_together(&mut self, rest: &mut &[u8]) -> Option<FrameHead> {
        while let Some((&byte, after)) = rest.split_first() {
            *rest = after;
            self.partial[usize::from(self.filled)] = byte;
            self.filled += 1;
            if let Some(head) = FrameHead::parse(&self.partial[..usize::from(self.filled)]) {
                self.filled = 0;
                return Some(head);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> (Option<usize>, bool) {
        let mut boundaries = Boundaries::new();
        assert_eq!(boundaries.scan(bytes), Some(0), "before the first frame");
        (boundaries.clone().scan(&[]), boundaries.open())
    }

    #[test]
    fn message_may_be_injected_between_frames_only() {
        let text = [0x81, 5, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(scan(&[]), (Some(0), true));
        assert_eq!(scan(&text), (Some(0), true));
        for end in 1..text.len() {
            assert_eq!(scan(&text[..end]), (None, false), "{end}");
            let mut boundaries = Boundaries::new();
            boundaries.scan(&text[..end]);
            assert_eq!(boundaries.scan(&text[end..]), Some(text.len() - end), "{end}");
            let mut boundaries = Boundaries::new();
            boundaries.scan(&text[..end]);
            assert_eq!(boundaries.scan(&[&text[end..], &text].concat()), Some(text.len() - end));
        }
    }

    #[test]
    fn nothing_is_injected_into_a_fragmented_message() {
        let (start, ping, end) = ([0x01, 1, b'a'], [0x89, 0], [0x80, 1, b'b']);
        let mut boundaries = Boundaries::new();
        boundaries.scan(&start);
        assert_eq!(boundaries.scan(&ping), None);
        assert!(!boundaries.open());
        assert_eq!(boundaries.scan(&end), Some(3));
        assert!(boundaries.open());
    }

    #[test]
    fn nothing_is_injected_after_a_close_or_an_unreadable_head() {
        for end in [&[0x88, 0][..], &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 9, 9]] {
            let mut boundaries = Boundaries::new();
            boundaries.scan(end);
            assert!(!boundaries.open() && boundaries.over());
            assert_eq!(boundaries.scan(&[0x81, 0, 0x81, 0]), None);
        }
    }

    #[test]
    fn every_form_of_a_length_is_followed() {
        for length in [0_usize, 1, 125, 126, 127, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut bytes = Vec::new();
                super::super::write::data_frame(
                    crate::event::Opcode::Binary,
                    &vec![0xFF; length],
                    mask,
                    &mut bytes,
                );
                let mut boundaries = Boundaries::new();
                boundaries.scan(&bytes[..1]);
                assert_eq!(boundaries.scan(&bytes[1..]), Some(bytes.len() - 1), "{length}");
            }
        }
    }

    #[test]
    fn heads_and_payloads_are_followed_in_any_pieces() {
        let bytes = [&[0x81, 0x83, 1, 2, 3, 4][..], b"abc", &[0x82, 0x7E, 0, 1], b"d"].concat();
        for cut in 0..=bytes.len() {
            let (mut boundaries, mut head) = (Boundaries::new(), FrameHead::default());
            let mut pieces = bytes.clone();
            let (first, second) = pieces.split_at_mut(cut);
            let mut seen = Vec::new();
            let mut follow = |piece: &mut [u8]| {
                boundaries.follow(piece, &mut head, |head, offset, payload| {
                    assert_eq!(offset, seen.len() as u64 % 3);
                    seen.extend_from_slice(payload);
                    head.is_minimal()
                })
            };
            // The second head ends at 13, and its payload at 14.
            let stopped = follow(first).or_else(|| follow(second));
            let expected = [14 - cut.min(14), 13, 14][cut.saturating_sub(12).min(2)];
            assert_eq!(stopped, Some(expected), "{cut}");
            assert!(seen.starts_with(b"abc"), "{cut}");
        }
    }

    #[test]
    fn boundaries_have_32_bytes() {
        assert!(size_of::<Boundaries>() <= 32, "{}", size_of::<Boundaries>());
    }
}
