//! Servers that show a recording: `wstap --open FILE`.

use serde_json::{Value, json};
use wstap::hub::Settings;

use crate::harness::{Tap, until};
use crate::recording::{Running, all, fixture, shell};

/// Starts a server that shows a file.
async fn opened(file: &str, arguments: &[&str]) -> (Running, Tap) {
    let server = Running::start(
        &[&["serve", "--listen", "127.0.0.1:0", "--open", file], arguments].concat(),
    );
    let words = server.says("Ctrl-C stops.").await;
    let addr = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://")?.strip_suffix("/events"));
    let addr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
    (server, Tap::of(addr, wstap::Hub::new(Settings::default())))
}

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test(flavor = "multi_thread")]
async fn open_shows_a_recording_unchanged_and_refuses_traffic() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    for text in [r#"{"connectionId":"a","message":"x","more":[1.0]}"#, "\"quoted\"", "plain"] {
        ws.send(text).await;
    }
    ws.send_binary(&[7]).await;
    ws.close(4001, "done").await;
    until("the close", || tap.hub.head().1 == 6).await;
    let was = all(&tap).await;
    let plain = tap.get("/listen?wait=0s&after=0-0").await.json();
    let folder = tempfile::tempdir().expect("a folder");
    for (name, format) in [("a.ndjson", "ndjson"), ("a.json", "json"), ("a.har", "har")] {
        let text = tap.get(&format!("/api/events?limit=all&format={format}")).await.body;
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        // Less than there is: a recording is shown whole.
        let open = [
            "--listen",
            "127.0.0.1:0",
            "--history-events",
            "2",
            "--open",
            &path.display().to_string(),
        ];
        let server = Running::start(&open);
        let words = server.says("Ctrl-C stops.").await;
        assert!(words.contains("Recording") && words.contains(name), "{words}");
        let url =
            words.lines().find_map(|line| line.trim().strip_prefix("Events")).expect("an address");
        let addr = url.trim().trim_start_matches("http://").trim_end_matches("/events");
        let shown = Tap::of(addr.parse().expect("an address"), tap.hub.clone());
        assert_eq!(all(&shown).await, was, "{name}");
        let info = shown.get("/api/info").await.json();
        assert_eq!(
            (info["mode"].as_str(), info["now"]["events"].as_u64()),
            (Some("recording"), Some(6))
        );
        let mut events = shown.events("?format=full").await;
        for event in &was {
            assert_eq!(events.json().await, *event, "who does not say begins with the oldest");
        }
        let mut events = shown.events("").await;
        assert_eq!(events.data().await, r#"{"connectionId":"a"}"#);
        assert_eq!(
            events.json().await,
            json!({"connectionId": "a", "message": "x", "more": [1.0]})
        );
        assert_eq!(
            shown.get("/listen?wait=0s&after=0-0").await.json().as_array().map(Vec::len),
            plain.as_array().map(Vec::len)
        );
        let id = was[3]["id"].as_str().expect("an id");
        assert_eq!(shown.get(&format!("/api/events/{id}")).await.json(), was[3]);
        assert!(shown.get("/es-client").await.body.contains("<html"));
        let upgrade = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let refused = shown.fetch("GET", "/ws", &upgrade, "").await;
        refused.is_problem(403, "forbidden", "shows a recording");
    }
    let (code, _, words) = tokio::task::spawn_blocking(|| {
        shell(&["--open", "/nowhere.har", "--upstream", "ws://localhost:1"])
    })
    .await
    .expect("no panic");
    assert!(code == 2 && words.contains("open and upstream exclude each other"), "{words}");
    let (code, _, words) = tokio::task::spawn_blocking(|| {
        shell(&["--listen", "127.0.0.1:0", "--open", "/nowhere.har"])
    })
    .await
    .expect("no panic");
    assert!(code == 1 && words.contains("/nowhere.har"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_chromium_playwright_and_mitmproxy_open() {
    for name in ["chromium.har", "playwright.har", "mitmproxy.har"] {
        let file = fixture(name);
        let server = Running::start(&["--listen", "127.0.0.1:0", "--open", &file]);
        let words = server.says("Ctrl-C stops.").await;
        let addr = words
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://")?.strip_suffix("/events"));
        let addr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
        let shown = Tap::of(addr, wstap::Hub::new(Settings::default()));
        let events = all(&shown).await;
        let connect = &events[0];
        assert_eq!(
            (connect["kind"].as_str(), connect["path"].as_str()),
            (Some("connect"), Some("/chat?room=7")),
            "{name}"
        );
        assert_eq!(
            (connect["status"].as_u64(), connect["subprotocol"].as_str()),
            (Some(101), Some("v2"))
        );
        assert!(
            connect["headers"]["origin"].is_string()
                && connect["upstream"]
                    .as_str()
                    .is_some_and(|url| url.starts_with("ws://127.0.0.1:"))
        );
        let said: Vec<_> = events[1..]
            .iter()
            .map(|event| {
                (event["direction"].as_str(), event["opcode"].as_str(), event["message"].clone())
            })
            .collect();
        let binary = json!("AAH+/w==");
        let three = [
            ("text", json!("hello")),
            ("text", json!({"price": 1.5, "items": [1, 2]})),
            ("binary", binary),
        ];
        let both: Vec<_> = three
            .iter()
            .flat_map(|(opcode, said)| {
                ["in", "out"].map(|way| (Some(way), Some(*opcode), said.clone()))
            })
            .collect();
        assert_eq!(said, both, "{name}");
        let mut stream = shown.events("?format=full&kind=message").await;
        assert_eq!(stream.json().await["message"], "hello");
        let (code, said, words) = tokio::task::spawn_blocking(move || shell(&["inspect", &file]))
            .await
            .expect("no panic");
        assert!(
            code == 0 && said.contains("3 in (") && said.contains("still open"),
            "{said}{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_redacted_when_it_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret.ndjson").display().to_string();
    let lines = [
        json!({"id": "1763670000000-0", "kind": "connect", "connectionId": "a", "path": "/x?sig=hunter2", "headers": {"origin": "http://hunter2"}}),
        json!({"id": "1763670000001-0", "kind": "message", "connectionId": "a", "direction": "in", "opcode": "text", "size": 22, "message": {"password": "hunter2"}}),
        json!({"id": "1763670000002-0", "kind": "message", "connectionId": "a", "direction": "in", "opcode": "text", "size": 10, "message": "my hunter2"}),
        json!({"id": "1763670000003-0", "kind": "close", "connectionId": "a", "close": {"code": 4000, "reason": "hunter2", "clean": true, "by": "client"}}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    std::fs::write(&file, text).expect("written");
    let server = Running::start(&[
        "--listen",
        "127.0.0.1:0",
        "--open",
        &file,
        "--redact-pattern",
        "hunter2",
    ]);
    let words = server.says("Ctrl-C stops.").await;
    let addr = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://")?.strip_suffix("/events"));
    let addr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
    let shown = Tap::of(addr, wstap::Hub::new(Settings::default()));
    assert_eq!(all(&shown).await.len(), 4);
    for path in [
        "/api/events",
        "/api/events?format=ndjson",
        "/api/events?format=har",
        "/api/events/1763670000001-0",
    ] {
        let body = shown.get(path).await.body;
        assert!(body.contains("[redacted]") && !body.contains("hunter2"), "{path}: {body}");
    }
}

/// A recording of proxy mode: one connection that the server closed, one that was refused, one with a
/// made-up id that came back, and one whose handshake is not recorded.
fn recording() -> String {
    let connect = |id: &str, time: u64, path: &str| {
        json!({"id": format!("{time}-0"), "kind": "connect", "connectionId": id, "path": path, "remote": "192.0.2.7:1234",
            "upstream": "ws://chat.example", "status": 101, "subprotocol": "graphql-transport-ws"})
    };
    let message = |id: &str, time: u64, direction: &str, text: &str| {
        json!({"id": format!("{time}-0"), "kind": "message", "connectionId": id, "direction": direction, "opcode": "text",
            "size": text.len(), "message": text, "wire": text.len() + 2})
    };
    let close = |id: &str, time: u64, code: u16, by: &str| {
        json!({"id": format!("{time}-0"), "kind": "close", "connectionId": id, "duration": 0.004,
            "close": {"code": code, "reason": "enough", "clean": true, "by": by}})
    };
    let mut refused = close("no", 1_740_823_200_030, 1006, "server");
    refused["path"] = json!("/private");
    refused["upstream"] = json!("ws://chat.example");
    refused["status"] = json!(403);
    let lines = [
        connect("a", 1_740_823_200_000, "/chat?room=7"),
        message("a", 1_740_823_200_001, "in", "hello"),
        message("a", 1_740_823_200_002, "out", "hi"),
        message("a", 1_740_823_200_003, "out", "you"),
        close("a", 1_740_823_200_004, 4000, "server"),
        connect("a", 1_740_823_200_010, "/again"),
        message("seen", 1_740_823_200_020, "in", "late"),
        refused,
    ];
    lines.map(|line| line.to_string() + "\n").concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn opened_recording_lists_its_connections_with_counts_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    std::fs::write(&file, recording()).expect("written");
    let (_server, shown) = opened(&file, &[]).await;
    let list = shown.get("/api/connections").await.json();
    let list = list.as_array().expect("a list");
    let told: Vec<_> = list
        .iter()
        .map(|it| {
            (
                it["connectionId"].as_str().expect("an id"),
                it["path"].clone(),
                it["messages"].clone(),
            )
        })
        .collect();
    let flow = |inward, outward| json!({"in": inward, "out": outward});
    assert_eq!(
        told,
        [
            ("a", json!("/chat?room=7"), flow(1, 2)),
            ("a", json!("/again"), flow(0, 0)),
            ("seen", json!(""), flow(1, 0)),
            ("no", json!("/private"), flow(0, 0)),
        ]
    );
    let first = &list[0];
    assert_eq!(
        (&first["since"], &first["lastActivity"], &first["subprotocol"], &first["bytes"]),
        (
            &json!("2025-03-01T10:00:00.000Z"),
            &json!("2025-03-01T10:00:00.004Z"),
            &json!("graphql-transport-ws"),
            &flow(5, 5)
        )
    );
    let end = json!({"time": "2025-03-01T10:00:00.004Z", "code": 4000, "reason": "enough", "clean": true,
        "by": "server", "status": null});
    assert_eq!((&first["closed"], &list[1]["closed"]), (&end, &Value::Null));
    assert_eq!(list[3]["closed"]["status"], 403);
    let page = shown.get("/api/connections?limit=3").await;
    assert_eq!(page.json().as_array().map(Vec::len), Some(3));
    assert!(page.header("link").contains("after=3"), "{}", page.header("link"));
    assert_eq!(shown.get("/api/connections?after=3").await.json()[0]["connectionId"], "no");
    assert_eq!(shown.get("/api/connections/a").await.json()["path"], "/again");
    shown.get("/api/connections/nobody").await.is_problem(404, "not_found", "nobody");
    let info = shown.get("/api/info").await.json();
    let recording = json!({"name": "day.ndjson", "first": "2025-03-01T10:00:00.000Z", "last": "2025-03-01T10:00:00.030Z"});
    assert_eq!((&info["mode"], &info["recording"]), (&json!("recording"), &recording));
    assert_eq!(info["now"]["connections"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn opened_recording_takes_no_connection_and_no_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    std::fs::write(&file, recording()).expect("written");
    let (_server, shown) = opened(&file, &[]).await;
    for path in ["/ws", "/ws?connectionId=a", "/", "/chat"] {
        let refused = shown.fetch("GET", path, &UPGRADE, "").await;
        refused.is_problem(403, "forbidden", "shows a recording");
    }
    for (method, path) in [
        ("POST", "/api/connections/a/messages"),
        ("DELETE", "/api/connections/a"),
        ("POST", "/api/channels/news/messages"),
    ] {
        let refused = shown.fetch(method, path, &[], "").await;
        refused.is_problem(403, "forbidden", "shows a recording");
    }
    assert_eq!(all(&shown).await.len(), 8, "the recording is unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_an_opened_recording_stays_open_after_its_last_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    std::fs::write(&file, recording()).expect("written");
    let (_server, shown) = opened(&file, &["--heartbeat", "1s"]).await;
    let mut events = shown.events("?format=full").await;
    for n in 0..8 {
        assert_eq!(events.json().await["id"], all(&shown).await[n]["id"]);
    }
    // Two heartbeats, and nothing between them.
    events.raw_until(":\n:\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_without_traffic_open_and_are_reported_as_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Tap::start().await.get("/api/events?format=har").await.body;
    let none = r#"{"log":{"version":"1.2","creator":{"name":"Firefox"},"entries":[]}}"#;
    let plain = r#"{"log":{"entries":[{"request":{"url":"https://a.example/"},"response":{"status":200}}]}}"#;
    for (name, text, words) in [
        ("own.har", own.as_str(), "no events"),
        ("none.har", none, "no WebSocket messages"),
        ("plain.har", plain, "no WebSocket messages"),
        ("empty.ndjson", "", "no events"),
        ("empty.json", "[]", "no events"),
    ] {
        let file = folder.path().join(name).display().to_string();
        std::fs::write(&file, text).expect("written");
        let (server, shown) = opened(&file, &[]).await;
        server.says(words).await;
        assert_eq!(shown.get("/api/connections").await.json(), json!([]), "{name}");
        let info = shown.get("/api/info").await.json();
        assert_eq!(info["recording"], json!({"name": name, "first": null, "last": null}));
        let (code, text, _) = tokio::task::spawn_blocking(move || shell(&["inspect", &file]))
            .await
            .expect("no panic");
        assert!(code == 0 && text.contains("events       0"), "{name}: {text}");
    }
}
