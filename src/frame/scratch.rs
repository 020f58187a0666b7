//! Buffers that the readers of a thread share.
//!
//! A reader needs buffers to unmask and inflate into only while it is fed. Each thread has one set,
//! which a reader takes and gives back, so that an idle connection holds none.

use std::cell::Cell;

use flate2::Decompress;

/// The largest buffer that is kept for the next reader: as much as a relay reads at once. Larger
/// ones are released.
const KEEP: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// The buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For messages.
    pub(super) message: Vec<u8>,
    /// For compressed data.
    pub(super) compressed: Vec<u8>,
    /// For what is inflated past the limit of a message.
    pub(super) beyond: Vec<u8>,
    /// For messages that are compressed without context; 48 KB.
    pub(super) inflater: Option<Box<Decompress>>,
}

impl Scratch {
    /// Takes the buffers of the thread, or makes new ones if they are taken.
    pub(super) fn take() -> Self {
        SCRATCH.take().unwrap_or_default()
    }

    /// Gives the buffers back to the thread.
    pub(super) fn give(mut self) {
        for buffer in [&mut self.message, &mut self.compressed, &mut self.beyond] {
            buffer.clear();
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
        // Fails while the thread ends.
        let _ = SCRATCH.try_with(|scratch| scratch.set(Some(self)));
    }

    /// Lends the buffer for messages to a reader that has none of its own.
    pub(super) fn lend(&mut self, own: &mut Vec<u8>) -> bool {
        let lent = own.capacity() == 0;
        if lent {
            std::mem::swap(&mut self.message, own);
        }
        lent
    }

    /// Takes the buffer back. The reader keeps an incomplete message, in memory of its size.
    pub(super) fn back(&mut self, own: &mut Vec<u8>, lent: bool) {
        if own.is_empty() {
            let free = std::mem::take(own);
            if lent || free.capacity() > self.message.capacity() {
                self.message = free;
            }
        } else if lent && own.capacity() <= KEEP {
            let under_way = own.as_slice().to_vec();
            self.message = std::mem::replace(own, under_way);
        }
    }
}
