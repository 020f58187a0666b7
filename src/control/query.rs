//! The queries of orders: sending, closing and publishing.

use std::borrow::Cow;

use serde_json::json;

use crate::code;
use crate::event::User;
use crate::request::{Value, choice, parameters};

parameters! {
    /// To whom a message goes.
    pub(crate) struct Sending {
        /// To whom; `server` in proxy mode only. `client` is the default.
        to: Option<To> = "client",
    }
}

parameters! {
    /// How a connection is closed.
    pub(crate) struct Closing {
        /// The close code; 1000 is the default.
        code: Option<CloseCode> = 4000,
        /// Why, in at most 123 bytes.
        reason: Option<Reason> = "enough",
    }
}

parameters! {
    /// Who is sent a publication.
    pub(crate) struct Publishing {
        /// Only to these users; may be repeated.
        user: Vec<User> = "ann",
    }
}

choice! {
    /// An end of a connection.
    pub(crate) enum To: "to=client or, in proxy mode, to=server is right" {
        "client" => Client,
        "server" => Server,
    }
}

/// A close code that may be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseCode(pub(super) u16);

impl Value for CloseCode {
    fn right() -> Cow<'static, str> {
        code::SENDABLE.into()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|code| code::may_be_sent(*code)).map(Self)
    }

    fn schema() -> serde_json::Value {
        let sendable = code::SENDABLE_RANGES.iter().map(
            |range| json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
        );
        json!({"anyOf": sendable.collect::<Vec<_>>()})
    }
}

/// The reason of a close frame.
#[derive(Debug)]
pub(crate) struct Reason(pub(super) String);

impl Reason {
    /// The bytes that a close frame has room for (RFC 6455 section 5.5).
    const MAX_LENGTH: usize = 123;
}

impl Value for Reason {
    fn right() -> Cow<'static, str> {
        "a reason has at most 123 bytes".into()
    }

    fn read(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX_LENGTH).then(|| Self(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({"type": "string", "maxLength": Self::MAX_LENGTH})
    }
}
