//! Memory that the readers of a thread share.
//!
//! A reader needs room to unmask and inflate into while it is fed, and none in between. So each
//! thread has one set of buffers, which the reader that is being fed takes and gives back: a
//! connection that is silent holds nothing.

use std::cell::Cell;

use flate2::Decompress;

/// The largest buffer that is kept for the next reader; what grew beyond it is released. Four
/// times the 16 KiB that a relay reads at once.
const KEEP: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// The buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For messages, as they are handed out.
    pub(super) message: Vec<u8>,
    /// For compressed data.
    pub(super) compressed: Vec<u8>,
    /// For messages that are compressed each on its own; 48 KB.
    pub(super) inflater: Option<Box<Decompress>>,
}

impl Scratch {
    /// Takes the thread's, or makes new if somebody has it.
    pub(super) fn take() -> Self {
        SCRATCH.take().unwrap_or_default()
    }

    /// Gives it back.
    pub(super) fn give(mut self) {
        for buffer in [&mut self.message, &mut self.compressed] {
            buffer.clear();
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
        // While a thread ends there is nobody to give it to.
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

    /// Takes the buffer back. What is in it is a message under way: the reader keeps that, in as
    /// much memory as it takes.
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
