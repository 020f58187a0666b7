//! The frames with which the server answers a client, as opposed to what others send to it.
//!
//! ```text
//! {"ack":"1763670000123-0"}                        a frame was accepted (`?ack=1`)
//! {"ack":"1763670000123-0","frame":7}              the 7th frame of a client that used `register` was
//! {"error":{"code":"…","message":"…"},"frame":7}   its 7th frame was refused
//! {"registered":{"connectionId":"a","resumed":false}}
//! {"pong":1}                                       answers `ping`
//! {"message":"…"}                                  a text message for a client that used `register`
//! ```

use serde_json::json;

use crate::event::{ConnectionId, EventId};
use crate::json::Json;

/// Returns the frame that accepts a frame of the client. `id` is that of its event, if it made one;
/// `frame` its number, if frames are numbered.
#[must_use]
pub fn ack(id: Option<EventId>, frame: Option<u64>) -> String {
    let id = id.map_or("null".to_owned(), |id| format!("\"{id}\""));
    numbered(format!("{{\"ack\":{id}}}"), frame)
}

/// Adds the number of the frame that an answer belongs to, if frames are numbered.
#[must_use]
pub fn numbered(answer: String, frame: Option<u64>) -> String {
    match (frame, answer.strip_suffix('}')) {
        (Some(number), Some(head)) => format!("{head},\"frame\":{number}}}"),
        _ => answer,
    }
}

/// Returns the answer to `ping`.
#[must_use]
pub fn pong(id: &Json) -> String {
    format!("{{\"pong\":{}}}", id.as_str())
}

/// Returns the answer to `register`.
#[must_use]
pub fn registered(id: &ConnectionId, resumed: bool) -> String {
    json!({"registered": {"connectionId": id.as_str(), "resumed": resumed}}).to_string()
}

/// Wraps a text message for a client that used `register`, so that its content cannot pass for a frame
/// of the server.
#[must_use]
pub fn wrapped(text: &str) -> String {
    format!("{{\"message\":{}}}", Json::string(text).as_str())
}
