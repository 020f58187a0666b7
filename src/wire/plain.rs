//! Writes the plain JSON of an event: the message of the client and nothing more, in the form that the
//! article behind wstap uses.

use std::io::Write as _;

use super::full::gap_alone;
use super::json::{body, string};
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
/// {"request":{"method":"GET","path":"/missing","status":404}}
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
            out.extend_from_slice(b",\"channel\":");
            string(presence.channel.as_str(), out);
            out.extend_from_slice(b",\"user\":");
            string(presence.user.as_str(), out);
            out.extend_from_slice(b"}}");
        }
        EventBody::Request(exchange) => {
            out.extend_from_slice(b"{\"request\":{\"method\":");
            string(&exchange.method, out);
            out.extend_from_slice(b",\"path\":");
            string(&exchange.path, out);
            write!(out, ",\"status\":{}}}}}", exchange.status).expect("a Vec takes all");
        }
        EventBody::Lost(missed) => {
            gap_alone(&Gap { missed: Some(*missed), after: None, before: None }, out);
        }
    }
}

fn message(event: &Event, message: &Message, out: &mut Vec<u8>) {
    if let Body::Object(json) = &message.body {
        return out.extend_from_slice(json.as_str().as_bytes());
    }
    out.extend_from_slice(b"{\"connectionId\":");
    if event.connection.is_nobody() {
        out.extend_from_slice(b"null");
    } else {
        string(event.connection.as_str(), out);
    }
    if let Some(channel) = event.channel() {
        out.extend_from_slice(b",\"channel\":");
        string(channel.as_str(), out);
    }
    out.extend_from_slice(b",\"message\":");
    body(&message.body, out);
    if matches!(message.body, Body::Binary(_)) {
        out.extend_from_slice(b",\"encoding\":\"base64\"");
    }
    if message.direction == Direction::Out {
        out.extend_from_slice(b",\"direction\":\"out\"");
    }
    // `encoding` tells text from binary; pings and pongs need their name.
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
