//! Decompression of one direction (RFC 7692 section 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

use super::scratch::Scratch;

/// Bytes that the sender removes from the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// How far past the limit a message is inflated, to be thrown away, so that the context stays
/// right for the next. Deflate makes at most 1,032 bytes of one: a message of 64 KB fills this,
/// which costs six milliseconds, one and a half for each 16 KiB that a relay reads at once.
const BEYOND: u64 = 64 << 20;

/// Room to inflate into past the limit.
const BLOCK: usize = 16 << 10;

/// Minimum room for an inflater: with less than 258 bytes zlib takes its slow path.
const ROOM: usize = 1 << 10;

/// Reasons to stop inflating a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Not deflate data.
    Invalid,
    /// Far larger than the limit.
    Endless,
}

/// The inflater of a direction, allocated on first use.
#[derive(Debug)]
pub(super) struct Inflate {
    stream: Option<Box<Decompress>>,
    /// A message may refer to earlier ones.
    takeover: bool,
    /// A final block has passed in this message; the stream starts anew after it.
    ended: bool,
    lost: bool,
}

impl Inflate {
    pub(super) fn new(takeover: bool) -> Self {
        Self { stream: None, takeover, ended: false, lost: false }
    }

    /// Returns whether skipping a message makes all later ones unreadable.
    pub(super) fn takes_over(&self) -> bool {
        self.takeover && !self.lost
    }

    /// Returns whether compressed messages are unreadable.
    pub(super) fn lost(&self) -> bool {
        self.lost
    }

    #[cfg(test)]
    pub(super) fn holds(&self) -> bool {
        self.stream.is_some()
    }

    /// Notes that part of a compressed message was not read.
    pub(super) fn skip(&mut self) {
        self.stream = None;
        self.ended = false;
        self.lost |= self.takeover;
    }

    /// Inflates what `scratch.compressed` has of a message; with `last`, to its end. The result is
    /// appended to `out` up to `limit` bytes of the message. Counts in `size` what the whole message has
    /// inflated to.
    ///
    /// # Errors
    ///
    /// If the rest of the message cannot be inflated. The caller then [`skip`](Self::skip)s it.
    pub(super) fn part(
        &mut self,
        scratch: &mut Scratch,
        last: bool,
        out: &mut Vec<u8>,
        size: &mut u64,
        limit: usize,
    ) -> Result<(), Stop> {
        let Scratch { compressed, inflater, beyond, .. } = scratch;
        let stream = self.stream.get_or_insert_with(|| {
            let shared = if self.takeover { None } else { inflater.take() };
            shared.unwrap_or_else(|| Box::new(Decompress::new(false)))
        });
        if last {
            compressed.extend_from_slice(&TAIL);
        }
        let mut input = compressed.as_slice();
        loop {
            let is_full = *size >= limit as u64;
            let out = if is_full {
                beyond.clear();
                beyond.reserve(BLOCK);
                &mut *beyond
            } else {
                make_room(out, limit);
                &mut *out
            };
            let (before_in, before_out) = (stream.total_in(), out.len());
            let status = stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| Stop::Invalid)?;
            let taken = usize::try_from(stream.total_in() - before_in).unwrap_or(input.len());
            let made = out.len() - before_out;
            input = &input[taken..];
            *size += made as u64;
            if *size > BEYOND.saturating_add(limit as u64) {
                return Err(Stop::Endless);
            }
            if status == Status::StreamEnd {
                // RFC 7692 section 7.2.3.4: other blocks may follow a final one.
                stream.reset(false);
                self.ended = true;
            } else if taken == 0 && made == 0 {
                return if input.is_empty() { Ok(()) } else { Err(Stop::Invalid) };
            }
            if input.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
            if !is_full {
                out.truncate(limit);
            }
        }
    }

    /// Notes the end of a message.
    pub(super) fn finish(&mut self, scratch: &mut Scratch) {
        let ended = std::mem::take(&mut self.ended);
        if !self.takeover {
            if let Some(mut stream) = self.stream.take() {
                stream.reset(false);
                scratch.inflater = Some(stream);
            }
        } else if ended && let Some(stream) = &mut self.stream {
            stream.reset(false);
        }
    }
}

/// Makes room to inflate into: twice as much as before, but not much more than the limit.
fn make_room(out: &mut Vec<u8>, limit: usize) {
    if out.capacity() - out.len() < ROOM {
        let whole = (out.len() * 2).min(limit.saturating_add(1)).max(4 << 10);
        out.reserve_exact(whole.saturating_sub(out.len()).max(ROOM));
    }
}
