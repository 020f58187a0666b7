//! `/api/channels`: what is in the channels, and what is published to them over HTTP.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answers::Sent;
use super::query::Publishing;
use super::{MaxMessageBytes, payload, read};
use crate::code::Code;
use crate::event::{Channel, Event};
use crate::hub::{ChannelInside, ChannelSeen, Hub, Publication};
use crate::problem::Problem;
use crate::problem::described::problems;
use crate::request::{self, Segment};
use crate::wire::{self, ChannelName, FullEvent};

/// A channel in the list of all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelLine {
    #[schema(example = "news")]
    channel: String,
    /// Whether only who brings a token may enter.
    private: bool,
    /// Whether members are told who comes and goes.
    presence: bool,
    /// How many connections are in it.
    members: usize,
    /// How many users they belong to.
    users: usize,
    /// Messages that were published to it.
    messages: u64,
}

/// A channel with all that is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelPage {
    #[schema(example = "news")]
    channel: String,
    /// Whether only who brings a token may enter.
    private: bool,
    /// Whether members are told who comes and goes.
    presence: bool,
    /// Messages that were published to it.
    messages: u64,
    /// The connections in it, by their ids.
    members: Vec<String>,
    /// Their users.
    users: Vec<String>,
    /// Full events, the oldest first.
    #[schema(value_type = Vec<FullEvent>)]
    history: Vec<Box<RawValue>>,
}

/// Answers `GET /api/channels`.
#[utoipa::path(get, path = "/api/channels", tag = "Channels", operation_id = "channels",
    summary = "List the channels",
    description = "Those in which somebody is or something is kept.",
    responses((status = OK, description = "All of them.", body = Vec<ChannelLine>)))]
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

/// Answers `GET /api/channels/{channel}`: who is in it, and what it keeps.
#[utoipa::path(get, path = "/api/channels/{channel}", tag = "Channels", operation_id = "channel",
    summary = "One channel: who is in it, and what it keeps",
    params(("channel" = inline(ChannelName), Path, description = "Its name.", example = "news")),
    responses((status = OK, description = "That one.", body = ChannelPage), OfChannel))]
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
        history: history.iter().map(|event| full(event)).collect(),
    }))
}

/// Answers `POST /api/channels/{channel}/messages`: publishes the body to all in it, or with
/// `?user=` to these only.
#[utoipa::path(post, path = "/api/channels/{channel}/messages", tag = "Channels", operation_id = "publish",
    summary = "Publish a message to a channel",
    description = "The body is the message. It goes to all who are in the channel, and to the stream. A channel is made \
        on first use.",
    params(
        ("channel" = inline(ChannelName), Path, description = "Its name.", example = "news"),
        Publishing,
    ),
    request_body(description = "A body without Content-Type is text, and none an empty one; text \
        that is JSON is that.", content(
        (Value = "application/json", example = json!({"price": 100.5})),
        (String = "text/plain", example = json!("hello")),
        ("application/octet-stream"),
    )),
    responses((status = ACCEPTED, description = "It is on the stream.", body = Sent), ToChannel))]
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
    let body = read(body, max.0).await?;
    let (opcode, payload) = payload(&headers, &body)?;
    hub.room_in(&channel).await;
    let publication = Publication { to, ..Publication::new(channel, opcode, body.len(), payload) };
    let id = hub.publish(publication)?;
    Ok((StatusCode::ACCEPTED, Json(id.into())))
}

problems!(OfChannel: Malformed, NotFound);
problems!(ToChannel: Malformed, Timeout, TooLarge);

fn channel(name: &str) -> Result<Channel, Problem> {
    name.parse().map_err(|fault| Problem::malformed(format!("{name:?}: {fault}")))
}

fn full(event: &Event) -> Box<RawValue> {
    let mut out = Vec::new();
    wire::full(event, &mut out);
    let text = String::from_utf8(out).expect("JSON is text");
    RawValue::from_string(text).expect("it was written as JSON")
}
