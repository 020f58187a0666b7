//! The event streams of archives: entries with `_eventSourceMessages`, as Chrome writes them, and
//! responses of the media type, whose body Playwright, Firefox and mitmproxy write as it was sent.

use std::borrow::Cow;

use base64::Engine as _;

use super::lenient::{BASE64, List, raw_string};
use super::model::{Entry, StreamMessage};
use crate::event::{
    Answer, Body, Connect, Direction, EventFields, EventStream, FrameInfo, Message, Opcode,
};
use crate::json::Json;
use crate::wire::sse::Reader;

/// Returns whether an entry is an event stream.
pub(super) fn is_event_stream(entry: &Entry<'_>) -> bool {
    let response = &entry.response;
    let is_named = entry.resource_type.as_deref() == Some("eventsource")
        || is_media_type(&response.content.mime_type);
    entry.stream_messages.is_some() || is_named && response.status == 200
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// Reads the events of the body of an entry, unless they are listed. A body has no times.
pub(super) fn read_body(entry: &mut Entry<'_>) {
    if entry.stream_messages.is_some() || !is_event_stream(entry) {
        return;
    }
    let content = &entry.response.content;
    let Some(text) = content.text.and_then(raw_string) else { return };
    let body = if content.encoding.eq_ignore_ascii_case("base64") {
        BASE64.decode(&*text).unwrap_or_default()
    } else {
        text.into_owned().into_bytes()
    };
    let mut events = Vec::new();
    let text = |bytes: &[u8]| Cow::Owned(String::from_utf8_lossy(bytes).into_owned());
    Reader::new(usize::MAX).feed(&body, true, |event| {
        events.push(StreamMessage {
            event_name: text(event.name.unwrap_or_default().as_bytes()),
            event_id: text(event.id.as_bytes()),
            data: text(event.data.unwrap_or_default()),
            ..StreamMessage::default()
        });
        true
    });
    entry.stream_messages = Some(List::from_iter(events));
    entry.is_complete = true;
}

/// Returns the events of an entry.
pub(super) fn messages<'e, 'a>(entry: &'e Entry<'a>) -> &'e [StreamMessage<'a>] {
    entry.stream_messages.as_ref().map_or(&[], |messages| &messages.0)
}

/// Makes the handshake of an entry that of an event stream.
pub(super) fn connect(entry: &Entry<'_>, server: String, connect: Connect) -> Connect {
    let field = |name: &str| {
        let mut headers = entry.response.headers.0.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.clone().into_owned())
    };
    let method = if entry.request.method.is_empty() { "GET" } else { &entry.request.method };
    let stream = EventStream {
        method: method.to_owned(),
        encoding: field("content-encoding"),
        ..EventStream::default()
    };
    let status = u16::try_from(entry.response.status).ok().filter(|status| *status > 0);
    let answer = Answer {
        upstream: server.into(),
        status: status.unwrap_or(200),
        time: connect.answer.map(|answer| answer.time).unwrap_or_default(),
        event_stream: Some(Box::new(stream)),
        ..Answer::default()
    };
    Connect { answer: Some(Box::new(answer)), ..connect }
}

/// Returns the message of an event.
pub(super) fn message(event: &StreamMessage<'_>) -> Message {
    let (data, own) = (&*event.data, event.own.as_ref());
    let is_absent = own.is_some_and(|own| own.size > 0 && data.is_empty());
    // The beginning of an event is text, even if it happens to be JSON.
    let is_whole = !own.is_some_and(|own| own.truncated);
    let json = Json::parse(data).filter(|_| is_whole);
    let value = || Body::Value(json.unwrap_or_else(|| Json::string(data)));
    let body = if is_absent { Body::Absent } else { value() };
    let mut message = Message::new(Direction::Out, Opcode::Text, data.len(), body);
    message.event = EventFields::of(&event.event_name, &event.event_id);
    if let Some(own) = own {
        message.size = own.size;
        message.frame_info = own.wire.map(|wire| FrameInfo {
            wire,
            fragments: 1,
            compressed: own.compressed,
            truncated: own.truncated,
            note: own.note.as_deref().map(Into::into),
        });
    }
    message
}
