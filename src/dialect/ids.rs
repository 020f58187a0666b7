//! The connection id in a frame.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::invalid::InvalidFrame;
use crate::event::{ConnectionId, InvalidConnectionId};

/// Returns the id that a frame registers.
pub(super) fn connection_id(value: &RawValue) -> Result<ConnectionId, InvalidFrame> {
    Ok(id_text(value).ok_or(InvalidConnectionId)?.parse()?)
}

/// Returns the text of a JSON string, or the digits of a number as they came.
pub(super) fn id_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok(),
        [b'-' | b'0'..=b'9', ..] => Some(Cow::Borrowed(value.get())),
        _ => None,
    }
}
