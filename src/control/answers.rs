//! What `/api` answers, as types: they are written as JSON, and described from here.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Info;
use crate::event::{EventId, Flow};
use crate::hub::{ConnectionHandle, Hub, Seen};
use crate::wire;

/// A live connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    #[schema(example = "a")]
    #[serde(rename = "connectionId")]
    id: String,
    #[schema(format = DateTime, example = "2025-11-20T20:20:00.000Z")]
    since: String,
    /// The other end of its TCP connection.
    #[schema(example = "127.0.0.1:50512")]
    remote: String,
    /// Path and query that it asked for.
    #[schema(example = "/ws")]
    path: String,
    messages: EachWay,
    bytes: EachWay,
    #[schema(format = DateTime, example = "2025-11-20T20:20:00.123Z")]
    last_activity: String,
    /// Seconds from the last ping to its pong; `null` before the first.
    #[schema(required, example = 0.012)]
    round_trip: Option<f64>,
    /// Whose connection it is, if a credential says so.
    #[schema(required)]
    user: Option<String>,
    /// The channels that it is in.
    channels: Vec<String>,
    /// The server behind, in proxy mode.
    #[schema(required)]
    upstream: Option<String>,
}

impl Connection {
    pub(super) fn of(hub: &Hub, entry: &ConnectionHandle) -> Self {
        let (connect, redaction) = (&entry.connect, &hub.settings().redaction);
        let channels = entry.channels().into_iter().map(|it| redaction.channel(it).to_string());
        Self {
            id: entry.id.as_str().to_owned(),
            since: wire::time(entry.since_ms()).to_string(),
            remote: connect.remote.to_string(),
            path: connect.path.clone(),
            messages: entry.messages().into(),
            bytes: entry.bytes().into(),
            last_activity: wire::time(entry.last_ms()).to_string(),
            round_trip: entry.round_trip().map(|time| time.as_secs_f64()),
            user: entry.user().map(|user| redaction.user(user.clone()).to_string()),
            channels: channels.collect(),
            upstream: connect.answer.as_ref().map(|answer| answer.upstream.to_string()),
        }
    }
}

/// To the server and to the client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EachWay {
    r#in: u64,
    out: u64,
}

impl From<Flow> for EachWay {
    fn from(flow: Flow) -> Self {
        Self { r#in: flow.inward, out: flow.outward }
    }
}

/// A message is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// The id of its event on the stream.
    #[schema(example = "1763670000123-0")]
    id: String,
}

impl From<EventId> for Sent {
    fn from(id: EventId) -> Self {
        Self { id: id.to_string() }
    }
}

/// A reader of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listener {
    #[schema(example = "1")]
    id: String,
    #[schema(format = DateTime, example = "2025-11-20T20:20:00.000Z")]
    since: String,
    /// The other end of its TCP connection.
    #[schema(example = "127.0.0.1:50514")]
    remote: String,
    /// The form in which it reads, or `poll`.
    #[schema(example = "plain")]
    format: &'static str,
    /// The query of its request.
    #[schema(example = "kind=message")]
    query: String,
    /// The last event that it has passed.
    #[schema(required, example = "1763670000123-0")]
    position: Option<String>,
    /// Events between there and the newest.
    lag: u64,
    /// Events that it was sent.
    events: u64,
    /// Gaps that it was told of.
    gaps: u64,
    /// Bytes that it was sent.
    bytes: u64,
}

impl Listener {
    pub(super) fn of(seen: &Seen) -> Self {
        let listener = &seen.listener;
        Self {
            id: listener.number.to_string(),
            since: wire::time(listener.since_ms).to_string(),
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

/// What runs here. Times are in seconds, sizes in bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    #[schema(example = "wstap")]
    name: &'static str,
    version: &'static str,
    /// `hub`: clients speak to wstap. `proxy`: to a server behind it. `recording`: nobody does.
    #[schema(schema_with = mode)]
    mode: &'static str,
    /// URLs of the servers behind.
    upstreams: Vec<String>,
    /// Whether something is hidden before it is shown.
    redaction: bool,
    uptime: f64,
    addresses: Addresses,
    now: Now,
    limits: Bounds,
    times: Times,
}

fn mode() -> ObjectBuilder {
    let names = ["hub", "proxy", "recording"];
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

#[derive(Debug, Serialize, ToSchema)]
struct Addresses {
    /// URLs for WebSocket clients, without path.
    websocket: Vec<String>,
    /// URLs of the observers' side, without path.
    observers: Vec<String>,
    /// Whether the two have different addresses.
    apart: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Now {
    connections: usize,
    listeners: usize,
    /// Events since the start.
    events: u64,
    #[schema(required)]
    last_event_id: Option<String>,
    history: History,
}

/// What is kept for resume.
#[derive(Debug, Serialize, ToSchema)]
struct History {
    events: usize,
    bytes: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    message_bytes: usize,
    connections: usize,
    listeners: usize,
    history_events: usize,
    history_bytes: usize,
    #[schema(required)]
    history_age: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Times {
    heartbeat: f64,
    register_timeout: f64,
    ping_interval: f64,
    pong_timeout: f64,
}

impl Server {
    pub(super) fn of(hub: &Hub, info: &Info) -> Self {
        let (now, settings, (head, events)) = (hub.numbers(), hub.settings(), hub.head());
        Self {
            name: "wstap",
            version: env!("CARGO_PKG_VERSION"),
            mode: match (settings.recording, info.upstreams.is_empty()) {
                (true, _) => "recording",
                (false, true) => "hub",
                (false, false) => "proxy",
            },
            upstreams: info.upstreams.clone(),
            redaction: settings.redaction.is_on(),
            uptime: info.started.elapsed().as_secs_f64(),
            addresses: Addresses {
                websocket: info.websocket.clone(),
                observers: info.observers.clone(),
                apart: info.apart,
            },
            now: Now {
                connections: now.connections,
                listeners: now.listeners,
                events,
                last_event_id: head.map(|id| id.to_string()),
                history: History { events: now.history_events, bytes: now.history_bytes },
            },
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
