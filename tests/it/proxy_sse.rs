//! Event streams through proxy mode: the bytes pass, and the events are on the stream.

use std::io::Write as _;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::proxy::{ProxySettings, TapHttp};
use wstap::redact::{Redaction, Rules};
use wstap::wire::{Recorded, read};

use crate::harness::{Events, Tap, until, within};
use crate::proxy::{Back, Front, read_head};

/// A request of HTTP/1.0, whose answer has no chunks: the bytes are those of the body.
const GET: &str = "GET /stream?topic=a HTTP/1.0\r\nHost: a\r\nAccept: text/event-stream\r\n\
                   Last-Event-ID: 6\r\nUser-Agent: test\r\n\r\n";

/// The head of an answer whose end is that of the connection.
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

/// A stream that passes: its client and its server, after both heads.
struct Passing {
    front: Front,
    client: TcpStream,
    server: TcpStream,
    head: String,
    /// Full events of the tap, from the `connect` on.
    events: Events,
}

impl Passing {
    async fn begin(head: &str) -> Self {
        Self::with(GET, head, Settings::default(), |_| {}).await
    }

    async fn with(
        request: &str,
        head: &str,
        settings: Settings,
        change: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        let back = Back::new().await;
        let front = Front::with(&format!("http://{}", back.addr), settings, change).await;
        let events = front.tap.events("?format=full").await;
        let mut client = TcpStream::connect(front.traffic).await.expect("there");
        client.write_all(request.as_bytes()).await.expect("sent");
        let (mut server, _) = back.accept().await;
        server.write_all(format!("{head}\r\n").as_bytes()).await.expect("sent");
        let head = read_head(&mut client).await;
        Self { front, client, server, head, events }
    }

    /// Sends bytes of a body, and returns once the client has the same.
    async fn pass(&mut self, bytes: &[u8]) {
        self.pass_as(bytes, bytes).await;
    }

    /// Sends bytes, and returns once the client has those that are expected.
    async fn pass_as(&mut self, bytes: &[u8], expected: &[u8]) {
        self.server.write_all(bytes).await.expect("sent");
        let mut got = vec![0; expected.len()];
        within("the bytes", self.client.read_exact(&mut got)).await.expect("came");
        assert!(got == expected, "{}", String::from_utf8_lossy(&got));
    }

    async fn event(&mut self) -> Value {
        self.events.json().await
    }

    async fn connect(&mut self) -> Value {
        let connect = self.event().await;
        assert_eq!(connect["kind"], "connect", "{connect}");
        connect
    }

    fn counted(&self, line: &str) -> bool {
        let metrics = self.front.tap.hub.metrics();
        metrics.render(self.front.tap.hub.numbers()).contains(line)
    }
}

/// Asserts that an event reads back as it was written.
fn reads_back(event: &Value) {
    let Ok(Recorded::Event(read)) = read(&event.to_string()) else { panic!("{event}") };
    let mut again = Vec::new();
    wstap::wire::full(&read, &mut again);
    assert_eq!(&serde_json::from_slice::<Value>(&again).expect("JSON"), event);
}

#[tokio::test]
async fn stream_is_a_connection_and_its_events_are_messages() {
    let mut it = Passing::begin(STREAM).await;
    let connect = it.connect().await;
    assert_eq!((&connect["transport"], &connect["method"]), (&json!("sse"), &json!("GET")));
    assert_eq!((&connect["path"], &connect["status"]), (&json!("/stream?topic=a"), &json!(200)));
    assert_eq!(connect["headers"]["last-event-id"], "6");
    assert_eq!(connect["headers"]["user-agent"], "test");
    assert!(connect["upstreamTime"].as_f64().is_some_and(|time| time > 0.0), "{connect}");
    it.pass(b": hello\n\nid: 7\nevent: price\ndata: {\"a\":\ndata: 1.50}\n\n").await;
    let message = it.event().await;
    assert_eq!((&message["kind"], &message["direction"]), (&json!("message"), &json!("out")));
    assert_eq!((&message["event"], &message["eventId"]), (&json!("price"), &json!("7")));
    assert_eq!(message["message"], json!({"a": 1.50}));
    assert_eq!((&message["opcode"], &message["size"]), (&json!("text"), &json!(11)));
    assert_eq!(message["wire"], 44);
    assert_eq!(message["connectionId"], connect["connectionId"]);
    it.pass(b"data: plain text\r\n\r\n").await;
    let message = it.event().await;
    assert_eq!((&message["message"], &message["eventId"]), (&json!("plain text"), &json!("7")));
    assert_eq!(message["event"], Value::Null);
    let id = connect["connectionId"].as_str().expect("text").to_owned();
    let listed = it.front.tap.get(&format!("/api/connections/{id}")).await.json();
    assert_eq!((&listed["transport"], &listed["messages"]["out"]), (&json!("sse"), &json!(2)));
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!(close["close"], json!({"code": 1005, "reason": "", "clean": true, "by": "server"}));
    assert_eq!(close["messages"], json!({"in": 0, "out": 2}));
    assert_eq!((&close["bytes"]["out"], &close["wire"]["out"]), (&json!(21), &json!(73)));
    assert_eq!(close["comments"], 1);
    for event in [&connect, &message, &close] {
        reads_back(event);
    }
    let mut rest = Vec::new();
    within("the end", it.client.read_to_end(&mut rest)).await.expect("an end");
    let all = it.front.tap.get("/api/connections").await.json();
    assert_eq!(all, json!([]));
}

#[tokio::test]
async fn stream_is_read_however_it_is_cut() {
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    let stream =
        "\u{feff}event: a\r\nid: 1\r\ndata: é\u{1f600}\r\n\r\nretry: 5\ndata: x\rdata:y\r\r";
    for byte in stream.as_bytes() {
        it.pass(&[*byte]).await;
    }
    let (one, two) = (it.event().await, it.event().await);
    assert_eq!((&one["message"], &one["event"]), (&json!("é\u{1f600}"), &json!("a")));
    assert_eq!(two["message"], "x\ny");
}

#[tokio::test]
async fn answer_to_a_post_is_a_stream_too() {
    let body = r#"{"model":"m","stream":true}"#;
    let post = format!(
        "POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n";
    let mut it = Passing::with(&post, head, Settings::default(), |_| {}).await;
    let connect = it.connect().await;
    assert_eq!((&connect["method"], &connect["path"]), (&json!("POST"), &json!("/v1/chat")));
    let chunks = "d\r\ndata: {\"d\":1}\r\n2\r\n\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    let sizes = chunks.replace("d\r\nd", "D\r\nd").replace("e\r\nd", "E\r\nd");
    it.pass_as(chunks.as_bytes(), sizes.as_bytes()).await;
    assert_eq!(it.event().await["message"], json!({"d": 1}));
    assert_eq!(it.event().await["message"], "[DONE]");
    let close = it.event().await;
    assert_eq!((&close["close"]["by"], &close["close"]["clean"]), (&json!("server"), &json!(true)));
    assert_eq!(close["wire"], json!({"in": body.len(), "out": 29}));
    // The connection of the client goes on.
    until("the count", || it.counted("wstap_requests_total 1\n")).await;
    assert!(it.counted("wstap_failed_requests_total 0\n"));
}

#[tokio::test]
async fn end_of_a_stream_names_the_side() {
    // The client leaves.
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    it.pass(b"data: 1\n\ndata: 2").await;
    it.event().await;
    drop(it.client);
    let close = it.events.json().await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&json!("client"), &json!(1005)));
    let mut rest = Vec::new();
    within("the end at the server", it.server.read_to_end(&mut rest)).await.expect("an end");

    // The server ends the connection within its answer.
    let chunked = format!("{STREAM}Transfer-Encoding: chunked\r\n");
    let mut it = Passing::begin(&chunked).await;
    it.connect().await;
    it.pass_as(b"9\r\ndata: 1\n\n\r\n", b"data: 1\n\n").await;
    it.event().await;
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&json!("server"), &json!(1006)));
    let reason = close["close"]["reason"].as_str().expect("text");
    assert!(reason.contains("before the end"), "{close}");

    // The server resets it.
    let mut it = Passing::begin(&chunked).await;
    it.connect().await;
    it.pass_as(b"9\r\ndata: 1\n\n\r\n", b"data: 1\n\n").await;
    it.event().await;
    let server = socket2::SockRef::from(&it.server);
    server.set_linger(Some(std::time::Duration::ZERO)).expect("a TCP socket");
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!(close["close"]["by"], "network", "{close}");
    assert_eq!(close["close"]["reason"], "the server reset the connection");
}

#[tokio::test]
async fn request_of_a_stream_is_counted_and_is_no_event_of_its_own() {
    let all = |settings: &mut ProxySettings| settings.tap_http = TapHttp::All;
    let mut it = Passing::with(GET, STREAM, Settings::default(), all).await;
    it.connect().await;
    it.pass(b"data: 1\n\n").await;
    it.event().await;
    drop(it.client);
    assert_eq!(it.events.json().await["kind"], "close");
    let metrics = it.front.tap.hub.metrics();
    let text = || metrics.render(it.front.tap.hub.numbers());
    until("the count", || text().contains("wstap_requests_total 1\n")).await;
    assert!(text().contains("wstap_failed_requests_total 0\n"), "{}", text());
    assert_eq!(it.front.tap.hub.head().1, 3);
}

#[tokio::test]
async fn streams_are_plain_requests_if_they_are_not_tapped() {
    let off = |settings: &mut ProxySettings| {
        (settings.tap_http, settings.tap_sse) = (TapHttp::All, false);
    };
    let mut it = Passing::with(GET, STREAM, Settings::default(), off).await;
    it.pass(b"data: 1\n\n").await;
    drop(it.client);
    let event = it.events.json().await;
    assert_eq!((&event["kind"], &event["status"]), (&json!("request"), &json!(200)));
    assert_eq!(event["note"], Value::Null, "a client leaves an event stream at any time");
    assert_eq!(event["bytes"]["out"], 9);
}

#[tokio::test]
async fn other_answers_are_no_streams() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
        "HTTP/1.1 503 No\r\nContent-Type: text/event-stream\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let all = |settings: &mut ProxySettings| settings.tap_http = TapHttp::All;
        let mut it = Passing::with(GET, head, Settings::default(), all).await;
        it.pass(b"data: 1\n\n").await;
        drop(it.server);
        assert_eq!(it.events.json().await["kind"], "request", "{head}");
    }
}

/// Returns text that is compressed in parts, each of which can be read when it has come.
fn compressed(encoding: &str, parts: &[&str]) -> Vec<Vec<u8>> {
    fn take(out: &mut Vec<u8>) -> Vec<u8> {
        std::mem::take(out)
    }
    let level = Compression::default();
    let mut all = Vec::new();
    if encoding == "gzip" {
        let mut gzip = GzEncoder::new(Vec::new(), level);
        for part in parts {
            gzip.write_all(part.as_bytes()).expect("memory");
            gzip.flush().expect("memory");
            all.push(take(gzip.get_mut()));
        }
        all.push(gzip.finish().expect("memory"));
    } else {
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        for part in parts {
            zlib.write_all(part.as_bytes()).expect("memory");
            zlib.flush().expect("memory");
            all.push(take(zlib.get_mut()));
        }
        all.push(zlib.finish().expect("memory"));
    }
    all
}

#[tokio::test]
async fn compressed_events_are_read_as_they_come() {
    for encoding in ["gzip", "deflate"] {
        let head = format!("{STREAM}Content-Encoding: {encoding}\r\n");
        let mut it = Passing::begin(&head).await;
        assert_eq!(it.connect().await["contentEncoding"], encoding);
        let parts = compressed(encoding, &["data: 1\n\n", "data: 2\n\ndata", ": 3\n\n"]);
        let mut sent = 0;
        for (n, part) in parts.iter().enumerate() {
            it.pass(part).await;
            sent += part.len();
            if n < 3 {
                let message = it.event().await;
                assert_eq!(message["message"], n + 1);
                assert_eq!(message["compressed"], true);
            }
        }
        drop(it.server);
        let close = it.events.json().await;
        assert_eq!((&close["wire"]["out"], &close["bytes"]["out"]), (&json!(sent), &json!(3)));
    }
}

#[tokio::test]
async fn compression_that_is_not_read_is_named() {
    let head = format!("{STREAM}Content-Encoding: br\r\n");
    let mut it = Passing::begin(&head).await;
    let connect = it.connect().await;
    assert_eq!(connect["contentEncoding"], "br");
    assert!(connect["note"].as_str().is_some_and(|note| note.contains("with br")), "{connect}");
    reads_back(&connect);
    it.pass(b"\x0b\x02\x80data: 1\n\n\x03").await;
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!(
        (&close["kind"], &close["note"]),
        (&json!("close"), &json!("compressed, not decoded"))
    );
    assert_eq!((&close["wire"]["out"], &close["messages"]["out"]), (&json!(13), &json!(0)));
}

#[tokio::test]
async fn stream_that_is_not_compressed_as_its_head_says_passes() {
    let head = format!("{STREAM}Content-Encoding: gzip\r\n");
    let mut it = Passing::begin(&head).await;
    it.connect().await;
    it.pass(b"data: 1\n\n").await;
    let message = it.event().await;
    assert_eq!((&message["opcode"], &message["message"]), (&Value::Null, &Value::Null));
    it.pass(b"data: 2\n\n").await;
    drop(it.server);
    assert_eq!(it.events.json().await["kind"], "close");
}

#[tokio::test]
async fn event_that_is_too_large_passes_and_is_kept_cut() {
    let small = |settings: &mut ProxySettings| settings.max_message_bytes = 1000;
    let mut it = Passing::with(GET, STREAM, Settings::default(), small).await;
    it.connect().await;
    let large = format!("data: {}\n\n", "x".repeat(5000));
    it.pass(large.as_bytes()).await;
    let message = it.event().await;
    assert_eq!((&message["size"], &message["truncated"]), (&json!(5000), &json!(true)));
    assert_eq!(message["message"], "x".repeat(1000));
    reads_back(&message);
    assert!(message["note"].as_str().is_some_and(|note| note.contains("1000 bytes")), "{message}");
    it.pass(b"data: small\n\n").await;
    assert_eq!(it.event().await["message"], "small");
}

#[tokio::test]
async fn stream_is_closed_on_request_and_takes_no_messages() {
    let chunked = format!("{STREAM}Transfer-Encoding: chunked\r\n");
    let mut it = Passing::begin(&chunked).await;
    let id = it.connect().await["connectionId"].as_str().expect("text").to_owned();
    for to in ["client", "server"] {
        let path = format!("/api/connections/{id}/messages?to={to}");
        let refused = it.front.tap.fetch("POST", &path, &[], "hello").await;
        refused.is_problem(405, "method_not_allowed", "event stream");
    }
    let path = format!("/api/connections/{id}?reason=enough");
    assert_eq!(it.front.tap.fetch("DELETE", &path, &[], "").await.status, 204);
    let close = it.event().await;
    assert_eq!(
        close["close"],
        json!({"code": 1000, "reason": "enough", "clean": false, "by": "tap"})
    );
    let mut rest = Vec::new();
    // The client sees that the answer is not complete.
    let _ = within("the end at the client", it.client.read_to_end(&mut rest)).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    let _ = within("the end at the server", it.server.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn secrets_of_a_stream_are_hidden() {
    let rules = Rules { defaults: true, ..Rules::default() };
    let settings = Settings { redaction: Redaction::new(rules), ..Settings::default() };
    let request = "GET /s?token=hunter2 HTTP/1.0\r\nHost: a\r\n\r\n";
    let mut it = Passing::with(request, STREAM, settings, |_| {}).await;
    let connect = it.connect().await;
    it.pass(b"event: password=hunter2\nid: token=hunter2\ndata: {\"password\":\"hunter2\"}\n\n")
        .await;
    let message = it.event().await;
    for event in [&connect, &message] {
        assert!(!event.to_string().contains("hunter2"), "{event}");
    }
    assert_eq!(message["message"]["password"], "[redacted]");
}

#[tokio::test]
async fn every_event_of_a_stream_is_selected_by_what_it_is() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let filter = |expression: &str| {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        format!("?format=full&filter={query}")
    };
    let mut streams = front.tap.events(&filter("transport == \"sse\"")).await;
    let mut named =
        front.tap.events(&filter("event == \"add\" && eventId == \"1\" && path == \"/s\"")).await;
    let mut sockets = front.tap.events(&filter("transport == \"websocket\"")).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let (mut server, _) = back.accept().await;
    server.write_all(format!("{STREAM}\r\n").as_bytes()).await.expect("sent");
    server.write_all(b"data: 1\n\nevent: add\nid: 1\ndata: 2\n\n").await.expect("sent");
    for kind in ["connect", "message", "message"] {
        assert_eq!(streams.json().await["kind"], kind);
    }
    assert_eq!(named.json().await["message"], 2);
    drop(server);
    assert_eq!(streams.json().await["kind"], "close");
    let (shaken, server) = tokio::join!(front.shake("/ws", ""), back.switch(""));
    let connect = sockets.json().await;
    assert_eq!((&connect["transport"], &connect["path"]), (&json!("websocket"), &json!("/ws")));
    drop((shaken, server));
}

#[tokio::test]
async fn listeners_of_another_wstap_are_event_streams() {
    let hub = Tap::start().await;
    let front = Front::with(&format!("http://{}", hub.addr), Settings::default(), |_| {}).await;
    let mut outer = front.tap.events("?format=full&kind=message").await;
    let through = Tap::of(front.traffic, hub.hub.clone());
    let mut inner = through.events("?format=full").await;
    let mut ws = hub.registered("a").await;
    ws.send(r#"{"connectionId":"a","message":"hello"}"#).await;
    let (connect, message) = (inner.json().await, inner.json().await);
    assert_eq!((&connect["kind"], &message["message"]), (&json!("connect"), &json!("hello")));
    let (one, two) = (outer.json().await, outer.json().await);
    assert_eq!((&one["message"], &two["message"]), (&connect, &message));
    assert_eq!(two["eventId"], message["id"]);
}

#[tokio::test]
async fn own_stream_of_a_proxy_is_not_on_its_tap() {
    // Something between the proxy and its own observers' side: the address is not known as its own.
    let between = Back::new().await;
    let front = Front::with(&format!("http://{}", between.addr), Settings::default(), |_| {}).await;
    let observers = front.tap.addr;
    tokio::spawn(async move { pass_on(&between, observers).await });
    let through = Tap::of(front.traffic, front.tap.hub.clone());
    let mut own = through.events("?format=full").await;
    let missing = through.get("/nothing").await;
    assert_eq!(missing.status, 404);
    let exchange = wstap::event::Exchange {
        remote: observers,
        method: "GET".to_owned(),
        path: "/x".to_owned(),
        upstream: None,
        status: 404,
        time: std::time::Duration::ZERO,
        duration: std::time::Duration::ZERO,
        bytes: wstap::event::Flow::default(),
        note: None,
    };
    front.tap.hub.exchanged(exchange);
    assert_eq!(own.json().await["kind"], "request");
    assert_eq!(front.tap.hub.head().1, 1, "the stream shows nothing of itself");
    assert!(front.tap.hub.connections().is_empty());
}

/// Passes connections on to an address, with the host that it has.
async fn pass_on(between: &Back, to: SocketAddr) {
    loop {
        let (mut near, head) = between.accept().await;
        let mut far = TcpStream::connect(to).await.expect("there");
        let own = head.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
        let head = head.replace(own.expect("a host"), &format!("Host: {to}"));
        far.write_all(head.as_bytes()).await.expect("sent");
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

#[tokio::test]
async fn slow_client_slows_its_own_stream_only() {
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    let (mut read, mut write) = it.server.into_split();
    let flood = tokio::spawn(async move {
        let event = format!("data: {}\n\n", "x".repeat(8000));
        let mut sent = 0_u64;
        // Until the client, which reads nothing, keeps the server from writing.
        while let Ok(Ok(())) = tokio::time::timeout(
            std::time::Duration::from_millis(500),
            write.write_all(event.as_bytes()),
        )
        .await
        {
            sent += event.len() as u64;
            if sent > 256 << 20 {
                return (write, None);
            }
        }
        (write, Some(sent))
    });
    let (write, sent) = within("a server that waits", flood).await.expect("no panic");
    assert!(sent.is_some(), "the server is not kept from writing");
    // Another client is served meanwhile.
    let info = it.front.tap.get("/api/info").await;
    assert_eq!(info.status, 200);
    drop((it.client, write));
    let mut rest = Vec::new();
    let _ = within("the end at the server", read.read_to_end(&mut rest)).await;
    let mut last = it.events.json().await;
    while last["kind"] != "close" {
        last = it.events.json().await;
    }
    assert_eq!(last["close"]["by"], "client");
}

#[tokio::test]
async fn archive_of_a_stream_reads_back() {
    let mut it = Passing::begin(STREAM).await;
    let connect = it.connect().await;
    it.pass(b"event: add\nid: 1\ndata: {\"a\":1.50}\n\ndata: x\ndata: y\n\n").await;
    let messages = [it.event().await, it.event().await];
    drop(it.server);
    let close = it.events.json().await;
    let answer = it.front.tap.get("/api/events?format=har").await;
    let har = answer.json();
    let entry = &har["log"]["entries"][0];
    assert_eq!(
        (&entry["_resourceType"], &entry["response"]["status"]),
        (&json!("eventsource"), &json!(200))
    );
    assert_eq!(entry["response"]["content"]["mimeType"], "text/event-stream");
    let url = entry["request"]["url"].as_str().expect("text");
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/stream?topic=a"), "{url}");
    assert_eq!(
        (&entry["_webSocketMessages"], &entry["_webSocketClose"]),
        (&Value::Null, &Value::Null)
    );
    let written = &entry["_eventSourceMessages"];
    assert_eq!((&written[0]["eventName"], &written[0]["eventId"]), (&json!("add"), &json!("1")));
    assert_eq!(
        (&written[1]["eventName"], &written[1]["data"]),
        (&json!("message"), &json!("x\ny"))
    );
    let archived = wstap::wire::har::read(&answer.body).expect("an archive");
    assert!(archived.skipped.is_empty());
    let lines: Vec<Value> = archived
        .recorded
        .iter()
        .map(|recorded| {
            let Recorded::Event(event) = recorded else { panic!("no gap") };
            let mut out = Vec::new();
            wstap::wire::full(event, &mut out);
            serde_json::from_slice(&out).expect("JSON")
        })
        .collect();
    let [one, two] = messages;
    assert_eq!(lines, [connect, one, two, close]);
}

#[tokio::test]
async fn shutdown_ends_streams() {
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    it.pass(b"data: 1\n\n").await;
    it.front.tap.stop().await;
    let mut rest = Vec::new();
    let _ = within("the end at the client", it.client.read_to_end(&mut rest)).await;
    let _ = within("the end at the server", it.server.read_to_end(&mut rest)).await;
    assert!(it.head.to_lowercase().contains("content-type: text/event-stream"));
}
