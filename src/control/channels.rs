//! `/api/channels`: lists channels, shows one, publishes to one.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answers::Sent;
use super::query::Publishing;
use super::{MaxMessageBytes, payload};
use crate::code::Code;
use crate::event::{Channel, Event};
use crate::hub::{ChannelInside, ChannelSeen, Hub, Publication};
use crate::problem::Problem;
use crate::request::{self, Segment, read_body};
use crate::wire;

/// A channel in the list of all.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ChannelLine {
    channel: String,
    /// Whether joining needs a token.
    private: bool,
    /// Whether members get presence events.
    presence: bool,
    /// Number of connections in it.
    members: usize,
    /// Number of users of these connections.
    users: usize,
    /// Messages published to it.
    messages: u64,
}

/// A channel with its members and its history.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ChannelPage {
    channel: String,
    /// Whether joining needs a token.
    private: bool,
    /// Whether members get presence events.
    presence: bool,
    /// Messages published to it.
    messages: u64,
    /// Ids of the connections in it.
    members: Vec<String>,
    /// Their users.
    users: Vec<String>,
    /// Full events, the oldest first.
    history: Vec<EventJson>,
}

/// Answers `GET /api/channels`.
pub(crate) async fn all(State(hub): State<Hub>) -> Json<Vec<ChannelLine>> {
    let redaction = &hub.settings().redaction;
    let line = |seen: ChannelSeen| ChannelLine {
        channel: redaction.channel(seen.channel).to_string(),
        private: seen.rules.private,
        presence: seen.rules.presence,
        members: seen.members,
        users: seen.users,
        messages: seen.messages,
    };
    Json(hub.channels().into_iter().map(line).collect())
}

/// Answers `GET /api/channels/{channel}`: its members and its history.
pub(crate) async fn one(
    State(hub): State<Hub>,
    Segment(name): Segment,
) -> Result<Json<ChannelPage>, Problem> {
    let nothing = || {
        let words = format!("nobody is in the channel {name:?}, and nothing is kept of it");
        Problem::new(Code::NotFound, words)
    };
    let ChannelInside { seen, members, users, history } =
        hub.channel(&channel(&name)?).ok_or_else(nothing)?;
    let redaction = &hub.settings().redaction;
    Ok(Json(ChannelPage {
        channel: redaction.channel(seen.channel).to_string(),
        private: seen.rules.private,
        presence: seen.rules.presence,
        messages: seen.messages,
        members: members.iter().map(ToString::to_string).collect(),
        users: users.into_iter().map(|user| redaction.user(user).to_string()).collect(),
        history: history.iter().map(|event| EventJson::from(&**event)).collect(),
    }))
}

/// Answers `POST /api/channels/{channel}/messages`: publishes the body to all in it, or with
/// `?user=` to these only.
pub(crate) async fn publish(
    State(hub): State<Hub>,
    State(max): State<MaxMessageBytes>,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let (Publishing { user: to }, faults) = request::read(query.as_deref());
    faults.finish()?;
    let channel = channel(&name)?;
    let body = read_body(body, max.0, "a message").await?;
    let (opcode, payload) = payload(&headers, &body)?;
    hub.room_in(&channel).await;
    let publication = Publication { to, ..Publication::new(channel, opcode, body.len(), payload) };
    let id = hub.publish(publication)?;
    Ok((StatusCode::ACCEPTED, Json(id.into())))
}

fn channel(name: &str) -> Result<Channel, Problem> {
    name.parse().map_err(|fault| Problem::malformed(format!("{name:?}: {fault}")))
}

/// An event as full JSON.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct EventJson(Box<RawValue>);

impl From<&Event> for EventJson {
    fn from(event: &Event) -> Self {
        let mut out = Vec::new();
        wire::full(event, &mut out);
        let text = String::from_utf8(out).expect("JSON is text");
        Self(RawValue::from_string(text).expect("it was written as JSON"))
    }
}
