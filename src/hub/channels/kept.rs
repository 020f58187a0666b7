//! The kept messages of a channel that a new member is sent first.

use std::sync::Arc;

use crate::event::{Event, EventId};

/// Which kept messages a new member is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// So many of the newest, each as a delivery.
    Last(usize),
    /// Those after an event, together with whether they are all that was published after it.
    After(EventId),
}

impl From<usize> for Kept {
    fn from(count: usize) -> Self {
        Self::Last(count)
    }
}

/// Kept messages that a command brings at most as deliveries, so that they fit into the mailbox of a
/// connection beside new ones: half of it.
const DELIVERIES: usize = 128;

/// Kept messages that a command brings at most in one item per channel: finding them under the lock
/// takes 50 µs.
const TOGETHER: usize = 4096;

/// The most bytes of either.
const BYTES: usize = 2 << 20;

/// Which kept messages a member is sent, and the budget for them.
#[derive(Debug, Clone, Copy)]
pub(in crate::hub) struct KeptWish {
    pub(in crate::hub) after: Option<EventId>,
    pub(in crate::hub) messages: usize,
    pub(in crate::hub) bytes: usize,
}

impl KeptWish {
    pub(in crate::hub) fn new(kept: Kept) -> Self {
        let (after, messages) = match kept {
            Kept::Last(count) => (None, count.min(DELIVERIES)),
            Kept::After(id) => (Some(id), TOGETHER),
        };
        Self { after, messages, bytes: BYTES }
    }
}

/// The messages of a channel after an event that a member names.
#[derive(Debug, Clone)]
pub struct Resumption {
    /// The kept ones, the oldest first, after redaction.
    pub messages: Vec<Arc<Event>>,
    /// Whether they are all that was published to the channel after that event.
    pub complete: bool,
}

impl Resumption {
    pub(in crate::hub) fn weight(&self) -> usize {
        self.messages.iter().map(|event| event.weight()).sum()
    }
}
