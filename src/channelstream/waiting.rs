//! What waits for a listener: bounded by number and by bytes, and changed by edits and deletions as
//! long as it waits. Pure.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;

use super::shape::{self, Object};

/// As many wait; of more, the oldest go. As many as the original keeps of a channel.
const FRAMES: usize = 100;

/// So many bytes wait, as in the queue of a connection: 100 frames of 1 MiB are no bound. The frame
/// that goes over it is taken, so that any frame fits.
pub(super) const BYTES: usize = 4 << 20;

/// An object for the client.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    words: Arc<str>,
    /// It came when nobody listened.
    late: bool,
}

impl Frame {
    pub(super) fn new(words: Arc<str>, late: bool) -> Self {
        Self { words, late }
    }

    /// Returns it as JSON.
    pub(super) fn json(&self) -> Cow<'_, str> {
        if self.late { shape::late(&self.words).into() } else { Cow::Borrowed(&self.words) }
    }

    /// Returns about how many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }
}

/// Frames that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns whether as much waits as may.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= FRAMES || self.bytes >= BYTES
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Adds the newest, which changes others if it edits or deletes them. Returns how many of the
    /// oldest had to go.
    pub(super) fn push(&mut self, frame: Frame) -> u64 {
        if !self.is_empty() {
            self.amend(&frame.words);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.trim()
    }

    /// Puts back what was taken and came late, as it turns out. Returns how many of the oldest had
    /// to go.
    pub(super) fn put_back(&mut self, frames: Vec<Frame>) -> u64 {
        for frame in frames.into_iter().rev() {
            self.bytes += frame.len();
            self.frames.push_front(Frame { late: true, ..frame });
        }
        self.trim()
    }

    fn trim(&mut self) -> u64 {
        let mut gone = 0;
        while let Some(oldest) = self.frames.front() {
            // Without it there are still as many bytes as may wait.
            if self.frames.len() <= FRAMES && self.bytes - oldest.len() < BYTES {
                break;
            }
            self.pop();
            gone += 1;
        }
        gone
    }

    /// Changes what still waits, if this edits or deletes it.
    fn amend(&mut self, words: &str) {
        let Some(about) = About::of(words) else { return };
        let is_it = |frame: &Frame| {
            About::of(&frame.words).is_some_and(|it| it.kind == "message" && it.uuid == about.uuid)
        };
        match about.kind {
            "message:delete" => self.frames.retain(|frame| !is_it(frame)),
            "message:edit" => {
                if let Some(frame) = self.frames.iter_mut().find(|frame| is_it(frame)) {
                    frame.words = edited(&frame.words, words).into();
                }
            }
            _ => return,
        }
        self.bytes = self.frames.iter().map(Frame::len).sum();
    }
}

/// What a frame is about.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    uuid: &'a str,
}

impl<'a> About<'a> {
    fn of(words: &'a str) -> Option<Self> {
        serde_json::from_str(words).ok()
    }
}

/// Returns a frame with what an edit says.
fn edited(frame: &str, edit: &str) -> String {
    let edit = shape::members(edit);
    let new = |name: &str| match name {
        "timestamp" | "user" | "message" | "edited" => edit.get(name).copied(),
        _ => None,
    };
    let members = shape::members(frame).into_iter();
    let members = members.map(|(name, old)| (new(&name).unwrap_or(old), name));
    let object = members.fold(Object::new(), |object, (value, name)| object.with(&name, value));
    object.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Frame {
        Frame::new("x".repeat(bytes).into(), false)
    }

    #[test]
    fn what_waits_is_bounded_by_number_and_by_bytes() {
        let mut waiting = Waiting::default();
        let gone: u64 = (0..150).map(|_| waiting.push(frame(1))).sum();
        assert!(waiting.is_full() && waiting.frames.len() == FRAMES && gone == 50);
        let gone: u64 = (0..10).map(|_| waiting.push(frame(BYTES / 4))).sum();
        assert_eq!((waiting.frames.len(), waiting.bytes, gone), (4, BYTES, 106));
        assert_eq!(waiting.push(frame(2 * BYTES)), 4, "any frame fits, alone");
        assert_eq!(waiting.put_back(vec![frame(1); 3]), 3, "the oldest go");
        assert_eq!(waiting.pop().map(|frame| frame.len()), Some(2 * BYTES));
        assert!(waiting.is_empty() && !waiting.is_full() && waiting.bytes == 0);
    }

    #[test]
    fn edits_and_deletions_change_how_many_bytes_wait() {
        let mut waiting = Waiting::default();
        let message = r#"{"type":"message","uuid":"1","message":"a long one"}"#;
        waiting.push(Frame::new(message.into(), true));
        let edit = r#"{"type":"message:edit","uuid":"1","message":"x"}"#;
        waiting.push(Frame::new(edit.into(), true));
        assert_eq!(waiting.bytes, message.len() + edit.len() - "a long one".len() + 1);
        let deletion = r#"{"type":"message:delete","uuid":"1"}"#;
        waiting.push(Frame::new(deletion.into(), true));
        assert_eq!((waiting.frames.len(), waiting.bytes), (2, edit.len() + deletion.len()));
    }
}
