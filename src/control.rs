//! `/api`, `/metrics` and health: what is here, and what to do with it.

pub(crate) mod channels;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::code::{self, Code};
use crate::event::{Body as Payload, ConnectionId, Direction, Flow, Message, Opcode};
use crate::hub::{CloseOrder, Entry, Hub, Outgoing, Seen, Undelivered};
use crate::json;
use crate::problem::Problem;
use crate::request::Params;
use crate::session::Limits;
use crate::wire;

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The most that a close frame has room for.
const MAX_REASON: usize = 123;

/// Answers `GET /api/connections`.
pub(crate) async fn connections(State(hub): State<Hub>) -> Json<Vec<Value>> {
    Json(hub.connections().iter().map(|entry| connection_json(&hub, entry)).collect())
}

/// Answers `GET /api/connections/{id}`.
pub(crate) async fn connection(
    State(hub): State<Hub>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let entry = hub.connection(&connection_id(&id)?);
    let entry = entry.ok_or_else(|| no_connection(&id))?;
    Ok(Json(connection_json(&hub, &entry)))
}

/// Answers `POST /api/connections/{id}/messages`: sends the body to that client, or to the server
/// behind it.
pub(crate) async fn send(
    State(hub): State<Hub>,
    State(max): State<MaxMessageBytes>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let mut params = Params::new(query.as_deref());
    let direction =
        params.one("to", "to=client or, in proxy mode, to=server is right", |value| match value {
            "client" => Some(Direction::Out),
            "server" => Some(Direction::In),
            _ => None,
        });
    params.finish()?;
    let direction = direction.unwrap_or(Direction::Out);
    let to = connection_id(&id)?;
    let body = read(body, max.0).await?;
    let (opcode, payload) = payload(&headers, &body)?;
    let outgoing = match opcode {
        Opcode::Binary => Outgoing::Binary(body.clone()),
        _ => Outgoing::Text(utf8(&body)?.to_owned()),
    };
    let message =
        Message { synthetic: true, ..Message::new(direction, opcode, body.len(), payload) };
    let event =
        hub.send(&to, outgoing, message).map_err(|undelivered| undeliverable(undelivered, &id))?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": event.to_string()}))).into_response())
}

/// Answers `DELETE /api/connections/{id}`: closes it.
pub(crate) async fn close(
    State(hub): State<Hub>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let mut params = Params::new(parts.uri.query());
    let order_code = params.one("code", code::SENDABLE, |value| {
        value.parse().ok().filter(|code| code::may_be_sent(*code))
    });
    let reason = params.one("reason", "a reason has at most 123 bytes", |value| {
        (value.len() <= MAX_REASON).then(|| value.to_owned())
    });
    params.finish()?;
    let order =
        CloseOrder { code: order_code.unwrap_or(code::NORMAL), reason: reason.unwrap_or_default() };
    let closed = hub.close(&connection_id(&id)?, order);
    closed.map_err(|undelivered| undeliverable(undelivered, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `GET /api/listeners`.
pub(crate) async fn listeners(State(hub): State<Hub>) -> Json<Vec<Value>> {
    Json(hub.listeners().iter().map(listener_json).collect())
}

/// Answers `DELETE /api/listeners/{id}`: ends its stream.
pub(crate) async fn dismiss(
    State(hub): State<Hub>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let known = id.parse().is_ok_and(|number| hub.dismiss(number));
    if known {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(Code::NotFound, format!("there is no listener {id}")))
    }
}

/// Answers `GET /metrics`.
pub(crate) async fn metrics(State(hub): State<Hub>) -> Response {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, media_type)], hub.metrics().render(hub.numbers())).into_response()
}

/// Answers `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Answers `GET /readyz`: whether new connections and listeners are taken.
pub(crate) async fn ready(State(hub): State<Hub>) -> Result<&'static str, Problem> {
    if hub.stopping().is_cancelled() {
        return Err(Problem::new(Code::Stopping, "this server is stopping"));
    }
    Ok("ready\n")
}

/// Answers `GET /api/info`: what runs here.
pub(crate) async fn info(State(hub): State<Hub>, State(about): State<Arc<Info>>) -> Json<Value> {
    let (now, settings, (head, events)) = (hub.numbers(), hub.settings(), hub.head());
    Json(json!({
        "name": "wstap",
        "version": env!("CARGO_PKG_VERSION"),
        "mode": match (settings.recording, about.upstreams.is_empty()) {
            (true, _) => "recording",
            (false, true) => "hub",
            (false, false) => "proxy",
        },
        "upstreams": about.upstreams,
        "redaction": settings.redaction.is_on(),
        "uptime": about.started.elapsed().as_secs_f64(),
        "addresses": {"websocket": about.websocket, "observers": about.observers, "apart": about.apart},
        "now": {
            "connections": now.connections,
            "listeners": now.listeners,
            "events": events,
            "lastEventId": head.map(|id| id.to_string()),
            "history": {"events": now.history_events, "bytes": now.history_bytes},
        },
        "limits": {
            "messageBytes": about.limits.max_message_bytes,
            "connections": settings.max_connections,
            "listeners": settings.max_listeners,
            "historyEvents": settings.history.events,
            "historyBytes": settings.history.bytes,
            "historyAge": settings.history.age.map(|age| age.as_secs_f64()),
        },
        "times": {
            "heartbeat": settings.heartbeat.as_secs_f64(),
            "registerTimeout": about.limits.register_timeout.as_secs_f64(),
            "pingInterval": about.limits.ping_interval.as_secs_f64(),
            "pongTimeout": about.limits.pong_timeout.as_secs_f64(),
        },
    }))
}

/// What `/api/info` tells beside the state of the hub.
#[derive(Debug)]
pub(crate) struct Info {
    /// When the server started.
    pub(crate) started: Instant,
    /// URLs for WebSocket clients, without path.
    pub(crate) websocket: Vec<String>,
    /// URLs of the observers' side, without path.
    pub(crate) observers: Vec<String>,
    /// Whether the two have different addresses.
    pub(crate) apart: bool,
    /// URLs of the servers behind, in proxy mode.
    pub(crate) upstreams: Vec<String>,
    /// Limits of sessions.
    pub(crate) limits: Limits,
}

/// The most bytes of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxMessageBytes(pub(crate) usize);

async fn read(body: Body, max: usize) -> Result<bytes::Bytes, Problem> {
    match tokio::time::timeout(BODY_TIME, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            Err(Problem::new(Code::TooLarge, format!("a message has at most {max} bytes")))
        }
        Err(_elapsed) => Err(Problem::new(Code::Timeout, "the body did not arrive in time")),
    }
}

/// Reads a body as what a client would have sent.
fn payload(headers: &HeaderMap, body: &[u8]) -> Result<(Opcode, Payload), Problem> {
    let value = match media_type(headers) {
        "application/octet-stream" => return Ok((Opcode::Binary, Payload::Binary(body.into()))),
        "application/json" => json::Json::parse(utf8(body)?).ok_or_else(|| {
            Problem::malformed("the body is no JSON; send it as text/plain if it is meant so")
        })?,
        "text/plain" | "" => {
            let text = utf8(body)?;
            json::Json::parse(text).unwrap_or_else(|| json::Json::string(text))
        }
        other => {
            return Err(Problem::malformed(format!(
                "a message is application/json, text/plain or application/octet-stream, and not {other}"
            )));
        }
    };
    Ok((Opcode::Text, Payload::Value(value)))
}

fn utf8(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| {
        Problem::malformed("the body is no UTF-8; send it as application/octet-stream")
    })
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn connection_id(text: &str) -> Result<ConnectionId, Problem> {
    text.parse().map_err(|_| no_connection(text))
}

fn undeliverable(undelivered: Undelivered, id: &str) -> Problem {
    match undelivered {
        Undelivered::NotFound => no_connection(id),
        Undelivered::QueueFull | Undelivered::NoServer => undelivered.into(),
    }
}

fn no_connection(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("no connection is registered under {id:?}"))
}

fn connection_json(hub: &Hub, entry: &Entry) -> Value {
    let redaction = &hub.settings().redaction;
    json!({
        "connectionId": entry.id.as_str(),
        "since": wire::time(entry.since_ms()).to_string(),
        "remote": entry.connect.remote.to_string(),
        "path": entry.connect.path,
        "messages": flow_json(entry.messages()),
        "bytes": flow_json(entry.bytes()),
        "lastActivity": wire::time(entry.last_ms()).to_string(),
        "roundTrip": entry.round_trip().map(|time| time.as_secs_f64()),
        "user": entry.user().map(|user| redaction.user(user.clone()).to_string()),
        "channels": entry
            .channels()
            .into_iter()
            .map(|channel| redaction.channel(channel).to_string())
            .collect::<Vec<_>>(),
        "upstream": entry.connect.answer.as_ref().map(|answer| &*answer.upstream),
    })
}

fn listener_json(seen: &Seen) -> Value {
    let listener = &seen.listener;
    json!({
        "id": listener.number.to_string(),
        "since": wire::time(listener.since_ms).to_string(),
        "remote": listener.about.remote.to_string(),
        "format": listener.about.form,
        "query": listener.about.query,
        "position": seen.position.map(|id| id.to_string()),
        "lag": seen.lag,
        "events": listener.events(),
        "gaps": listener.gaps(),
        "bytes": listener.bytes(),
    })
}

fn flow_json(flow: Flow) -> Value {
    json!({"in": flow.inward, "out": flow.outward})
}
