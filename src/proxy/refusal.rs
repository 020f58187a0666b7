//! Handshakes that an upstream refuses: what would help, and the event, which has the first bytes of
//! the answer.

use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HOST, HeaderMap, LOCATION, ORIGIN};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::code::Code;

/// Bytes of the body that the event has.
const KEPT: usize = 2 << 10;

/// What the upstream was sent of the names of both sides, and what may be changed about that.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// `Host` as the upstream got it.
    pub(super) host: String,
    /// `Origin` as the upstream got it.
    pub(super) origin: Option<String>,
    /// Whether `--rewrite-origin` is on.
    pub(super) rewrites: bool,
    /// Whether `X-Forwarded-For` was among the fields.
    forwarded: bool,
}

impl Names {
    /// Reads the names off the head that is sent.
    pub(super) fn of(headers: &HeaderMap, rewrites: bool) -> Self {
        let text = |name| super::headers::text(headers, name);
        Self {
            host: text(HOST).unwrap_or_default(),
            origin: text(ORIGIN),
            rewrites,
            forwarded: headers.contains_key("x-forwarded-for"),
        }
    }

    /// Returns whether `Origin` names the same host as `Host`.
    fn agree(&self) -> bool {
        let host = self.origin.as_ref().and_then(|origin| origin.split_once("://"));
        host.is_some_and(|(_, host)| host.eq_ignore_ascii_case(&self.host))
    }

    /// Returns what would help against a refusal, as far as that can be known.
    pub(super) fn hint(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        let is = |code: Code| status.as_u16() == code.row().status;
        if status.is_redirection() {
            let to = super::headers::text(headers, LOCATION).unwrap_or_default();
            return Some(format!(
                "the upstream redirects to {to}, and WebSocket clients follow no redirect"
            ));
        }
        if status.is_success() {
            let plain = "the upstream answers as to an ordinary request; its WebSockets may have another path";
            return Some(plain.to_owned());
        }
        if is(Code::Unauthorized) {
            return Some("the upstream asks for a credential".to_owned());
        }
        if is(Code::NotFound) {
            return Some("the upstream has no WebSocket at this path".to_owned());
        }
        if !is(Code::Forbidden) && !is(Code::Malformed) {
            return None;
        }
        let own = "--rewrite-origin sends the upstream's own name as Host, Origin and Referer";
        let mut hint = match &self.origin {
            Some(origin) if self.rewrites && !self.agree() => format!(
                "Origin {origin} is not rewritten: the page is of another host than the client asks for, or that host is not one of this machine (--host NAME adds one)"
            ),
            _ if self.rewrites => "the upstream got its own name as Host and Origin, so the refusal has another reason".to_owned(),
            Some(origin) if !self.agree() => format!(
                "the upstream may compare Origin {origin} with Host {}: --preserve-host sends the client's Host, {own}",
                self.host
            ),
            Some(origin) => format!("the upstream may take other origins than {origin} only: {own}"),
            None => format!("the upstream may take another Host than {} only: {own}", self.host),
        };
        if self.forwarded && is(Code::Malformed) {
            hint.push_str("; --forwarded-headers strip leaves out X-Forwarded-For");
        }
        Some(hint)
    }
}

/// Takes the first bytes of a body as text.
type Then = Box<dyn FnOnce(Option<String>) + Send>;

/// The body of a refusal on its way to the client. Calls `then` with the first bytes of it as text,
/// once they have passed, or nothing more passes.
pub(super) struct Refusal {
    body: Incoming,
    /// `Content-Encoding`.
    encoding: Option<String>,
    kept: Vec<u8>,
    then: Option<Then>,
}

impl Refusal {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, then: Then) -> Self {
        let encoding = super::headers::text(headers, CONTENT_ENCODING);
        let mut refusal = Self { body, encoding, kept: Vec::new(), then: Some(then) };
        if refusal.body.is_end_stream() {
            refusal.finish();
        }
        refusal
    }

    fn finish(&mut self) {
        if let Some(then) = self.then.take() {
            then(text(&self.kept, self.encoding.as_deref()));
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.finish();
    }
}

impl http_body::Body for Refusal {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let room = KEPT - self.kept.len();
                    self.kept.extend_from_slice(&data[..data.len().min(room)]);
                }
                if self.kept.len() == KEPT || self.body.is_end_stream() {
                    self.finish();
                }
            }
            Poll::Ready(_) => self.finish(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns the text of the first bytes of a body. `None` if there are none, or in an encoding that is
/// not known.
fn text(bytes: &[u8], encoding: Option<&str>) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let mut plain = Vec::new();
    // The end may be missing; what comes before it is read.
    let _ = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => bytes.take(KEPT as u64).read_to_end(&mut plain),
        Some("gzip" | "x-gzip") => GzDecoder::new(bytes).take(KEPT as u64).read_to_end(&mut plain),
        Some("deflate") => ZlibDecoder::new(bytes).take(KEPT as u64).read_to_end(&mut plain),
        Some(_) => return None,
    };
    // A character that the cut has split is left out.
    let whole = match std::str::from_utf8(&plain) {
        Err(fault) if fault.error_len().is_none() => fault.valid_up_to(),
        _ => plain.len(),
    };
    Some(String::from_utf8_lossy(&plain[..whole]).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn body_is_text_of_at_most_two_kibibytes() {
        assert_eq!(text(b"", None), None);
        assert_eq!(text(b"no\xff", None).as_deref(), Some("no\u{fffd}"));
        assert_eq!(text(&[b'a', 0xc3], None).as_deref(), Some("a"));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b'x'; 1 << 20]).expect("a Vec takes all");
        let gzip = gzip.finish().expect("a Vec takes all");
        assert_eq!(text(&gzip, Some("GZIP")), Some("x".repeat(KEPT)));
        assert_eq!(text(&gzip, Some("br")), None);
    }

    #[test]
    fn hint_names_the_flag_that_helps() {
        let forbidden = StatusCode::from_u16(Code::Forbidden.row().status).expect("a status");
        let names = |host: &str, origin: &str, rewrites| Names {
            host: host.to_owned(),
            origin: Some(origin.to_owned()),
            rewrites,
            forwarded: true,
        };
        for (names, part) in [
            (names("localhost:8080", "http://localhost:8080", false), "--rewrite-origin"),
            (names("api.example", "http://localhost:8080", false), "--preserve-host"),
            (names("api.example", "http://evil.example", true), "is not rewritten"),
            (names("api.example", "https://api.example", true), "another reason"),
        ] {
            let hint = names.hint(forbidden, &HeaderMap::new()).expect("a hint");
            assert!(hint.contains(part), "{hint}");
        }
    }
}
