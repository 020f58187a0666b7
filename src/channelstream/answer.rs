//! Answers of the API, and what its handlers read off a request.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::LengthLimitError;
use serde_json::Value;

use crate::code::{self, Code};
use crate::problem::Problem;

/// An error of a call, as its answer.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The signature is wrong.
    BadSignature,
    /// The body does not have the form that the call takes.
    Invalid(Value),
    /// Any other error.
    Problem(Problem),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::BadSignature => {
                (Code::Unauthorized.row().status, "{\"request\":\"Bad Signature\"}".to_owned())
            }
            Self::Invalid(faults) => (code::channelstream::INVALID, faults.to_string()),
            Self::Problem(problem) => return problem.into_response(),
        };
        let status = StatusCode::from_u16(status).expect("the table holds statuses");
        (status, json(body)).into_response()
    }
}

impl<T: Into<Problem>> From<T> for ApiError {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// Answers with JSON.
pub(super) fn json(text: impl Into<Body>) -> Response {
    let media_type = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, media_type)], text.into()).into_response()
}

/// Reads a body to its end.
pub(super) async fn read(body: Body, max: usize) -> Result<Bytes, Problem> {
    to_bytes(body, max).await.map_err(|error| {
        Problem::of_unread_body(&error).unwrap_or_else(|| {
            if is_too_large(&error) {
                Problem::new(Code::TooLarge, format!("a body has at most {max} bytes"))
            } else {
                Problem::new(Code::Malformed, "the body broke off")
            }
        })
    })
}

/// Returns whether a body is too large, and not cut off by the server or by its sender.
fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// Returns a parameter of the query.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let found = form_urlencoded::parse(query).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}
