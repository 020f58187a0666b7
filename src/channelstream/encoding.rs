//! Encodes events as frames of Channelstream: messages of any protocol, joins and leaves.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use super::request::{Delivery, Raw, State};
use super::shape::{Object, Post, Presence};
use super::shared::Shared;
use super::state::Tables;
use super::time::Moment;
use super::users::KnownUser;
use crate::event::{Body, Channel, ConnectionId, Event, EventBody, EventId, Message, Routing};
use crate::hub::Delivered;
use crate::json::Json;

/// The user of a message without a sender: every message of Channelstream has a user, and its servers
/// use this name.
const NOBODY: &str = "system";

impl Shared {
    /// Returns the frame of an event. It is encoded once for all clients.
    pub(super) fn encode(&self, delivered: &Delivered) -> Arc<str> {
        if let Some(frame) = &delivered.words {
            return Arc::clone(frame);
        }
        let event = &delivered.event;
        self.tables().encoded(event.id, |tables| {
            match delivered.body() {
                EventBody::Message(message) => foreign(tables, event, message),
                EventBody::Join(presence) => self.presence(tables, event.id, presence, true),
                EventBody::Leave(presence) => self.presence(tables, event.id, presence, false),
                // These are not delivered to members.
                EventBody::Connect(_)
                | EventBody::Close(_)
                | EventBody::Request(_)
                | EventBody::Lost(_) => "null".to_owned(),
            }
            .into()
        })
    }

    /// Returns whether an event is kept for clients that do not listen.
    pub(super) fn keeps_frames(&self, delivered: &Delivered) -> bool {
        let channel = match delivered.body() {
            EventBody::Message(message) => {
                message.routing.as_ref().and_then(|it| it.channel.as_ref())
            }
            EventBody::Join(presence) | EventBody::Leave(presence) => Some(&presence.channel),
            EventBody::Connect(_)
            | EventBody::Close(_)
            | EventBody::Request(_)
            | EventBody::Lost(_) => None,
        };
        let tables = self.tables();
        let known = channel.and_then(|channel| tables.channels.get(channel));
        known.is_none_or(|known| known.settings.store_frames)
    }

    fn presence(
        &self,
        tables: &Tables,
        id: EventId,
        presence: &crate::event::Presence,
        joined: bool,
    ) -> String {
        let (channel, user) = (&presence.channel, &presence.user);
        let lists = tables
            .channels
            .get(channel)
            .is_some_and(|known| known.settings.broadcast_presence_with_user_lists);
        let inside = lists.then(|| self.hub.channel(channel)).flatten();
        let users = inside.iter().flat_map(|inside| &inside.users);
        let state = || tables.users.get(user).map(KnownUser::public_state).unwrap_or_default();
        let presence = Presence {
            uuid: uuid_of(id),
            timestamp: Moment::of_ms(id.ms),
            channel,
            user,
            users: users.map(|user| tables.users.visible(user)).collect(),
            joined: joined.then(state),
        };
        presence.frame()
    }

    /// Returns the frame of a text that was sent to a single connection.
    pub(super) fn foreign_text(text: &str) -> Arc<str> {
        direct(payload(&Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text)))))
    }

    /// Returns the frame of bytes that were sent to a single connection.
    pub(super) fn foreign_bytes(bytes: &[u8]) -> Arc<str> {
        direct(payload(&Body::Binary(bytes.into())))
    }
}

/// Encodes a message of another protocol, and adds it to the history of its channel.
fn foreign(tables: &mut Tables, event: &Event, message: &Message) -> String {
    let post = post_of(event, message);
    let channel = post.delivery.channel.as_ref();
    let known = channel.and_then(|it| tables.channels.used(it, Instant::now(), post.timestamp));
    if let Some(known) = known {
        known.keep_foreign(event.id, &post);
    }
    post.frame()
}

/// Returns a message of the stream as one of this API.
pub(super) fn post_of(event: &Event, message: &Message) -> Post {
    let routing = message.routing.as_deref().cloned().unwrap_or_default();
    let Routing { channel, user, to, except } = routing;
    let own = &event.connection;
    let user = match user {
        Some(user) => user.to_string(),
        None if *own == ConnectionId::nobody() => NOBODY.to_owned(),
        None => own.to_string(),
    };
    let delivery = Delivery { channel, pm_users: to, exclude_users: except, no_history: false };
    Post {
        delivery,
        uuid: uuid_of(event.id),
        user,
        timestamp: Moment::of_ms(event.id.ms),
        message: Some(payload(&message.body)),
        edited: None,
        extra: State::new(),
    }
}

/// Returns the frame of a message to a single connection.
fn direct(message: Raw) -> Arc<str> {
    let post = Post {
        delivery: Delivery {
            channel: None,
            pm_users: Vec::new(),
            exclude_users: Vec::new(),
            no_history: true,
        },
        uuid: Uuid::new_v4(),
        user: NOBODY.to_owned(),
        timestamp: Moment::now(),
        message: Some(message),
        edited: None,
        extra: State::new(),
    };
    post.frame().into()
}

/// Returns a payload as an object, as messages of Channelstream require: an object unchanged, a
/// string as `{"text":"…"}`, any other value as `{"data":…}`.
fn payload(body: &Body) -> Raw {
    let object = match body {
        Body::Object(json) | Body::Value(json) => {
            let raw = serde_json::value::RawValue::from_string(json.as_str().to_owned());
            let raw = raw.expect("it was parsed before");
            match raw.get().as_bytes() {
                [b'{', ..] => return raw,
                [b'"', ..] => Object::new().with("text", &raw),
                _ => Object::new().with("data", &raw),
            }
        }
        Body::Binary(bytes) => {
            Object::new().with("data", &STANDARD.encode(bytes)).with("encoding", "base64")
        }
        Body::Absent => Object::new(),
    };
    object.end()
}

/// Returns the UUID of an event. UUIDs have the order of their events.
pub(super) fn uuid_of(id: EventId) -> Uuid {
    let mut rest = [0; 10];
    rest[2..].copy_from_slice(&id.seq.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(id.ms, &rest).into_uuid()
}

/// Returns the UUID of a channel, which depends on its name only.
pub(super) fn channel_uuid(channel: &Channel) -> Uuid {
    let hash = Sha1::new().chain_update(Uuid::NAMESPACE_OID).chain_update(channel.as_str());
    let hash: [u8; 20] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_others_become_objects() {
        let told = |json: &str| payload(&Body::Value(Json::parse(json).expect("JSON")));
        assert_eq!(told(r#"{"n":1.0}"#).get(), r#"{"n":1.0}"#);
        assert_eq!(told("\"hi\"").get(), r#"{"text":"hi"}"#);
        assert_eq!(told("[1e999]").get(), r#"{"data":[1e999]}"#);
        let bytes = payload(&Body::Binary([0, 255].into()));
        assert_eq!(bytes.get(), r#"{"data":"AP8=","encoding":"base64"}"#);
    }

    #[test]
    fn channels_have_uuids_made_of_their_names() {
        let uuid = channel_uuid(&"python.org".parse().expect("a channel"));
        // uuid.uuid5(uuid.NAMESPACE_OID, "python.org") in Python.
        assert_eq!(uuid.to_string(), "cd5d0bff-2444-5d26-ab53-4f7db1cb733d");
    }

    #[test]
    fn events_have_uuids_of_their_own_in_their_order() {
        let ids = [(5, 0), (5, 1), (5, 300), (6, 0)].map(|(ms, seq)| uuid_of(EventId { ms, seq }));
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_eq!(ids[0].get_version_num(), 7);
    }
}
