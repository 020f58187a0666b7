//! Errors as answers: HTTP problem details (RFC 9457), or an error frame and a close code on a
//! WebSocket. No other module turns an error of a lower row into an answer.

mod unread;

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::code::Code;
use crate::dialect::InvalidFrame;
use crate::hub::{NotAllowed, NotKept, Refused, Undelivered};

pub(crate) use self::unread::{NoRoom, TooSlow};

/// An error that is answered: what is wrong, and what would be right. As a response it is problem
/// details (RFC 9457):
///
/// ```json
/// {"type":"about:blank","title":"Not found","status":404,"code":"not_found","detail":"…"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The row of the table of codes.
    pub code: Code,
    /// A name in JSON that is more exact than that of the row; only in frames.
    name: Option<&'static str>,
    /// What is wrong, for people.
    pub detail: String,
    /// The position of the fault in a filter expression: a number of characters, from 1.
    position: Option<usize>,
    /// Seconds until a retry makes sense, where that is known.
    retry_after: Option<u64>,
    /// Whether the status is 503, as health checks expect it, and not that of the code.
    not_ready: bool,
}

/// The body of an answer. `openapi::problems` describes it.
#[derive(Debug, Serialize)]
pub(crate) struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

/// The most bytes of a detail: room for ten faults, so that no request is answered with a body that
/// is much larger than itself.
const MAX_DETAIL: usize = 4 << 10;

/// Returns a text as an error quotes it: `"a"`, and only the beginning of a long one.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, 80))
}

/// Returns a text, or its first `max` characters and an ellipsis.
pub(crate) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Seconds until a retry at a full or stopping server makes sense.
const RETRY_AFTER: u64 = 5;

impl Problem {
    /// Creates a problem from a code and a sentence that says what would be right. The detail is cut at
    /// 4 KiB: it may quote the request.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > MAX_DETAIL {
            detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
            detail.push('…');
        }
        Self { code, name: None, detail, position: None, retry_after: None, not_ready: false }
    }

    /// Creates the problem of a request that cannot be read.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// Sets the seconds until a retry makes sense.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Creates the answer of a health check: 503, and why the server is not ready.
    pub(crate) fn not_ready(detail: impl Into<String>) -> Self {
        Self { not_ready: true, ..Self::new(Code::Unavailable, detail) }
    }

    fn status(&self) -> StatusCode {
        // That of a server that stops.
        status(if self.not_ready { Code::Stopping } else { self.code })
    }

    /// Sets the position of the fault in a filter expression.
    pub(crate) fn pointing_at(self, position: Option<usize>) -> Self {
        Self { position, ..self }
    }

    /// Returns the body of the answer:
    /// `{"type":"about:blank","title":"Not Found","status":404,"code":"not_found","detail":"…"}`.
    pub(crate) fn details(&self) -> Details<'_> {
        let row = self.code.row();
        Details {
            kind: "about:blank",
            title: row.title,
            status: self.status().as_u16(),
            code: row.name,
            detail: &self.detail,
            position: self.position,
        }
    }

    /// Returns the error as the text of a WebSocket frame:
    /// `{"error":{"code":"id_mismatch","message":"…"}}`.
    #[must_use]
    pub fn frame(&self) -> String {
        let code = self.name.unwrap_or(self.code.row().name);
        json!({"error": {"code": code, "message": self.detail}}).to_string()
    }
}

/// Returns the HTTP status of a code.
pub(crate) fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.row().status).expect("the table holds statuses")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let row = self.code.row();
        let mut response = (self.status(), Json(self.details())).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if row.come_back {
            let seconds = self.retry_after.unwrap_or(RETRY_AFTER);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            // RFC 9110 section 11.6.1 asks for it. A browser shows no dialog for this scheme.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == Code::UpgradeRequired {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Full => Code::Full,
            Refused::Stopping => Code::Stopping,
            Refused::Taken => Code::Replaced,
            Refused::Recording => Code::Forbidden,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<Undelivered> for Problem {
    fn from(undelivered: Undelivered) -> Self {
        let code = match undelivered {
            Undelivered::NotFound => Code::NotFound,
            Undelivered::QueueFull => Code::SlowDown,
            Undelivered::NoServer => Code::Malformed,
            Undelivered::EventStream => Code::MethodNotAllowed,
        };
        Self::new(code, undelivered.to_string())
    }
}

impl From<NotKept> for Problem {
    fn from(not: NotKept) -> Self {
        Self::new(Code::Unavailable, not.to_string())
    }
}

impl From<NotAllowed> for Problem {
    fn from(not: NotAllowed) -> Self {
        let code = match not {
            NotAllowed::NoToken(_) | NotAllowed::Denied { .. } => Code::Unauthorized,
            NotAllowed::Foreign(_) | NotAllowed::NoPublisher(_) | NotAllowed::NoAuthority(_) => {
                Code::Forbidden
            }
            NotAllowed::Crowded(_) | NotAllowed::Full | NotAllowed::TooMany => Code::Full,
            NotAllowed::TooFast | NotAllowed::Busy => Code::SlowDown,
            NotAllowed::Ended => Code::NotFound,
            NotAllowed::Stopping => Code::Stopping,
        };
        Self::new(code, not.to_string())
    }
}

impl From<InvalidFrame> for Problem {
    fn from(refusal: InvalidFrame) -> Self {
        let name = match refusal {
            InvalidFrame::IdMismatch => Some("id_mismatch"),
            InvalidFrame::ReservedKey => Some("reserved_key"),
            _ => None,
        };
        Self { name, ..Self::malformed(refusal.to_string()) }
    }
}
