//! What a member of a channel is handed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::{Event, EventBody};

/// What a member of a channel is handed: an event, shared by all members.
pub struct Delivered {
    /// The event: a message, a join or a leave.
    pub event: Arc<Event>,
    /// The message as it was sent, where the event hides something of it.
    whole: Option<EventBody>,
    /// The same in the words of whoever published it, for members who speak like that.
    pub words: Option<Arc<str>>,
    frame: OnceLock<Bytes>,
    frame_with_id: OnceLock<Bytes>,
}

impl Delivered {
    /// Hands on an event. `whole` is what redaction has changed, as it was.
    pub(in crate::hub) fn new(
        event: Arc<Event>,
        whole: Option<EventBody>,
        words: Option<Arc<str>>,
    ) -> Self {
        Self { event, whole, words, frame: OnceLock::new(), frame_with_id: OnceLock::new() }
    }

    /// Returns what has happened, with nothing hidden: members are who it was sent to.
    #[must_use]
    pub fn body(&self) -> &EventBody {
        self.whole.as_ref().unwrap_or(&self.event.body)
    }

    /// Returns the frame that clients of wstap's own are sent, which is made once for all of them.
    pub fn frame(&self, make: impl FnOnce(&Self) -> String) -> &Bytes {
        self.frame.get_or_init(|| make(self).into())
    }

    /// Returns the same with the id of the event, for those that asked for ids.
    pub fn frame_with_id(&self, make: impl FnOnce(&Self) -> String) -> &Bytes {
        self.frame_with_id.get_or_init(|| make(self).into())
    }

    pub(in crate::hub) fn weight(&self) -> usize {
        self.event.weight()
    }

    pub(in crate::hub) fn size(&self) -> u64 {
        match &self.event.body {
            EventBody::Message(message) => message.size,
            _ => 0,
        }
    }
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered").field("event", &self.event).finish_non_exhaustive()
    }
}
