//! An event as one line of text. Control characters in the traffic are escaped, so that it cannot
//! control the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::escape::escape;
use crate::wire::sse::Message;

/// Maximum characters of a message in a line.
const PREVIEW: usize = 200;

const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const MAGENTA: Style = AnsiColor::Magenta.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BLUE: Style = AnsiColor::Blue.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Returns the JSON of an event or a gap; `None` if the message is neither.
pub(in crate::cli) fn json(message: &Message) -> Option<String> {
    match message.name.as_str() {
        "gap" => Some(format!("{{\"kind\":\"gap\",{}", message.data.strip_prefix('{')?)),
        _ => Some(message.data.clone()),
    }
}

/// Returns the line of an event or a gap; `None` if the message is neither.
pub(super) fn text(message: &Message) -> Option<String> {
    let event: Value = match serde_json::from_str(&message.data) {
        Ok(event) => event,
        // JSON that `Value` cannot hold, such as a lone surrogate, is printed as it is.
        Err(_) => return Some(escape(&message.data, PREVIEW)),
    };
    if message.name == "gap" {
        let missed = event["missed"].as_u64();
        let missed =
            missed.map_or("events were lost".to_owned(), |n| format!("{n} events were lost"));
        return Some(format!("{RED}gap{RED:#}  {missed} here"));
    }
    let time = clock(event["time"].as_str()?);
    // Messages that were published by HTTP have no connection.
    let id = escape(event["connectionId"].as_str().unwrap_or("-"), 40);
    let (style, sign, words) = match event["kind"].as_str()? {
        "connect" => (GREEN, '+', connect(&event)),
        "close" => (YELLOW, '×', close(&event)),
        "join" => (GREEN, '›', presence(&event, "joined")),
        "leave" => (YELLOW, '‹', presence(&event, "left")),
        "request" => (BLUE, '·', request(&event)),
        _ if event["direction"] == "out" => (MAGENTA, '←', payload(&event)),
        _ => (CYAN, '→', payload(&event)),
    };
    Some(format!("{DIM}{time}{DIM:#}  {style}{sign} {id:<14}{style:#}  {words}"))
}

fn connect(event: &Value) -> String {
    let mut words = format!("{GREEN}connected{GREEN:#}");
    for part in [&event["remote"], &event["path"]] {
        if let Some(part) = part.as_str() {
            write!(words, "  {DIM}{}{DIM:#}", escape(part, 80)).expect("a String takes all");
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
        write!(words, ": {}", escape(reason, 130)).expect("a String takes all");
    }
    if let Some(hint) = event["hint"].as_str() {
        write!(words, "  {BLUE}{}{BLUE:#}", escape(hint, 2 * PREVIEW)).expect("a String takes all");
    }
    if event["status"].is_u64() {
        // The handshake was refused: there was no connection.
        return words;
    }
    let (seconds, messages) = (&event["duration"], &event["messages"]);
    let flow = format!("after {seconds} s, {} in, {} out", messages["in"], messages["out"]);
    write!(words, "  {DIM}{flow}{DIM:#}").expect("a String takes all");
    words
}

fn request(event: &Value) -> String {
    let text = |key: &str| escape(event[key].as_str().unwrap_or("?"), PREVIEW);
    let status = event["status"].as_u64().unwrap_or(0);
    let style = if status / 100 < 4 { DIM } else { RED };
    let mut words = format!("{} {} {style}{status}{style:#}", text("method"), text("path"));
    if let Some(note) = event["note"].as_str() {
        write!(words, ": {}", escape(note, PREVIEW)).expect("a String takes all");
    }
    let (seconds, bytes) = (&event["duration"], &event["bytes"]);
    let flow = format!("{seconds} s, {} B in, {} B out", bytes["in"], bytes["out"]);
    write!(words, "  {DIM}{flow}{DIM:#}").expect("a String takes all");
    words
}

fn presence(event: &Value, what: &str) -> String {
    let name = |key: &str| escape(event[key].as_str().unwrap_or("?"), 80);
    format!("{} {what} {BLUE}#{}{BLUE:#}", name("user"), name("channel"))
}

fn payload(event: &Value) -> String {
    let size = event["size"].as_u64().unwrap_or(0);
    let body = match (&event["message"], event["encoding"].as_str()) {
        (Value::String(base64), Some("base64")) => {
            format!("{DIM}binary{DIM:#} {}", escape(base64, PREVIEW))
        }
        (Value::String(text), _) => escape(text, PREVIEW),
        (json, _) => escape(&json.to_string(), PREVIEW),
    };
    let channel = event["channel"].as_str();
    let channel = channel.map(|name| format!("{BLUE}#{}{BLUE:#} ", escape(name, 80)));
    format!("{}{body}  {DIM}{size} B{DIM:#}", channel.unwrap_or_default())
}

/// Returns the time of day in the time zone of this machine.
fn clock(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => escape(time, 30),
    }
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
    fn traffic_cannot_control_the_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}evil\u{7f}\r\n";
        let data = serde_json::json!({"time": "2026-01-01T00:00:00Z", "kind": "message", "connectionId": hostile, "direction": "in", "size": 1, "message": hostile});
        let line = plain("message", &data.to_string());
        assert!(
            !line.chars().any(|c| c.is_control() || crate::cli::escape::is_invisible(c)),
            "{line:?}"
        );
    }

    #[test]
    fn gaps_are_json_too() {
        let gap = Message { name: "gap".to_owned(), data: "{\"missed\":1}".to_owned() };
        assert_eq!(json(&gap).as_deref(), Some("{\"kind\":\"gap\",\"missed\":1}"));
    }
}
