//! HTTP/2: event streams beside each other, WebSockets, limits, and the end of the server.

mod records;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message as Frame;
use tungstenite::protocol::Role;
use wstap::hub::Settings;

use crate::harness::{Events, ask, until, within};
use crate::tls::Secure;

type Body = Full<Bytes>;

/// Opens a connection with these windows for each stream and for all of them.
async fn connection(server: &Secure, windows: Option<(u32, u32)>) -> SendRequest<Body> {
    let tls = server.connect(&["h2", "http/1.1"]).await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut builder = Builder::new(TokioExecutor::new());
    if let Some((stream, connection)) = windows {
        builder.initial_stream_window_size(stream).initial_connection_window_size(connection);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(tls)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

fn request(server: &Secure, path: &str) -> http::request::Builder {
    http::Request::builder().uri(format!("https://localhost:{}{path}", server.tap.addr.port()))
}

async fn send(
    sender: &mut SendRequest<Body>,
    request: http::request::Builder,
    body: &str,
) -> hyper::Response<Incoming> {
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    within("an answer", sender.send_request(request)).await.expect("an answer")
}

async fn get(
    server: &Secure,
    sender: &mut SendRequest<Body>,
    path: &str,
) -> hyper::Response<Incoming> {
    send(sender, request(server, path), "").await
}

/// Opens a WebSocket by an extended CONNECT.
async fn open(
    server: &Secure,
    sender: &mut SendRequest<Body>,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, StatusCode> {
    // The settings of the server have arrived when it has answered.
    let answer = get(server, sender, "/healthz").await.status();
    if answer != StatusCode::OK {
        return Err(answer);
    }
    let mut connect = request(server, path)
        .method(Method::CONNECT)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    for (name, value) in headers {
        connect = connect.header(*name, *value);
    }
    let answer = send(sender, connect, "").await;
    if answer.status() != StatusCode::OK {
        return Err(answer.status());
    }
    assert!(answer.headers().get("sec-websocket-accept").is_none());
    let io = within("a tunnel", hyper::upgrade::on(answer)).await.expect("a tunnel");
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Client, None).await)
}

#[tokio::test]
async fn ten_streams_of_one_connection_get_every_event() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let answer = get(&server, &mut sender, "/events?format=full").await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        streams.push(Events::of(answer));
    }
    let mut ws = server.ws("/ws?connectionId=a").await;
    for n in 0..50 {
        ws.send(Frame::text(format!("{n}"))).await.expect("sent");
    }
    for stream in &mut streams {
        assert_eq!(stream.json().await["kind"], "connect");
        for n in 0..50 {
            assert_eq!(stream.json().await["message"], n);
        }
    }
}

#[tokio::test]
async fn slow_stream_gets_a_gap_and_delays_no_other() {
    let mut settings = Settings::default();
    settings.history.events = 100;
    let server = Secure::with(settings, None, |_| {}, |_, _, _| {}).await;
    let mut sender = connection(&server, Some((65_535, 16 << 20))).await;
    let slow = get(&server, &mut sender, "/events").await;
    let mut good = Events::of(get(&server, &mut sender, "/events?format=full").await);
    let mut ws = server.ws("/ws?connectionId=a").await;
    assert_eq!(good.json().await["kind"], "connect");
    let text = "x".repeat(10_000);
    for n in 0..1000 {
        ws.send(Frame::text(format!("{n} {text}"))).await.expect("sent");
        let message = good.json().await["message"].as_str().expect("text").to_owned();
        assert!(message.starts_with(&format!("{n} ")), "{n}");
    }
    let mut slow = Events::of(slow);
    within("a gap", async { while slow.next().await.name != "gap" {} }).await;
}

#[tokio::test]
async fn websocket_over_http2_is_an_event() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let mut events = Events::of(get(&server, &mut sender, "/events?format=full").await);
    let mut ws = open(&server, &mut sender, "/ws?connectionId=a&ack=1", &[]).await.expect("opened");
    let connect = events.json().await;
    assert_eq!((&connect["kind"], &connect["connectionId"]), (&"connect".into(), &"a".into()));
    for text in ["short", &"long ".repeat(100_000)] {
        ws.send(Frame::text(text)).await.expect("sent");
        assert_eq!(events.json().await["message"], text);
        let ack = within("an ack", ws.next()).await.expect("a frame").expect("no error");
        assert!(ack.to_text().expect("text").contains("ack"), "{ack:?}");
    }
    ws.close(None).await.expect("closed");
    while within("the close", ws.next()).await.is_some_and(|frame| frame.is_ok()) {}
    let close = events.json().await;
    assert_eq!((&close["kind"], &close["close"]["clean"]), (&"close".into(), &true.into()));
}

#[tokio::test]
async fn page_of_another_origin_opens_no_websocket_over_http2() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let evil = [("origin", "https://evil.example")];
    let refused = open(&server, &mut sender, "/ws", &evil).await;
    assert_eq!(refused.err(), Some(StatusCode::FORBIDDEN));
    let own = format!("https://localhost:{}", server.tap.addr.port());
    assert!(open(&server, &mut sender, "/ws", &[("origin", &own)]).await.is_ok());
}

#[tokio::test]
async fn websockets_are_not_offered_where_there_are_none() {
    let server = Secure::with(
        Settings::default(),
        None,
        |_| {},
        |transport, _, addr| {
            transport.without_websockets = vec![addr];
        },
    )
    .await;
    let mut sender = connection(&server, None).await;
    assert_eq!(get(&server, &mut sender, "/healthz").await.status(), 200);
    let connect = request(&server, "/ws")
        .method(Method::CONNECT)
        .extension(Protocol::from_static("websocket"))
        .body(Body::default())
        .expect("a request");
    assert!(within("a refusal", sender.send_request(connect)).await.is_err());
}

#[tokio::test]
async fn tunnel_to_another_server_is_refused() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let connect = http::Request::builder().method(Method::CONNECT).uri("example.com:443");
    let answer = send(&mut sender, connect, "").await;
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn request_with_two_hosts_is_refused() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let two = request(&server, "/api/info").header("host", "localhost:1");
    assert_eq!(send(&mut sender, two, "").await.status(), 400);
    let foreign = http::Request::builder().uri("https://evil.example/api/info");
    assert_eq!(send(&mut sender, foreign, "").await.status(), 403);
}

#[tokio::test]
async fn head_that_is_too_long_is_refused_and_the_connection_stays() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let long = request(&server, "/api/info").header("x-long", "x".repeat(40_000));
    let answer = sender.send_request(long.body(Body::default()).expect("a request"));
    match within("an answer", answer).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        // The client may respect the limit that the server has told.
        Err(error) => assert!(!error.is_closed(), "{error}"),
    }
    assert_eq!(get(&server, &mut sender, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn body_that_is_too_large_is_refused_and_a_right_one_is_handled() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let _ws = server.ws("/ws?connectionId=a").await;
    let id = "a".parse().expect("an id");
    until("the registration", || server.tap.hub.connection(&id).is_some()).await;
    let post = |path| request(&server, path).method("POST");
    let path = "/api/connections/a/messages";
    let message = serde_json::json!({ "message": "x".repeat(200_000) }).to_string();
    assert!(send(&mut sender, post(path), &message).await.status().is_success());
    let large = "x".repeat(3 << 20);
    assert_eq!(send(&mut sender, post(path), &large).await.status(), 413);
    assert_eq!(get(&server, &mut sender, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn streams_count_in_the_share_of_an_address() {
    let server = Secure::with(Settings::default(), Some(3), |_| {}, |_, _, _| {}).await;
    let mut sender = connection(&server, None).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(get(&server, &mut sender, "/events").await);
    }
    assert_eq!(get(&server, &mut sender, "/api/info").await.status(), 503);
    let goodbye = request(&server, "/events").header("accept", "text/event-stream");
    let goodbye = send(&mut sender, goodbye, "").await;
    assert_eq!(goodbye.status(), 200, "an EventSource comes back after 200 only");
    let body = within("its end", goodbye.into_body().collect()).await.expect("a body").to_bytes();
    assert!(body.starts_with(b"retry:"), "{body:?}");
    drop(streams.pop());
    let _ws = ask("a place", async || {
        let opened = open(&server, &mut sender, "/ws?connectionId=a", &[]).await;
        opened.inspect_err(|status| assert_eq!(*status, 503)).ok()
    })
    .await;
    assert_eq!(
        get(&server, &mut sender, "/api/info").await.status(),
        503,
        "a WebSocket counts too"
    );
    drop(streams);
    ask("a place", async || {
        (get(&server, &mut sender, "/api/info").await.status() != 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn listener_is_gone_when_its_stream_is_reset() {
    let server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let stream = get(&server, &mut sender, "/events").await;
    let kept = get(&server, &mut sender, "/events").await;
    listeners(&server, 2).await;
    drop(stream);
    listeners(&server, 1).await;
    drop((kept, sender));
    listeners(&server, 0).await;
}

/// Waits until the server has so many listeners.
async fn listeners(server: &Secure, count: usize) {
    ask("the listeners", async || {
        let answer = server.request("GET", "/api/listeners", &[], "").await;
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let all: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        (all.as_array().expect("a list").len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connection_without_a_request_is_closed_after_a_time() {
    let server = Secure::start().await;
    let mut silent = server.connect(&["h2"]).await;
    let mut begun = server.connect(&["h2"]).await;
    begun.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    begun.write_all(&frame(4, 0, 0, &[])).await.expect("sent");
    // HEADERS without their end.
    begun.write_all(&frame(1, 1, 1, &[0x82])).await.expect("sent");
    let mut rest = Vec::new();
    let _ = within("the end of one", silent.read_to_end(&mut rest)).await;
    let _ = within("the end of the other", begun.read_to_end(&mut rest)).await;
}

/// A frame: length, type, flags, stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends bytes after the preface, and returns the error code of the GOAWAY that answers.
async fn goaway(server: &Secure, bytes: &[u8]) -> u32 {
    let mut tls = server.connect(&["h2"]).await;
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    tls.write_all(&frame(4, 0, 0, &[])).await.expect("sent");
    // The server may have closed the connection before it has read all.
    let _ = tls.write_all(bytes).await;
    within("a GOAWAY", async {
        loop {
            let mut head = [0; 9];
            tls.read_exact(&mut head).await.expect("a frame before the end");
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            tls.read_exact(&mut payload).await.expect("its payload");
            if head[3] == 7 {
                return u32::from_be_bytes(payload[4..8].try_into().expect("four bytes"));
            }
        }
    })
    .await
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let server = Secure::start().await;
    // GET https://localhost/events
    let head = [&[0x82, 0x87, 0x44, 7][..], b"/events", &[0x41, 9], b"localhost"].concat();
    let mut flood = Vec::new();
    for n in 0..300_u32 {
        flood.extend(frame(1, 5, 2 * n + 1, &head));
        flood.extend(frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    assert_eq!(goaway(&server, &flood).await, ENHANCE_YOUR_CALM);
    assert_eq!(server.request("GET", "/healthz", &[], "").await.status(), 200);
}

#[tokio::test]
async fn flood_of_continuations_ends_the_connection() {
    let server = Secure::start().await;
    let mut flood = frame(1, 1, 1, &[0x82]);
    for _ in 0..2000 {
        flood.extend(frame(9, 0, 1, &[]));
    }
    assert_ne!(goaway(&server, &flood).await, 0);
}

#[tokio::test]
async fn client_that_floods_with_settings_and_reads_nothing_is_not_read_either() {
    let server = Secure::start().await;
    let mut tls = server.connect(&["h2"]).await;
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    let flood = frame(4, 0, 0, &[]).repeat(10_000);
    let stuck = async { while tls.write_all(&flood).await.is_ok() {} };
    // It fails, or waits for room: both are bounds. Another client is served all the while.
    tokio::select! {
        () = stuck => {}
        () = async {
            for _ in 0..20 {
                assert_eq!(server.request("GET", "/healthz", &[], "").await.status(), 200);
            }
        } => {}
    }
}

#[tokio::test]
async fn streams_end_in_good_order_when_the_server_stops() {
    let mut server = Secure::start().await;
    let mut sender = connection(&server, None).await;
    let mut events = Events::of(get(&server, &mut sender, "/events?format=full").await);
    let mut ws = open(&server, &mut sender, "/ws?connectionId=a", &[]).await.expect("opened");
    assert_eq!(events.json().await["kind"], "connect");
    let closed = tokio::spawn(async move {
        while let Some(Ok(frame)) = ws.next().await {
            if let Frame::Close(frame) = frame {
                return frame.map(|frame| u16::from(frame.code));
            }
        }
        None
    });
    server.tap.stop().await;
    assert_eq!(within("a close", closed).await.expect("no panic"), Some(1001));
    let mut raw = String::new();
    while let Some(message) = events.try_next().await {
        raw.push_str(&message.data);
    }
    assert!(raw.contains("\"close\""), "{raw}");
    assert!(events.raw.contains("retry:"), "{}", events.raw);
}
