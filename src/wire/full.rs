//! Writes the full JSON of an event on one line.

use std::io::Write as _;

use jiff::Timestamp;

use super::field::{self, Field, Member};
use super::json::{body, string};
use super::layout::{MemberLayout, layout};
use crate::event::{Body, Close, Event, Flow, Gap, Kind};
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
    let start = out.len();
    members(layout(event.kind()).members, |field| field::member(event, field), out);
    enclose(start, out);
}

/// Appends `{"kind":"gap","missed":1234,"after":"…","before":"…"}`.
pub fn gap(gap: &Gap, out: &mut Vec<u8>) {
    let start = out.len();
    members(layout(Kind::Gap).members, |field| field::of_gap(gap, field), out);
    enclose(start, out);
}

/// Appends `{"kind":"end","error":{"code":"unauthorized","message":"…"}}`: the end of a stream whose
/// credential has ended. `error` is the object without its kind.
pub(super) fn end(error: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"end\",");
    out.extend_from_slice(error.trim_start_matches('{').as_bytes());
}

/// Appends `{"missed":1234,"after":"…","before":"…"}`: a gap whose kind is known.
pub(super) fn gap_alone(gap: &Gap, out: &mut Vec<u8>) {
    let (start, all) = (out.len(), layout(Kind::Gap).members);
    let kind = all.iter().position(|declared| declared.field == Field::Kind);
    members(&all[kind.expect("a gap has a kind") + 1..], |field| field::of_gap(gap, field), out);
    enclose(start, out);
}

/// Formats milliseconds since 1970 as RFC 3339 in UTC.
#[must_use]
pub fn time(ms: u64) -> impl std::fmt::Display {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    // An id may name a moment that no calendar has; the clock never does.
    let time = time.unwrap_or(Timestamp::MAX);
    std::fmt::from_fn(move |f| write!(f, "{time:.3}"))
}

const VEC: &str = "a Vec takes all";

/// Makes an object of the members from `start` on: the first comma becomes its bracket.
fn enclose(start: usize, out: &mut Vec<u8>) {
    out[start] = b'{';
    out.push(b'}');
}

fn members<'a>(
    declared: &[MemberLayout],
    value: impl Fn(Field) -> Option<Member<'a>>,
    out: &mut Vec<u8>,
) {
    for MemberLayout { field, .. } in declared {
        if let Some(value) = value(*field) {
            out.extend_from_slice(field.key().as_bytes());
            member(value, out);
        }
    }
}

fn member(member: Member<'_>, out: &mut Vec<u8>) {
    match member {
        Member::Null => out.extend_from_slice(b"null"),
        Member::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Member::Number(value) => number(value, out),
        Member::Seconds(value, digits) => seconds(value.as_secs_f64(), digits, out),
        Member::Name(name) => {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        Member::Text(text) => string(text, out),
        Member::Id(id) => write!(out, "\"{id}\"").expect(VEC),
        Member::Time(ms) => write!(out, "\"{}\"", time(ms)).expect(VEC),
        Member::Address(address) => write!(out, "\"{address}\"").expect(VEC),
        Member::Users(users) => list(users, |user, out| string(user.as_str(), out), *b"[]", out),
        Member::Headers(headers) => {
            let entry = |(name, value): &(&str, String), out: &mut Vec<u8>| {
                string(name, out);
                out.push(b':');
                string(value, out);
            };
            list(headers, entry, *b"{}", out);
        }
        Member::Flow(Flow { inward, outward }) => {
            write!(out, "{{\"in\":{inward},\"out\":{outward}}}").expect(VEC);
        }
        Member::Silence(inward, outward) => {
            out.extend_from_slice(b"{\"in\":");
            seconds(inward.as_secs_f64(), 3, out);
            out.extend_from_slice(b",\"out\":");
            seconds(outward.as_secs_f64(), 3, out);
            out.push(b'}');
        }
        Member::Close(close) => self::close(close, out),
        Member::Body(Body::Object(json)) => own_object(json, out),
        Member::Body(other) => body(other, out),
    }
}

fn number(number: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &number).expect("a number is always JSON");
}

fn seconds(seconds: f64, digits: i32, out: &mut Vec<u8>) {
    let digits = usize::try_from(digits).unwrap_or(0);
    write!(out, "{seconds:.digits$}").expect(VEC);
}

fn list<T>(
    items: &[T],
    write: impl Fn(&T, &mut Vec<u8>),
    [open, close]: [u8; 2],
    out: &mut Vec<u8>,
) {
    out.push(open);
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

fn close(close: &Close, out: &mut Vec<u8>) {
    write!(out, "{{\"code\":{},\"reason\":", close.code).expect(VEC);
    string(&close.reason, out);
    write!(out, ",\"clean\":{},\"by\":\"{}\"}}", close.clean, close.by.as_str()).expect(VEC);
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
        out.extend_from_slice(Field::Fields.key().as_bytes());
        out.extend_from_slice(&fields);
        out.push(b'}');
    }
}
