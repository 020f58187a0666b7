//! The representations of an event: its JSON, and the forms of the stream.
//!
//! Pure. Everything is appended to a buffer, so that a batch is rendered contiguously.

mod field;
mod full;
pub mod har;
mod json;
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "the description reads all of a declaration")
)]
pub(crate) mod layout;
mod payload;
mod plain;
mod read;
pub mod sse;

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::{Event, EventId, Gap, Kind};

pub(crate) use field::{Field, Member, selected};
pub use full::{full, gap as full_gap, time};
pub use payload::{Payload, payload};
pub use plain::plain;
pub use read::{Recorded, Unreadable, read};

/// Returns the JSON Schema of a name: 1 to `max` characters without control characters.
pub(crate) fn name_schema(max: usize) -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": max,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$",
    })
}

/// Returns whether a text begins with a line that is an event, as far as its beginning tells. Archives
/// and formatted lists have no kind in their first line.
#[must_use]
pub fn begins_with_event(start: &str) -> bool {
    let start = start.trim_start_matches('\u{feff}').trim_start();
    let line = start.lines().next().unwrap_or_default();
    line.starts_with('{') && line.contains(r#""kind""#)
}

/// A form of the stream. Listeners of the same form share the rendered bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Server-Sent Events whose data is what the client sent: for pages and EventSource.
    Plain {
        /// Whether events carry their kind as SSE event name.
        names: bool,
    },
    /// Server-Sent Events whose data is the full object.
    Full {
        /// Whether events carry their kind as SSE event name.
        names: bool,
    },
    /// The full objects, one a line.
    Ndjson,
}

impl Form {
    /// How many forms there are.
    pub const COUNT: usize = 5;

    /// Returns a number below [`Form::COUNT`] that no other form has.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Plain { names } => usize::from(names),
            Self::Full { names } => 2 + usize::from(names),
            Self::Ndjson => 4,
        }
    }

    /// Returns the name in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain { .. } => "plain",
            Self::Full { .. } => "full",
            Self::Ndjson => "ndjson",
        }
    }

    /// Returns the media type of a stream of this form.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain { .. } | Self::Full { .. } => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// Appends an event.
    pub fn event(self, event: &Event, out: &mut Vec<u8>) {
        let kind = event.kind();
        let gap = kind == Kind::Gap;
        let (names, write): (bool, fn(&Event, &mut Vec<u8>)) = match self {
            // Pages written for connections only take every unnamed event for one of them.
            Self::Plain { names } => {
                (names || matches!(kind, Kind::Join | Kind::Leave | Kind::Request), plain)
            }
            Self::Full { names } if gap => (names, plain),
            Self::Full { names } => (names, full),
            Self::Ndjson => {
                full(event, out);
                out.push(b'\n');
                return;
            }
        };
        // A gap has its name in every form.
        if names || gap {
            sse::name(kind.as_str(), out);
        }
        sse::id(event.id, out);
        sse::data(out, |out| write(event, out));
        sse::end(out);
    }

    /// Appends a gap, which has its name in every form.
    pub fn gap(self, gap: &Gap, out: &mut Vec<u8>) {
        match self {
            Self::Plain { .. } | Self::Full { .. } => {
                sse::name("gap", out);
                sse::data(out, |out| full::gap_alone(gap, out));
                sse::end(out);
            }
            Self::Ndjson => {
                full::gap(gap, out);
                out.push(b'\n');
            }
        }
    }

    /// Appends the beginning of a stream: bytes that the client reads at once, and its reconnection
    /// time. No empty line follows, here and in the next two: some clients (httpx-sse) take one for
    /// an event.
    pub fn hello(self, retry: Duration, out: &mut Vec<u8>) {
        match self {
            Self::Plain { .. } | Self::Full { .. } => {
                sse::comment("wstap", out);
                sse::retry(retry, out);
            }
            Self::Ndjson => out.push(b'\n'),
        }
    }

    /// Appends the heartbeat of an idle stream. `seen`, for a listener whose filter has selected
    /// nothing for a while, moves the point from which it would resume.
    pub fn heartbeat(self, seen: Option<EventId>, out: &mut Vec<u8>) {
        match self {
            Self::Plain { .. } | Self::Full { .. } => {
                sse::comment("", out);
                if let Some(id) = seen {
                    sse::id(id, out);
                    sse::end(out);
                }
            }
            Self::Ndjson => out.push(b'\n'),
        }
    }

    /// Appends the end of a stream whose credential has ended, as an event `end`. `error` is JSON:
    /// `{"error":{"code":"unauthorized","message":"…"}}`.
    pub fn end(self, error: &str, out: &mut Vec<u8>) {
        match self {
            Self::Plain { .. } | Self::Full { .. } => {
                sse::name("end", out);
                sse::data(out, |out| out.extend_from_slice(error.as_bytes()));
                sse::end(out);
            }
            Self::Ndjson => {
                full::end(error, out);
                out.push(b'\n');
            }
        }
    }

    /// Appends the end of a stream that the server ends: the reconnection time.
    pub fn goodbye(self, retry: Duration, out: &mut Vec<u8>) {
        match self {
            Self::Plain { .. } | Self::Full { .. } => {
                sse::retry(retry, out);
            }
            Self::Ndjson => {}
        }
    }
}
