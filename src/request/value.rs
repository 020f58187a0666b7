//! The types of values that parameters have, and [`choice!`] for those of a few names.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Schema, json};

use super::query::Value;
use crate::event::{Channel, ConnectionId, Direction, EventId, Kind, User};
use crate::wire;

/// Text of any form.
impl Value for String {
    fn right() -> Cow<'static, str> {
        "text is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn schema() -> Schema {
        json!({"type": "string"})
    }
}

impl Value for ConnectionId {
    fn right() -> Cow<'static, str> {
        "a connection id has 1 to 128 characters and no control characters".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn schema() -> Schema {
        wire::name_schema(Self::MAX_CHARS)
    }
}

impl Value for Channel {
    fn right() -> Cow<'static, str> {
        "a channel has 1 to 256 characters and no control characters".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn schema() -> Schema {
        wire::name_schema(Self::MAX_CHARS)
    }
}

impl Value for User {
    fn right() -> Cow<'static, str> {
        "a user has 1 to 512 characters and no control characters".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn schema() -> Schema {
        wire::name_schema(Self::MAX_CHARS)
    }
}

impl Value for Kind {
    fn right() -> Cow<'static, str> {
        "a kind is connect, message, close, join, leave or request".into()
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    fn schema() -> Schema {
        json!({"type": "string", "enum": Self::ALL.map(Self::as_str)})
    }
}

impl Value for Direction {
    fn right() -> Cow<'static, str> {
        "a direction is in or out".into()
    }

    fn read(text: &str) -> Option<Self> {
        [Self::In, Self::Out].into_iter().find(|direction| direction.as_str() == text)
    }

    fn schema() -> Schema {
        json!({"type": "string", "enum": ["in", "out"]})
    }
}

impl Value for EventId {
    fn right() -> Cow<'static, str> {
        "an event id such as 1700000000000-0 is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn schema() -> Schema {
        json!({"$ref": "#/components/schemas/EventId"})
    }
}

/// A number of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) usize);

impl Value for Count {
    fn right() -> Cow<'static, str> {
        "a number of events, such as last=100, is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn schema() -> Schema {
        json!({"type": "integer", "minimum": 0})
    }
}

/// A point in time, in milliseconds since 1970: a time, or a duration back from now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) u64);

impl Value for Moment {
    fn right() -> Cow<'static, str> {
        "a time such as 2026-01-31T12:00:00Z or a duration such as 5m is right".into()
    }

    fn read(text: &str) -> Option<Self> {
        let time = match text.parse::<Timestamp>() {
            Ok(time) => time,
            Err(_) => Timestamp::now().checked_sub(duration(text)?).ok()?,
        };
        Some(Self(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }

    fn schema() -> Schema {
        json!({"type": "string"})
    }
}

/// Reads a duration such as `25s`, `500ms` or `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

/// Declares a parameter that has one of a few values.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $choice:ident: $right:literal { $($name:literal => $value:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $choice { $($value),+ }

        impl $crate::request::Value for $choice {
            fn right() -> std::borrow::Cow<'static, str> {
                $right.into()
            }

            fn read(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$value),)+
                    _ => None,
                }
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": [$($name),+]})
            }
        }
    };
}
pub(crate) use choice;
