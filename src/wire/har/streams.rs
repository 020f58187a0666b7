//! The event streams of archives: entries with `_eventSourceMessages`, as Chrome writes them.

use super::model::{Entry, StreamMessage};
use crate::event::{
    Answer, Body, Connect, Direction, EventFields, EventStream, FrameInfo, Message, Opcode,
};
use crate::json::Json;

/// Returns whether an entry is an event stream.
pub(super) fn is_event_stream(entry: &Entry<'_>) -> bool {
    let is_named = entry.resource_type.as_deref() == Some("eventsource");
    entry.stream_messages.is_some() || is_named && entry.response.status == 200
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
    let stream =
        EventStream { method: method.to_owned(), encoding: field("content-encoding"), note: None };
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
