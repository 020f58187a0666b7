//! The full JSON of an event: everything that is known of it, on one line.

use std::io::Write as _;

use jiff::Timestamp;

use super::plain::{body, gap_members, string};
use crate::event::{
    Answer, Body, Close, Connect, Event, EventBody, Flow, FrameInfo, Gap, Message, Presence,
    Routing, User,
};
use crate::json;

/// Appends the full JSON of an event:
///
/// ```json
/// {"id":"1763670000123-0","time":"2025-11-20T20:20:00.123Z","kind":"message","connectionId":"a",
///  "direction":"in","opcode":"text","size":36,"channel":null,"message":"hello"}
/// ```
///
/// Keys that a client's own object has beside `connectionId` and `message` stand in `fields`.
pub fn full(event: &Event, out: &mut Vec<u8>) {
    if let EventBody::Lost(missed) = event.body {
        let gap = Gap { missed: Some(missed), after: None, before: None };
        write!(out, "{{\"id\":\"{}\",\"time\":\"{}\",", event.id, time(event.id.ms)).expect(VEC);
        out.extend_from_slice(b"\"kind\":\"gap\",");
        gap_members(&gap, out);
        return out.push(b'}');
    }
    write!(out, "{{\"id\":\"{}\",\"time\":\"{}\"", event.id, time(event.id.ms)).expect(VEC);
    write!(out, ",\"kind\":\"{}\",\"connectionId\":", event.kind().as_str()).expect(VEC);
    connection(event, out);
    match &event.body {
        EventBody::Connect(connect) => self::connect(connect, out),
        EventBody::Message(message) => self::message(message, out),
        EventBody::Close(close) => self::close(close, out),
        EventBody::Join(presence) | EventBody::Leave(presence) => {
            out.push(b',');
            self::presence(presence, out);
        }
        EventBody::Lost(_) => {}
    }
    out.push(b'}');
}

/// Formats milliseconds since 1970 as RFC 3339 in UTC.
#[must_use]
pub fn time(ms: u64) -> impl std::fmt::Display {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    // An id may name a moment that no calendar has; ids of our own clock never do.
    let time = time.unwrap_or(Timestamp::MAX);
    std::fmt::from_fn(move |f| write!(f, "{time:.3}"))
}

const VEC: &str = "a Vec takes all";

fn connect(connect: &Connect, out: &mut Vec<u8>) {
    write!(out, ",\"remote\":\"{}\",\"path\":", connect.remote).expect(VEC);
    string(&connect.path, out);
    out.extend_from_slice(b",\"headers\":{");
    for (n, (name, value)) in connect.headers.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        string(value, out);
    }
    out.push(b'}');
    if let Some(user) = &connect.user {
        self::user(user, out);
    }
    if let Some(answer) = &connect.answer {
        self::answer(answer, out);
    }
}

/// Appends whose event it is; `null` for a message that no connection has sent.
pub(super) fn connection(event: &Event, out: &mut Vec<u8>) {
    if event.connection.is_nobody() {
        out.extend_from_slice(b"null");
    } else {
        string(event.connection.as_str(), out);
    }
}

/// Appends `"channel":"news","user":"ann"`.
pub(super) fn presence(presence: &Presence, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"channel\":");
    string(presence.channel.as_str(), out);
    user(&presence.user, out);
}

fn user(user: &User, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"user\":");
    string(user.as_str(), out);
}

fn answer(answer: &Answer, out: &mut Vec<u8>) {
    for (name, value) in [("subprotocol", &answer.subprotocol), ("extensions", &answer.extensions)]
    {
        if let Some(value) = value {
            write!(out, ",\"{name}\":").expect(VEC);
            string(value, out);
        }
    }
    out.extend_from_slice(b",\"upstream\":");
    string(&answer.upstream, out);
    let (status, time) = (answer.status, answer.time.as_secs_f64());
    write!(out, ",\"status\":{status},\"upstreamTime\":{time:.6}").expect(VEC);
}

fn message(message: &Message, out: &mut Vec<u8>) {
    write!(out, ",\"direction\":\"{}\",\"opcode\":", message.direction.as_str()).expect(VEC);
    match message.opcode {
        Some(opcode) => write!(out, "\"{}\"", opcode.as_str()).expect(VEC),
        None => out.extend_from_slice(b"null"),
    }
    write!(out, ",\"size\":{},\"channel\":", message.size).expect(VEC);
    match message.routing.as_ref().and_then(|routing| routing.channel.as_ref()) {
        Some(channel) => string(channel.as_str(), out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"message\":");
    match &message.body {
        Body::Object(json) => own_object(json, out),
        other => body(other, out),
    }
    how(message, out);
}

/// Appends the members that say how a message passed.
pub(super) fn how(message: &Message, out: &mut Vec<u8>) {
    if let Some(routing) = &message.routing {
        self::routing(routing, out);
    }
    if message.synthetic {
        out.extend_from_slice(b",\"synthetic\":true");
    }
    if let Some(frame_info) = &message.frame_info {
        self::frame_info(frame_info, out);
    }
}

/// Appends who has published a message, and for whom, beside its channel.
fn routing(routing: &Routing, out: &mut Vec<u8>) {
    if let Some(user) = &routing.user {
        self::user(user, out);
    }
    for (name, users) in [("to", &routing.to), ("except", &routing.except)] {
        for (n, user) in users.iter().enumerate() {
            if n == 0 {
                write!(out, ",\"{name}\":[").expect(VEC);
            } else {
                out.push(b',');
            }
            string(user.as_str(), out);
        }
        if !users.is_empty() {
            out.push(b']');
        }
    }
}

fn frame_info(frame_info: &FrameInfo, out: &mut Vec<u8>) {
    write!(out, ",\"wire\":{}", frame_info.wire).expect(VEC);
    if frame_info.fragments > 1 {
        write!(out, ",\"fragments\":{}", frame_info.fragments).expect(VEC);
    }
    if frame_info.compressed {
        out.extend_from_slice(b",\"compressed\":true");
    }
    if let Some(note) = &frame_info.note {
        out.extend_from_slice(b",\"note\":");
        string(note, out);
    }
}

/// Appends the value of `message` in a client's own object, and the other keys as `fields`.
fn own_object(object: &json::Json, out: &mut Vec<u8>) {
    // As in JavaScript, the last of a repeated key counts.
    let mut value = "null";
    let mut fields = Vec::new();
    json::object(object.as_str(), |key, raw| {
        if key.is("message") {
            value = raw.get();
        } else if !key.is("connectionId") {
            fields.push(if fields.is_empty() { b'{' } else { b',' });
            fields.extend_from_slice(key.as_json().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(raw.get().as_bytes());
        }
    })
    .expect("it was read as an object when it came");
    out.extend_from_slice(value.as_bytes());
    if !fields.is_empty() {
        out.extend_from_slice(b",\"fields\":");
        out.extend_from_slice(&fields);
        out.push(b'}');
    }
}

fn close(close: &Close, out: &mut Vec<u8>) {
    write!(out, ",\"close\":{{\"code\":{},\"reason\":", close.code).expect(VEC);
    string(&close.reason, out);
    let (clean, by, duration) = (close.clean, close.by.as_str(), close.duration.as_secs_f64());
    write!(out, ",\"clean\":{clean},\"by\":\"{by}\"}},\"duration\":{duration:.3}").expect(VEC);
    flow("messages", close.messages, out);
    flow("bytes", close.bytes, out);
    if let Some(wire) = &close.wire {
        flow("wire", wire.bytes, out);
        let (client, server) = (wire.client_silence, wire.server_silence);
        let (inward, outward) = (client.as_secs_f64(), server.as_secs_f64());
        write!(out, ",\"silence\":{{\"in\":{inward:.3},\"out\":{outward:.3}}}").expect(VEC);
        if let Some(note) = &wire.note {
            out.extend_from_slice(b",\"note\":");
            string(note, out);
        }
    }
    if let Some(refused) = &close.refused {
        connect(refused, out);
    }
}

fn flow(name: &str, flow: Flow, out: &mut Vec<u8>) {
    write!(out, ",\"{name}\":{{\"in\":{},\"out\":{}}}", flow.inward, flow.outward).expect(VEC);
}

/// Appends `{"kind":"gap","missed":1234,"after":"…","before":"…"}`.
pub fn gap(gap: &Gap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"gap\",");
    gap_members(gap, out);
    out.push(b'}');
}
