//! `/api`, `/metrics` and health checks: connections, channels and listeners, listed and changed.
//!
//! A connection that has been told to close is no longer found here: after a DELETE is answered, its
//! id is unknown until a client connects with it again. Its `close` event follows on the stream.

pub(crate) mod answers;
pub(crate) mod channels;
mod info;
pub(crate) mod list;
pub(crate) mod query;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use self::answers::{Connection, Listener, Sent, Server};
use self::list::{Number, Numbered};
use self::query::{CloseCode, Closing, Reason, Sending, To};
use crate::access::{self, Can, Narrowed, Observe};
use crate::code::{self, Code};
use crate::event::{Body as Payload, ConnectionId, Direction, Message, Opcode};
use crate::hub::{
    CloseRequest, ConnectionHandle, Hub, Outgoing, RecordedConnection, Refused, Seen, Undelivered,
};
use crate::json;
use crate::problem::Problem;
use crate::request::{self, Segment, read_body};

pub(crate) use self::info::Info;

/// Answers `GET /api/connections`, in the order of registration. A server that shows a recording
/// lists the connections of the recording.
pub(crate) async fn connections(
    can: Can<Observe>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (query, faults): (Numbered, _) = request::read(query.as_deref());
    faults.finish()?;
    let (narrowed, hub) = (can.narrowed(), can.hub);
    if hub.settings().recording {
        return Ok(recorded(hub, narrowed, &query).await);
    }
    let page = Page::of(&query, |after, limit| {
        hub.connections_after(after, limit).iter().map(|entry| entry.number).collect()
    });
    let (after, end, of, listed) = (page.after, page.end, hub.clone(), hub.clone());
    let read = move |last: Option<&Arc<ConnectionHandle>>, wanted| {
        let mut next = hub.connections_after(last.map_or(after, |entry| entry.number), wanted);
        next.retain(|entry| entry.number <= end);
        next
    };
    let item = move |entry: &Arc<ConnectionHandle>| {
        (!entry.is_closing() && narrowed.connection(entry)).then(|| Connection::of(&of, entry))
    };
    Ok((page.headers, list::answer(&listed, list::array(read, item)).await).into_response())
}

/// Returns the list of the connections of a recording.
async fn recorded(hub: Hub, narrowed: Narrowed, query: &Numbered) -> Response {
    let page = Page::of(query, |after, limit| {
        hub.recorded_after(after, limit).iter().map(|connection| connection.number).collect()
    });
    let (after, end, listed) = (page.after, page.end, hub.clone());
    let read = move |last: Option<&Arc<RecordedConnection>>, wanted| {
        let mut next = hub.recorded_after(last.map_or(after, |it| it.number), wanted);
        next.retain(|connection| connection.number <= end);
        next
    };
    let item = move |connection: &Arc<RecordedConnection>| {
        narrowed.recorded(connection).then(|| Connection::recorded(connection))
    };
    (page.headers, list::answer(&listed, list::array(read, item)).await).into_response()
}

/// Answers `GET /api/connections/{id}`. Of a recording it is the last connection with that id.
pub(crate) async fn connection(
    can: Can<Observe>,
    Segment(id): Segment,
) -> Result<Json<Connection>, Problem> {
    let (narrowed, hub) = (can.narrowed(), can.hub);
    if hub.settings().recording {
        let connection = hub.recorded(&connection_id(&id)?).filter(|it| narrowed.recorded(it));
        let connection = connection.ok_or_else(|| no_connection(&id))?;
        return Ok(Json(Connection::recorded(&connection)));
    }
    let entry = visible(&hub, &narrowed, &id)?;
    Ok(Json(Connection::of(&hub, &entry)))
}

/// Answers `POST /api/connections/{id}/messages`: sends the body to that client, or to its upstream.
pub(crate) async fn send(
    can: Can<access::Control>,
    State(max): State<MaxMessageBytes>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let (query, faults): (Sending, _) = request::read(query.as_deref());
    faults.finish()?;
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let direction = match query.to.unwrap_or(To::Client) {
        To::Client => Direction::Out,
        To::Server => Direction::In,
    };
    let to = connection_id(&id)?;
    let body = read_body(body, max.0, "a message").await?;
    visible(&hub, &narrowed, &id)?;
    let (opcode, payload) = payload(&headers, &body)?;
    let outgoing = match opcode {
        Opcode::Binary => Outgoing::Binary(body.clone()),
        _ => Outgoing::Text(utf8(&body)?.to_owned()),
    };
    let message =
        Message { synthetic: true, ..Message::new(direction, opcode, body.len(), payload) };
    hub.room_in_log().await;
    let event =
        hub.send(&to, outgoing, message).map_err(|undelivered| undeliverable(undelivered, &id))?;
    hub.kept(event).await?;
    Ok((StatusCode::ACCEPTED, Json(event.into())))
}

/// Answers `DELETE /api/connections/{id}`: tells it to close.
pub(crate) async fn close(
    can: Can<access::Control>,
    Segment(id): Segment,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let (query, faults): (Closing, _) = request::read(parts.uri.query());
    faults.finish()?;
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let order = CloseRequest {
        code: query.code.map_or(code::NORMAL, |CloseCode(code)| code),
        reason: query.reason.map(|Reason(reason)| reason).unwrap_or_default(),
    };
    visible(&hub, &narrowed, &id)?;
    let closed = hub.close(&connection_id(&id)?, order);
    closed.map_err(|undelivered| undeliverable(undelivered, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `GET /api/listeners`, in the order in which they subscribed.
pub(crate) async fn listeners(
    can: Can<Observe>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (query, faults): (Numbered, _) = request::read(query.as_deref());
    faults.finish()?;
    let hub = all(can)?;
    let page = Page::of(&query, |after, limit| {
        hub.listeners_after(after, limit).iter().map(|seen| seen.listener.number).collect()
    });
    let (after, end, listed) = (page.after, page.end, hub.clone());
    let read = move |last: Option<&Seen>, wanted| {
        let mut next = hub.listeners_after(last.map_or(after, |it| it.listener.number), wanted);
        next.retain(|seen| seen.listener.number <= end);
        next
    };
    let item = |seen: &Seen| Some(Listener::of(seen));
    Ok((page.headers, list::answer(&listed, list::array(read, item)).await).into_response())
}

/// A part of a list that is ordered by number.
struct Page {
    /// Not this number and none below.
    after: u64,
    /// None above this number.
    end: u64,
    /// The address of the next page, if there is one.
    headers: HeaderMap,
}

impl Page {
    /// Looks a page up. `numbers` returns the next numbers after one, up to a limit.
    fn of(query: &Numbered, numbers: impl Fn(u64, usize) -> Vec<u64>) -> Self {
        let after = query.after.map_or(0, |Number(after)| after);
        let whole = Self { after, end: u64::MAX, headers: HeaderMap::new() };
        let Some(limit) = query.limit else { return whole };
        let found = numbers(after, limit.0 + 1);
        match found.get(limit.0 - 1) {
            Some(&end) if found.len() > limit.0 => {
                Self { end, headers: list::next_page(limit, &end.to_string()), ..whole }
            }
            Some(&end) => Self { end, ..whole },
            None => whole,
        }
    }
}

/// Answers `DELETE /api/listeners/{id}`: ends its stream.
pub(crate) async fn dismiss(
    can: Can<access::Control>,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let hub = all(can)?;
    let known = id.parse().is_ok_and(|number| hub.dismiss(number));
    if known {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(Code::NotFound, format!("there is no listener {id}")))
    }
}

/// Answers `GET /metrics`.
pub(crate) async fn metrics(can: Can<Observe>) -> Result<Response, Problem> {
    let hub = all(can)?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let turn = hub.turn().await;
    let text = hub.metrics().render(hub.numbers());
    drop(turn);
    Ok(([(CONTENT_TYPE, media_type)], text).into_response())
}

/// Answers `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Answers `GET /readyz`: whether new connections and listeners are accepted.
pub(crate) async fn ready(
    State(Readiness(hub)): State<Readiness>,
) -> Result<&'static str, Problem> {
    if hub.draining().is_cancelled() {
        return Err(Problem::new(Code::Stopping, "this server is stopping"));
    }
    match hub.log().and_then(|log| log.problem()) {
        Some(fault) => Err(Problem::not_ready(format!("the log on disk: {fault}"))),
        None => Ok("ready\n"),
    }
}

/// Answers `GET /api/info`: the server, its limits and its current numbers.
pub(crate) async fn info(can: Can<Observe>, State(info): State<Arc<Info>>) -> Json<Server> {
    Json(Server::of(&can.hub, &info, can.narrowed().sees_all()))
}

/// Says whether the server is ready: the hub, for a call that needs no credential.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(pub(crate) Hub);

/// Returns the hub for what is not of single events: numbers, and the queries of listeners.
fn all<G>(can: Can<G>) -> Result<Hub, Problem> {
    if can.narrowed().sees_all() {
        return Ok(can.hub);
    }
    let part = "this is about all events, of which the credential grants a part";
    Err(Problem::new(Code::Forbidden, part))
}

/// The limit for the body of a message, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxMessageBytes(pub(crate) usize);

/// Reads a body as the message that a client would have sent.
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

/// Returns an open connection.
fn open(hub: &Hub, id: &str) -> Result<Arc<ConnectionHandle>, Problem> {
    if hub.settings().recording {
        return Err(Refused::Recording.into());
    }
    let entry = hub.connection(&connection_id(id)?).filter(|entry| !entry.is_closing());
    entry.ok_or_else(|| no_connection(id))
}

/// Returns an open connection that the caller sees; others do not exist for it.
fn visible(hub: &Hub, narrowed: &Narrowed, id: &str) -> Result<Arc<ConnectionHandle>, Problem> {
    let entry = open(hub, id)?;
    if narrowed.connection(&entry) { Ok(entry) } else { Err(no_connection(id)) }
}

fn connection_id(text: &str) -> Result<ConnectionId, Problem> {
    text.parse().map_err(|_| no_connection(text))
}

fn undeliverable(undelivered: Undelivered, id: &str) -> Problem {
    match undelivered {
        Undelivered::NotFound => no_connection(id),
        Undelivered::QueueFull | Undelivered::NoServer | Undelivered::EventStream => {
            undelivered.into()
        }
    }
}

fn no_connection(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("no connection is registered under {id:?}"))
}
