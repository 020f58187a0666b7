//! What passed, taken along: archives, lines, and a server that shows them.

use std::fmt::Write as _;
use std::path::Path;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tungstenite::Message as Frame;
use wstap::hub::{Retention, Settings};

use crate::harness::{Tap, until};
use crate::proxy::{Front, echo};

/// Asserts what HAR 1.2 asks of an archive, and Chrome of its WebSockets.
#[track_caller]
pub(crate) fn is_har(archive: &Value) {
    fn text(value: &Value, name: &str) {
        assert!(value[name].is_string(), "{name} in {value}");
    }
    fn number(value: &Value, name: &str) {
        assert!(value[name].is_number(), "{name} in {value}");
    }
    fn pairs(value: &Value, name: &str) {
        for pair in value[name].as_array().unwrap_or_else(|| panic!("{name} in {value}")) {
            text(pair, "name");
            text(pair, "value");
        }
    }
    let log = &archive["log"];
    assert_eq!(log["version"], "1.2");
    text(&log["creator"], "name");
    text(&log["creator"], "version");
    assert!(log["pages"].is_array());
    for entry in log["entries"].as_array().expect("entries") {
        let started = entry["startedDateTime"].as_str().expect("a time");
        assert!(started.parse::<jiff::Timestamp>().is_ok(), "{started}");
        let time = entry["time"].as_f64().expect("a duration");
        let (request, response) = (&entry["request"], &entry["response"]);
        for name in ["method", "url", "httpVersion"] {
            text(request, name);
        }
        assert!(request["url"].as_str().is_some_and(|url| url.parse::<http::Uri>().is_ok()));
        number(response, "status");
        for name in ["statusText", "httpVersion", "redirectURL"] {
            text(response, name);
        }
        for side in [request, response] {
            pairs(side, "cookies");
            pairs(side, "headers");
            number(side, "headersSize");
            number(side, "bodySize");
        }
        pairs(request, "queryString");
        number(&response["content"], "size");
        text(&response["content"], "mimeType");
        assert!(entry["cache"].is_object());
        let timings = &entry["timings"];
        let parts = ["send", "wait", "receive"].map(|name| timings[name].as_f64().expect(name));
        assert!((parts.iter().sum::<f64>() - time).abs() < 0.01, "{entry}");
        assert_eq!(entry["_resourceType"], "websocket");
        let mut last = 0.0;
        for message in entry["_webSocketMessages"].as_array().expect("messages") {
            assert!(["send", "receive"].contains(&message["type"].as_str().expect("a type")));
            let time = message["time"].as_f64().expect("seconds");
            assert!(time >= last && time > 1e9 && time < 1e11, "{message}");
            last = time;
            assert!([1, 2].contains(&message["opcode"].as_u64().expect("an opcode")));
            text(message, "data");
        }
    }
}

async fn har(tap: &Tap, query: &str) -> Value {
    let archive = tap.get(&format!("/api/events?format=har{query}")).await;
    assert_eq!((archive.status, archive.header("content-type")), (200, "application/json"));
    let archive = archive.json();
    is_har(&archive);
    archive
}

/// Returns type, opcode and data of an entry's messages.
fn messages(entry: &Value) -> Vec<String> {
    let all = entry["_webSocketMessages"].as_array().expect("messages").iter();
    all.map(|message| {
        let word = |name: &str| message[name].as_str().expect("text");
        format!("{} {} {}", word("type"), message["opcode"], word("data"))
    })
    .collect()
}

#[tokio::test]
async fn an_archive_has_an_entry_for_each_connection_open_or_not() {
    let front = Front::with(&format!("ws://{}", echo().await), Settings::default(), |settings| {
        settings.control = true;
    })
    .await;
    let traffic = Tap::of(front.traffic, front.tap.hub.clone());
    let mut first = traffic.ws("/a?room=7&x").await;
    let mut second = traffic.ws("/b").await;
    for (n, text) in ["hello", "{\"a\":1.0}", "\"quoted\"", "línea\u{1}"].iter().enumerate() {
        first.send(text).await;
        assert_eq!(first.text().await, *text);
        second.send(&n.to_string()).await;
        assert_eq!(second.text().await, n.to_string());
    }
    first.send_binary(&[0, 255]).await;
    first.next().await.expect("an echo");
    first.socket.send(Frame::Ping("p".into())).await.expect("sent");
    first.close(4000, "enough").await;
    let hub = &front.tap.hub;
    until("the close", || hub.connections().len() == 1).await;
    let archive = har(&front.tap, "").await;
    let entries = archive["log"]["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 2);
    let entry = &entries[0];
    let url = entry["request"]["url"].as_str().expect("a URL");
    assert!(url.starts_with("ws://127.0.0.1:") && url.ends_with("/a?room=7&x"), "{url}");
    assert_eq!(
        entry["request"]["queryString"],
        json!([{"name": "room", "value": "7"}, {"name": "x", "value": ""}])
    );
    assert_eq!(entry["response"]["status"], 101);
    let said = ["1 hello", "1 {\"a\":1.0}", "1 \"quoted\"", "1 línea\u{1}", "2 AP8="];
    let both: Vec<_> =
        said.iter().flat_map(|said| [format!("send {said}"), format!("receive {said}")]).collect();
    assert_eq!(messages(entry), both);
    let own = &entry["_wstap"];
    assert_eq!(own["control"][0]["opcode"], "ping");
    assert_eq!(
        (own["close"]["close"]["code"].as_u64(), own["close"]["close"]["by"].as_str()),
        (Some(4000), Some("client"))
    );
    assert_eq!(own["connect"]["path"], "/a?room=7&x");
    assert_eq!(messages(&entries[1]).len(), 8);
    assert_eq!(entries[1]["_wstap"]["close"], Value::Null, "it is still open");
}

#[tokio::test]
async fn a_selection_keeps_the_handshakes_and_ends_of_its_connections() {
    let tap = Tap::start().await;
    let mut one = tap.registered("one").await;
    let mut two = tap.registered("two").await;
    for n in 0..300 {
        one.send(&n.to_string()).await;
    }
    two.send("\"x\"").await;
    until("all messages", || tap.hub.head().1 == 303).await;
    one.close(1000, "").await;
    until("the close", || tap.hub.head().1 == 304).await;
    let mut again = tap.registered("one").await;
    again.send("301").await;
    until("all messages", || tap.hub.head().1 == 306).await;
    let entries = |archive: &Value| {
        let entries = archive["log"]["entries"].as_array().expect("entries").iter();
        let told = |entry: &Value| {
            let own = &entry["_wstap"];
            let id = own["connectionId"].as_str().expect("an id").to_owned();
            (id, messages(entry).len(), own["connect"].is_object(), own["close"].is_object())
        };
        entries.map(told).collect::<Vec<_>>()
    };
    let told = |id: &str, messages, close| (id.to_owned(), messages, true, close);
    let all = har(&tap, "").await;
    assert_eq!(
        entries(&all),
        [told("one", 300, true), told("two", 1, false), told("one", 1, false)]
    );
    let some = har(&tap, "&kind=message&connection=one").await;
    assert_eq!(entries(&some), [told("one", 300, true), told("one", 1, false)]);
    let last = har(&tap, "&last=3").await;
    assert_eq!(entries(&last), [told("one", 0, true), told("one", 1, false)]);
    let few = har(&tap, "&limit=5").await;
    assert_eq!(entries(&few), [told("one", 3, true), told("two", 0, false)]);
    let wrong = tap.get("/api/events?format=har&order=desc").await;
    wrong.is_problem(400, "malformed", "order=asc is right");
    assert_eq!(tap.get("/api/events?format=ndjson&limit=all").await.body.lines().count(), 306);
}

#[tokio::test]
async fn an_archive_of_what_history_has_lost_says_so() {
    let history = Retention { events: 4, bytes: usize::MAX, age: None };
    let tap = Tap::with(Settings { history, ..Settings::default() }, |_| {}).await;
    let mut ws = tap.registered("a").await;
    for n in 0..9 {
        ws.send(&n.to_string()).await;
    }
    until("all messages", || tap.hub.head().1 == 10).await;
    let first = tap.hub.head().0.expect("an event").ms - 10_000;
    let archive = har(&tap, &format!("&last_event_id={first}-0")).await;
    let entry = &archive["log"]["entries"][0];
    assert_eq!(messages(entry), ["send 1 5", "send 1 6", "send 1 7", "send 1 8"]);
    assert_eq!(entry["_wstap"].get("connect"), None, "its handshake is gone");
    assert_eq!(archive["log"]["_wstap"]["gaps"][0]["kind"], "gap");
}

/// Returns the full events that a server has kept.
pub(crate) async fn all(tap: &Tap) -> Vec<Value> {
    let lines = tap.get("/api/events?format=ndjson&limit=all").await.body;
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub(crate) fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/har")
        .join(name)
        .display()
        .to_string()
}

/// A command line with what it prints and says.
pub(crate) fn shell(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_wstap"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn export_writes_a_server_and_a_recording_in_both_forms() {
    let front = Front::of(echo().await).await;
    let traffic = Tap::of(front.traffic, front.tap.hub.clone());
    let mut ws = traffic.ws("/chat").await;
    let mut long = String::new();
    for n in 0..20_000 {
        write!(long, "{n} ").expect("a String takes all");
    }
    for text in ["{\"price\":1.50}", "\"quoted\"", "plain\n", &long] {
        ws.send(text).await;
        ws.text().await;
    }
    ws.send_binary(&[1, 2, 3]).await;
    ws.next().await.expect("an echo");
    ws.close(1001, "bye").await;
    let hub = front.tap.hub.clone();
    until("the close", || hub.connections().is_empty()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = move |name: &str| folder.path().join(name).display().to_string();
    let url = format!("http://{}", front.tap.addr);
    tokio::task::spawn_blocking(move || {
        let (code, lines, words) = shell(&["export", &url]);
        assert_eq!((code, lines.lines().count(), words.as_str()), (0, 12, ""));
        std::fs::write(path("a.ndjson"), &lines).expect("written");
        for (from, to) in
            [(url.as_str(), "a.har"), (&path("a.ndjson"), "b.har"), (&path("a.har"), "c.har")]
        {
            assert_eq!(shell(&["export", from, "-o", &path(to)]).0, 0, "{to}");
            let archive = std::fs::read_to_string(path(to)).expect("written");
            is_har(&serde_json::from_str(&archive).expect("JSON"));
        }
        let read = |name: &str| std::fs::read_to_string(path(name)).expect("written");
        assert!(read("a.har") == read("b.har"), "a recording is exported as the server was");
        assert!(read("a.har") == read("c.har"), "and an archive too");
        assert!(shell(&["export", &path("a.har")]).1 == lines, "and back into lines");
        let (_, some, _) = shell(&[
            "export",
            &path("a.har"),
            "--kind",
            "message",
            "--direction",
            "in",
            "--last",
            "2",
        ]);
        assert_eq!(some.lines().count(), 2);
        let (code, _, words) = shell(&["export", &path("a.har"), "--kind", "x"]);
        assert!(code == 2 && words.contains("a kind is connect, message or close"), "{words}");
        let (code, _, words) = shell(&["export", &url, "--kind", "x", "-o", &path("d.har")]);
        assert!(code == 1 && words.contains("a kind is connect"), "{words}");
        assert!(!Path::new(&path("d.har")).exists() && !Path::new(&path("d.har.part")).exists());
    })
    .await
    .expect("no panic");
}
