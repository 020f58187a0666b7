//! Archives to events: those of wstap, Chrome, Firefox, Safari, Playwright, mitmproxy and HTTP Toolkit.
//! They differ in the unit of `time` and in the fields that they leave out. The page reads them by the
//! same rules (`static/js/model/har.js`), and both are tested over `tests/fixtures/har`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::clock::Clock;
use super::ending::{Ending, refusal};
use super::lenient::{BASE64, List};
use super::model::{Archive, Entry, Log, Message as Frame, OwnMessage, Pair};
use super::streams::{self, is_event_stream};
use crate::code::absent;
use crate::event::{
    Answer, Body, Close, ClosedBy, Connect, ConnectionId, Direction, Draft, Event, EventBody,
    EventId, Flow, FrameInfo, Message, Opcode,
};
use crate::json::{self, Json};
use crate::wire::read::{self as full, Recorded, UNKNOWN, Unreadable, routing, worth_knowing};

/// Returns whether a text is an archive: an object with a key `log`. If that is the first key, the
/// beginning of the text is enough.
#[must_use]
pub fn is_har(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(rename = "log")]
        _log: IgnoredAny,
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let Some(key) = text.strip_prefix('{').map(str::trim_start) else { return false };
    key.starts_with("\"log\"") || serde_json::from_str::<Keys>(text).is_ok()
}

/// The events of an archive.
#[derive(Debug)]
pub struct Archived {
    /// Events and gaps, in the order of their times.
    pub recorded: Vec<Recorded>,
    /// The number of parts that could not be read.
    pub skipped: Skipped,
}

/// Parts of an archive that could not be read and are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Entries.
    pub entries: usize,
    /// Messages of WebSockets.
    pub messages: usize,
    /// Events in `_wstap`.
    pub events: usize,
}

impl Skipped {
    /// Returns whether all of the archive was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Skipped {
    /// Writes `1 entry, 2 messages`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.entries, "entry", "entries"),
            (self.messages, "message", "messages"),
            (self.events, "event", "events"),
        ];
        let mut first = true;
        for (count, one, many) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{count} {}", if count == 1 { one } else { many })?;
        }
        Ok(())
    }
}

/// Why an archive is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// The text is no archive, or its messages are in other files.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The archive has no WebSockets and no event streams.
    #[error("this archive has no WebSocket messages and no events of event streams")]
    Empty(Skipped),
}

/// Reads the WebSockets and event streams of an archive, in the order of their times. Other
/// entries are ignored. What cannot be read is counted and left out.
///
/// # Errors
///
/// If the text is no archive, or has no WebSockets and is not wstap's own.
pub fn read(text: &str) -> Result<Archived, NotRead> {
    let archive: Archive<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|fault| Unreadable(format!("this is no HTTP Archive ({fault})")))?;
    let log = archive.log.get();
    // serde would read an array as the members of the object.
    let log = Some(log)
        .filter(|log| log.starts_with('{'))
        .ok_or_else(|| Unreadable("this is no HTTP Archive; its log is an object".to_owned()))?;
    let mut log: Log<'_> = serde_json::from_str(log)
        .map_err(|fault| Unreadable(format!("this is no HTTP Archive ({fault})")))?;
    log.entries.0.iter_mut().for_each(streams::read_body);
    let mut apart = false;
    let mut reading = Reading::default();
    let entries = &log.entries;
    reading.skipped.entries = entries.1;
    reading.earliest = entries
        .0
        .iter()
        .filter(|it| is_connection(it))
        .filter_map(|entry| clock(entry).start())
        .min();
    for (n, entry) in entries.0.iter().enumerate() {
        if is_connection(entry) {
            let is_empty = entry.messages.is_none() && entry.stream_messages.is_none();
            apart |= is_empty && entry.response.content.file.is_some();
            reading.connection(entry, n as u64);
        }
    }
    let Reading { mut events, mut skipped, .. } = reading;
    if apart && events.iter().all(|event| matches!(event.body, EventBody::Connect(_))) {
        let why = "its messages are in other files; Playwright includes them with recordHar: { content: \"embed\" }";
        return Err(Unreadable(why.to_owned()).into());
    }
    if events.is_empty() && log.creator.name != "wstap" {
        return Err(NotRead::Empty(skipped));
    }
    let mut gaps = Vec::new();
    for gap in log.own.gaps.0 {
        match full::read(gap.get()) {
            Ok(Recorded::Event(lost)) => events.push(lost),
            Ok(gap @ Recorded::Gap(_)) => gaps.push(gap),
            Err(_) => skipped.events += 1,
        }
    }
    events.sort_by_key(|event| event.id);
    let mut last = EventId::default();
    for event in &mut events {
        event.id = if event.id > last { event.id } else { last.next(event.id.ms) };
        last = event.id;
    }
    let recorded = events.into_iter().map(Recorded::Event).chain(gaps).collect();
    Ok(Archived { recorded, skipped })
}

fn is_connection(entry: &Entry<'_>) -> bool {
    is_event_stream(entry) || is_websocket(entry)
}

fn is_websocket(entry: &Entry<'_>) -> bool {
    let url = &entry.request.url;
    entry.resource_type.as_deref() == Some("websocket")
        || entry.messages.is_some()
        || url.starts_with("ws:")
        || url.starts_with("wss:")
}

/// Returns the clock of an entry.
fn clock(entry: &Entry<'_>) -> Clock {
    let started = entry.started_date_time.as_deref().and_then(moment);
    let started = started.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let times: Vec<_> = times(entry).collect();
    Clock::new(started, &times, entry.time)
}

/// Reads a date and time of ISO 8601; one without an offset is of UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let without = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    text.parse().ok().or_else(|| without().map(|time| time.timestamp()))
}

/// Returns the times of the messages of an entry, as they are written.
fn times(entry: &Entry<'_>) -> impl Iterator<Item = f64> {
    let frames = frames(entry).iter().map(|frame| frame.time);
    frames.chain(streams::messages(entry).iter().map(|event| event.time))
}

fn frames<'e, 'a>(entry: &'e Entry<'a>) -> &'e [Frame<'a>] {
    entry.messages.as_ref().map_or(&[], |messages| &messages.0)
}

/// The parts of an archive that were read so far.
#[derive(Default)]
struct Reading {
    events: Vec<Event>,
    skipped: Skipped,
    /// The beginning of the archive, for entries without a time.
    earliest: Option<u64>,
}

impl Reading {
    /// Adds the events of the `n`th entry.
    fn connection(&mut self, entry: &Entry<'_>, n: u64) {
        let clock = clock(entry);
        self.skipped.messages += entry.messages.as_ref().map_or(0, |messages| messages.1);
        self.skipped.messages += entry.stream_messages.as_ref().map_or(0, |messages| messages.1);
        let first = times(entry).find_map(|time| clock.ms(time));
        // The clock of the handshake may be behind that of the messages.
        let started = clock.start().or(self.earliest).unwrap_or(0).min(first.unwrap_or(u64::MAX));
        let own = entry.own.as_ref();
        let named = own.and_then(|own| own.connection_id.as_deref()?.parse().ok());
        let connection =
            named.unwrap_or_else(|| ConnectionId::made(started, (started << 10) | (n % 1024)));
        let mut last = EventId { ms: started, seq: 0 };
        let own_close = own.and_then(|own| own.close).and_then(|raw| self.own_event(raw));
        let handshake = connect(entry);
        if own.is_none()
            && !is_event_stream(entry)
            && let Some((status, reason)) = refusal(entry)
        {
            let close = refused(handshake, status, reason);
            let body = EventBody::Close(Box::new(close));
            self.events.push(Draft::new(connection, body).stamp(last));
            return;
        }
        let own_connect = own.and_then(|own| own.connect);
        match own_connect.map(|raw| self.own_event(raw)) {
            Some(Some(event)) => self.events.push(event),
            None if own.is_some() => {}
            _ => {
                let body = EventBody::Connect(Box::new(handshake));
                self.events.push(Draft::new(connection.clone(), body).stamp(last));
            }
        }
        let (mut messages, mut bytes) = (Flow::default(), Flow::default());
        let frames = frames(entry).iter().filter_map(|frame| {
            let message = message(frame, &connection);
            self.skipped.messages += usize::from(message.is_none() && !is_known(frame));
            Some((message?, frame.time, frame.own.as_ref()))
        });
        let events = streams::messages(entry).iter();
        let events = events.map(|event| (streams::message(event), event.time, event.own.as_ref()));
        for (message, time, own) in frames.chain(events) {
            let id = own.and_then(|own| own.id.parse().ok());
            // The order of the list counts more than the times.
            last = id.unwrap_or_else(|| match clock.ms(time) {
                Some(ms) if ms > last.ms => EventId { ms, seq: 0 },
                _ => last,
            });
            let (messages, bytes) = match message.direction {
                Direction::In => (&mut messages.inward, &mut bytes.inward),
                Direction::Out => (&mut messages.outward, &mut bytes.outward),
            };
            *messages += 1;
            *bytes += message.size;
            let body = EventBody::Message(message);
            self.events.push(Draft::new(connection.clone(), body).stamp(last));
        }
        for raw in own.into_iter().flat_map(|own| &own.control.0) {
            let event = self.own_event(raw);
            self.events.extend(event);
        }
        let is_own = own.is_some_and(|own| own.close.is_some());
        if let Some(event) = own_close {
            self.events.push(event);
        } else if let Some(ending) = Ending::of(entry, &clock).filter(|_| own.is_none() || is_own) {
            let ms = ending.ms.unwrap_or(last.ms).max(last.ms);
            let duration = Duration::from_millis(ms - started);
            let close = Close { duration, messages, bytes, ..ending.close() };
            let id = EventId { ms, seq: 0 }.max(last);
            let body = EventBody::Close(Box::new(close));
            self.events.push(Draft::new(connection, body).stamp(id));
        }
    }

    /// Reads an event in full JSON.
    fn own_event(&mut self, raw: &RawValue) -> Option<Event> {
        match full::read(raw.get()) {
            Ok(Recorded::Event(event)) => Some(event),
            Ok(Recorded::Gap(_)) | Err(_) => {
                self.skipped.events += 1;
                None
            }
        }
    }
}

/// Returns the close of a handshake that was refused.
fn refused(mut handshake: Connect, status: u16, reason: String) -> Close {
    if let Some(answer) = &mut handshake.answer {
        answer.status = status;
    }
    let by = if status == 0 { ClosedBy::Network } else { ClosedBy::Server };
    let ending = Ending { ms: None, code: absent::ABNORMAL, reason, clean: false, by };
    Close { refused: Some(Box::new(handshake)), ..ending.close() }
}

/// Returns whether a frame is no message, and known for what it is: a close, an error of Chrome.
fn is_known(frame: &Frame<'_>) -> bool {
    frame.kind == "error" || frame.opcode == 8 || frame.opcode == -1
}

fn connect(entry: &Entry<'_>) -> Connect {
    let (server, path) = split(&entry.request.url, true);
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
        ..Answer::default()
    };
    let connect =
        Connect { remote: UNKNOWN, path, headers, answer: Some(Box::new(answer)), user: None };
    if is_event_stream(entry) {
        return streams::connect(entry, split(&entry.request.url, false).0, connect);
    }
    connect
}

fn header(headers: &List<Pair<'_>>, name: &str) -> Option<String> {
    let header = headers.0.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    header.map(|header| header.value.clone().into_owned())
}

/// Splits a URL into scheme and authority, and path and query. Some browsers write `https:` for a
/// WebSocket, which is `wss:`.
fn split(url: &str, is_websocket: bool) -> (String, String) {
    let path = |text: &str| {
        let path = text.split('#').next().unwrap_or_default();
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    };
    let Some(after) = url.find("://").map(|at| at + 3) else { return (String::new(), path(url)) };
    let at = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    let server = if is_websocket { url[..at].replacen("http", "ws", 1) } else { url[..at].into() };
    (server, path(&url[at..]))
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
    let (body, size) = match (opcode, BASE64.decode(data)) {
        _ if absent => (Body::Absent, 0),
        (Opcode::Binary, Ok(bytes)) => {
            let size = bytes.len();
            (Body::Binary(bytes.into()), size)
        }
        (Opcode::Ping | Opcode::Pong, _) => (Body::Binary(data.as_bytes().into()), data.len()),
        _ if own.is_some_and(|own| is_own_object(own, data, connection)) => {
            (Body::Object(Json::parse(data)?), 0)
        }
        // The beginning of a message is text, even if it happens to be JSON.
        _ if own.is_some_and(|own| own.truncated) => (Body::Value(Json::string(data)), 0),
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
            truncated: own.truncated,
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
mod tests;
