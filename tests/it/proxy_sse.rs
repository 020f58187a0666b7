//! Event streams through proxy mode: the bytes pass, and the events are on the stream.

mod archive;
mod content;
mod ends;
mod observers;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::proxy::{ProxySettings, TapHttp};
use wstap::wire::{Recorded, read};

use crate::harness::{Events, until, within};
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
