//! Server-Sent Events as the HTML standard has them (section 9.2, "server-sent events"): an
//! encoder that cannot fail, and a [`Reader`] of any bytes.
//!
//! The encoder writes field by field; [`end`] dispatches. No input can inject a field: line
//! breaks in data (CR, LF, CRLF) become lines of data, and in names and comments spaces.

mod reader;

use std::io::Write as _;
use std::time::Duration;

use crate::event::EventId;

pub use reader::{Absent, Dispatched, Reader};

/// Appends `event: NAME`.
pub fn name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    single_line(name, out);
}

/// Appends `id: ID`.
pub fn id(id: EventId, out: &mut Vec<u8>) {
    writeln!(out, "id: {id}").expect("a Vec takes all");
}

/// Appends `id: ID` with an id of another server.
pub fn id_text(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    single_line(id, out);
}

/// Appends `retry: MILLISECONDS`.
pub fn retry(after: Duration, out: &mut Vec<u8>) {
    writeln!(out, "retry: {}", after.as_millis()).expect("a Vec takes all");
}

/// Appends a comment: bytes on the connection without an event.
pub fn comment(text: &str, out: &mut Vec<u8>) {
    out.push(b':');
    if !text.is_empty() {
        out.push(b' ');
    }
    single_line(text, out);
}

/// Appends `data: …` with the text that `write` appends, split at line breaks.
pub fn data(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    let start = out.len();
    write(out);
    // JSON is one line: the search finds nothing, at the speed of memory.
    if memchr::memchr2(b'\r', b'\n', &out[start..]).is_some() {
        let text = out.split_off(start);
        let mut rest = text.as_slice();
        while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"\ndata: ");
            let width = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[at + width..];
        }
        out.extend_from_slice(rest);
    }
    out.push(b'\n');
}

/// Appends the empty line that completes an event.
pub fn end(out: &mut Vec<u8>) {
    out.push(b'\n');
}

fn single_line(text: &str, out: &mut Vec<u8>) {
    out.extend(
        text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }),
    );
    out.push(b'\n');
}

/// An event as a browser's EventSource dispatches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event name, `message` where it has none.
    pub name: String,
    /// The data, its lines joined by LF.
    pub data: String,
}

/// Reads a stream of a server whose events are wanted as a whole.
#[derive(Debug)]
pub struct Parser(Reader);

impl Default for Parser {
    fn default() -> Self {
        Self(Reader::new(Self::MAX_DATA))
    }
}

impl Parser {
    /// The most bytes of the data of an event. A larger event is left out, so that no server can fill
    /// the memory of its reader.
    const MAX_DATA: usize = 64 << 20;

    /// Reads the next piece, and passes each event that it completes to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Message)) {
        self.0.feed(bytes, true, |event| {
            if let Ok(data) = event.data
                && !event.truncated
            {
                let name = event.name.unwrap_or("message").to_owned();
                each(Message { name, data: String::from_utf8_lossy(data).into_owned() });
            }
            true
        });
    }

    /// Returns the id to resume from: that of the last complete event.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.0.last_event_id()
    }

    /// Returns the reconnection time that the server has set.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.0.retry()
    }

    /// Drops the incomplete event of an interrupted stream. Keeps the id and the reconnection time.
    pub fn reconnect(&mut self) {
        self.0.reconnect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<(String, String)> {
        let mut all = Vec::new();
        Parser::default().feed(bytes, |m| all.push((m.name, m.data)));
        all
    }

    fn encoded(event: &str, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        name(event, &mut out);
        data(&mut out, |out| out.extend_from_slice(text.as_bytes()));
        end(&mut out);
        out
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let mut out = Vec::new();
        comment("hello", &mut out);
        retry(Duration::from_secs(2), &mut out);
        name("gap", &mut out);
        id(EventId { ms: 1, seq: 0 }, &mut out);
        data(&mut out, |out| out.extend_from_slice(b"a\rb\r\nc\nd"));
        end(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text,
            ": hello\nretry: 2000\nevent: gap\nid: 1-0\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
        );
    }

    #[test]
    fn no_field_can_be_injected() {
        let out = encoded("a\r\nid: 9\0", "x\rdata: y\revent: evil\n\nevent: worse");
        assert_eq!(
            read(&out),
            [("a  id: 9 ".to_owned(), "x\ndata: y\nevent: evil\n\nevent: worse".to_owned())]
        );
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        let read_text = |text: &str| read(text.as_bytes());
        let message = |data: &str| ("message".to_owned(), data.to_owned());
        assert_eq!(read_text("data: YHOO\ndata: +2\ndata: 10\n\n"), [message("YHOO\n+2\n10")]);
        assert_eq!(
            read_text(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"
            ),
            [message("first event"), message("second event")]
        );
        assert_eq!(read_text("data\n\ndata\ndata\n\ndata:"), [message(""), message("\n")]);
        assert_eq!(read_text("data:test\n\ndata: test\n\n"), [message("test"), message("test")]);
        assert_eq!(
            read_text("\u{feff}event: add\r\ndata: 1\r\rdata: 2\n\n"),
            [("add".into(), "1".into()), message("2")]
        );
    }

    #[test]
    fn an_id_counts_once_its_event_is_complete_and_without_data_too() {
        let mut parser = Parser::default();
        let mut events = 0;
        parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n", |_| events += 1);
        assert_eq!((parser.last_event_id(), events), (Some("1"), 1));
        parser.reconnect();
        parser.feed(b"data: c\n\n:\nid: 3\n\nretry: 5\nretry: x\n", |_| events += 1);
        assert_eq!((parser.last_event_id(), events), (Some("3"), 2));
        assert_eq!(parser.retry(), Some(Duration::from_millis(5)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(event in "[^\r\n\0]{1,20}", text: String) {
            let lines = text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read(&encoded(&event, &text)), [(event, lines)]);
        }

        #[test]
        fn cuts_make_no_difference(bytes in "(data|id|event|retry|: |\r|\n|\r\n|x|é){0,40}", cut in 0usize..80) {
            let bytes = bytes.as_bytes();
            let cut = cut.min(bytes.len());
            let mut parser = Parser::default();
            let mut all = Vec::new();
            parser.feed(&bytes[..cut], |m| all.push((m.name, m.data)));
            parser.feed(&bytes[cut..], |m| all.push((m.name, m.data)));
            prop_assert_eq!(all, read(bytes));
        }
    }
}
