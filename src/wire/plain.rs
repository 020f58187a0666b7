//! The plain JSON of an event: what the client said and nothing more, as the pages of the article
//! that wstap grew out of expect it.

use std::io::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::full;
use crate::event::{Body, Close, ConnectionId, Direction, Event, EventBody, Gap, Message, Opcode};

/// Appends the plain JSON of an event, one of
///
/// ```json
/// {"connectionId":"a"}
/// {"connectionId":"a","message":"hello"}
/// {"connectionId":"a","message":"aGVsbG8=","encoding":"base64"}
/// {"connectionId":"a","message":"hello","direction":"out"}
/// {"connectionId":"a","channel":"news","message":"hello"}
/// {"close":{"connectionId":"a","code":1001,"reason":"","clean":true}}
/// {"join":{"connectionId":"a","channel":"news","user":"ann"}}
/// ```
pub fn plain(event: &Event, out: &mut Vec<u8>) {
    let id = &event.connection;
    match &event.body {
        EventBody::Connect(_) => {
            out.extend_from_slice(b"{\"connectionId\":");
            string(id.as_str(), out);
            out.push(b'}');
        }
        EventBody::Message(message) => self::message(event, message, out),
        EventBody::Close(close) => self::close(id, close, out),
        EventBody::Join(presence) | EventBody::Leave(presence) => {
            write!(out, "{{\"{}\":{{\"connectionId\":", event.kind().as_str())
                .expect("a Vec takes all");
            string(id.as_str(), out);
            out.push(b',');
            full::presence(presence, out);
            out.extend_from_slice(b"}}");
        }
        EventBody::Lost(missed) => {
            gap(&Gap { missed: Some(*missed), after: None, before: None }, out);
        }
    }
}

fn message(event: &Event, message: &Message, out: &mut Vec<u8>) {
    if let Body::Object(json) = &message.body {
        return out.extend_from_slice(json.as_str().as_bytes());
    }
    out.extend_from_slice(b"{\"connectionId\":");
    full::connection(event, out);
    if let Some(channel) = event.channel() {
        out.extend_from_slice(b",\"channel\":");
        string(channel.as_str(), out);
    }
    out.extend_from_slice(b",\"message\":");
    body(&message.body, out);
    if message.direction == Direction::Out {
        out.extend_from_slice(b",\"direction\":\"out\"");
    }
    // Text and binary can be told by the encoding; what a tap shows beside them cannot.
    if let Some(opcode @ (Opcode::Ping | Opcode::Pong)) = message.opcode {
        write!(out, ",\"opcode\":\"{}\"", opcode.as_str()).expect("a Vec takes all");
    }
    if let Some(note) = message.frame_info.as_ref().and_then(|frame_info| frame_info.note.as_ref())
    {
        out.extend_from_slice(b",\"note\":");
        string(note, out);
    }
    out.push(b'}');
}

fn close(id: &ConnectionId, close: &Close, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"close\":{\"connectionId\":");
    string(id.as_str(), out);
    write!(out, ",\"code\":{},\"reason\":", close.code).expect("a Vec takes all");
    string(&close.reason, out);
    write!(out, ",\"clean\":{}}}}}", close.clean).expect("a Vec takes all");
}

/// Appends a body as a JSON value; after binary comes its encoding.
pub(super) fn body(body: &Body, out: &mut Vec<u8>) {
    match body {
        Body::Object(json) | Body::Value(json) => out.extend_from_slice(json.as_str().as_bytes()),
        Body::Binary(bytes) => {
            let base64 = Base64Display::new(bytes, &STANDARD);
            write!(out, "\"{base64}\",\"encoding\":\"base64\"").expect("a Vec takes all");
        }
        Body::Absent => out.extend_from_slice(b"null"),
    }
}

/// Appends `{"missed":1234,"after":"1763670000456-0","before":"1763670009999-0"}`.
pub(super) fn gap(gap: &Gap, out: &mut Vec<u8>) {
    out.push(b'{');
    gap_members(gap, out);
    out.push(b'}');
}

pub(super) fn gap_members(gap: &Gap, out: &mut Vec<u8>) {
    let id = |id: Option<_>| id.map_or("null".to_owned(), |id| format!("\"{id}\""));
    let missed = gap.missed.map_or("null".to_owned(), |missed| missed.to_string());
    write!(out, "\"missed\":{missed},\"after\":{},\"before\":{}", id(gap.after), id(gap.before))
        .expect("a Vec takes all");
}

pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is always JSON");
}
