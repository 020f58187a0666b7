//! Frames that wait for a listener: bounded by number and by bytes, and changed by edits and
//! deletions while they wait. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::shape;
use crate::queue::{Backlog, Bound, Weigh};

/// The most that waits; beyond it the oldest frames are dropped. The original keeps 100 frames of a
/// channel; the bound in bytes is that of the queue of a connection.
pub(super) const BOUND: Bound = Bound { items: 100, bytes: 4 << 20 };

/// An object for the client.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    text: Arc<str>,
    /// Whether it was published while no listener was there.
    late: bool,
}

impl Frame {
    pub(super) fn new(text: Arc<str>, late: bool) -> Self {
        Self { text, late }
    }

    /// Returns it as JSON.
    pub(super) fn json(&self) -> Cow<'_, str> {
        if self.late { shape::late(&self.text).into() } else { Cow::Borrowed(&self.text) }
    }
}

impl Weigh for Frame {
    fn weight(&self) -> usize {
        self.text.len()
    }
}

/// Frames that wait, the oldest first.
#[derive(Debug)]
pub(super) struct Waiting(Backlog<Frame>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Backlog::new(BOUND))
    }
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether another frame has room.
    pub(super) fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// Removes the oldest frame.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        self.0.pop()
    }

    /// Adds the newest frame. If it edits or deletes a message that waits, that message is changed;
    /// `edit` returns a frame with the changes of another. Returns how many of the oldest frames were
    /// dropped.
    pub(super) fn push(
        &mut self,
        frame: Frame,
        edit: impl Fn(&Arc<str>, &Arc<str>) -> Arc<str>,
    ) -> u64 {
        if !self.is_empty() {
            self.amend(&frame.text, edit);
        }
        self.0.push(frame);
        self.0.trim()
    }

    /// Puts back frames that were removed and could not be sent. They count as late from now on.
    /// Returns how many of the oldest frames were dropped.
    pub(super) fn put_back(&mut self, frames: Vec<Frame>) -> u64 {
        for frame in frames.into_iter().rev() {
            self.0.push_front(Frame { late: true, ..frame });
        }
        self.0.trim()
    }

    fn amend(&mut self, text: &Arc<str>, edit: impl Fn(&Arc<str>, &Arc<str>) -> Arc<str>) {
        let Some(change) = Subject::of(text) else { return };
        let deletes = match change.kind {
            "message:delete" => true,
            "message:edit" => false,
            _ => return,
        };
        self.0.retain_mut(|frame| {
            let is_it = Subject::of(&frame.text)
                .is_some_and(|it| it.kind == "message" && it.uuid == change.uuid);
            if is_it && !deletes {
                frame.text = edit(&frame.text, text);
            }
            !(is_it && deletes)
        });
    }
}

/// What a frame is about.
#[derive(Deserialize)]
struct Subject<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    uuid: &'a str,
}

impl<'a> Subject<'a> {
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Frame {
        Frame::new("x".repeat(bytes).into(), false)
    }

    fn edited(frame: &Arc<str>, edit: &Arc<str>) -> Arc<str> {
        shape::edited(frame, edit).into()
    }

    #[test]
    fn what_waits_is_bounded_by_number_and_by_bytes() {
        let mut waiting = Waiting::default();
        let gone: u64 = (0..150).map(|_| waiting.push(frame(1), edited)).sum();
        assert!(!waiting.has_room() && waiting.0.len() == BOUND.items && gone == 50);
        let gone: u64 = (0..10).map(|_| waiting.push(frame(BOUND.bytes / 4), edited)).sum();
        assert_eq!((waiting.0.len(), waiting.0.bytes(), gone), (4, BOUND.bytes, 106));
        assert_eq!(waiting.push(frame(2 * BOUND.bytes), edited), 4, "any frame fits, alone");
        assert_eq!(waiting.put_back(vec![frame(1); 3]), 3, "the oldest go");
        assert_eq!(waiting.pop().map(|frame| frame.weight()), Some(2 * BOUND.bytes));
        assert!(waiting.is_empty() && waiting.has_room() && waiting.0.bytes() == 0);
    }

    #[test]
    fn edits_and_deletions_change_how_many_bytes_wait() {
        let mut waiting = Waiting::default();
        let message = r#"{"type":"message","uuid":"1","message":"a long one"}"#;
        waiting.push(Frame::new(message.into(), true), edited);
        let edit = r#"{"type":"message:edit","uuid":"1","message":"x"}"#;
        waiting.push(Frame::new(edit.into(), true), edited);
        assert_eq!(waiting.0.bytes(), message.len() + edit.len() - "a long one".len() + 1);
        let deletion = r#"{"type":"message:delete","uuid":"1"}"#;
        waiting.push(Frame::new(deletion.into(), true), edited);
        assert_eq!((waiting.0.len(), waiting.0.bytes()), (2, edit.len() + deletion.len()));
    }
}
