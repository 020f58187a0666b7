//! Plays the conversations in `tests/fixtures/dialects` against a server.
//!
//! ```text
//! # a comment
//! channel room presence history=3     rules of a channel (before all else)
//! open a /ws?ack=1                     a client connects
//! a> {"type":"subscribe",…}            it sends text
//! a< {"ack":"ID"}                      it receives text; `a< close 4400` is a close frame
//! close a 1000                         it closes
//! post /api/channels/room/messages 1   a body by HTTP
//! = 202 {"id":"ID"}                    the answer
//! events< {"connectionId":"a"}         the next event of the stream
//! ```
//!
//! `ID` stands for ids of events, `MADE` for generated ids of connections. With `UPDATE_EXPECT=1` the
//! lines of the server are written anew.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use tungstenite::Message as Frame;
use wstap::hub::{ChannelRules, Declared, Settings};

use crate::harness::{Tap, Ws};

fn declared(line: &str) -> Declared {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a name").parse().expect("a pattern");
    let mut rules = ChannelRules::default();
    for word in words {
        match word.split_once('=') {
            Some(("history", count)) => rules.history = count.parse().expect("a number"),
            None if word == "presence" => rules.presence = true,
            None if word == "private" => rules.private = true,
            _ => panic!("there is no rule {word}"),
        }
    }
    Declared { name, rules }
}

/// Plays a conversation, and returns it with the answers of the server.
async fn played(script: &str) -> String {
    let channels = script.lines().filter_map(|line| line.strip_prefix("channel "));
    let channels = channels.map(declared).collect();
    let tap = Tap::with(Settings { channels, ..Settings::default() }, |_| {}).await;
    let mut events = tap.events("").await;
    let mut clients: HashMap<String, Ws> = HashMap::new();
    let mut answer = String::new();
    let id = Regex::new(r"\b1\d{12}-\d+\b").expect("a pattern");
    let made = Regex::new(r#""1[0-9a-hjkmnp-tv-z]{10}""#).expect("a pattern");
    let shown = |text: &str| {
        let text = id.replace_all(text, "ID");
        made.replace_all(&text, "\"MADE\"").into_owned()
    };
    let mut out = String::new();
    for line in script.lines() {
        let (said, rest) = line.split_once(' ').unwrap_or((line, ""));
        let told = match said {
            "" | "#" | "channel" => line.to_owned(),
            "open" => {
                let (name, path) = rest.split_once(' ').expect("a name and a path");
                clients.insert(name.to_owned(), tap.ws(path).await);
                line.to_owned()
            }
            "close" => {
                let (name, code) = rest.split_once(' ').expect("a name and a code");
                let ws = clients.remove(name).expect("it is open");
                ws.close(code.parse().expect("a code"), "").await;
                line.to_owned()
            }
            "post" => {
                let (path, body) = rest.split_once(' ').expect("a path and a body");
                let headers = [("content-type", "application/json")];
                let got = tap.fetch("POST", path, &headers, body).await;
                answer = format!("= {} {}", got.status, shown(&got.body));
                line.to_owned()
            }
            "=" => std::mem::take(&mut answer),
            "events<" => {
                let event = events.next().await;
                let name = if event.name == "message" { "" } else { event.name.as_str() };
                format!(
                    "events< {name}{}{}",
                    if name.is_empty() { "" } else { " " },
                    shown(&event.data)
                )
            }
            _ => {
                let name = said.trim_end_matches(['<', '>']);
                let ws = clients.get_mut(name).unwrap_or_else(|| panic!("who is {name}?"));
                if said.ends_with('>') {
                    ws.send(rest).await;
                    line.to_owned()
                } else {
                    match ws.next().await {
                        Some(Frame::Text(text)) => format!("{name}< {}", shown(&text)),
                        Some(Frame::Close(frame)) => {
                            let code = frame.map_or(1005, |frame| u16::from(frame.code));
                            format!("{name}< close {code}")
                        }
                        other => format!("{name}< {other:?}"),
                    }
                }
            }
        };
        out.push_str(&told);
        out.push('\n');
    }
    out
}

#[tokio::test]
async fn every_dialect_is_spoken_as_it_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects");
    let files = fs::read_dir(folder).expect("they are there").map(|it| it.expect("a file").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let script = fs::read_to_string(&file).expect("text");
        let went = played(&script).await;
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, went).expect("written");
        } else {
            assert_eq!(went, script, "{}", file.display());
        }
    }
}
