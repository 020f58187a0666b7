//! The content of an event: the part of it that an application has made, as a search with
//! `within=content` looks at it.

use super::needle::Needle;
use crate::event::{Body, Connect, Event, EventBody, Message, User};

/// Returns whether a text occurs in the content of an event:
///
/// | kind | content |
/// |---|---|
/// | message | the message: the JSON or text of it, or its bytes |
/// | connect | path, subprotocol, user |
/// | close | reason, and path of a refused handshake |
/// | join, leave | channel, user |
/// | request | method, path |
pub(super) fn contains(event: &Event, text: &Needle) -> bool {
    let is_in = |part: &str| text.is_in(part.as_bytes());
    match &event.body {
        EventBody::Message(Message { body, .. }) => match body {
            Body::Object(json) | Body::Value(json) => is_in(json.as_str()),
            Body::Binary(bytes) => text.is_in(bytes),
            Body::Absent => false,
        },
        EventBody::Connect(connect) => handshake(connect, is_in),
        EventBody::Close(close) => {
            is_in(&close.reason) || close.refused.as_ref().is_some_and(|it| handshake(it, is_in))
        }
        EventBody::Join(presence) | EventBody::Leave(presence) => {
            is_in(presence.channel.as_str()) || is_in(presence.user.as_str())
        }
        EventBody::Request(exchange) => is_in(&exchange.method) || is_in(&exchange.path),
        EventBody::Lost(_) => false,
    }
}

fn handshake(connect: &Connect, is_in: impl Fn(&str) -> bool) -> bool {
    let subprotocol = connect.answer.as_ref().and_then(|answer| answer.subprotocol.as_deref());
    let user = connect.user.as_ref().map(User::as_str);
    is_in(&connect.path) || [subprotocol, user].into_iter().flatten().any(is_in)
}
