//! Recordings as files: export, record, and what other tests of recordings share.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Tap, until};
use crate::proxy::{Front, echo};
use crate::recording_archives::messages;

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

/// A program that runs until it gets a signal.
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
