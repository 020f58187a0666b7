//! HTTP Archives: those that wstap writes, and those of other programs.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tungstenite::Message as Frame;
use wstap::hub::{Retention, Settings};

use crate::harness::{Tap, until};
use crate::proxy::{Front, echo};
use crate::recording::{fixture, is_har, shell};

async fn har(tap: &Tap, query: &str) -> Value {
    let archive = tap.get(&format!("/api/events?format=har{query}")).await;
    assert_eq!((archive.status, archive.header("content-type")), (200, "application/json"));
    let archive = archive.json();
    is_har(&archive);
    archive
}

/// Returns type, opcode and data of an entry's messages.
pub(crate) fn messages(entry: &Value) -> Vec<String> {
    let all = entry["_webSocketMessages"].as_array().expect("messages").iter();
    all.map(|message| {
        let word = |name: &str| message[name].as_str().expect("text");
        format!("{} {} {}", word("type"), message["opcode"], word("data"))
    })
    .collect()
}

#[tokio::test]
async fn archive_has_an_entry_for_each_open_and_closed_connection() {
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
async fn archive_of_a_selection_keeps_handshake_and_close_of_its_connections() {
    let tap = Tap::start().await;
    let mut one = tap.registered("one").await;
    let mut two = tap.registered("two").await;
    for n in 0..300 {
        one.send(&n.to_string()).await;
    }
    // The stream's order is of arrival: two connections that send at once may come either way.
    until("the messages of one", || tap.hub.head().1 == 302).await;
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
async fn archive_contains_the_gaps_of_the_history() {
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

/// The archives of `tests/fixtures/har/cases`, and what is read of each: lines beside it, which the
/// tests of the pages read too. `UPDATE_EXPECT=1` writes them.
#[test]
fn odd_archives_are_read_as_far_as_they_can_be() {
    let folder = fixture("cases");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the cases") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "har") {
            continue;
        }
        count += 1;
        let name = path.display().to_string();
        let (code, lines, said) = shell(&["export", &name, "--format", "ndjson"]);
        assert_eq!(code, 0, "{name}: {said}");
        let expected = path.with_extension("ndjson");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &lines).expect("written");
        }
        let expected = std::fs::read_to_string(&expected).expect("the lines");
        assert_eq!(lines, expected, "{name}");
        let odd = "2 entries, 4 messages could not be read";
        assert_eq!(said.contains(odd), name.ends_with("odd.har"), "{name}: {said}");
    }
    assert!(count >= 9, "{count} cases");
}

fn case(name: &str) -> Vec<Value> {
    let (code, lines, said) =
        shell(&["export", &fixture(&format!("cases/{name}.har")), "--format", "ndjson"]);
    assert_eq!(code, 0, "{said}");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn ends_and_times_of_archives_keep_their_meaning() {
    let refused = case("refused");
    let close = refused.iter().find(|event| event["path"] == "/b").expect("the refused one");
    assert_eq!((&close["kind"], &close["status"]), (&json!("close"), &json!(403)));
    for name in ["htk_close", "op8b"] {
        let events = case(name);
        let close = &events.last().expect("events")["close"];
        assert_eq!((&close["code"], &close["reason"]), (&json!(1000), &json!("bye")), "{name}");
        assert_eq!(events.last().expect("events")["time"], "2025-03-01T10:00:02.000Z", "{name}");
        let (code, text, _) = shell(&["inspect", &fixture(&format!("cases/{name}.har"))]);
        assert!(code == 0 && text.contains("after 2.000 s"), "{text}");
    }
    let epoch = case("mono2");
    assert!(
        epoch.iter().all(|event| event["time"]
            .as_str()
            .is_some_and(|it| it.starts_with("2025-03-01T10:00")))
    );
}

#[test]
fn refusals_keep_their_meaning_without_the_fields_of_wstap() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("again.har");
    let entry = |path: &str, response: Value| {
        json!({
            "startedDateTime": "2025-03-01T10:00:00.000Z", "_resourceType": "websocket",
            "request": {"url": format!("ws://a.example{path}")}, "response": response,
        })
    };
    let refused = [
        entry("/a", json!({"status": 403})),
        entry("/b", json!({"status": 0, "_error": "net::ERR_CONNECTION_REFUSED"})),
    ];
    let archive = json!({"log": {"entries": refused}});
    let told = |archive: &Value| {
        std::fs::write(&file, archive.to_string()).expect("written");
        let name = file.to_str().expect("text");
        let (_, lines, said) = shell(&["export", name, "--format", "ndjson"]);
        let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let told = |event: Value| (event["status"].clone(), event["close"].clone());
        let all: Vec<_> = lines.map(told).collect();
        assert_eq!(all.len(), 2, "{said}");
        let (code, har, said) = shell(&["export", name, "--format", "har"]);
        assert_eq!(code, 0, "{said}");
        (all, serde_json::from_str::<Value>(&har).expect("JSON"))
    };
    let (first, mut har) = told(&archive);
    assert_eq!(first[1].1["reason"], "net::ERR_CONNECTION_REFUSED");
    for entry in har["log"]["entries"].as_array_mut().expect("entries") {
        assert!(entry.as_object_mut().expect("an entry").remove("_wstap").is_some());
    }
    assert_eq!(told(&har).0, first);
}

#[test]
fn packed_archives_are_read_or_named() {
    use std::io::Read as _;
    let folder = tempfile::tempdir().expect("a folder");
    let plain = std::fs::read(fixture("cases/htk_close.har")).expect("a case");
    let text = String::from_utf8(plain.clone()).expect("text");
    let mut gz = Vec::new();
    let best = flate2::Compression::best();
    flate2::read::GzEncoder::new(&*plain, best).read_to_end(&mut gz).expect("packed");
    let mut zlib = Vec::new();
    flate2::read::ZlibEncoder::new(&*plain, best).read_to_end(&mut zlib).expect("packed");
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("a.har.gz", gz),
        ("a.zhar", zlib),
        ("utf16.har", utf16),
        ("jsonp.har", format!("onInputData({text});\n").into_bytes()),
        ("bom.har", format!("\u{feff}{text}").into_bytes()),
    ] {
        let path = folder.path().join(name).display().to_string();
        std::fs::write(&path, bytes).expect("written");
        let (code, text, said) = shell(&["inspect", &path]);
        assert!(code == 0 && text.contains("closed 1000"), "{name}: {text} {said}");
    }
    let zip = folder.path().join("a.zip").display().to_string();
    std::fs::write(&zip, b"PK\x03\x04rest").expect("written");
    let (code, _, said) = shell(&["inspect", &zip]);
    assert!(code == 1 && said.contains("a ZIP file"), "{said}");
}

#[tokio::test]
async fn archive_without_traffic_is_an_archive() {
    let tap = Tap::start().await;
    let empty = tap.get("/api/events?format=har").await;
    is_har(&empty.json());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("empty.har").display().to_string();
    std::fs::write(&path, &empty.body).expect("written");
    let (code, text, said) = shell(&["inspect", &path]);
    assert!(code == 0 && text.contains("events       0"), "{text} {said}");
}
