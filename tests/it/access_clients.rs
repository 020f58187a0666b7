//! Commands that show a token to a server, and go on with a new one when it has expired.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::cli::{Running, output, wstap};
use crate::harness::{ask_blocking, request_at};

const SECRET: &str = "a secret of more than thirty-two bytes";

fn token(lasts: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = json!({
        "sub": "ann",
        "exp": now + lasts,
        "wstap": {"observe": true, "connect": true, "publish": ["*"], "control": true},
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("claims are JSON")
}

/// A server that asks for tokens, and a folder for files.
fn guarded() -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let key = dir.path().join("key");
    std::fs::write(&key, SECRET).expect("written");
    let key = key.to_str().expect("text");
    (Running::server(&["--listen", "127.0.0.1:0", "--jwt-key", key]), dir)
}

async fn publish(server: &Running, message: &str) {
    let addr = server.url().trim_start_matches("http://").parse().expect("an address");
    let bearer = format!("Bearer {}", token(600));
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    let answer = request_at(addr, "POST", "/api/channels/news/messages", &headers, message).await;
    assert_eq!(answer.status(), 202);
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until a file has so many lines.
fn until_lines(path: &Path, count: usize, running: &Running) {
    let words = || format!("{:?} {}", lines(path), running.words());
    ask_blocking(words, || (lines(path).len() >= count).then_some(()));
}

#[tokio::test]
async fn recording_goes_on_without_a_hole_when_its_token_expires_and_is_renewed() {
    let (server, dir) = guarded();
    let (file, out) = (dir.path().join("token"), dir.path().join("out.ndjson"));
    std::fs::write(&file, token(3)).expect("written");
    let at = format!("@{}", file.display());
    let url = server.url();
    let out_text = out.to_str().expect("text");
    let mut recording =
        Running::start(wstap().args(["record", &url, out_text, "--since", "1h", "--token", &at]));
    publish(&server, "one").await;
    until_lines(&out, 1, &recording);
    recording.until("the token has expired");
    publish(&server, "two").await;
    std::fs::write(&file, token(600)).expect("written");
    publish(&server, "three").await;
    until_lines(&out, 3, &recording);
    let messages: Vec<_> = lines(&out).iter().map(|it| it["message"].clone()).collect();
    assert_eq!(messages, ["one", "two", "three"]);
    recording.signal("TERM");
    assert!(recording.end().success());
}

#[tokio::test]
async fn commands_take_their_token_from_a_flag_a_file_or_the_variable() {
    let (server, dir) = guarded();
    publish(&server, "hello").await;
    let (url, good) = (server.url(), token(600));
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{good}\n")).expect("written");
    let at = format!("@{}", file.display());
    let (code, out, words) = output(&["export", &url]);
    assert!(code == 1 && out.is_empty() && words.contains("WSTAP_TOKEN"), "{code} {words}");
    for shown in [&good, &at] {
        let (code, out, words) = output(&["export", &url, "--token", shown]);
        assert!(code == 0 && out.contains("hello"), "{words}");
        let done = wstap().args(["export", &url]).env("WSTAP_TOKEN", shown).output();
        let done = done.expect("it runs");
        assert!(String::from_utf8_lossy(&done.stdout).contains("hello"), "{done:?}");
    }
    let (code, _, words) = output(&["export", &url, "--token", "wrong-secret"]);
    assert!(code == 1 && !words.contains("wrong-secret"), "{words}");
    let (code, _, words) = output(&["export", &url, "--token", "@/no/such/file"]);
    assert!(code == 2 && words.contains("/no/such/file"), "{words}");
    let mut watching =
        Running::start(wstap().args(["watch", &url, "--last", "1"]).env("WSTAP_TOKEN", &at));
    watching.until("hello");
}

#[tokio::test]
async fn replay_shows_its_token_in_the_handshake() {
    let (server, dir) = guarded();
    let recording = dir.path().join("day.ndjson");
    let line = |id: u64, more: &str| {
        format!(
            "{{\"id\":\"{id}-0\",\"time\":\"2026-01-31T12:00:00.00{id}Z\",\"connectionId\":\"a\",{more}}}\n"
        )
    };
    let text = [
        line(
            1,
            r#""kind":"connect","remote":"127.0.0.1:1","path":"/ws?connectionId=a&ack=1","headers":{}"#,
        ),
        line(2, r#""kind":"message","direction":"in","opcode":"text","size":3,"message":"one""#),
    ];
    std::fs::write(&recording, text.concat()).expect("written");
    let file = recording.to_str().expect("text");
    let url = server.url().replacen("http", "ws", 1);
    let (code, _, words) = output(&["replay", file, &url, "--speed", "max"]);
    assert_eq!(code, 1, "{words}");
    let good = token(600);
    let _ = output(&["replay", file, &url, "--speed", "max", "--token", &good]);
    let (_, out, words) = output(&["export", &server.url(), "--token", &good]);
    assert!(out.contains("\"one\"") && out.contains("\"user\":\"ann\""), "{out} {words}");
}
