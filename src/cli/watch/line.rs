//! An event as a line for people. Whatever hostile traffic holds, it cannot steer the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::wire::sse::Message;

/// Characters of a message that are shown.
const PREVIEW: usize = 200;

const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const MAGENTA: Style = AnsiColor::Magenta.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BLUE: Style = AnsiColor::Blue.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Returns the JSON of an event or a gap; `None` for what is neither.
pub(in crate::cli) fn json(message: &Message) -> Option<String> {
    match message.name.as_str() {
        "gap" => Some(format!("{{\"kind\":\"gap\",{}", message.data.strip_prefix('{')?)),
        _ => Some(message.data.clone()),
    }
}

/// Returns the line of an event or a gap; `None` for what is neither.
pub(super) fn text(message: &Message) -> Option<String> {
    let event: Value = match serde_json::from_str(&message.data) {
        Ok(event) => event,
        // JSON that Rust cannot hold, such as a lone surrogate: shown as it came.
        Err(_) => return Some(shown(&message.data, PREVIEW)),
    };
    if message.name == "gap" {
        let missed = event["missed"].as_u64();
        let missed =
            missed.map_or("events were lost".to_owned(), |n| format!("{n} events were lost"));
        return Some(format!("{RED}gap{RED:#}  {missed} here; nobody has them any more"));
    }
    let time = clock(event["time"].as_str()?);
    // What was published by HTTP is no connection's.
    let id = shown(event["connectionId"].as_str().unwrap_or("-"), 40);
    let (style, sign, words) = match event["kind"].as_str()? {
        "connect" => (GREEN, '+', connect(&event)),
        "close" => (YELLOW, '×', close(&event)),
        "join" => (GREEN, '›', presence(&event, "joined")),
        "leave" => (YELLOW, '‹', presence(&event, "left")),
        _ if event["direction"] == "out" => (MAGENTA, '←', payload(&event)),
        _ => (CYAN, '→', payload(&event)),
    };
    Some(format!("{DIM}{time}{DIM:#}  {style}{sign} {id:<14}{style:#}  {words}"))
}

fn connect(event: &Value) -> String {
    let mut words = format!("{GREEN}connected{GREEN:#}");
    for part in [&event["remote"], &event["path"]] {
        if let Some(part) = part.as_str() {
            write!(words, "  {DIM}{}{DIM:#}", shown(part, 80)).expect("a String takes all");
        }
    }
    words
}

fn close(event: &Value) -> String {
    let close = &event["close"];
    let (code, by) = (&close["code"], close["by"].as_str().unwrap_or("?"));
    let mut words = format!("{YELLOW}closed {code}{YELLOW:#} by the {by}");
    if close["clean"] == false {
        words.push_str(", not clean");
    }
    if let Some(reason) = close["reason"].as_str().filter(|reason| !reason.is_empty()) {
        write!(words, ": {}", shown(reason, 130)).expect("a String takes all");
    }
    let (seconds, messages) = (&event["duration"], &event["messages"]);
    let flow = format!("after {seconds} s, {} in, {} out", messages["in"], messages["out"]);
    write!(words, "  {DIM}{flow}{DIM:#}").expect("a String takes all");
    words
}

fn presence(event: &Value, what: &str) -> String {
    let name = |key: &str| shown(event[key].as_str().unwrap_or("?"), 80);
    format!("{} {what} {BLUE}#{}{BLUE:#}", name("user"), name("channel"))
}

fn payload(event: &Value) -> String {
    let size = event["size"].as_u64().unwrap_or(0);
    let body = match (&event["message"], event["encoding"].as_str()) {
        (Value::String(base64), Some("base64")) => {
            format!("{DIM}binary{DIM:#} {}", shown(base64, PREVIEW))
        }
        (Value::String(text), _) => shown(text, PREVIEW),
        (json, _) => shown(&json.to_string(), PREVIEW),
    };
    let channel = event["channel"].as_str();
    let channel = channel.map(|name| format!("{BLUE}#{}{BLUE:#} ", shown(name, 80)));
    format!("{}{body}  {DIM}{size} B{DIM:#}", channel.unwrap_or_default())
}

/// Returns the time of day here.
fn clock(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => shown(time, 30),
    }
}

/// Returns text on one line and of bounded length, with everything that could steer a terminal or
/// turn the line around written out: control characters (C0, DEL, C1) and those of direction.
pub(in crate::cli) fn shown(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, char) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        match char {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_unseen(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Marks of direction, invisible joiners and line separators (Unicode UAX #9, UTR #36).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str, data: &str) -> String {
        let message = Message { name: name.to_owned(), data: data.to_owned() };
        anstream::adapter::strip_str(&text(&message).expect("a line")).to_string()
    }

    #[test]
    fn events_and_gaps_are_lines() {
        let connect = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:5","path":"/ws"}"#;
        assert!(
            plain("message", connect).ends_with("+ a               connected  127.0.0.1:5  /ws")
        );
        let message = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":5,"message":{"x":1}}"#;
        assert!(plain("message", message).ends_with("→ a               {\"x\":1}  5 B"));
        let close = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"close","connectionId":"a","close":{"code":1006,"reason":"gone","clean":false,"by":"network"},"duration":1.5,"messages":{"in":2,"out":0}}"#;
        assert!(plain("message", close).ends_with("× a               closed 1006 by the network, not clean: gone  after 1.5 s, 2 in, 0 out"));
        assert!(
            plain("gap", r#"{"missed":12,"after":null,"before":null}"#)
                .contains("12 events were lost")
        );
    }

    #[test]
    fn traffic_cannot_steer_the_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}evil\u{7f}\r\n";
        let data = serde_json::json!({"time": "2026-01-01T00:00:00Z", "kind": "message", "connectionId": hostile, "direction": "in", "size": 1, "message": hostile});
        let line = plain("message", &data.to_string());
        assert!(!line.chars().any(|c| c.is_control() || is_unseen(c)), "{line:?}");
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(shown(&"x".repeat(300), 200).chars().count(), 201);
    }

    #[test]
    fn gaps_are_json_too() {
        let gap = Message { name: "gap".to_owned(), data: "{\"missed\":1}".to_owned() };
        assert_eq!(json(&gap).as_deref(), Some("{\"kind\":\"gap\",\"missed\":1}"));
    }
}
