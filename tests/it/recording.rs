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
async fn export_converts_servers_and_recordings_to_both_formats() {
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
        assert!(
            code == 2
                && words.contains("a kind is connect, message, close, join, leave or request"),
            "{words}"
        );
        let (code, _, words) = shell(&["export", &url, "--kind", "x", "-o", &path("d.har")]);
        assert!(code == 1 && words.contains("a kind is connect"), "{words}");
        assert!(!Path::new(&path("d.har")).exists() && !Path::new(&path("d.har.part")).exists());
    })
    .await
    .expect("no panic");
}

/// A program that runs until it is told not to.
pub(crate) struct Running(std::process::Child, std::sync::Arc<std::sync::Mutex<String>>);

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        use std::io::BufRead as _;
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wstap"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it runs");
        let words = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (stderr, said) = (child.stderr.take().expect("piped"), words.clone());
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                said.lock().expect("no panic").push_str(&(line + "\n"));
            }
        });
        Self(child, words)
    }

    pub(crate) fn words(&self) -> String {
        self.1.lock().expect("no panic").clone()
    }

    pub(crate) async fn says(&self, part: &str) -> String {
        until(part, || self.words().contains(part)).await;
        self.words()
    }

    pub(crate) async fn ends(&mut self, signal: &str) -> String {
        crate::harness::signal(signal, self.0.id());
        let child = std::cell::RefCell::new(&mut self.0);
        let ended = || child.borrow_mut().try_wait().expect("it can be asked").is_some();
        until("the end of a program", ended).await;
        self.words()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn record_resumes_after_a_kill_without_gap_or_duplicate() {
    let tap = Tap::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("day.ndjson");
    let (url, file) = (format!("http://{}", tap.addr), path.display().to_string());
    let mut ws = tap.registered("a").await;
    let record = || Running::start(&["record", &url, &file, "--last", "1"]);
    let mut killed = record();
    until("the first line", || lines(&path).len() == 1).await;
    let mut count = 0;
    for round in 0..3 {
        for _ in 0..100 {
            ws.send(&count.to_string()).await;
            count += 1;
        }
        until("lines", || lines(&path).len() > count / 2).await;
        killed.ends("KILL").await;
        // As if the kill had come within a write.
        let mut torn = std::fs::OpenOptions::new().append(true).open(&path).expect("a file");
        std::io::Write::write_all(&mut torn, b"{\"id\":\"17").expect("written");
        ws.send(&count.to_string()).await;
        count += 1;
        killed = record();
        let words = killed.says("goes on after").await;
        assert!(words.contains("9 bytes are gone"), "round {round}: {words}");
    }
    until("all lines", || lines(&path).len() == count + 1).await;
    let words = killed.ends("INT").await;
    assert!(words.contains(&format!("events more in {file}")), "{words}");
    let said: Vec<_> = lines(&path).iter().skip(1).map(|line| line["message"].as_u64()).collect();
    assert_eq!(said, (0..count as u64).map(Some).collect::<Vec<_>>());
    assert_eq!(lines(&path), all(&tap).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn record_waits_for_a_server_and_reports_missed_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("day.ndjson");
    let file = path.display().to_string();
    let mut tap = Tap::start().await;
    let url = format!("http://{}", tap.addr);
    let record = Running::start(&["record", &url, &file]);
    until("a listener", || !tap.hub.listeners().is_empty()).await;
    let _ws = tap.registered("a").await;
    until("a line", || lines(&path).len() == 1).await;
    tap.stop().await;
    record.says("the stream ended").await;
    let again = Running::start(&["--listen", &tap.addr.to_string()]);
    again.says("Ctrl-C stops.").await;
    record.says("missed an unknown number of events here").await;
    let (code, said, _) =
        tokio::task::spawn_blocking(move || shell(&["inspect", &file])).await.expect("no panic");
    assert_eq!(code, 0);
    for part in [
        "events       2",
        "gaps         1, with at least 0 events missed",
        "close codes  1001 (1)",
        "closed 1001 by the tap",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let other = folder.path().join("other.txt");
    std::fs::write(&other, "no recording\n").expect("written");
    let other = other.display().to_string();
    let (code, _, words) = tokio::task::spawn_blocking(move || shell(&["record", &url, &other]))
        .await
        .expect("no panic");
    assert!(code == 1 && words.contains("this is no recording of lines"), "{words}");
}

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

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_the_same_from_files_as_from_servers() {
    let file = fixture("chromium.har");
    tokio::task::spawn_blocking(move || {
        let filter = "has(message.price) && direction == \"out\"";
        let (code, lines, words) = shell(&["export", &file, "--filter", filter]);
        assert_eq!((code, lines.lines().count()), (0, 1), "{words}");
        let line: Value = serde_json::from_str(&lines).expect("JSON");
        assert_eq!(
            (line["direction"].as_str(), line["message"]["price"].as_f64()),
            (Some("out"), Some(1.5))
        );
        let (_, archive, _) = shell(&["export", &file, "--filter", filter, "--format", "har"]);
        let archive = serde_json::from_str(&archive).expect("JSON");
        is_har(&archive);
        assert_eq!(
            messages(&archive["log"]["entries"][0]),
            ["receive 1 {\"price\":1.5,\"items\":[1,2]}"]
        );
        let (code, _, words) = shell(&["export", &file, "--filter", "direction == "]);
        assert!(code == 2 && words.contains("expected a value"), "{words}");
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_survive_every_format_of_a_recording() {
    let tap = Tap::start().await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    for command in [
        r#"{"type":"subscribe","params":{"channels":["news"]}}"#,
        r#"{"type":"publish","params":{"channel":"news","message":{"connectionId":"a","n":1.50}}}"#,
    ] {
        ws.send(command).await;
        ws.text().await;
    }
    let json = [("content-type", "application/json")];
    for path in ["/api/channels/news/messages", "/api/channels/news/messages?user=ann&user=bob"] {
        assert_eq!(tap.fetch("POST", path, &json, "[1]").await.status, 202);
    }
    ws.close(1000, "").await;
    until("the close", || tap.hub.connections().is_empty()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = move |name: &str| folder.path().join(name).display().to_string();
    let url = format!("http://{}", tap.addr);
    tokio::task::spawn_blocking(move || {
        let (code, lines, words) = shell(&["export", &url]);
        assert_eq!((code, lines.lines().count(), words.as_str()), (0, 7, ""));
        assert!(lines.contains(r#""to":["ann","bob"]"#) && lines.contains(r#""kind":"leave""#));
        assert_eq!(shell(&["export", &url, "-o", &path("a.har")]).0, 0);
        assert_eq!(shell(&["export", &path("a.har")]).1, lines);
    })
    .await
    .expect("no panic");
}
