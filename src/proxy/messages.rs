//! Messages of the results of a reader.

use crate::event::{Body, Direction, FrameInfo, Message, Opcode};
use crate::frame::{Control, Note, Payload, Seen};
use crate::json::Json;

/// Returns the message of a result; a close frame is part of the `close` event.
/// Without `room` in the inbox of the hub its payload is left out, which would be lost there.
pub(super) fn message(direction: Direction, seen: &Seen<'_>, room: bool) -> Option<Message> {
    let (opcode, size, body, frame_info) = match seen {
        Seen::Message {
            opcode,
            payload,
            truncated,
            size,
            wire,
            fragments,
            compressed,
            note: odd,
        } => {
            let (body, odd) = match payload {
                Payload::Absent => (Body::Absent, *odd),
                _ if !room => (Body::Absent, odd.or(Some(Note::NoRoom))),
                Payload::Text(text) if *truncated => (Body::Value(Json::string(text)), *odd),
                payload => (body(payload), *odd),
            };
            let frame_info = FrameInfo {
                wire: *wire,
                fragments: *fragments,
                compressed: *compressed,
                truncated: *truncated && !matches!(body, Body::Absent),
                note: words(odd),
            };
            (Some(*opcode), *size, body, frame_info)
        }
        Seen::Control { kind, payload, wire, note: odd } => {
            let opcode = match kind {
                Control::Ping => Opcode::Ping,
                Control::Pong => Opcode::Pong,
            };
            let frame_info = frame_alone(*wire, words(*odd));
            (Some(opcode), payload.len() as u64, Body::Binary((*payload).into()), frame_info)
        }
        Seen::Reserved { size, wire, note, .. } => {
            (None, *size, Body::Absent, frame_alone(*wire, words(Some(*note))))
        }
        Seen::Unreadable { note } => return Some(unreadable(direction, &note.to_string())),
        Seen::Close { .. } => return None,
    };
    Some(Message {
        direction,
        opcode,
        size,
        body,
        synthetic: false,
        frame_info: Some(frame_info),
        routing: None,
        event: None,
    })
}

fn body(payload: &Payload<'_>) -> Body {
    match payload {
        Payload::Text(text) => Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text))),
        Payload::Bytes(bytes) => Body::Binary((*bytes).into()),
        Payload::Absent => Body::Absent,
    }
}

pub(super) fn is_violation(seen: &Seen<'_>) -> bool {
    match seen {
        Seen::Reserved { .. } | Seen::Unreadable { .. } => true,
        Seen::Message { note, .. } | Seen::Control { note, .. } | Seen::Close { note, .. } => {
            note.is_some_and(Note::violation)
        }
    }
}

fn frame_alone(wire: u64, note: Option<Box<str>>) -> FrameInfo {
    FrameInfo { wire, fragments: 1, compressed: false, truncated: false, note }
}

pub(super) fn words(note: Option<Note>) -> Option<Box<str>> {
    note.map(|note| note.to_string().into())
}

pub(super) fn unreadable(direction: Direction, note: &str) -> Message {
    let frame_info = Some(frame_alone(0, Some(note.into())));
    Message {
        direction,
        opcode: None,
        size: 0,
        body: Body::Absent,
        synthetic: false,
        frame_info,
        routing: None,
        event: None,
    }
}
