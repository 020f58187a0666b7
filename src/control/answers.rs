//! The answers of `/api` as types. `serde` writes them; in a build with `openapi` their schemas are
//! derived from the same fields, and `openapi/examples.json` has an example of each.

use serde::Serialize;

use super::info::Info;
use crate::event::{EventId, Flow, Transport};
use crate::hub::{ConnectionHandle, Hub, LogStatus, RecordedConnection, RecordedEnd, Seen};
use crate::wire;

/// A time as RFC 3339 writes it, with milliseconds: `2025-11-20T20:20:00.123Z`.
#[derive(Debug, Serialize)]
pub(crate) struct Time(String);

impl Time {
    fn of(ms: u64) -> Self {
        Self(wire::time(ms).to_string())
    }
}

/// A live connection, or one of a recording.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    #[serde(rename = "connectionId")]
    id: String,
    /// Counts the connections in the order of registration: where a page of the list continues.
    number: u64,
    since: Time,
    /// The other end of its TCP connection.
    remote: String,
    /// `websocket`, or `sse`: an event stream that is relayed.
    transport: &'static str,
    /// Path and query of its handshake.
    path: String,
    /// The subprotocol that was agreed on.
    subprotocol: Option<String>,
    messages: EachWay,
    bytes: EachWay,
    last_activity: Time,
    /// Seconds from the last ping to its pong; `null` before the first.
    round_trip: Option<f64>,
    /// The user, if a credential names one.
    user: Option<String>,
    /// The channels that it is in.
    channels: Vec<String>,
    /// The upstream, in proxy mode.
    upstream: Option<String>,
    /// Its end. `null` for a live connection, and for one that was open at the end of a recording.
    closed: Option<Closed>,
}

/// The end of a connection of a recording.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Closed {
    time: Time,
    /// Close code.
    code: u16,
    reason: String,
    /// Whether both sides sent a close frame.
    clean: bool,
    /// `client`, `server`, `tap` or `network`.
    by: &'static str,
    /// Status of the answer to a refused handshake; 0 if there was no answer.
    status: Option<u16>,
}

impl Closed {
    fn of(end: &RecordedEnd) -> Self {
        Self {
            time: Time::of(end.ms),
            code: end.code,
            reason: end.reason.clone(),
            clean: end.clean,
            by: end.by.as_str(),
            status: end.status,
        }
    }
}

impl Connection {
    pub(super) fn of(hub: &Hub, entry: &ConnectionHandle) -> Self {
        let (connect, redaction) = (&entry.connect, &hub.settings().redaction);
        let channels = entry.channels().into_iter().map(|it| redaction.channel(it).to_string());
        Self {
            id: entry.id.as_str().to_owned(),
            number: entry.number,
            since: Time::of(entry.since_ms()),
            remote: connect.remote.to_string(),
            transport: connect.transport().as_str(),
            path: connect.path.clone(),
            subprotocol: connect.subprotocol().map(str::to_owned),
            messages: entry.messages().into(),
            bytes: entry.bytes().into(),
            last_activity: Time::of(entry.last_ms()),
            round_trip: entry.round_trip().map(|time| time.as_secs_f64()),
            user: entry.user().map(|user| redaction.user(user.clone()).to_string()),
            channels: channels.collect(),
            upstream: connect.answer.as_ref().map(|answer| answer.upstream.to_string()),
            closed: None,
        }
    }

    /// Describes a connection of a recording, which was redacted when it was read.
    pub(super) fn recorded(connection: &RecordedConnection) -> Self {
        let handshake = connection.handshake.as_deref();
        Self {
            id: connection.id.as_str().to_owned(),
            number: connection.number,
            since: Time::of(connection.since_ms),
            remote: handshake.map(|it| it.remote.to_string()).unwrap_or_default(),
            transport: handshake.map_or(Transport::default(), |it| it.transport).as_str(),
            path: handshake.map(|it| it.path.to_string()).unwrap_or_default(),
            subprotocol: handshake.and_then(|it| it.subprotocol.as_deref().map(str::to_owned)),
            messages: connection.messages.into(),
            bytes: connection.bytes.into(),
            last_activity: Time::of(connection.last_ms),
            round_trip: None,
            user: handshake.and_then(|it| it.user.as_ref().map(ToString::to_string)),
            channels: connection.channels.iter().map(ToString::to_string).collect(),
            upstream: connection.upstream.as_ref().map(ToString::to_string),
            closed: connection.end.as_ref().map(Closed::of),
        }
    }
}

/// A number for each direction: `in` is to the server, `out` is to the client.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct EachWay {
    r#in: u64,
    out: u64,
}

impl From<Flow> for EachWay {
    fn from(flow: Flow) -> Self {
        Self { r#in: flow.inward, out: flow.outward }
    }
}

/// A message that waits to be sent.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Sent {
    /// The id of its event on the stream.
    id: String,
}

impl From<EventId> for Sent {
    fn from(id: EventId) -> Self {
        Self { id: id.to_string() }
    }
}

/// A listener of the stream.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Listener {
    id: String,
    since: Time,
    /// The other end of its TCP connection.
    remote: String,
    /// The form that it reads, or `poll`.
    format: &'static str,
    /// The query of its request.
    query: String,
    /// The newest event that it has been given or that its filter has passed over.
    position: Option<String>,
    /// Events between there and the newest.
    lag: u64,
    /// Events sent to it.
    events: u64,
    /// Gaps reported to it.
    gaps: u64,
    /// Bytes sent to it.
    bytes: u64,
}

impl Listener {
    pub(super) fn of(seen: &Seen) -> Self {
        let listener = &seen.listener;
        Self {
            id: listener.number.to_string(),
            since: Time::of(listener.since_ms),
            remote: listener.about.remote.to_string(),
            format: listener.about.form,
            query: listener.about.query.clone(),
            position: seen.position.map(|id| id.to_string()),
            lag: seen.lag,
            events: listener.events(),
            gaps: listener.gaps(),
            bytes: listener.bytes(),
        }
    }
}

/// The server. Times are in seconds, sizes in bytes.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Server {
    name: &'static str,
    version: &'static str,
    /// `hub`: WebSocket clients speak to wstap. `proxy`: to an upstream behind it. `recording`: there are none.
    mode: Mode,
    /// The recording that is shown.
    recording: Option<Recording>,
    /// URLs of the upstreams.
    upstreams: Vec<String>,
    /// Whether parts of events are redacted.
    redaction: bool,
    uptime: f64,
    addresses: Addresses,
    /// Current numbers; `null` for a credential that grants a part of the events.
    now: Option<Now>,
    limits: Bounds,
    times: Times,
}

/// Who speaks with the WebSocket clients.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
enum Mode {
    Hub,
    Proxy,
    Recording,
}

/// A recording that is shown in place of traffic.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Recording {
    /// The name of its file, without folders.
    name: String,
    /// Time of its first event.
    first: Option<Time>,
    /// Time of its last event.
    last: Option<Time>,
}

impl Recording {
    fn of(hub: &Hub, info: &Info) -> Option<Self> {
        let name = info.recording.clone().unwrap_or_default();
        let [first, last] = [hub.oldest(), hub.head().0].map(|id| id.map(|id| Time::of(id.ms)));
        hub.settings().recording.then_some(Self { name, first, last })
    }
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Addresses {
    /// URLs for WebSocket clients, without path.
    websocket: Vec<String>,
    /// URLs of the observers' side, without path.
    observers: Vec<String>,
    /// Whether both sides have different addresses.
    apart: bool,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
struct Now {
    /// Live connections, or those of the recording.
    connections: usize,
    listeners: usize,
    /// Events since the start.
    events: u64,
    /// Plain requests that proxy mode has answered since the start.
    requests: u64,
    /// Those of them that failed.
    failed_requests: u64,
    last_event_id: Option<String>,
    history: History,
    /// The log on disk; `null` without `--data-dir`.
    log: Option<Log>,
}

/// The log on disk.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Log {
    /// Events in it.
    events: u64,
    /// Bytes that it takes.
    bytes: u64,
    /// Events since the start that could not be written.
    unkept: u64,
    /// Why it cannot be written now; `null` if it can.
    fault: Option<String>,
}

impl From<LogStatus> for Log {
    fn from(status: LogStatus) -> Self {
        let LogStatus { events, bytes, unkept, fault, .. } = status;
        Self { events, bytes, unkept, fault }
    }
}

/// The events that are kept for resume.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct History {
    events: usize,
    bytes: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
struct Bounds {
    message_bytes: usize,
    connections: usize,
    listeners: usize,
    history_events: usize,
    history_bytes: usize,
    history_age: Option<f64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
struct Times {
    heartbeat: f64,
    register_timeout: f64,
    ping_interval: f64,
    pong_timeout: f64,
}

impl Server {
    pub(super) fn of(hub: &Hub, info: &Info, all: bool) -> Self {
        let (now, settings, (head, events)) = (hub.numbers(), hub.settings(), hub.head());
        Self {
            name: "wstap",
            version: env!("CARGO_PKG_VERSION"),
            mode: match (settings.recording, info.upstreams.is_empty()) {
                (true, _) => Mode::Recording,
                (false, true) => Mode::Hub,
                (false, false) => Mode::Proxy,
            },
            recording: Recording::of(hub, info),
            upstreams: info.upstreams.clone(),
            redaction: settings.redaction.is_on(),
            uptime: info.started.elapsed().as_secs_f64(),
            addresses: Addresses {
                websocket: info.websocket.clone(),
                observers: info.observers.clone(),
                apart: info.apart,
            },
            now: all.then(|| Now {
                connections: now.connections + hub.recorded_count(),
                listeners: now.listeners,
                events,
                requests: hub.metrics().requests.get(),
                failed_requests: hub.metrics().failed_requests.get(),
                last_event_id: head.map(|id| id.to_string()),
                history: History { events: now.history_events, bytes: now.history_bytes },
                log: hub.log().map(Log::from),
            }),
            limits: Bounds {
                message_bytes: info.limits.max_message_bytes,
                connections: settings.max_connections,
                listeners: settings.max_listeners,
                history_events: settings.history.events,
                history_bytes: settings.history.bytes,
                history_age: settings.history.age.map(|age| age.as_secs_f64()),
            },
            times: Times {
                heartbeat: settings.heartbeat.as_secs_f64(),
                register_timeout: info.limits.register_timeout.as_secs_f64(),
                ping_interval: info.limits.ping_interval.as_secs_f64(),
                pong_timeout: info.limits.pong_timeout.as_secs_f64(),
            },
        }
    }
}
