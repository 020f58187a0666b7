//! JSON of strings and bodies.

use std::io::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::event::Body;

/// Appends a text as a JSON string.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is always JSON");
}

/// Appends a body as a JSON value. Binary is base64, which the member `encoding` announces.
pub(super) fn body(body: &Body, out: &mut Vec<u8>) {
    match body {
        Body::Object(json) | Body::Value(json) => out.extend_from_slice(json.as_str().as_bytes()),
        Body::Binary(bytes) => {
            write!(out, "\"{}\"", Base64Display::new(bytes, &STANDARD)).expect("a Vec takes all");
        }
        Body::Absent => out.extend_from_slice(b"null"),
    }
}
