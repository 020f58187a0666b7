//! Conversations as files: `>` lines are sent by a client, `<` lines by the server. `UPDATE_EXPECT=1`
//! writes the lines of the server anew.
//!
//! ```text
//! > POST /connect {"username":"ann"}      a signed call, and its body
//! < 200 {"channels":[],…}                 status and body of the answer
//! > ann opens 11111111-…                  a WebSocket named ann
//! < ann [{…}]                             a frame that it receives; heartbeats are left out
//! > ann closes                            it closes
//! ```
//!
//! `UUID` and `TIME` stand for generated ids and times.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Api, frame};
use crate::harness::Ws;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/channelstream")
}

#[tokio::test]
async fn transcripts_are_what_happens() {
    let mut played = 0;
    let mut files: Vec<_> =
        fs::read_dir(folder()).expect("a folder").map(|it| it.expect("an entry").path()).collect();
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        let now = play(&text).await;
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &now).expect("writable");
        } else {
            assert_eq!(text, now, "{}", path.display());
        }
        played += 1;
    }
    assert!(played >= 5, "the transcripts are there");
}

/// Plays a conversation, and returns it with the answers of the server.
async fn play(text: &str) -> String {
    let api = Api::start().await;
    let mut sockets: HashMap<String, Ws> = HashMap::new();
    let mut now = Vec::new();
    for line in text.lines() {
        if let Some(answer) = line.strip_prefix("< ") {
            // The answer of a call was added with the call.
            let who = answer.split(' ').next().unwrap_or_default();
            if let Some(ws) = sockets.get_mut(who) {
                now.push(format!("< {who} [{}]", told(frame(ws).await, text)));
            }
            continue;
        }
        now.push(line.to_owned());
        let Some(said) = line.strip_prefix("> ") else { continue };
        let mut words = said.splitn(3, ' ');
        let (first, second) = (words.next().expect("a word"), words.next().expect("another"));
        let rest = words.next().unwrap_or_default();
        match second {
            "opens" => _ = sockets.insert(first.to_owned(), api.ws(rest).await),
            "closes" => sockets.remove(first).expect("it is open").close(1000, "").await,
            path => {
                let answer = api.call(first, path, rest).await;
                let body = serde_json::from_str(&answer.body).expect("JSON");
                now.push(format!("< {} {}", answer.status, told(body, text)));
            }
        }
    }
    now.join("\n") + "\n"
}

/// Returns JSON without generated values.
fn told(mut value: Value, transcript: &str) -> String {
    fn hide(value: &mut Value, transcript: &str) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| hide(item, transcript)),
            Value::Object(members) => {
                for (name, value) in members {
                    // Values that a client has chosen are not replaced.
                    let chosen = value.as_str().is_some_and(|it| chosen(it, transcript));
                    match (name.as_str(), chosen) {
                        ("uuid" | "conn_id", false) if value.is_string() => *value = "UUID".into(),
                        ("timestamp" | "edited" | "last_active", false) if value.is_string() => {
                            *value = "TIME".into();
                        }
                        _ => hide(value, transcript),
                    }
                }
            }
            _ => {}
        }
    }
    hide(&mut value, transcript);
    value.to_string()
}

/// Returns whether a client sends a text somewhere in a transcript.
fn chosen(text: &str, transcript: &str) -> bool {
    transcript.lines().any(|line| line.starts_with('>') && line.contains(text))
}
