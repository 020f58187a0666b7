//! HTTP Archives with WebSockets, in the form in which Chrome writes and reads them: HAR 1.2
//! (<http://www.softwareishard.com/blog/har-12-spec/>), an entry a connection, and its messages in
//! `_webSocketMessages`.
//!
//! ```json
//! {"log":{"version":"1.2","creator":{"name":"wstap","version":"0.1.0"},"pages":[],"entries":[
//!  {"startedDateTime":"…","time":1500.0,"request":{…},"response":{…},"cache":{},"timings":{…},
//!   "_resourceType":"websocket",
//!   "_webSocketMessages":[{"type":"send","time":1763670000.123,"opcode":1,"data":"hello"}],
//!   "_wstap":{"connect":{…},"control":[…],"close":{…}}}]}}
//! ```
//!
//! What HAR has no place for stands in `_wstap`: of a message its id and how it passed, of an entry
//! the full JSON of its `connect`, of what is no text or binary message, and of its `close`.
//! [`read()`] takes these back, and reads archives of others without them.

mod read;

use std::io::Write as _;
use std::time::Duration;

use super::full::{self, full};
use super::payload::{Payload, payload};
use super::plain::string;
use crate::event::{Connect, ConnectionId, Direction, Event, EventBody, EventId, Message, Opcode};
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

pub use read::{is_har, read};

const VEC: &str = "a Vec takes all";

/// Appends what an archive begins with.
pub fn begin(out: &mut Vec<u8>) {
    let version = env!("CARGO_PKG_VERSION");
    write!(out, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{{\"name\":\"wstap\",\"version\":\"{version}\"}},\"pages\":[],\"entries\":[")
        .expect(VEC);
}

/// Appends what an archive ends with: the gaps of the stream that it was made of, in their full
/// JSON.
pub fn end(gaps: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n],\"_wstap\":{\"gaps\":[");
    list(gaps, out, |gap, out| out.extend_from_slice(gap));
    out.extend_from_slice(b"]}}}\n");
}

/// A connection that becomes an entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its name.
    pub connection: &'a ConnectionId,
    /// Its `connect`, where that is kept.
    pub connect: Option<&'a Event>,
    /// Its `close`; a socket that is still open has none.
    pub close: Option<&'a Event>,
    /// The first event that is known of it.
    pub first: EventId,
    /// The last one.
    pub last: EventId,
}

impl<'a> Entry<'a> {
    /// Returns the handshake, be it of a connection or of one that was refused.
    fn handshake(&self) -> Option<&'a Connect> {
        match (self.connect.map(|event| &event.body), self.close.map(|event| &event.body)) {
            (Some(EventBody::Connect(connect)), _) => Some(connect),
            (_, Some(EventBody::Close(close))) => close.refused.as_deref(),
            _ => None,
        }
    }

    /// Appends the entry up to its messages.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let handshake = self.handshake();
        let answer = handshake.and_then(|connect| connect.answer.as_deref());
        let time = self.last.ms.saturating_sub(self.first.ms);
        let receive = Duration::from_millis(time);
        let wait = answer.map_or(0.0, |answer| answer.time.as_secs_f64() * 1e3);
        write!(
            out,
            "\n{{\"startedDateTime\":\"{}\",\"time\":{:.3}",
            full::time(self.first.ms),
            receive.as_secs_f64() * 1e3 + wait
        )
        .expect(VEC);
        out.extend_from_slice(b",\"request\":{\"method\":\"GET\",\"url\":");
        let path = handshake.map_or("/", |connect| &connect.path);
        let server = answer.map_or("ws://localhost".to_owned(), |answer| {
            answer.upstream.replacen("http", "ws", 1)
        });
        string(&format!("{server}{path}"), out);
        out.extend_from_slice(b",\"httpVersion\":\"HTTP/1.1\",\"cookies\":[],\"headers\":[");
        let headers = handshake.map_or(&[][..], |connect| &connect.headers);
        list(headers, out, |(name, value), out| pair(name, value, out));
        out.extend_from_slice(b"],\"queryString\":[");
        let query: Vec<_> = path
            .split_once('?')
            .map_or("", |(_, query)| query)
            .split('&')
            .filter(|item| !item.is_empty())
            .collect();
        list(&query, out, |item, out| {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            pair(name, value, out);
        });
        out.extend_from_slice(b"],\"headersSize\":-1,\"bodySize\":0}");
        let status = answer.map_or(101, |answer| answer.status);
        let words = if status == 101 { "Switching Protocols" } else { "" };
        write!(out, ",\"response\":{{\"status\":{status},\"statusText\":\"{words}\",\"httpVersion\":\"HTTP/1.1\",\"cookies\":[],\"headers\":[")
            .expect(VEC);
        let protocol = answer.and_then(|answer| answer.subprotocol.as_deref());
        let extensions = answer.and_then(|answer| answer.extensions.as_deref());
        let headers: Vec<_> =
            [("sec-websocket-protocol", protocol), ("sec-websocket-extensions", extensions)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
        list(&headers, out, |(name, value), out| pair(name, value, out));
        out.extend_from_slice(b"],\"content\":{\"size\":0,\"mimeType\":\"x-unknown\"},\"redirectURL\":\"\",\"headersSize\":-1,\"bodySize\":-1}");
        write!(
            out,
            ",\"cache\":{{}},\"timings\":{{\"send\":0,\"wait\":{wait:.3},\"receive\":{time}}}"
        )
        .expect(VEC);
        out.extend_from_slice(b",\"_resourceType\":\"websocket\",\"_webSocketMessages\":[");
    }

    /// Appends what stands between the messages and what [`control`] frames there are.
    pub fn middle(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"_wstap\":{\"connectionId\":");
        string(self.connection.as_str(), out);
        if let Some(connect) = self.connect {
            out.extend_from_slice(b",\"connect\":");
            full(connect, out);
        }
        out.extend_from_slice(b",\"control\":[");
    }

    /// Appends the rest of the entry. `missed` events went before they could be read.
    pub fn end(&self, missed: usize, out: &mut Vec<u8>) {
        out.push(b']');
        if missed > 0 {
            write!(out, ",\"missed\":{missed}").expect(VEC);
        }
        out.extend_from_slice(b",\"close\":");
        match self.close {
            Some(close) => full(close, out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}}");
    }
}

/// Returns whether an event is a message that `_webSocketMessages` has a place for. What no
/// connection has sent has none.
#[must_use]
pub fn has_place(event: &Event) -> bool {
    !event.connection.is_nobody()
        && matches!(
            &event.body,
            EventBody::Message(Message { opcode: Some(Opcode::Text | Opcode::Binary), .. })
        )
}

/// Appends one of an entry's messages.
pub fn message(event: &Event, out: &mut Vec<u8>) {
    let EventBody::Message(message) = &event.body else { return };
    let way = if message.direction == Direction::In { "send" } else { "receive" };
    let (seconds, ms) = (event.id.ms / 1000, event.id.ms % 1000);
    write!(out, "{{\"type\":\"{way}\",\"time\":{seconds}.{ms:03},\"opcode\":").expect(VEC);
    match payload(message) {
        Some(Payload::Text(text)) => {
            out.extend_from_slice(b"1,\"data\":");
            string(&text, out);
        }
        Some(Payload::Binary(bytes)) => {
            write!(out, "2,\"data\":\"{}\"", Base64Display::new(bytes, &STANDARD)).expect(VEC);
        }
        None => out.extend_from_slice(if message.opcode == Some(Opcode::Text) {
            b"1,\"data\":\"\""
        } else {
            b"2,\"data\":\"\""
        }),
    }
    write!(out, ",\"_wstap\":{{\"id\":\"{}\",\"size\":{}", event.id, message.size).expect(VEC);
    if let Some(channel) = event.channel() {
        out.extend_from_slice(b",\"channel\":");
        string(channel.as_str(), out);
    }
    full::how(message, out);
    out.extend_from_slice(b"}}");
}

/// Appends one of an entry's frames that are no messages.
pub fn control(event: &Event, out: &mut Vec<u8>) {
    full(event, out);
}

fn pair(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\":");
    string(name, out);
    out.extend_from_slice(b",\"value\":");
    string(value, out);
    out.push(b'}');
}

fn list<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}
