//! Decompression of one direction (RFC 7692 section 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

use super::scratch::Scratch;

/// What the sender of a message has cut off its end.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// How far past the limit a message is inflated, to be thrown away, so that the context stays
/// right for the next. Deflate makes at most 1,032 bytes of one: a message of 64 KB fills this,
/// which costs six milliseconds, one and a half for each 16 KiB that a relay reads at once.
const BEYOND: u64 = 64 << 20;

/// Room that an inflater gets at least: with less than 258 bytes zlib takes its slow way.
const ROOM: usize = 1 << 10;

/// Why there is nothing more to get from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is no deflate data.
    Invalid,
    /// It is far beyond the limit.
    Endless,
}

/// The inflater of a direction, made when it is first needed.
#[derive(Debug)]
pub(super) struct Inflate {
    stream: Option<Box<Decompress>>,
    /// Whether a message may refer to those before.
    takeover: bool,
    /// A final block has passed in this message: the stream starts anew after it.
    ended: bool,
    lost: bool,
}

impl Inflate {
    pub(super) fn new(takeover: bool) -> Self {
        Self { stream: None, takeover, ended: false, lost: false }
    }

    /// Returns whether a message that is not read costs the reading of all that follow.
    pub(super) fn takes_over(&self) -> bool {
        self.takeover && !self.lost
    }

    /// Returns whether compressed messages cannot be read any more.
    pub(super) fn lost(&self) -> bool {
        self.lost
    }

    #[cfg(test)]
    pub(super) fn holds(&self) -> bool {
        self.stream.is_some()
    }

    /// Tells that a part of a compressed message was not read.
    pub(super) fn skip(&mut self) {
        self.stream = None;
        self.ended = false;
        self.lost |= self.takeover;
    }

    /// Inflates what `scratch.compressed` has of a message; with `last`, to its end. The result is
    /// appended to `out`, of which no more than `limit` bytes are kept: beyond that `out` stays
    /// empty. Counts in `size` what the message has inflated to.
    ///
    /// # Errors
    ///
    /// If nothing more is to be had of this message; after that, [`skip`](Self::skip) it.
    pub(super) fn part(
        &mut self,
        scratch: &mut Scratch,
        last: bool,
        out: &mut Vec<u8>,
        size: &mut u64,
        limit: usize,
    ) -> Result<(), Stop> {
        let Scratch { compressed, inflater, .. } = scratch;
        let stream = self.stream.get_or_insert_with(|| {
            let shared = if self.takeover { None } else { inflater.take() };
            shared.unwrap_or_else(|| Box::new(Decompress::new(false)))
        });
        if last {
            compressed.extend_from_slice(&TAIL);
        }
        let mut input = compressed.as_slice();
        loop {
            make_room(out, limit);
            let (before_in, before_out) = (stream.total_in(), out.len());
            let status = stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| Stop::Invalid)?;
            let taken = usize::try_from(stream.total_in() - before_in).unwrap_or(input.len());
            let made = out.len() - before_out;
            input = &input[taken..];
            *size += made as u64;
            if *size > limit as u64 {
                out.clear();
                if *size > BEYOND.saturating_add(limit as u64) {
                    return Err(Stop::Endless);
                }
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
        }
    }

    /// Tells that a message has ended.
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

/// Makes sure that there is room to inflate into: twice as much as before, but not much more than
/// the limit, which nothing is kept beyond.
fn make_room(out: &mut Vec<u8>, limit: usize) {
    if out.capacity() - out.len() < ROOM {
        let whole = (out.len() * 2).min(limit.saturating_add(1)).max(4 << 10);
        out.reserve_exact(whole.saturating_sub(out.len()).max(ROOM));
    }
}
