//! `/api/channels`: lists channels, shows one, publishes to one.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answers::Sent;
use super::list::{self, Name, Named, PageLimit};
use super::query::Publishing;
use super::{MaxMessageBytes, payload};
use crate::access::{self, Can, Narrowed, Observe};
use crate::code::Code;
use crate::event::{Channel, ConnectionId, Event, User};
use crate::hub::{ChannelSeen, Hub, Publication, Refused};
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

/// The beginning of the answer about one channel, before its lists. `openapi` describes all of it.
#[derive(Debug, Serialize)]
struct ChannelHead {
    channel: String,
    private: bool,
    presence: bool,
    messages: u64,
}

/// Answers `GET /api/channels`, in the order of their names.
pub(crate) async fn all(can: Can<Observe>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let (Named { limit, after }, faults) = request::read(query.as_deref());
    faults.finish()?;
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let after = match after {
        Some(Name(shown)) => Some(listed_as(&hub, &shown).await?),
        None => None,
    };
    let (end, headers) = match limit {
        Some(limit) => page(&hub, after.as_ref(), limit),
        None => (None, HeaderMap::new()),
    };
    let (redaction, listed) = (hub.settings().redaction.clone(), hub.clone());
    let read = move |last: Option<&ChannelSeen>, wanted| {
        let mut next = hub.channels_after(last.map(|it| &it.channel).or(after.as_ref()), wanted);
        next.retain(|seen| end.as_ref().is_none_or(|end| seen.channel <= *end));
        next
    };
    let item = move |seen: &ChannelSeen| {
        let channel = redaction.channel(seen.channel.clone());
        narrowed.channel(&channel).then(|| ChannelLine {
            channel: channel.to_string(),
            private: seen.rules.private,
            presence: seen.rules.presence,
            members: seen.members,
            users: seen.users,
            messages: seen.messages,
        })
    };
    Ok((headers, list::answer(&listed, list::array(read, item)).await).into_response())
}

/// Returns the last channel of a page, and the headers that name the next one, if there is one.
fn page(hub: &Hub, after: Option<&Channel>, limit: PageLimit) -> (Option<Channel>, HeaderMap) {
    let mut found = hub.channels_after(after, limit.0 + 1);
    let more = found.len() > limit.0;
    found.truncate(limit.0);
    let Some(last) = found.pop().filter(|_| more) else { return (None, HeaderMap::new()) };
    let shown = hub.settings().redaction.channel(last.channel.clone());
    (Some(last.channel), list::next_page(limit, shown.as_str()))
}

/// Returns the channel that the list has under a name. Redaction shows some under another name than
/// their own: they are searched for, a piece of the list at a time.
async fn listed_as(hub: &Hub, shown: &str) -> Result<Channel, Problem> {
    let redaction = &hub.settings().redaction;
    let named = shown.parse::<Channel>();
    let is_shown = |channel: &Channel| redaction.channel(channel.clone()).as_str() == shown;
    let is_listed = |channel: &Channel| is_shown(channel) && hub.channel_seen(channel).is_some();
    if !redaction.is_on() || named.as_ref().is_ok_and(is_listed) {
        return channel(shown);
    }
    let mut last = None;
    loop {
        let piece = hub.channels_after(last.as_ref(), SEARCHED);
        if let Some(found) = piece.iter().find(|seen| is_shown(&seen.channel)) {
            return Ok(found.channel.clone());
        }
        match piece.last() {
            Some(seen) if piece.len() == SEARCHED => last = Some(seen.channel.clone()),
            // It is gone.
            _ => return channel(shown),
        }
        tokio::task::yield_now().await;
    }
}

/// Channels that are compared with a shown name in one turn.
const SEARCHED: usize = 64;

/// Answers `GET /api/channels/{channel}`: its members and its history.
pub(crate) async fn one(can: Can<Observe>, Segment(name): Segment) -> Result<Response, Problem> {
    let channel = channel(&name)?;
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let shown = hub.settings().redaction.channel(channel.clone());
    let seen =
        hub.channel_seen(&channel).filter(|_| narrowed.channel(&shown)).ok_or_else(|| {
            let words = format!("nobody is in the channel {name:?}, and nothing is kept of it");
            Problem::new(Code::NotFound, words)
        })?;
    Ok(list::answer(&hub, written(hub.clone(), seen, &narrowed)).await)
}

/// Writes a channel with its members and its history, its lists in pieces.
fn written(
    hub: Hub,
    seen: ChannelSeen,
    narrowed: &Narrowed,
) -> impl FnMut(&mut Vec<u8>) -> bool + use<> {
    let redaction = hub.settings().redaction.clone();
    let ChannelSeen { channel, rules, messages, .. } = seen;
    let shown = redaction.channel(channel.clone());
    let (for_members, for_users, for_history) =
        (narrowed.clone(), narrowed.clone(), narrowed.clone());
    let (in_channel, of_channel, of_user) = (shown.clone(), shown, redaction.clone());
    let head = ChannelHead {
        channel: redaction.channel(channel.clone()).to_string(),
        private: rules.private,
        presence: rules.presence,
        messages,
    };
    let mut head = Some(head);
    let mut members = list::array(
        {
            let (hub, channel) = (hub.clone(), channel.clone());
            move |last: Option<&ConnectionId>, wanted| hub.members_after(&channel, last, wanted)
        },
        {
            let hub = hub.clone();
            move |id: &ConnectionId| {
                let entry = || hub.connection(id);
                let seen = for_members.sees_all()
                    || entry().is_some_and(|entry| {
                        let user = entry.user().map(|user| of_user.user(user));
                        for_members.member(&in_channel, user.as_ref(), Some(&entry))
                    });
                seen.then(|| id.to_string())
            }
        },
    );
    let mut users = list::array(
        {
            let (hub, channel) = (hub.clone(), channel.clone());
            move |last: Option<&User>, wanted| hub.users_after(&channel, last, wanted)
        },
        move |user| {
            let user = redaction.user(user.clone());
            for_users.member(&of_channel, Some(&user), None).then(|| user.to_string())
        },
    );
    let mut history = list::array(
        move |last: Option<&Arc<Event>>, wanted| {
            hub.kept_after(&channel, last.map(|event| event.id), wanted)
        },
        move |event| for_history.event(event).then(|| EventJson::from(&**event)),
    );
    let mut parts: VecDeque<(&str, Part)> = VecDeque::from([
        (",\"members\":", Box::new(move |out: &mut _| members(out)) as Part),
        (",\"users\":", Box::new(move |out: &mut _| users(out))),
        (",\"history\":", Box::new(move |out: &mut _| history(out))),
    ]);
    move |out| {
        if let Some(head) = head.take() {
            serde_json::to_writer(&mut *out, &head).expect("an answer is JSON");
            // The lists are further members of the object.
            out.pop();
        }
        while let Some((name, part)) = parts.front_mut() {
            out.extend_from_slice(std::mem::take(name).as_bytes());
            if part(out) {
                return true;
            }
            parts.pop_front();
        }
        out.push(b'}');
        false
    }
}

/// A list within an answer, to be written in pieces.
type Part = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// Answers `POST /api/channels/{channel}/messages`: publishes the body to all in it, or with
/// `?user=` to these only.
pub(crate) async fn publish(
    Can { hub, caller, .. }: Can<access::Publish>,
    State(max): State<MaxMessageBytes>,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let (Publishing { user: to }, faults) = request::read(query.as_deref());
    faults.finish()?;
    let channel = channel(&name)?;
    if !caller.grant().may_publish(&channel) {
        let words = format!("the credential does not grant publish to the channel {name:?}");
        return Err(Problem::new(Code::Forbidden, words));
    }
    if hub.settings().recording {
        return Err(Refused::Recording.into());
    }
    let body = read_body(body, max.0, "a message").await?;
    let (opcode, payload) = payload(&headers, &body)?;
    hub.room_in(&channel).await;
    let publication = Publication { to, ..Publication::new(channel, opcode, body.len(), payload) };
    let id = hub.publish(publication)?;
    hub.kept(id).await?;
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
