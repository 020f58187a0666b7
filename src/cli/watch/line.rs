//! An event as one line of text. Control characters in the traffic are escaped, so that it cannot
//! control the terminal.

use std::collections::HashMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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
        // The end of the credential, which the client knows.
        "end" => None,
        "gap" => Some(format!("{{\"kind\":\"gap\",{}", message.data.strip_prefix('{')?)),
        _ => Some(message.data.clone()),
    }
}

/// The widest column of ids. A longer id is cut.
const WIDEST: usize = 30;

/// Maximum number of connections whose paths are kept. Of further ones no path is printed.
const MAX_PATHS: usize = 10_000;

/// Bytes of a binary message in a line.
const BYTES: usize = 32;

/// Writes events as lines whose columns are aligned.
#[derive(Debug)]
pub(super) struct Lines {
    /// Width of the column of ids; it grows.
    width: usize,
    /// Paths of the connections whose id wstap has made.
    paths: HashMap<String, String>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { width: 14, paths: HashMap::new() }
    }
}

/// The value that is printed as it was sent.
#[derive(Deserialize)]
struct AsSent<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

impl Lines {
    /// Takes the paths of open connections from a list of them, in JSON.
    pub(super) fn learn(&mut self, list: &[u8]) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Open {
            connection_id: String,
            path: String,
        }
        let open: Vec<Open> = serde_json::from_slice(list).unwrap_or_default();
        for Open { connection_id, path } in open {
            self.add(&connection_id, &path);
        }
    }

    /// Keeps the path of a connection, without its query, if wstap has made its id.
    fn add(&mut self, id: &str, path: &str) {
        if is_made(id) && self.paths.len() < MAX_PATHS {
            let path = path.split('?').next().unwrap_or_default();
            self.paths.insert(id.to_owned(), path.to_owned());
        }
    }

    /// Returns the id column of an event: the id, and the path beside an id that wstap has made.
    fn id_column(&mut self, event: &Value) -> String {
        // Messages that were published by HTTP have no connection.
        let id = event["connectionId"].as_str().unwrap_or("-");
        if let Some(path) = event["path"].as_str() {
            self.add(id, path);
        }
        let path = self.paths.get(id).cloned();
        if event["kind"] == "close" {
            self.paths.remove(id);
        }
        let id = match path {
            // A line that begins a connection has its path at the end.
            Some(path) if event["kind"] != "connect" => format!("{id} {path}"),
            _ => id.to_owned(),
        };
        let id = escape(&id, WIDEST - 1);
        self.width = self.width.max(id.chars().count()).min(WIDEST);
        format!("{id:<0$}", self.width)
    }

    /// Returns the line of an event or a gap; `None` if the message is neither.
    pub(super) fn text(&mut self, message: &Message) -> Option<String> {
        text(self, message)
    }
}

/// Returns whether wstap has made an id: eleven digits and letters.
fn is_made(id: &str) -> bool {
    id.len() == 11 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// Returns the line of an event or a gap; `None` if the message is neither.
fn text(lines: &mut Lines, message: &Message) -> Option<String> {
    let event: Value = match serde_json::from_str(&message.data) {
        Ok(event) => event,
        // JSON that `Value` cannot hold, such as a lone surrogate, is printed as it is.
        Err(_) => return Some(escape(&message.data, PREVIEW)),
    };
    if message.name == "end" {
        return None;
    }
    if message.name == "gap" {
        let missed = event["missed"].as_u64();
        let missed =
            missed.map_or("events were lost".to_owned(), |n| format!("{n} events were lost"));
        return Some(format!("{RED}gap{RED:#}  {missed} here"));
    }
    let time = clock(event["time"].as_str()?);
    let id = lines.id_column(&event);
    let payload = |event: &Value| payload(event, &message.data);
    let (style, sign, words) = match event["kind"].as_str()? {
        "connect" => (GREEN, '+', connect(&event)),
        "close" => (YELLOW, '×', close(&event)),
        "join" => (GREEN, '›', presence(&event, "joined")),
        "leave" => (YELLOW, '‹', presence(&event, "left")),
        "request" => (BLUE, '·', request(&event)),
        _ if event["direction"] == "out" => (MAGENTA, '←', payload(&event)),
        _ => (CYAN, '→', payload(&event)),
    };
    Some(format!("{DIM}{time}{DIM:#}  {style}{sign} {id}{style:#}  {words}"))
}

fn connect(event: &Value) -> String {
    let mut words = format!("{GREEN}connected{GREEN:#}");
    if event["transport"] == "sse" {
        let method = escape(event["method"].as_str().unwrap_or("GET"), 20);
        write!(words, "  event stream {method}").expect("a String takes all");
    }
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
    let mut words = if event["transport"] != "sse" {
        let unclean = if close["clean"] == false { ", not clean" } else { "" };
        format!("{YELLOW}closed {code}{YELLOW:#} by the {by}{unclean}")
    } else if close["clean"] == true {
        format!("{YELLOW}ended{YELLOW:#} by the {by}")
    } else {
        format!("{YELLOW}broken off{YELLOW:#} by the {by}")
    };
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

/// `data` is the event as it came.
fn payload(event: &Value, data: &str) -> String {
    let size = event["size"].as_u64().unwrap_or(0);
    let body = match (&event["message"], event["encoding"].as_str()) {
        (Value::String(base64), Some("base64")) => binary(base64),
        (Value::String(text), _) => escape(text, PREVIEW),
        _ => {
            let sent: Option<AsSent<'_>> = serde_json::from_str(data).ok();
            let sent = sent.and_then(|sent| sent.message);
            escape(sent.map_or("null", RawValue::get), PREVIEW)
        }
    };
    let name = event["event"].as_str();
    let name = name.map(|name| format!("{BLUE}{}{BLUE:#} ", escape(name, 80))).unwrap_or_default();
    let channel = event["channel"].as_str();
    let channel = channel.map(|name| format!("{BLUE}#{}{BLUE:#} ", escape(name, 80)));
    let cut = if event["truncated"] == true { ", cut" } else { "" };
    format!("{name}{}{body}  {DIM}{size} B{cut}{DIM:#}", channel.unwrap_or_default())
}

/// Returns the beginning of binary data as hex, and the text that can be read in it.
fn binary(base64: &str) -> String {
    let Ok(bytes) = STANDARD.decode(base64) else { return escape(base64, PREVIEW) };
    let shown = &bytes[..bytes.len().min(BYTES)];
    let mut hex = String::new();
    for byte in shown {
        write!(hex, "{byte:02x} ").expect("a String takes all");
    }
    let more = if bytes.len() > BYTES { "… " } else { "" };
    let readable = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' };
    let text: String = shown.iter().map(readable).collect();
    format!("{hex}{more}{DIM}{text}{DIM:#}")
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
        let mut lines = Lines::default();
        anstream::adapter::strip_str(&lines.text(&message).expect("a line")).to_string()
    }

    #[test]
    fn events_and_gaps_are_lines() {
        let connect = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:5","path":"/ws"}"#;
        assert!(
            plain("message", connect).ends_with("+ a               connected  127.0.0.1:5  /ws")
        );
        let message = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":5,"message":{"x":1}}"#;
        assert!(plain("message", message).ends_with("→ a               {\"x\":1}  5 B"));
        let stream = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:5","transport":"sse","method":"POST","path":"/s"}"#;
        assert!(plain("message", stream).contains("connected  event stream POST  127.0.0.1:5  /s"));
        let event = message.replace("\"opcode\"", "\"event\":\"add\",\"opcode\"");
        assert!(plain("message", &event).ends_with("add {\"x\":1}  5 B"));
        let close = r#"{"id":"1-0","time":"2026-01-01T00:00:00.000Z","kind":"close","connectionId":"a","close":{"code":1006,"reason":"gone","clean":false,"by":"network"},"duration":1.5,"messages":{"in":2,"out":0}}"#;
        assert!(plain("message", close).ends_with("× a               closed 1006 by the network, not clean: gone  after 1.5 s, 2 in, 0 out"));
        let end = close.replace("\"duration\"", "\"transport\":\"sse\",\"duration\"");
        assert!(plain("message", &end).contains("broken off by the network: gone"));
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
    fn messages_are_printed_as_they_were_sent() {
        for json in [r#"{"b":1.50, "a":12345678901234567890123,"a":-0}"#, "1e400", "[1.0,2.00]"] {
            let data = format!(
                r#"{{"time":"2026-01-01T00:00:00Z","kind":"message","connectionId":"a","direction":"in","size":1,"message":{json}}}"#
            );
            let line = plain("message", &data);
            assert!(line.contains(json), "{line}");
        }
    }

    #[test]
    fn binary_is_hex_with_its_readable_text() {
        let data = r#"{"time":"2026-01-01T00:00:00Z","kind":"message","connectionId":"a","direction":"in","size":4,"encoding":"base64","message":"AGhp/w=="}"#;
        let line = plain("message", data);
        assert!(line.ends_with("00 68 69 ff ·hi·  4 B"), "{line}");
    }

    #[test]
    fn columns_are_aligned_and_made_ids_have_their_path() {
        let mut lines = Lines::default();
        let mut line = |id: &str, kind: &str, more: &str| {
            let data = format!(
                r#"{{"time":"2026-01-01T00:00:00Z","kind":"{kind}","connectionId":"{id}",{more}}}"#
            );
            let message = Message { name: "message".to_owned(), data };
            anstream::adapter::strip_str(&lines.text(&message).expect("a line")).to_string()
        };
        let text = r#""direction":"in","size":1,"message":"x""#;
        line("1kah0000005", "connect", r#""path":"/chat?token=1""#);
        let made = line("1kah0000005", "message", text);
        assert!(made.ends_with("→ 1kah0000005 /chat  x  1 B"), "{made}");
        let own = line("room", "message", text);
        assert_eq!(own.find("x  1 B"), made.find("x  1 B"), "{own}");
        let long = line(&"y".repeat(50), "message", text);
        assert!(long.contains(&format!("{}…  x", "y".repeat(29))), "{long}");
        let before = line(
            "1kah0000006",
            "message",
            r#""direction":"in","size":5000,"truncated":true,"message":"x""#,
        );
        assert!(before.ends_with("x  5000 B, cut") && !before.contains('/'), "{before}");
        lines.learn(br#"[{"connectionId":"1kah0000006","path":"/old?x"},{"connectionId":"own","path":"/"}]"#);
        let data = format!(
            r#"{{"time":"2026-01-01T00:00:00Z","kind":"message","connectionId":"1kah0000006",{text}}}"#
        );
        let message = Message { name: "message".to_owned(), data };
        let known =
            anstream::adapter::strip_str(&lines.text(&message).expect("a line")).to_string();
        assert!(known.contains("→ 1kah0000006 /old "), "{known}");
    }

    #[test]
    fn gaps_are_json_too() {
        let gap = Message { name: "gap".to_owned(), data: "{\"missed\":1}".to_owned() };
        assert_eq!(json(&gap).as_deref(), Some("{\"kind\":\"gap\",\"missed\":1}"));
    }
}
