//! What is written as a row.

use crate::event::{Event, EventId, Gap};

/// What a row is made of.
#[derive(Debug)]
pub(super) enum Row<'a> {
    Event(&'a Event),
    /// A gap of an unknown size, after an event.
    Gap(EventId, &'a Gap),
}
