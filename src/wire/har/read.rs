//! Archives to events: those of wstap, Chrome, Firefox, Playwright and mitmproxy, which differ in
//! the unit of `time` and in what they leave out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::read::{Recorded, UNKNOWN, Unreadable, routing, worth_knowing};
use crate::event::{
    Answer, Body, Connect, ConnectionId, Direction, Draft, Event, EventBody, EventId, FrameInfo,
    Message, Opcode,
};
use crate::json::{self, Json};

/// Returns whether a text begins as an archive does: with an object whose first key is `log`.
#[must_use]
pub fn is_har(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let key = text.strip_prefix('{').map(str::trim_start);
    key.is_some_and(|key| key.starts_with("\"log\""))
}

/// Reads the WebSockets of an archive, in the order of time. Its other entries are not looked at.
///
/// # Errors
///
/// If it is none, or has no WebSockets whose messages are in it.
pub fn read(text: &str) -> Result<Vec<Recorded>, Unreadable> {
    let archive: Archive<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|fault| Unreadable(format!("this is no HTTP Archive ({fault})")))?;
    let mut apart = false;
    let mut events = Vec::new();
    for (n, entry) in archive.log.entries.iter().enumerate() {
        if entry.is_websocket() {
            apart |= entry.messages.is_none() && entry.response.content.file.is_some();
            entry.read(n as u64, &mut events)?;
        }
    }
    if events.iter().all(|event| matches!(event.body, EventBody::Connect(_))) {
        let why = if apart {
            "its messages are in other files; Playwright puts them in with recordHar: { content: \"embed\" }"
        } else {
            "this archive has no WebSocket messages"
        };
        return Err(Unreadable(why.to_owned()));
    }
    let mut gaps = Vec::new();
    for gap in archive.log.own.into_iter().flat_map(|own| own.gaps) {
        match super::super::read(gap.get())? {
            Recorded::Event(lost) => events.push(lost),
            gap @ Recorded::Gap(_) => gaps.push(gap),
        }
    }
    events.sort_by_key(|event| event.id);
    let mut last = EventId::default();
    for event in &mut events {
        event.id = if event.id > last { event.id } else { last.next(event.id.ms) };
        last = event.id;
    }
    Ok(events.into_iter().map(Recorded::Event).chain(gaps).collect())
}

#[derive(Deserialize)]
struct Archive<'a> {
    #[serde(borrow)]
    log: Log<'a>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
    #[serde(borrow, rename = "_wstap")]
    own: Option<OwnLog<'a>>,
}

#[derive(Deserialize)]
struct OwnLog<'a> {
    #[serde(borrow, default)]
    gaps: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "startedDateTime")]
    started: Option<String>,
    request: Request,
    #[serde(default)]
    response: Response,
    #[serde(default)]
    timings: Timings,
    #[serde(rename = "_resourceType")]
    kind: Option<String>,
    #[serde(borrow, rename = "_webSocketMessages")]
    messages: Option<Vec<Frame<'a>>>,
    #[serde(borrow, rename = "_wstap")]
    own: Option<Own<'a>>,
}

#[derive(Deserialize)]
struct Request {
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize, Default)]
struct Response {
    #[serde(default)]
    status: i32,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(rename = "_file")]
    file: Option<String>,
}

#[derive(Deserialize, Default)]
struct Timings {
    wait: Option<f64>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// One of the messages.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    way: String,
    #[serde(default)]
    time: f64,
    #[serde(default)]
    opcode: i32,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "_wstap")]
    own: Option<OwnFrame>,
}

#[derive(Deserialize)]
struct OwnFrame {
    id: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    synthetic: bool,
    wire: Option<u64>,
    fragments: Option<u32>,
    #[serde(default)]
    compressed: bool,
    note: Option<Box<str>>,
    channel: Option<String>,
    user: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Own<'a> {
    connection_id: Option<String>,
    #[serde(borrow)]
    connect: Option<&'a RawValue>,
    #[serde(borrow, default)]
    control: Vec<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
}

impl Entry<'_> {
    fn is_websocket(&self) -> bool {
        let url = &self.request.url;
        self.kind.as_deref() == Some("websocket")
            || self.messages.is_some()
            || url.starts_with("ws:")
            || url.starts_with("wss:")
    }

    fn read(&self, n: u64, events: &mut Vec<Event>) -> Result<(), Unreadable> {
        let started = self.started.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let started = started.and_then(|time| u64::try_from(time.as_millisecond()).ok());
        let first = self.messages.iter().flatten().next().and_then(Frame::ms);
        // Some clocks of the handshake are behind those of the messages.
        let started = started.or(first).unwrap_or(0).min(first.unwrap_or(u64::MAX));
        let named = self.own.as_ref().and_then(|own| own.connection_id.as_deref()?.parse().ok());
        let connection = named.unwrap_or_else(|| ConnectionId::made(started, n));
        let own = |raw: Option<&RawValue>| -> Result<Option<Event>, Unreadable> {
            match raw.map(|raw| super::super::read(raw.get())).transpose()? {
                Some(Recorded::Event(event)) => Ok(Some(event)),
                Some(Recorded::Gap(_)) | None => Ok(None),
            }
        };
        let written_by_us = self.own.is_some();
        let close = own(self.own.as_ref().and_then(|own| own.close))?;
        match own(self.own.as_ref().and_then(|own| own.connect))? {
            Some(event) => events.push(event),
            None if written_by_us => {}
            None => {
                let body = EventBody::Connect(Box::new(self.connect()));
                let id = EventId { ms: started, seq: 0 };
                events.push(Draft { connection: connection.clone(), body }.stamp(id, 0));
            }
        }
        let mut last = EventId { ms: started, seq: 0 };
        for frame in self.messages.iter().flatten() {
            let Some(message) = frame.message(&connection) else { continue };
            let id = frame.own.as_ref().and_then(|own| own.id.as_deref()?.parse().ok());
            // The order in the list is what counts, whatever the clock says.
            last = id.unwrap_or_else(|| match frame.ms() {
                Some(ms) if ms > last.ms => EventId { ms, seq: 0 },
                _ => last,
            });
            let body = EventBody::Message(message);
            events.push(Draft { connection: connection.clone(), body }.stamp(last, 0));
        }
        for raw in self.own.iter().flat_map(|own| &own.control) {
            events.extend(own(Some(raw))?);
        }
        events.extend(close);
        Ok(())
    }

    fn connect(&self) -> Connect {
        let (server, path) = split(&self.request.url);
        let headers = worth_knowing(|name| header(&self.request.headers, name));
        let answered = |name: &str| header(&self.response.headers, name);
        let wait = self.timings.wait.unwrap_or(0.0).max(0.0) / 1e3;
        let answer = Answer {
            upstream: server.into(),
            status: u16::try_from(self.response.status)
                .ok()
                .filter(|status| *status > 0)
                .unwrap_or(101),
            time: Duration::try_from_secs_f64(wait).unwrap_or_default(),
            subprotocol: answered("sec-websocket-protocol"),
            extensions: answered("sec-websocket-extensions"),
        };
        Connect { remote: UNKNOWN, path, headers, answer: Some(Box::new(answer)), user: None }
    }
}

fn header(headers: &[Header], name: &str) -> Option<String> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    header.map(|header| header.value.clone())
}

/// Splits a URL into scheme and authority, and path and query. Browsers note `https:` of a
/// WebSocket now and then.
fn split(url: &str) -> (String, String) {
    let after = url.find("://").map_or(0, |at| at + 3);
    let at = url[after..].find(['/', '?']).map_or(url.len(), |at| after + at);
    let server = url[..at].replacen("http", "ws", 1);
    let path = url[at..].split('#').next().unwrap_or_default();
    (server, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

impl Frame<'_> {
    /// Returns milliseconds since 1970: Chrome and mitmproxy write seconds, Playwright writes
    /// milliseconds, and -1 where it was to omit them.
    fn ms(&self) -> Option<u64> {
        // As seconds this is the year 5138, as milliseconds 1973.
        const SECONDS_END: f64 = 1e11;
        let seconds = if self.time < SECONDS_END { self.time } else { self.time / 1e3 };
        let since_1970 =
            Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())?;
        u64::try_from((since_1970 + Duration::from_micros(500)).as_millis()).ok()
    }

    /// Returns the message; what is none, such as Chrome's errors, is left out.
    fn message(&self, connection: &ConnectionId) -> Option<Message> {
        let direction = match self.way.as_str() {
            "send" | "request" => Direction::In,
            "receive" | "response" => Direction::Out,
            _ => return None,
        };
        let data: String = self
            .data
            .map(|data| serde_json::from_str(data.get()).unwrap_or_else(|_| data.get().to_owned()))
            .unwrap_or_default();
        let absent = self.own.as_ref().is_some_and(|own| own.size > 0 && data.is_empty());
        let opcode = match self.opcode {
            2 => Opcode::Binary,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            0 | 1 => Opcode::Text,
            _ => return None,
        };
        let (body, size) = match (opcode, STANDARD.decode(&data)) {
            _ if absent => (Body::Absent, 0),
            (Opcode::Binary, Ok(bytes)) => {
                let size = bytes.len();
                (Body::Binary(bytes.into()), size)
            }
            (Opcode::Ping | Opcode::Pong, _) => (Body::Binary(data.as_bytes().into()), data.len()),
            _ if self.is_own_object(&data, connection) => (Body::Object(Json::parse(&data)?), 0),
            _ => {
                (Body::Value(Json::parse(&data).unwrap_or_else(|| Json::string(&data))), data.len())
            }
        };
        let mut message = Message::new(direction, opcode, size, body);
        if let Some(own) = &self.own {
            message.size = own.size;
            message.synthetic = own.synthetic;
            let (channel, user) = (own.channel.as_deref(), own.user.as_deref());
            message.routing = routing(channel, user, &own.to, &own.except);
            message.frame_info = own.wire.map(|wire| FrameInfo {
                wire,
                fragments: own.fragments.unwrap_or(1),
                compressed: own.compressed,
                note: own.note.clone(),
            });
        }
        Some(message)
    }

    /// Returns whether a client of hub mode has said whose message it is.
    fn is_own_object(&self, data: &str, connection: &ConnectionId) -> bool {
        let hub_mode = self
            .own
            .as_ref()
            .is_some_and(|own| own.wire.is_none() && !own.synthetic && own.channel.is_none());
        let mut named = false;
        let object = hub_mode.then(|| {
            json::object(data, |key, value| {
                let id = || serde_json::from_str::<String>(value.get()).ok();
                named |= key.is("connectionId") && id().as_deref() == Some(connection.as_str());
            })
        });
        named && object.is_some_and(|object| object.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::full;

    fn lines(text: &str) -> Vec<String> {
        let line = |recorded| {
            let mut out = Vec::new();
            match recorded {
                Recorded::Event(event) => full(&event, &mut out),
                Recorded::Gap(gap) => crate::wire::full_gap(&gap, &mut out),
            }
            String::from_utf8(out).expect("text")
        };
        read(text).expect("an archive").into_iter().map(line).collect()
    }

    fn archive(messages: &str) -> String {
        format!(
            r#"{{"log":{{"entries":[{{"request":{{"url":"https://a.example/"}}}},
            {{"startedDateTime":"2025-11-20T20:20:00.000Z","request":{{"url":"wss://a.example:1/x?y=1#z",
            "headers":[{{"name":"Origin","value":"null"}},{{"name":"Cookie","value":"secret"}}]}},
            "response":{{"status":101,"headers":[{{"name":"Sec-WebSocket-Protocol","value":"v2"}}]}},
            "_webSocketMessages":{messages}}}]}}}}"#
        )
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        for unit in ["1763670000.5", "1763670000500", "1763670000500.4"] {
            let text = archive(&format!(
                r#"[{{"type":"send","time":{unit},"opcode":1,"data":"hi"}},
                {{"type":"receive","time":{unit},"opcode":2,"data":"AP8="}},
                {{"type":"error","time":{unit},"opcode":-1,"data":"x"}}]"#
            ));
            let lines = lines(&text);
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert!(lines[0].contains(r#""id":"1763670000000-0""#), "{}", lines[0]);
            assert!(lines[0].contains(r#""path":"/x?y=1","headers":{"origin":"null"},"subprotocol":"v2","upstream":"wss://a.example:1""#), "{}", lines[0]);
            assert!(
                lines[1].contains(r#""id":"1763670000500-0""#)
                    && lines[1].contains(r#""direction":"in","opcode":"text","size":2"#),
                "{}",
                lines[1]
            );
            assert!(
                lines[2].contains(r#""id":"1763670000500-1""#)
                    && lines[2].contains(r#""message":"AP8=","encoding":"base64""#),
                "{}",
                lines[2]
            );
        }
    }

    #[test]
    fn messages_without_a_time_keep_their_order() {
        let text = archive(
            r#"[{"type":"receive","time":-1,"opcode":1,"data":"1"},{"type":"send","time":-1,"opcode":1,"data":"2"}]"#,
        );
        let ids: Vec<_> = lines(&text).iter().map(|line| line[7..22].to_owned()).collect();
        assert_eq!(ids, ["1763670000000-0", "1763670000000-1", "1763670000000-2"]);
    }

    #[test]
    fn an_archive_without_messages_is_told() {
        let none = read(r#"{"log":{"entries":[]}}"#).expect_err("none").to_string();
        assert!(none.contains("no WebSocket messages"), "{none}");
        let apart = r#"{"log":{"entries":[{"request":{"url":"ws://a"},"response":{"content":{"_file":"x.jsonl"}}}]}}"#;
        let apart = read(apart).expect_err("apart").to_string();
        assert!(apart.contains("content: \"embed\""), "{apart}");
        assert!(read("{\"log\":1}").is_err() && read("[]").is_err());
        assert!(
            is_har(" { \"log\" : {") && is_har("\u{feff}{\"log\":") && !is_har("{\"id\":\"log\"")
        );
    }
}
