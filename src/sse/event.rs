//! An event of a program, and its bytes.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

use crate::wire::sse;

/// An event: any of its fields, in any combination. No content of a field can inject another field
/// into the stream: line breaks (CR, LF, CRLF) in `data` and `comment` begin a new line of the field,
/// and in `name` and `id` line breaks and NUL become spaces.
///
/// ```
/// use wstap::sse::Event;
/// use std::time::Duration;
///
/// let event = Event::json(&[1, 2])?.name("ping").id(0).retry(Duration::from_secs(2));
/// assert_eq!(event.to_string(), "event: ping\nid: 0\nretry: 2000\ndata: [1,2]\n\n");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The type of the event; without it the client dispatches `message`.
    pub name: Option<String>,
    /// The id, which the client sends as `Last-Event-ID` when it reconnects.
    pub id: Option<String>,
    /// How long the client waits before it reconnects.
    pub retry: Option<Duration>,
    /// The data. Without it a browser dispatches no event, and stores `id` and `retry`.
    pub data: Option<String>,
    /// A comment, which clients ignore.
    pub comment: Option<String>,
}

impl Event {
    /// Creates a message from a text.
    #[must_use]
    pub fn text(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Creates a message from a value, as JSON on one line.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized as JSON, such as a map whose keys are not text.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::text)
    }

    /// Creates a message from a value, as JSON with a line for each member and an indentation of two
    /// spaces.
    ///
    /// # Errors
    ///
    /// As [`Event::json`].
    pub fn pretty(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string_pretty(value).map(Self::text)
    }

    /// Creates a comment, which is no event but keeps the connection busy.
    #[must_use]
    pub fn comment(text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..Self::default() }
    }

    /// Sets the name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Sets the id, a number or a text. An empty id resets the last id of the client.
    #[must_use]
    pub fn id(self, id: impl Display) -> Self {
        Self { id: Some(id.to_string()), ..self }
    }

    /// Sets the reconnection time, in whole milliseconds.
    #[must_use]
    pub fn retry(self, after: Duration) -> Self {
        Self { retry: Some(after), ..self }
    }

    /// Appends the bytes of the event.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for line in self.comment.iter().flat_map(|text| lines(text)) {
            sse::comment(line, out);
        }
        if let Some(name) = &self.name {
            sse::name(name, out);
        }
        if let Some(id) = &self.id {
            sse::id_text(id, out);
        }
        if let Some(after) = self.retry {
            sse::retry(after, out);
        }
        if let Some(data) = &self.data {
            sse::data(out, |out| out.extend_from_slice(data.as_bytes()));
        }
        sse::end(out);
    }
}

/// Splits a text at CR, LF and CRLF, as clients do.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(['\r', '\n']) else { return rest.take() };
        let width = if text[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[at + width..]);
        Some(&text[..at])
    })
}

impl Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl From<&str> for Event {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Event {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<serde_json::Value> for Event {
    fn from(value: serde_json::Value) -> Self {
        Self::text(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sse::{Message, Parser};
    use proptest::prelude::*;
    use serde_json::json;

    fn json(value: &serde_json::Value) -> Event {
        Event::json(value).expect("JSON")
    }

    /// Returns what a browser would dispatch.
    fn read(event: &Event) -> (Vec<Message>, Parser) {
        let (mut parser, mut all) = (Parser::default(), Vec::new());
        parser.feed(event.to_string().as_bytes(), |message| all.push(message));
        (all, parser)
    }

    #[test]
    fn the_bytes_are_those_of_oak() {
        for (event, bytes) in [
            (json(&json!({"hello": "world"})), "data: {\"hello\":\"world\"}\n\n"),
            (Event::from("multi\nline"), "data: multi\ndata: line\n\n"),
            (json(&json!(null)), "data: null\n\n"),
            (Event::from(""), "data: \n\n"),
            (json(&json!({"hello": true})).name("ping"), "event: ping\ndata: {\"hello\":true}\n\n"),
            (
                Event::text("foobar").name("ping").id(1234),
                "event: ping\nid: 1234\ndata: foobar\n\n",
            ),
            (Event::text("x").name("message"), "event: message\ndata: x\n\n"),
            (Event::text("").name("reload"), "event: reload\ndata: \n\n"),
            (Event::comment("one\ntwo"), ": one\n: two\n\n"),
            (
                Event::pretty(&json!({"a": [1]})).expect("JSON"),
                "data: {\ndata:   \"a\": [\ndata:     1\ndata:   ]\ndata: }\n\n",
            ),
        ] {
            assert_eq!(event.to_string(), bytes);
        }
    }

    #[test]
    fn an_id_of_zero_is_kept_and_any_text_is_an_id() {
        assert_eq!(Event::text("x").id(0).to_string(), "id: 0\ndata: x\n\n");
        assert_eq!(Event::text("x").id("é/ü").to_string(), "id: é/ü\ndata: x\n\n");
        assert_eq!(Event::default().id("").to_string(), "id: \n\n");
        let (messages, parser) = read(&Event::default().id("7"));
        assert_eq!((messages.len(), parser.last_event_id()), (0, Some("7")));
    }

    #[test]
    fn retry_sets_the_reconnection_time() {
        let (messages, parser) = read(&Event::default().retry(Duration::from_millis(2500)));
        assert_eq!((messages.len(), parser.retry()), (0, Some(Duration::from_millis(2500))));
    }

    #[test]
    fn a_name_with_underscores_is_kept() {
        assert_eq!(read(&Event::text("x").name("__message")).0[0].name, "__message");
    }

    #[test]
    fn nothing_injects_a_field() {
        let evil = "a\rdata: b\nevent: c\r\nid: d\n\nretry: 1\0\u{2028}";
        let event = Event {
            name: Some(evil.into()),
            id: Some(evil.into()),
            comment: Some(evil.into()),
            ..Event::text(evil)
        };
        let (messages, parser) = read(&event);
        let one_line = "a data: b event: c  id: d  retry: 1 \u{2028}";
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].name, one_line);
        assert_eq!(messages[0].data, evil.replace("\r\n", "\n").replace('\r', "\n"));
        assert_eq!((parser.last_event_id(), parser.retry()), (Some(one_line), None));
        assert!(
            event.to_string().starts_with(": a\n: data: b\n: event: c\n: id: d\n:\n: retry: 1 ")
        );
    }

    proptest! {
        #[test]
        fn any_content_is_parsed_as_one_event(name: String, id: String, data: String, comment: String) {
            let event = Event { name: Some(name), id: Some(id), comment: Some(comment), ..Event::text(&data) };
            let (messages, parser) = read(&event);
            prop_assert_eq!(messages.len(), 1);
            prop_assert_eq!(&messages[0].data, &data.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(parser.retry(), None);
        }
    }
}
