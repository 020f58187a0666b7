//! What reads bytes from outside, one function each: any bytes may come, and nothing panics. The
//! fuzzers of `fuzz` and the property tests over its seeds share these functions.

#![allow(dead_code, reason = "each fuzzer uses one of them")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use wstap::auth::{Authority as _, JwtKey, TokenFile};
use wstap::channelstream::{Channelstream, ChannelstreamSettings, Signer};
use wstap::config::{Config, Sources};
use wstap::dialect::{self, First, Parsed};
use wstap::event::{
    Body as Payload, ConnectionId, Direction, Draft, EventBody, EventId, Message, Opcode,
};
use wstap::filter::{Expression, shorthand};
use wstap::frame::{Boundaries, Deflate, Extensions, Reader, Side};
use wstap::json::{self, Json};
use wstap::web::Web;
use wstap::wire::{self, Recorded, har, sse};

/// A target: its name, which is that of the folder of its seeds, and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const ALL: [Target; 14] = [
    ("archive", archive),
    ("channelstream", channelstream),
    ("config", config),
    ("event_stream", event_stream),
    ("extensions", extensions),
    ("filter", filter),
    ("frame", frame),
    ("head", head),
    ("hub_frame", hub_frame),
    ("jwt", jwt),
    ("last_event_id", last_event_id),
    ("query", query),
    ("recording", recording),
    ("token_file", token_file),
];

/// Frames, which are read in any pieces as they are in one. The first seven bytes say how: the side,
/// the extensions, a limit of two bytes, and lengths of pieces. The last bit of the side shows control
/// frames.
pub(crate) fn frame(data: &[u8]) {
    let Some((head, bytes)) = data.split_first_chunk::<7>() else { return };
    let [side, extensions, high, low, pieces @ ..] = *head;
    let (side, control) = (if side & 2 == 0 { Side::Client } else { Side::Server }, side & 1 == 1);
    let extensions = match extensions % 4 {
        0 => Extensions::None,
        1 => Extensions::Deflate(Deflate::default()),
        2 => Extensions::Deflate(Deflate {
            client_no_context_takeover: true,
            server_no_context_takeover: true,
            ..Deflate::default()
        }),
        _ => Extensions::Unknown,
    };
    let limit = u16::from_be_bytes([high, low]);
    let reader = || Reader::new(side, extensions, limit.into(), control);

    let (mut whole, mut expected) = (reader(), Vec::new());
    whole.feed(bytes, |seen| expected.push(format!("{seen:?}")));

    let (mut cut, mut seen) = (reader(), Vec::new());
    let (mut skimmer, mut boundaries) = (reader(), Boundaries::new());
    let (mut rest, mut turn) = (bytes, 0);
    while !rest.is_empty() {
        let length = usize::from(pieces[turn % pieces.len()]);
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        (rest, turn) = (after, turn + 1);
        cut.feed(piece, |one| seen.push(format!("{one:?}")));
        // A piece of an odd length is skimmed in a third run.
        if length % 2 == 1 {
            skimmer.skim(piece, |_| {});
        } else {
            skimmer.feed(piece, |_| {});
        }
        assert!(boundaries.scan(piece).is_none_or(|at| at <= piece.len()));
        assert_eq!(boundaries.open(), cut.boundaries().open());
    }
    assert_eq!(seen, expected);
    assert_eq!(cut.counts(), whole.counts());
    assert_eq!(skimmer.counts().messages, whole.counts().messages);
    assert_eq!(skimmer.counts().payload, whole.counts().payload);
}

/// The value of `Sec-WebSocket-Extensions`.
pub(crate) fn extensions(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Extensions::negotiated(text);
    }
}

/// Payloads of frames in hub mode. What is published is the payload, or JSON of it.
pub(crate) fn hub_frame(data: &[u8]) {
    let own: ConnectionId = "a".parse().expect("an id");
    let _ = dialect::binary_registration(data);
    let _ = dialect::binary(data, &own);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(First::Id(_, Some(body))) = dialect::registration(text) {
        is_published(&own, text, body);
    }
    match dialect::message(text, &own) {
        Ok(Parsed::Message(body)) => is_published(&own, text, body),
        Ok(Parsed::Command(_) | Parsed::Nothing) => {}
        Err(invalid) => assert!(!invalid.to_string().is_empty()),
    }
}

/// Asserts that a body on the stream is one line of JSON in one field of an SSE event.
fn is_published(own: &ConnectionId, text: &str, body: Payload) {
    use wire::Form::{Full, Ndjson, Plain};

    let message = Message::new(Direction::In, Opcode::Text, text.len(), body);
    let event =
        Draft::new(own.clone(), EventBody::Message(message)).stamp(EventId { ms: 1, seq: 0 });
    let mut line = Vec::new();
    wire::plain(&event, &mut line);
    let line = String::from_utf8(line).expect("JSON is text");
    assert!(Json::parse(&line).is_some(), "{line}");
    let named = [false, true].into_iter();
    for form in named.flat_map(|names| [Plain { names }, Full { names }, Ndjson]) {
        let mut out = Vec::new();
        form.event(&event, &mut out);
        let out = String::from_utf8(out).expect("the stream is text");
        if form == Ndjson {
            assert!(
                out.ends_with('\n') && out.lines().count() == 1 && !out.contains('\r'),
                "{out}"
            );
            continue;
        }
        let mut parser = sse::Parser::default();
        let mut events = 0;
        parser.feed(out.as_bytes(), |_| events += 1);
        assert_eq!(events, 1, "{out}");
        assert_eq!(parser.last_event_id(), Some("1-0"));
    }
}

/// An expression, and in a second line the message that it is evaluated at.
pub(crate) fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, message) = text.split_once('\n').unwrap_or((text, "{\"a\":[1,{\"b\":\"c\"}]}"));
    if let Ok(terms) = shorthand::translate(source) {
        let _ = Expression::parse(&terms);
    }
    match Expression::parse(source) {
        Ok(expression) => {
            assert!(source.len() <= Expression::MAX_LENGTH);
            let object = json::object(message, |_, _| {}).map(Payload::Object).ok();
            let Some(body) = object.or(Json::parse(message).map(Payload::Value)) else { return };
            let message = Message::new(Direction::In, Opcode::Text, body.len(), body);
            let connection = "a".parse().expect("an id");
            let draft = Draft::new(connection, EventBody::Message(message));
            let _ = expression.holds(&draft.stamp(EventId { ms: 1, seq: 0 }));
        }
        Err(fault) => {
            assert!((1..=source.chars().count() + 1).contains(&fault.position));
        }
    }
}

/// A line of a recording, which is written the same way again.
pub(crate) fn recording(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        let Ok(Recorded::Event(event)) = wire::read(line) else { continue };
        let mut once = Vec::new();
        wire::full(&event, &mut once);
        let line = String::from_utf8(once).expect("JSON is text");
        let Ok(Recorded::Event(again)) = wire::read(&line) else { panic!("{line}") };
        let mut twice = Vec::new();
        wire::full(&again, &mut twice);
        assert_eq!(line.as_bytes(), twice);
    }
}

/// A HAR.
pub(crate) fn archive(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = har::is_har(text);
    let _ = har::read(text);
}

/// An event stream of an upstream, which is read in any pieces as it is in one. The first byte is the
/// length of the pieces.
pub(crate) fn event_stream(data: &[u8]) {
    let Some((length, bytes)) = data.split_first() else { return };
    let read = |length: usize| {
        let (mut reader, mut seen) = (sse::Reader::new(64), Vec::new());
        for piece in bytes.chunks(length.max(1)) {
            let fed = reader.feed(piece, true, |event| {
                seen.push(format!("{event:?}"));
                true
            });
            assert_eq!(fed, piece.len());
            assert!(reader.held() <= 64 + bytes.len());
        }
        (seen, reader.last_event_id().map(str::to_owned), reader.retry())
    };
    assert_eq!(read(usize::from(*length)), read(bytes.len()));
}

/// The file of the configuration. Faults have words, and what is right can be printed.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Some(("wstap.toml".to_owned(), text.to_owned()));
    let sources = Sources { file, ..Sources::default() };
    match Config::load(&sources) {
        Ok(_) => assert!(!sources.print().is_empty()),
        Err(faults) => {
            assert!(!faults.0.is_empty() && faults.0.iter().all(|fault| !fault.is_empty()));
        }
    }
}

/// A token: what `grant` accepts is signed. In two lines, a header and claims, which are signed.
pub(crate) fn jwt(data: &[u8]) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    const KEY: &[u8] = b"a key of at least thirty-two bytes that nobody knows";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let authority = JwtKey::read(KEY).expect("a key");
    assert!(authority.grant(text, 1).is_err(), "nobody knows the key: {text}");
    let Some((header, claims)) = text.split_once('\n') else { return };
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY);
    let signature = BASE64.encode(ring::hmac::sign(&key, signed.as_bytes()));
    if let Ok(grant) = authority.grant(&format!("{signed}.{signature}"), 1_000_000_000) {
        let header: serde_json::Value = serde_json::from_str(header).expect("a header is JSON");
        assert_eq!(header["alg"], "HS256");
        assert!(!grant.expired(1_000_000_000 - 60), "{claims}");
    }
}

/// The file of tokens.
pub(crate) fn token_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match TokenFile::read(text) {
        Ok(file) => assert!(file.grant("a token that nobody has made", 1).is_err()),
        Err(invalid) => assert!(!invalid.to_string().is_empty()),
    }
}

/// The head of a request to proxy mode, which is read in any two pieces as it is in one.
pub(crate) fn head(data: &[u8]) {
    wstap::server::watch_head(&data[..data.len().min(2 << 10)]);
}

/// The query of each finite answer, and of the stream.
pub(crate) fn query(data: &[u8]) {
    let query = uri_text(data);
    for path in
        ["/events", "/api/events", "/listen", "/api/connections", "/api/channels", "/api/listeners"]
    {
        let method = if path == "/events" { "HEAD" } else { "GET" };
        let request = Request::builder().method(method).uri(format!("{path}?{query}"));
        let Ok(request) = request.header("host", "localhost").body(Body::empty()) else { return };
        let Some(status) = answered(request) else {
            assert_eq!(path, "/listen", "only a long poll may wait");
            continue;
        };
        assert!([200, 400, 413, 414].contains(&status.as_u16()), "{path}?{query}: {status}");
    }
}

/// The value of `Last-Event-ID`. No status but 200: any other stops an EventSource for ever.
pub(crate) fn last_event_id(data: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    let request = Request::builder().method("HEAD").uri("/events").header("host", "localhost");
    let request = request.header("last-event-id", value).body(Body::empty()).expect("a request");
    assert_eq!(answered(request), Some(StatusCode::OK));
}

/// A signature, and the body of a signed call of Channelstream. The first byte picks the call.
pub(crate) fn channelstream(data: &[u8]) {
    const CALLS: [(&str, &str); 12] = [
        ("POST", "connect"),
        ("POST", "subscribe"),
        ("POST", "unsubscribe"),
        ("POST", "user_state"),
        ("POST", "message"),
        ("PATCH", "message"),
        ("DELETE", "message"),
        ("POST", "channel_config"),
        ("POST", "info"),
        ("GET", "disconnect"),
        ("POST", "admin/admin.json"),
        ("POST", "admin/sign_in"),
    ];
    let Some((first, body)) = data.split_first() else { return };
    let signer = Signer::new(b"secret");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_secs();
    assert!(signer.check(body, now).is_err(), "nobody knows the secret");
    let _ = signer.signed_at(body);
    let (method, call) = CALLS[usize::from(*first) % CALLS.len()];
    let path = if method == "GET" {
        format!("/channelstream/{call}?{}", uri_text(body))
    } else {
        format!("/channelstream/{call}")
    };
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json");
    let request = request.header("x-channelstream-secret", signer.sign("/", now));
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return };
    let status = answered(request).expect("no call waits");
    assert!(status.as_u16() < 500 || status == 503, "{call}: {status}");
}

/// Returns bytes as the text of a URI: what cannot stand there is escaped.
fn uri_text(data: &[u8]) -> String {
    let mut text = String::new();
    for byte in data.iter().take(4 << 10) {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
                text.push(char::from(*byte));
            }
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// Returns the status of an answer that has a body without an end, or one that is read to its end;
/// `None` if it waits.
fn answered(mut request: Request<Body>) -> Option<StatusCode> {
    thread_local! {
        static RUNNING: (tokio::runtime::Runtime, Router) = {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            let router = runtime.block_on(async { routes() });
            (runtime, router)
        };
    }
    let from: SocketAddr = ([127, 0, 0, 1], 1).into();
    request.extensions_mut().insert(ConnectInfo(from));
    RUNNING.with(|(runtime, router)| {
        runtime.block_on(async {
            let answer = async {
                let answer = router.clone().oneshot(request).await;
                let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
                let _ = axum::body::to_bytes(body, 16 << 20).await;
                head.status
            };
            // Searches end after their own time, which is shorter.
            tokio::time::timeout(Duration::from_secs(5), answer).await.ok()
        })
    })
}

fn routes() -> Router {
    let settings = wstap::Settings {
        search_time: Duration::from_millis(100),
        max_connections: 100,
        max_channels: 100,
        ..wstap::Settings::default()
    };
    let hub = wstap::Hub::new(settings);
    let (connection, _mailbox) =
        hub.connect("a".parse().expect("an id"), connect()).expect("there is room");
    for n in 0..50 {
        let text = format!("{{\"n\":{n},\"text\":\"message {n}\"}}");
        let body = Payload::Value(Json::parse(&text).expect("JSON"));
        let message = Message::new(Direction::In, Opcode::Text, text.len(), body);
        connection.publish(message).expect("the connection is open");
    }
    // The connection stays open.
    std::mem::forget(connection);
    let api = Channelstream::new(hub.clone(), ChannelstreamSettings::new("secret"));
    Web { apis: vec![Arc::new(api)], ..Web::new(hub) }.together()
}

fn connect() -> wstap::event::Connect {
    wstap::event::Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    }
}
