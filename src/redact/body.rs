//! Bodies of messages.

use super::json;
use super::rules::{Binary, HIDDEN};
use super::search::Search;
use crate::event::{Body, ConnectionId};
use crate::json::Json;

/// The most bytes of a message that are searched; a larger one is hidden whole. It is the default
/// limit of a message, and bounds the work of a slow pattern.
const MAX_SEARCHED: usize = 1 << 20;

/// Returns a body with its secrets hidden. `id` is the id that is shown for the connection.
pub(super) fn shown(search: &Search, body: Body, id: &ConnectionId) -> Body {
    let whole = || Body::Value(Json::string(HIDDEN));
    match body {
        Body::Absent => Body::Absent,
        Body::Binary(bytes) if search.binary() == Binary::Keep || bytes.is_empty() => {
            Body::Binary(bytes)
        }
        Body::Binary(_) => whole(),
        Body::Object(json) | Body::Value(json) if json.as_str().len() > MAX_SEARCHED => whole(),
        Body::Object(json) => match rewritten(search, &json, Some(id.as_str())) {
            None => Body::Object(json),
            Some(text) => Json::parse(&text).map_or_else(whole, Body::Object),
        },
        Body::Value(json) => match rewritten(search, &json, None) {
            None => Body::Value(json),
            Some(text) => Json::parse(&text).map_or_else(whole, Body::Value),
        },
    }
}

/// Returns the beginning of a body that is larger than the limit, with its secrets hidden.
pub(super) fn beginning(search: &Search, body: Body, id: &ConnectionId) -> Body {
    let text = match &body {
        Body::Value(json) => serde_json::from_str::<String>(json.as_str()),
        Body::Object(_) | Body::Binary(_) | Body::Absent => return shown(search, body, id),
    };
    match text {
        Ok(text) if text.len() <= MAX_SEARCHED => match search.hidden_in_beginning(&text) {
            None => body,
            Some(text) => Body::Value(Json::string(&text)),
        },
        _ => Body::Value(Json::string(HIDDEN)),
    }
}

/// Returns JSON with its secrets hidden, or `None` if it has none.
pub(super) fn rewritten(search: &Search, json: &Json, id: Option<&str>) -> Option<String> {
    let text = json.as_str();
    if search.is_clean(text) { None } else { json::rewritten(text, id, search) }
}
