//! `GET /listen`: a poll that waits.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Uri};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::answer::{ApiError, json, parameter};
use super::guard::check_page;
use super::listener::ListenerGuard;
use super::schema;
use super::shared::ApiState;
use super::waiting::{BOUND, Frame};
use crate::code::Code;
use crate::problem::Problem;
use crate::queue::Weigh as _;

/// How long a poll waits for a frame.
const POLL: Duration = Duration::from_secs(5);

/// How long a poll waits for more frames, so that a burst is one answer.
const GATHER: Duration = Duration::from_millis(250);

/// Answers `GET /listen` with a JSON array of the frames since the last poll, or of those that arrive
/// within 5 s. With `callback=` the answer is a script that calls a function.
pub(super) async fn poll(State(api): State<ApiState>, parts: Parts) -> Result<Response, ApiError> {
    check_page(&api.context, &parts.headers)?;
    let id = conn_id(&parts.uri)?;
    let callback = callback(&parts)?;
    if parts.method == Method::HEAD {
        // The answer has no body, so that frames would be lost.
        return Ok(json(""));
    }
    let unknown = || Problem::new(Code::Unauthorized, "there is no such connection; connect again");
    let handle = api.shared.handle(&id).ok_or_else(unknown)?;
    let guard = ListenerGuard::begin(&api.shared, &handle).await.ok_or_else(unknown)?;
    let answer = gather(guard).await;
    let Some(callback) = callback else { return Ok(json(answer)) };
    // Older script engines take these two characters for line breaks. The comment in front keeps the
    // answer from being read as anything but a script.
    let answer = answer.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/javascript; charset=utf-8")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, format!("/**/{callback}({answer});")).into_response())
}

/// Waits for a frame and for those that follow closely, and returns them as a JSON array. If the
/// client goes in the meantime, the frames go back to the keeper.
async fn gather(mut guard: ListenerGuard) -> String {
    if let Ok(Some(frame)) = timeout(POLL, guard.next()).await {
        let mut bytes = frame.weight();
        guard.returned.push(frame);
        let enough = Instant::now() + GATHER;
        while bytes < BOUND.bytes
            && let Ok(Some(frame)) = timeout_at(enough, guard.next()).await
        {
            bytes += frame.weight();
            guard.returned.push(frame);
        }
    }
    let frames = guard.end().await;
    let frames: Vec<_> = frames.iter().map(Frame::json).collect();
    format!("[{}]", frames.join(","))
}

/// Reads `conn_id` of the query.
pub(super) fn conn_id(uri: &Uri) -> Result<Uuid, ApiError> {
    let text = parameter(uri, "conn_id").unwrap_or_default();
    text.parse().map_err(|_| ApiError::Invalid(schema::fault("Wrong UUID format")))
}

/// Reads the name of the function that a script is to call.
fn callback(parts: &Parts) -> Result<Option<String>, Problem> {
    let Some(name) = parameter(&parts.uri, "callback").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if is_function(&name) {
        return Ok(Some(name));
    }
    Err(Problem::malformed("callback is the name of a function, such as app.received"))
}

/// Returns whether a text consists of names of JavaScript joined by dots.
fn is_function(text: &str) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
    let goes_on = |byte: u8| starts(byte) || byte.is_ascii_digit();
    let is_name = |name: &str| name.bytes().next().is_some_and(starts) && name.bytes().all(goes_on);
    text.len() <= 128 && text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_the_name_of_a_function() {
        for name in ["cb", "app.on_message", "$", "_1", "jQuery1_2.x.y"] {
            assert!(is_function(name), "{name}");
        }
        for odd in ["", ".", "a.", ".a", "1a", "a b", "alert(1)//", "a;b", "a[0]", "ä", "a\n"] {
            assert!(!is_function(odd), "{odd}");
        }
        assert!(!is_function(&"a".repeat(129)));
    }
}
