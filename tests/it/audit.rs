//! The audit log: each read, change and refusal leaves a line, and no line has a credential.

use std::path::Path;

use serde_json::Value;

use crate::cli::{Running, output};
use crate::harness::{Events, ask, request_at};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Waits for a line that a condition is true of.
async fn until_line(path: &Path, is: impl Fn(&Value) -> bool) -> Value {
    ask("a line of the audit log", async || lines(path).into_iter().find(&is)).await
}

#[tokio::test]
async fn reads_changes_and_refusals_are_in_the_audit_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, log) = (dir.path().join("tokens"), dir.path().join("audit"));
    let file = file.to_str().expect("text");
    let grants = r#"{"observe":true,"filter":"channel == \"news\""}"#;
    let made = |name: &str, grants: &str| {
        output(&["token", "new", name, grants, "--token-file", file]).1.trim().to_owned()
    };
    let (ann, bob) = (made("ann", "all"), made("bob", grants));
    let path = log.to_str().expect("text");
    let mut server = Running::server(&[
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        file,
        "--audit-log",
        path,
        "--heartbeat",
        "50ms",
    ]);
    let addr = server.url().trim_start_matches("http://").parse().expect("an address");
    let as_ann = format!("Bearer {ann}");
    let ann_headers = [("authorization", as_ann.as_str())];
    let bob_query = format!("kind=message&last=5&access_token={bob}");
    let path_of_bob = format!("/events?{bob_query}");
    let stream = request_at(addr, "GET", &path_of_bob, &[("last-event-id", "1-0")], "").await;
    let mut events = Events::of(stream);
    for (method, path, headers, body) in [
        ("GET", "/api/events?limit=3", &ann_headers[..], ""),
        ("POST", "/api/channels/news/messages", &ann_headers, "1"),
        ("POST", "/api/connections/none/messages", &ann_headers, "1"),
        ("DELETE", "/api/connections/none", &ann_headers, ""),
        ("DELETE", "/api/listeners/999", &ann_headers, ""),
        ("POST", "/api/tickets", &ann_headers, ""),
        ("GET", "/api/connections?access_token=wrong-one", &[], ""),
        ("POST", "/api/session", &[], &format!("{{\"token\":\"{ann}\"}}")),
        ("DELETE", "/api/session", &[], ""),
        ("GET", "/healthz", &[], ""),
    ] {
        request_at(addr, method, path, headers, body).await;
    }
    while events.next().await.name != "message" {}
    drop(events);
    let line = async |action: &str| until_line(&log, |line| line["action"] == action).await;
    let start = line("stream_start").await;
    assert_eq!((&start["user"], &start["after"]), (&"bob".into(), &"1-0".into()), "{start}");
    assert_eq!(start["filter"], "channel == \"news\"");
    assert_eq!(start["query"], "kind=message&last=5&access_token=[redacted]");
    assert!(
        start["listener"].is_u64() && start["remote"].as_str().expect("one").starts_with("127.")
    );
    let end = line("stream_end").await;
    assert_eq!((&end["listener"], &end["events"]), (&start["listener"], &1.into()), "{end}");
    assert!(end["until"].is_string() && end["time"].as_str() >= start["time"].as_str(), "{end}");
    let read = line("read").await;
    assert_eq!((&read["path"], &read["query"]), (&"/api/events".into(), &"limit=3".into()));
    for (action, status) in [
        ("publish", 202),
        ("send", 404),
        ("close", 404),
        ("dismiss", 404),
        ("ticket", 201),
        ("refused", 401),
        ("sign_in", 200),
        ("sign_out", 204),
    ] {
        let found = line(action).await;
        assert_eq!(found["status"], status, "{found}");
        let known = !["refused", "sign_out"].contains(&action);
        assert_eq!(found["user"].as_str(), known.then_some("ann"), "{found}");
    }
    assert!(!lines(&log).iter().any(|line| line["path"] == "/healthz"));
    let moved = dir.path().join("audit.1");
    std::fs::rename(&log, &moved).expect("moved");
    server.signal("HUP");
    ask("a new file", async || log.exists().then_some(())).await;
    request_at(addr, "GET", "/api/events?limit=4", &ann_headers, "").await;
    until_line(&log, |line| line["query"] == "limit=4").await;
    let text = [&log, &moved].map(|path| std::fs::read_to_string(path).expect("a log")).concat();
    for secret in [&ann, &bob, "wrong-one"] {
        assert!(!text.contains(secret), "{text}");
    }
    server.signal("TERM");
    assert!(server.end().success(), "{}", server.words());
}

#[tokio::test]
async fn log_that_cannot_be_written_loses_lines_and_holds_nothing_up() {
    // Each write to it fails: there is no room.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut server = Running::server(&["--listen", "127.0.0.1:0", "--audit-log", "/dev/full"]);
    let addr = server.url().trim_start_matches("http://").parse().expect("an address");
    for _ in 0..20 {
        assert_eq!(request_at(addr, "GET", "/api/connections", &[], "").await.status(), 200);
    }
    server.until("lines are lost");
    ask("the number of lost lines", async || {
        let answer = request_at(addr, "GET", "/metrics", &[], "").await;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body");
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        text.lines().any(|line| line == "wstap_audit_lost_total 20").then_some(())
    })
    .await;
    assert_eq!(server.words().matches("audit-log").count(), 1, "{}", server.words());
}

#[test]
fn log_that_cannot_be_opened_is_a_fault_of_the_configuration() {
    let (code, _, words) =
        output(&["--listen", "127.0.0.1:0", "--audit-log", "/no/such/folder/audit"]);
    assert!(code == 2 && words.contains("audit-log /no/such/folder/audit"), "{code} {words}");
}
