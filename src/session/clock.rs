//! The wall clock of a session.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970 as text, which is the payload of the pings of channelize.
pub(super) fn unix_seconds() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().to_string()
}
