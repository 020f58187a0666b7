//! Event streams that pass, as connections on the tap: answers whose `Content-Type` is
//! `text/event-stream`.
//!
//! The body passes as it came ([`body`]). A copy of it is read afterwards ([`tap`]): a stream is a
//! `connect`, each of its events a `message`, and its end a `close`.

mod body;
mod decode;
mod tap;

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use self::body::TappedBody;
use self::decode::Decoder;
use self::tap::StreamTap;
use super::exchange::Running;
use super::headers::text;
use super::outgoing::wish;
use super::shared::Proxy;
use crate::event::{Answer, Connect, EventStream, Exchange};
use crate::request::fields_worth_knowing;

/// The field by which a proxy recognizes the streams of observers. The observers' side of each proxy
/// adds its name to the answer to a request that has passed a proxy of wstap. The events of a proxy's
/// own stream are not on its tap, where each would cause the next. Those of another wstap are, and are
/// left out for listeners that come through a proxy: two proxies, each in front of the other's
/// observers, would otherwise send each event back and forth without end.
pub(crate) const OWN_STREAM: HeaderName = HeaderName::from_static("x-wstap-stream");

/// The note of the `connect` of a stream of another wstap.
const OF_WSTAP: &str =
    "the stream of a wstap: not sent to listeners that come through a proxy of wstap";

/// The fields of a request that the `connect` of its event stream has.
#[derive(Debug)]
pub(super) struct Asked(Vec<(&'static str, HeaderValue)>);

impl Asked {
    /// Takes the fields off a request; `None` if no answer to it is shown as an event stream.
    pub(super) fn of(proxy: &Proxy, request: &Request<Body>) -> Option<Self> {
        let is_shown = proxy.shared.tap_sse && request.method() != Method::HEAD;
        let fields = || fields_worth_knowing(request.headers());
        is_shown.then(|| Self(fields().map(|(name, value)| (name, value.clone())).collect()))
    }
}

/// Returns whether an answer is an event stream (HTML standard, section 9.2.2).
pub(super) fn is_event_stream(status: StatusCode, headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    status == StatusCode::OK
        && essence.is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"))
}

/// Returns an answer with its body. If it is an event stream, the body is tapped, and the exchange is
/// on the stream as a connection.
pub(super) fn answered(
    proxy: &Proxy,
    asked: Option<Asked>,
    running: Running,
    mut response: Response,
) -> Response {
    let of_wstap = response.headers().get(OWN_STREAM);
    let is_own = of_wstap.is_some_and(|own| own.as_bytes() == proxy.shared.pseudonym.as_bytes());
    let of_wstap = of_wstap.is_some();
    if is_own {
        response.headers_mut().remove(OWN_STREAM);
    }
    let is_stream = is_event_stream(response.status(), response.headers());
    let Some(asked) = asked.filter(|_| is_stream && !is_own) else {
        return running.answered(response, is_stream);
    };
    let shared = &proxy.shared;
    let encoding = text(response.headers(), CONTENT_ENCODING);
    let decoder = Decoder::of(encoding.as_deref());
    let note = decoder.is_none().then(|| {
        let encoding = encoding.as_deref().unwrap_or_default();
        format!("compressed with {encoding}, which wstap does not read: its events are not shown")
    });
    let note = note.or_else(|| of_wstap.then(|| OF_WSTAP.to_owned()));
    let note = note.map(Into::into);
    let stream = EventStream { method: String::new(), encoding, note, of_wstap };
    let (exchange, time) = (running.exchange(), running.elapsed());
    let connect = connect(exchange, time, &asked, stream);
    let id = wish(&connect.path);
    let Ok((connection, mailbox)) = shared.hub.connect_with_generated_id(id, connect) else {
        // The server is stopping.
        return running.answered(response, true);
    };
    let limit = shared.tap.max_message_bytes;
    let tap = StreamTap::new(connection, decoder, limit, shared.held.share());
    let (parts, body) = response.into_parts();
    let body = TappedBody::new(body, tap, mailbox.close, running);
    Response::from_parts(parts, Body::new(body))
}

fn connect(exchange: &Exchange, time: Duration, asked: &Asked, stream: EventStream) -> Connect {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let answer = Answer {
        upstream: exchange.upstream.clone().unwrap_or_default(),
        status: StatusCode::OK.as_u16(),
        time,
        event_stream: Some(Box::new(EventStream { method: exchange.method.clone(), ..stream })),
        ..Answer::default()
    };
    Connect {
        remote: exchange.remote,
        path: exchange.path.clone(),
        headers: asked.0.iter().map(|(name, value)| (*name, text(value))).collect(),
        answer: Some(Box::new(answer)),
        user: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_stream_is_known_by_status_and_media_type() {
        let is = |status: u16, media_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, media_type.parse().expect("a value"));
            is_event_stream(StatusCode::from_u16(status).expect("a status"), &headers)
        };
        assert!(is(200, "text/event-stream") && is(200, "Text/Event-Stream ; charset=utf-8"));
        assert!(!is(200, "text/event-stream-x") && !is(200, "text/html") && !is(200, ""));
        assert!(!is(204, "text/event-stream") && !is(500, "text/event-stream"));
    }
}
