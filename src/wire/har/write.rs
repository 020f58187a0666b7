//! Events to archives, piece by piece: an archive is never in memory as a whole.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ending::Closing;
use super::lenient::List;
use super::model::{
    self, Content, Creator, LogHead, OwnEntry, OwnLog, OwnMessage, Page, PageTimings, Pair,
    Request, Response, Timings,
};
use crate::event::{
    Connect, ConnectionId, Direction, Event, EventBody, EventId, Message, Opcode, Transport,
};
use crate::wire::full::{full, time};
use crate::wire::payload::{Payload, payload};

/// The media type of an event stream.
const EVENT_STREAM: &str = "text/event-stream";

/// The id of the only page.
const PAGE: &str = "page_1";

/// Appends the beginning of an archive whose first event is of the moment `first_ms`, in milliseconds
/// since 1970.
pub fn begin(first_ms: u64, out: &mut Vec<u8>) {
    let creator = Creator { name: "wstap", version: env!("CARGO_PKG_VERSION") };
    let page = Page {
        started_date_time: time(first_ms).to_string(),
        id: PAGE,
        title: "wstap",
        timings: PageTimings { on_content_load: -1, on_load: -1 },
    };
    out.extend_from_slice(b"{\"log\":");
    open(&LogHead { version: "1.2", creator, pages: [page] }, out);
    out.extend_from_slice(b",\"entries\":[");
}

/// Appends the end of an archive, with the gaps of its stream in full JSON.
pub fn end(gaps: &[Vec<u8>], out: &mut Vec<u8>) {
    let gaps: Vec<_> = gaps.iter().map(|gap| raw(gap.clone())).collect();
    let own = OwnLog { gaps: gaps.iter().map(AsRef::as_ref).collect() };
    out.extend_from_slice(b"\n],\"_wstap\":");
    json(&own, out);
    out.extend_from_slice(b"}}\n");
}

/// A connection that becomes an entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Id of the connection.
    pub connection: &'a ConnectionId,
    /// Its `connect`, if it is kept.
    pub connect: Option<&'a Event>,
    /// The protocol of the connection.
    pub transport: Transport,
    /// Its `close`; `None` if it is still open.
    pub close: Option<&'a Event>,
    /// Id of its first known event.
    pub first: EventId,
    /// Id of its last known event.
    pub last: EventId,
}

impl<'a> Entry<'a> {
    /// Returns the handshake, also of a connection that was refused.
    fn handshake(&self) -> Option<&'a Connect> {
        match (self.connect.map(|event| &event.body), self.close.map(|event| &event.body)) {
            (Some(EventBody::Connect(connect)), _) => Some(connect),
            (_, Some(EventBody::Close(close))) => close.refused.as_deref(),
            _ => None,
        }
    }

    /// Returns the end of the WebSocket; a refused one had none.
    fn closing(&self) -> Option<Closing<'_>> {
        if self.transport == Transport::Sse {
            return None;
        }
        let event = self.close?;
        let EventBody::Close(close) = &event.body else { return None };
        close.refused.is_none().then(|| Closing {
            code: Some(close.code),
            reason: Some(close.reason.as_str().into()),
            timestamp: Duration::from_millis(event.id.ms).as_secs_f64(),
            clean: Some(close.clean),
            by: Some(close.by.as_str().into()),
            ..Closing::default()
        })
    }

    /// Returns why the handshake was refused.
    fn refusal(&self) -> Option<&str> {
        let EventBody::Close(close) = &self.close?.body else { return None };
        close.refused.as_ref().map(|_| &*close.reason).filter(|reason| !reason.is_empty())
    }

    /// Appends the entry up to its messages.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let handshake = self.handshake();
        let answer = handshake.and_then(|connect| connect.answer.as_deref());
        let receive = self.last.ms.saturating_sub(self.first.ms);
        let wait = answer.map_or(0.0, |answer| answer.time.as_secs_f64() * 1e3);
        let closing = self.closing().map(|closing| {
            let mut json = Vec::new();
            self::json(&closing, &mut json);
            raw(json)
        });
        let (resource_type, messages) = match self.transport {
            Transport::WebSocket => ("websocket", &b",\"_webSocketMessages\":["[..]),
            Transport::Sse => ("eventsource", &b",\"_eventSourceMessages\":["[..]),
        };
        let entry = model::Entry {
            pageref: Some(PAGE.into()),
            started_date_time: Some(time(self.first.ms).to_string()),
            time: Duration::from_millis(receive).as_secs_f64() * 1e3 + wait,
            request: request(handshake, self.transport),
            response: response(handshake, self.transport),
            timings: Timings { send: 0, wait, receive },
            resource_type: Some(resource_type.into()),
            error: self.refusal().map(Into::into),
            close: closing.as_deref(),
            ..model::Entry::default()
        };
        out.push(b'\n');
        open(&entry, out);
        out.extend_from_slice(messages);
    }

    /// Returns the function that appends a message of the entry.
    #[must_use]
    pub fn message(&self) -> fn(&Event, &mut Vec<u8>) {
        match self.transport {
            Transport::WebSocket => message,
            Transport::Sse => stream_message,
        }
    }

    /// Appends the part between the messages and the [`control`] frames.
    pub fn middle(&self, out: &mut Vec<u8>) {
        let connect = self.connect.map(|connect| raw(written(connect)));
        let own = OwnEntry {
            connection_id: Some(self.connection.as_str().into()),
            connect: connect.as_deref(),
            ..OwnEntry::default()
        };
        out.extend_from_slice(b"],\"_wstap\":");
        open(&own, out);
        out.extend_from_slice(b",\"control\":[");
    }

    /// Appends the rest of the entry. `missed` events were lost before they could be read.
    pub fn end(&self, missed: usize, out: &mut Vec<u8>) {
        let close = raw(self.close.map_or_else(|| b"null".to_vec(), written));
        let own = OwnEntry { missed, close: Some(&close), ..OwnEntry::default() };
        out.extend_from_slice(b"],");
        let mut rest = Vec::new();
        json(&own, &mut rest);
        out.extend_from_slice(&rest[1..]);
        out.push(b'}');
    }
}

fn request(handshake: Option<&Connect>, transport: Transport) -> Request<'_> {
    let path = handshake.map_or("/", |connect| &connect.path);
    let answer = handshake.and_then(|connect| connect.answer.as_deref());
    let stream = answer.and_then(|answer| answer.event_stream.as_deref());
    let upstream = answer.map_or("ws://localhost", |answer| &answer.upstream);
    let server = match transport {
        Transport::WebSocket => upstream.replacen("http", "ws", 1),
        Transport::Sse => upstream.replacen("ws", "http", 1),
    };
    let query = path.split_once('?').map_or("", |(_, query)| query).split('&');
    let query = query.filter(|item| !item.is_empty());
    let headers = handshake.map_or(&[][..], |connect| &connect.headers);
    Request {
        method: stream.map_or("GET", |stream| &stream.method).into(),
        url: format!("{server}{path}").into(),
        http_version: "HTTP/1.1".into(),
        headers: pairs(headers.iter().map(|(name, value)| (*name, value.as_str()))),
        query_string: pairs(query.map(|item| item.split_once('=').unwrap_or((item, "")))),
        headers_size: -1,
        body_size: 0,
        ..Request::default()
    }
}

fn response(handshake: Option<&Connect>, transport: Transport) -> Response<'_> {
    let answer = handshake.and_then(|connect| connect.answer.as_deref());
    if transport == Transport::Sse {
        let stream = answer.and_then(|answer| answer.event_stream.as_deref());
        let encoding = stream.and_then(|stream| stream.encoding.as_deref());
        let headers = [("content-type", Some(EVENT_STREAM)), ("content-encoding", encoding)];
        return Response {
            status: 200,
            status_text: "OK".into(),
            http_version: "HTTP/1.1".into(),
            headers: pairs(headers.into_iter().filter_map(|(name, value)| Some((name, value?)))),
            content: Content { mime_type: EVENT_STREAM.to_owned(), ..Content::default() },
            headers_size: -1,
            body_size: -1,
            ..Response::default()
        };
    }
    let status = answer.map_or(101, |answer| answer.status);
    let protocol = answer.and_then(|answer| answer.subprotocol.as_deref());
    let extensions = answer.and_then(|answer| answer.extensions.as_deref());
    let headers = [("sec-websocket-protocol", protocol), ("sec-websocket-extensions", extensions)];
    Response {
        status: status.into(),
        status_text: if status == 101 { "Switching Protocols" } else { "" }.into(),
        http_version: "HTTP/1.1".into(),
        headers: pairs(headers.into_iter().filter_map(|(name, value)| Some((name, value?)))),
        content: Content { mime_type: "x-unknown".to_owned(), ..Content::default() },
        headers_size: -1,
        body_size: -1,
        ..Response::default()
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> List<Pair<'a>> {
    pairs.map(|(name, value)| Pair { name: name.into(), value: value.into() }).collect()
}

/// Returns whether an event is a message for `_webSocketMessages` or `_eventSourceMessages`: text or
/// binary of a connection.
#[must_use]
pub fn has_place(event: &Event) -> bool {
    !event.connection.is_nobody()
        && matches!(
            &event.body,
            EventBody::Message(Message { opcode: Some(Opcode::Text | Opcode::Binary), .. })
        )
}

/// Appends one of `_eventSourceMessages`.
fn stream_message(event: &Event, out: &mut Vec<u8>) {
    let EventBody::Message(message) = &event.body else { return };
    let data = match payload(message) {
        Some(Payload::Text(text)) => text,
        Some(Payload::Binary(bytes)) => Cow::Owned(STANDARD.encode(bytes)),
        None => Cow::Borrowed(""),
    };
    let time = Duration::from_millis(event.id.ms).as_secs_f64();
    let (name, id) = message
        .event
        .as_ref()
        .map_or((None, None), |event| (event.name.as_deref(), event.id.as_deref()));
    let message = model::StreamMessage {
        time,
        event_name: name.unwrap_or("message").into(),
        event_id: id.unwrap_or_default().into(),
        data,
        own: Some(own(event, message)),
    };
    json(&message, out);
}

/// Appends one of `_webSocketMessages`.
fn message(event: &Event, out: &mut Vec<u8>) {
    let EventBody::Message(message) = &event.body else { return };
    let (opcode, data) = match payload(message) {
        Some(Payload::Text(text)) => (1, text),
        Some(Payload::Binary(bytes)) => (2, Cow::Owned(STANDARD.encode(bytes))),
        None => (if message.opcode == Some(Opcode::Text) { 1 } else { 2 }, Cow::Borrowed("")),
    };
    let kind = if message.direction == Direction::In { "send" } else { "receive" };
    let time = Duration::from_millis(event.id.ms).as_secs_f64();
    let own = Some(own(event, message));
    json(&model::Message { kind: kind.into(), time, opcode, data, own }, out);
}

fn own<'a>(event: &'a Event, message: &'a Message) -> OwnMessage<'a> {
    let routing = message.routing.as_deref();
    let frame = message.frame_info.as_ref();
    let users =
        |users: &'a [crate::event::User]| users.iter().map(|user| user.as_str().into()).collect();
    OwnMessage {
        id: event.id.to_string().into(),
        size: message.size,
        channel: event.channel().map(|channel| channel.as_str().into()),
        user: routing.and_then(|routing| Some(routing.user.as_ref()?.as_str().into())),
        to: routing.map(|routing| users(&routing.to)).unwrap_or_default(),
        except: routing.map(|routing| users(&routing.except)).unwrap_or_default(),
        synthetic: message.synthetic,
        wire: frame.map(|frame| frame.wire),
        fragments: frame.map(|frame| frame.fragments).filter(|fragments| *fragments > 1),
        compressed: frame.is_some_and(|frame| frame.compressed),
        truncated: frame.is_some_and(|frame| frame.truncated),
        note: frame.and_then(|frame| frame.note.as_deref()).map(Into::into),
    }
}

/// Appends one of the events of an entry that are no messages of [`has_place`].
pub fn control(event: &Event, out: &mut Vec<u8>) {
    full(event, out);
}

fn written(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    full(event, &mut out);
    out
}

fn raw(json: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(json).expect("JSON is UTF-8");
    RawValue::from_string(text).expect("full JSON is JSON")
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("the objects of an archive have text keys");
}

/// Appends an object without its closing brace, so that more members can follow.
fn open(object: &impl Serialize, out: &mut Vec<u8>) {
    json(object, out);
    out.pop();
}
