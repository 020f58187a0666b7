//! Archives to events: those of wstap, Chrome, Firefox, Playwright and mitmproxy. They differ in the
//! unit of `time` and in the fields that they leave out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::model::{Archive, Entry, List, Message as Frame, OwnMessage, Pair};
use crate::event::{
    Answer, Body, Connect, ConnectionId, Direction, Draft, Event, EventBody, EventId, FrameInfo,
    Message, Opcode,
};
use crate::json::{self, Json};
use crate::wire::read::{self as full, Recorded, UNKNOWN, Unreadable, routing, worth_knowing};

/// Returns whether a text begins like an archive: an object whose first key is `log`.
#[must_use]
pub fn is_har(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let key = text.strip_prefix('{').map(str::trim_start);
    key.is_some_and(|key| key.starts_with("\"log\""))
}

/// Reads the WebSockets of an archive, in the order of their times. Other entries are ignored.
///
/// # Errors
///
/// If the text is no archive, or has no WebSocket messages.
pub fn read(text: &str) -> Result<Vec<Recorded>, Unreadable> {
    let archive: Archive<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|fault| Unreadable(format!("this is no HTTP Archive ({fault})")))?;
    let mut apart = false;
    let mut events = Vec::new();
    for (n, entry) in archive.log.entries.0.iter().enumerate() {
        if is_websocket(entry) {
            apart |= entry.messages.is_none() && entry.response.content.file.is_some();
            connection(entry, n as u64, &mut events)?;
        }
    }
    if events.iter().all(|event| matches!(event.body, EventBody::Connect(_))) {
        let why = if apart {
            "its messages are in other files; Playwright includes them with recordHar: { content: \"embed\" }"
        } else {
            "this archive has no WebSocket messages"
        };
        return Err(Unreadable(why.to_owned()));
    }
    let mut gaps = Vec::new();
    for gap in archive.log.own.gaps.0 {
        match full::read(gap.get())? {
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

fn is_websocket(entry: &Entry<'_>) -> bool {
    let url = &entry.request.url;
    entry.resource_type.as_deref() == Some("websocket")
        || entry.messages.is_some()
        || url.starts_with("ws:")
        || url.starts_with("wss:")
}

/// Adds the events of the `n`th entry.
fn connection(entry: &Entry<'_>, n: u64, events: &mut Vec<Event>) -> Result<(), Unreadable> {
    let frames = entry.messages.as_ref().map_or(&[][..], |messages| &messages.0);
    let started =
        entry.started_date_time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
    let started = started.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let first = frames.first().and_then(ms);
    // The clock of the handshake may be behind that of the messages.
    let started = started.or(first).unwrap_or(0).min(first.unwrap_or(u64::MAX));
    let own = entry.own.as_ref();
    let named = own.and_then(|own| own.connection_id.as_deref()?.parse().ok());
    let connection =
        named.unwrap_or_else(|| ConnectionId::made(started, (started << 10) | (n % 1024)));
    if let Some(own) = own {
        events.extend(own.connect.map(own_event).transpose()?.flatten());
    } else {
        let body = EventBody::Connect(Box::new(connect(entry)));
        let id = EventId { ms: started, seq: 0 };
        events.push(Draft { connection: connection.clone(), body }.stamp(id));
    }
    let mut last = EventId { ms: started, seq: 0 };
    for frame in frames {
        let Some(message) = message(frame, &connection) else { continue };
        let id = frame.own.as_ref().and_then(|own| own.id.parse().ok());
        // The order of the list counts more than the times.
        last = id.unwrap_or_else(|| match ms(frame) {
            Some(ms) if ms > last.ms => EventId { ms, seq: 0 },
            _ => last,
        });
        let body = EventBody::Message(message);
        events.push(Draft { connection: connection.clone(), body }.stamp(last));
    }
    for raw in own.into_iter().flat_map(|own| own.control.0.iter().copied().chain(own.close)) {
        events.extend(own_event(raw)?);
    }
    Ok(())
}

/// Reads an event in full JSON; a gap is `None`.
fn own_event(raw: &RawValue) -> Result<Option<Event>, Unreadable> {
    Ok(match full::read(raw.get())? {
        Recorded::Event(event) => Some(event),
        Recorded::Gap(_) => None,
    })
}

fn connect(entry: &Entry<'_>) -> Connect {
    let (server, path) = split(&entry.request.url);
    let headers = worth_knowing(|name| header(&entry.request.headers, name));
    let answered = |name: &str| header(&entry.response.headers, name);
    let wait = entry.timings.wait.max(0.0) / 1e3;
    let status = u16::try_from(entry.response.status).ok().filter(|status| *status > 0);
    let answer = Answer {
        upstream: server.into(),
        status: status.unwrap_or(101),
        time: Duration::try_from_secs_f64(wait).unwrap_or_default(),
        subprotocol: answered("sec-websocket-protocol"),
        extensions: answered("sec-websocket-extensions"),
    };
    Connect { remote: UNKNOWN, path, headers, answer: Some(Box::new(answer)), user: None }
}

fn header(headers: &List<Pair<'_>>, name: &str) -> Option<String> {
    let header = headers.0.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    header.map(|header| header.value.clone().into_owned())
}

/// Splits a URL into scheme and authority, and path and query. Some browsers write `https:` for a
/// WebSocket.
fn split(url: &str) -> (String, String) {
    let after = url.find("://").map_or(0, |at| at + 3);
    let at = url[after..].find(['/', '?']).map_or(url.len(), |at| after + at);
    let server = url[..at].replacen("http", "ws", 1);
    let path = url[at..].split('#').next().unwrap_or_default();
    (server, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

/// Returns the time of a message in milliseconds since 1970. Chrome and mitmproxy write seconds,
/// Playwright writes milliseconds, and -1 if times are left out.
fn ms(frame: &Frame<'_>) -> Option<u64> {
    // As seconds this is the year 5138, as milliseconds 1973.
    const SECONDS_END: f64 = 1e11;
    let seconds = if frame.time < SECONDS_END { frame.time } else { frame.time / 1e3 };
    let since_1970 = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())?;
    u64::try_from((since_1970 + Duration::from_micros(500)).as_millis()).ok()
}

/// Returns a message; `None` for other items, such as the errors of Chrome.
fn message(frame: &Frame<'_>, connection: &ConnectionId) -> Option<Message> {
    let direction = match &*frame.kind {
        "send" | "request" => Direction::In,
        "receive" | "response" => Direction::Out,
        _ => return None,
    };
    let opcode = match frame.opcode {
        2 => Opcode::Binary,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        0 | 1 => Opcode::Text,
        _ => return None,
    };
    let (data, own) = (&*frame.data, frame.own.as_ref());
    let absent = own.is_some_and(|own| own.size > 0 && data.is_empty());
    let (body, size) = match (opcode, STANDARD.decode(data)) {
        _ if absent => (Body::Absent, 0),
        (Opcode::Binary, Ok(bytes)) => {
            let size = bytes.len();
            (Body::Binary(bytes.into()), size)
        }
        (Opcode::Ping | Opcode::Pong, _) => (Body::Binary(data.as_bytes().into()), data.len()),
        _ if own.is_some_and(|own| is_own_object(own, data, connection)) => {
            (Body::Object(Json::parse(data)?), 0)
        }
        _ => (Body::Value(Json::parse(data).unwrap_or_else(|| Json::string(data))), data.len()),
    };
    let mut message = Message::new(direction, opcode, size, body);
    if let Some(own) = own {
        let names = |names: &List<std::borrow::Cow<'_, str>>| -> Vec<String> {
            names.0.iter().map(|name| name.clone().into_owned()).collect()
        };
        let (channel, user) = (own.channel.as_deref(), own.user.as_deref());
        message.size = own.size;
        message.synthetic = own.synthetic;
        message.routing = routing(channel, user, &names(&own.to), &names(&own.except));
        message.frame_info = own.wire.map(|wire| FrameInfo {
            wire,
            fragments: own.fragments.unwrap_or(1),
            compressed: own.compressed,
            note: own.note.as_deref().map(Into::into),
        });
    }
    Some(message)
}

/// Returns whether a message of hub mode is an object with the id of its connection.
fn is_own_object(own: &OwnMessage<'_>, data: &str, connection: &ConnectionId) -> bool {
    if own.wire.is_some() || own.synthetic || own.channel.is_some() {
        return false;
    }
    let mut named = false;
    let object = json::object(data, |key, value| {
        let id = || serde_json::from_str::<String>(value.get()).ok();
        named |= key.is("connectionId") && id().as_deref() == Some(connection.as_str());
    });
    named && object.is_ok()
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
    fn seconds_and_milliseconds_are_distinguished() {
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
    fn fields_that_are_missing_null_or_of_another_type_do_not_refuse_the_archive() {
        let odd = [
            "7",
            "null",
            "{}",
            r#"{"request":{}}"#,
            r#"{"request":null,"response":{"status":null,"headers":{}},"timings":[]}"#,
            r#"{"request":{"url":5,"headers":[1,{"name":"a","value":7}]},"_resourceType":{}}"#,
            r#"{"request":{"url":"https://a"},"response":{"statusText":"\ud800"},"_wstap":"x"}"#,
        ];
        for odd in odd {
            let text = archive(
                r#"[{"type":"send","time":null,"opcode":null,"data":"hi"},{"type":7},null,
                {"type":"receive","time":"x","opcode":1,"data":"\ud800","_wstap":[]}]"#,
            );
            let text = text.replace(r#"{"entries":["#, &format!(r#"{{"entries":[{odd},"#));
            let lines = lines(&text);
            assert_eq!(lines.len(), 3, "{odd}: {lines:?}");
            assert!(lines[1].contains(r#""message":"hi""#), "{odd}: {lines:?}");
        }
    }

    #[test]
    fn archive_without_messages_is_an_error() {
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
