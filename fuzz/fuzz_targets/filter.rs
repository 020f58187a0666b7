//! Any text as an expression, and what is one at any JSON: no panic, no overflow of the stack, and
//! short terms become expressions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wstap::event::{Body, Direction, Draft, EventId, Message, Opcode, EventBody};
use wstap::filter::{Expression, shorthand};
use wstap::json::{self, Json};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A line break parts the expression from the message.
    let (source, message) = text.split_once('\n').unwrap_or((text, "{\"a\":[1,{\"b\":\"c\"}]}"));
    if let Ok(terms) = shorthand::translate(source) {
        let _ = Expression::parse(&terms);
    }
    match Expression::parse(source) {
        Ok(expression) => {
            assert!(source.len() <= Expression::MAX_LENGTH);
            let Some(body) = body(message) else { return };
            let message = Message::new(Direction::In, Opcode::Text, body.len(), body);
            let connection = "a".parse().expect("an id");
            let draft = Draft::new(connection, EventBody::Message(message));
            let _ = expression.holds(&draft.stamp(EventId { ms: 1, seq: 0 }));
        }
        Err(fault) => {
            assert!((1..=source.chars().count() + 1).contains(&fault.position));
        }
    }
});

/// Returns JSON as a client's own object, if it is one.
fn body(text: &str) -> Option<Body> {
    json::object(text, |_, _| {}).map(Body::Object).ok().or(Json::parse(text).map(Body::Value))
}
