//! The payload of a message on the wire, restored from its kept body.

use std::borrow::Cow;

use crate::event::{Body, Message};

/// The payload of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Text, as in its frames. White space around JSON is lost, and line breaks in it have become
    /// spaces.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(&'a [u8]),
}

/// Returns the payload of a message, of one that is cut its beginning; `None` if it is not kept.
///
/// The size tells whether a JSON string was the text of the frame, in quotes, or stands for text that
/// was not JSON.
#[must_use]
pub fn payload(message: &Message) -> Option<Payload<'_>> {
    match &message.body {
        Body::Object(json) => Some(Payload::Text(Cow::Borrowed(json.as_str()))),
        // The size of a message that is cut says nothing of its body.
        Body::Value(json) if message.is_truncated() => Some(Payload::Text(text(json.as_str(), 0))),
        Body::Value(json) => Some(Payload::Text(text(json.as_str(), message.size))),
        Body::Binary(bytes) => Some(Payload::Binary(bytes)),
        Body::Absent => None,
    }
}

fn text(json: &str, size: u64) -> Cow<'_, str> {
    // Senders end JSON with a line break, if with any white space.
    let quoted = (json.len()..=json.len() + 2).any(|length| length as u64 == size);
    if !json.starts_with('"') || quoted {
        return Cow::Borrowed(json);
    }
    // A lone surrogate is JSON, but not text.
    serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Direction, Opcode};
    use crate::json::Json;
    use proptest::prelude::*;

    fn kept(text: &str) -> Message {
        let body = Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text)));
        Message::new(Direction::In, Opcode::Text, text.len(), body)
    }

    fn was(message: &Message) -> String {
        match payload(message) {
            Some(Payload::Text(text)) => text.into_owned(),
            other => panic!("text, and not {other:?}"),
        }
    }

    #[test]
    fn text_and_a_json_string_of_it_are_told_apart() {
        for text in ["x", "\"x\"", "", "\"\"", "1", "{\"a\":\"x\"}", "\"\\ud800\"", "0{\"sid\":1}"]
        {
            assert_eq!(was(&kept(text)), text);
        }
        assert_eq!(was(&kept("\"x\"\n")), "\"x\"");
    }

    proptest! {
        #[test]
        fn any_text_that_is_no_json_comes_back(text: String) {
            prop_assume!(Json::parse(&text).is_none());
            prop_assert_eq!(was(&kept(&text)), text);
        }
    }
}
