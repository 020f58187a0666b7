//! What the calls of the API take, each as a value that is right once it exists. Pure.
//!
//! Members that are not known are ignored at the top and passed on in messages: both of the two
//! versions of Channelstream that are about find what they expect.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

pub(super) use super::schema::Raw;
use super::schema::{
    self, Fault, Fields, boolean, count, dictionary, list, mapping, moment, name, scalar, uuid,
};
use super::time::Moment;
use crate::event::{Channel, User};

/// The settings of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are what the API has")]
pub(super) struct ChannelSettings {
    /// Whether members are told who comes and goes.
    pub(super) notify_presence: bool,
    /// Whether messages are kept for those who ask for the channel.
    pub(super) store_history: bool,
    /// How many.
    pub(super) history_size: usize,
    /// Whether those who are told who comes and goes are also told who is there.
    pub(super) broadcast_presence_with_user_lists: bool,
    /// Whether members are told how the state of a user changes.
    pub(super) notify_state: bool,
    /// Whether members get what came while they did not listen.
    pub(super) store_frames: bool,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            notify_presence: false,
            store_history: false,
            history_size: 10,
            broadcast_presence_with_user_lists: false,
            notify_state: false,
            store_frames: true,
        }
    }
}

/// What is to be changed of the settings of a channel: what is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    notify_presence: Option<bool>,
    store_history: Option<bool>,
    history_size: Option<usize>,
    broadcast_presence_with_user_lists: Option<bool>,
    notify_state: Option<bool>,
    store_frames: Option<bool>,
}

impl Change {
    fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let change = Self {
            notify_presence: fields.optional("notify_presence", boolean),
            store_history: fields.optional("store_history", boolean),
            history_size: fields.optional("history_size", count),
            broadcast_presence_with_user_lists: fields
                .optional("broadcast_presence_with_user_lists", boolean),
            notify_state: fields.optional("notify_state", boolean),
            store_frames: fields.optional("store_frames", boolean),
        };
        fields.finish().map(|_| change)
    }

    /// Changes what is named and leaves the rest.
    pub(super) fn apply(self, settings: ChannelSettings) -> ChannelSettings {
        ChannelSettings {
            notify_presence: self.notify_presence.unwrap_or(settings.notify_presence),
            store_history: self.store_history.unwrap_or(settings.store_history),
            history_size: self.history_size.unwrap_or(settings.history_size),
            broadcast_presence_with_user_lists: self
                .broadcast_presence_with_user_lists
                .unwrap_or(settings.broadcast_presence_with_user_lists),
            notify_state: self.notify_state.unwrap_or(settings.notify_state),
            store_frames: self.store_frames.unwrap_or(settings.store_frames),
        }
    }
}

/// Changes by the names of the channels.
pub(super) type Changes = BTreeMap<String, Change>;

/// What somebody wants to be told about channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are what the API has")]
pub(super) struct Info {
    /// Of these; without it, of all that the call is about.
    pub(super) channels: Option<Vec<Channel>>,
    /// Not of these.
    pub(super) exclude_channels: Vec<Channel>,
    /// With the messages that are kept.
    pub(super) include_history: bool,
    /// With the names of the users, and their states.
    pub(super) include_users: bool,
    /// With the connections of the users.
    pub(super) include_connections: bool,
    /// Only with the public part of the states.
    pub(super) return_public_state: bool,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            channels: None,
            exclude_channels: Vec::new(),
            include_history: true,
            include_users: true,
            include_connections: false,
            return_public_state: false,
        }
    }
}

impl Info {
    fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let channels = |fields: &mut Fields<'_>, name| fields.optional(name, list(channel()));
        let info = Self {
            channels: channels(&mut fields, "channels"),
            exclude_channels: channels(&mut fields, "exclude_channels").unwrap_or_default(),
            include_history: fields.optional("include_history", boolean).unwrap_or(true),
            include_users: fields.optional("include_users", boolean).unwrap_or(true),
            include_connections: fields.optional("include_connections", boolean).unwrap_or(false),
            return_public_state: fields.optional("return_public_state", boolean).unwrap_or(false),
        };
        fields.finish().map(|_| info)
    }

    /// Reads the body of `/info`.
    pub(super) fn body(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let info = fields.required("info", Self::read);
        fields.finish().map(|_| info.unwrap_or_default())
    }
}

fn channel() -> impl Fn(&RawValue) -> Result<Channel, Fault> {
    name(Channel::MAX_CHARS)
}

fn user() -> impl Fn(&RawValue) -> Result<User, Fault> {
    name(User::MAX_CHARS)
}

fn key(raw: &RawValue) -> Result<String, Fault> {
    name(256)(raw)
}

/// What users are in, and say of themselves: names and plain values.
pub(super) type State = BTreeMap<String, Raw>;

/// The body of `/connect`.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) username: User,
    /// The id that the connection is to have.
    pub(super) conn_id: Option<Uuid>,
    pub(super) channels: Vec<Channel>,
    /// The state of a user who is not known yet.
    pub(super) fresh_user_state: State,
    pub(super) user_state: State,
    /// The names of what others may see of the state.
    pub(super) state_public_keys: Vec<String>,
    /// For channels that do not exist yet.
    pub(super) channel_configs: Changes,
    pub(super) info: Info,
}

impl Connect {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let username = fields.required("username", user());
        let conn_id = fields.optional("conn_id", uuid);
        let channels = fields.optional("channels", list(channel())).unwrap_or_default();
        let mut state = |name| fields.optional(name, dictionary(scalar)).unwrap_or_default();
        let (fresh_user_state, user_state) = (state("fresh_user_state"), state("user_state"));
        let state_public_keys = fields.optional("state_public_keys", list(key)).unwrap_or_default();
        let channel_configs = configs(&mut fields);
        let info = fields.optional("info", Info::read).unwrap_or_default();
        fields.finish()?;
        let username = username.ok_or_else(impossible)?;
        Ok(Self {
            username,
            conn_id,
            channels,
            fresh_user_state,
            user_state,
            state_public_keys,
            channel_configs,
            info,
        })
    }
}

/// What is required and not there has its fault noted, which ends the reading before this is asked.
fn impossible() -> Fault {
    schema::fault("Missing data for required field.")
}

fn configs(fields: &mut Fields<'_>) -> Changes {
    fields.optional("channel_configs", dictionary(Change::read)).unwrap_or_default()
}

/// The body of `/subscribe` and `/unsubscribe`.
#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) conn_id: Uuid,
    pub(super) channels: Vec<Channel>,
    pub(super) channel_configs: Changes,
    pub(super) info: Info,
}

impl Subscribe {
    /// `in_query` is the `conn_id` of the URL, for those who leave it out of the body; `known` says
    /// whether there is such a connection.
    pub(super) fn read(
        raw: &RawValue,
        in_query: Option<&RawValue>,
        known: impl Fn(&Uuid) -> bool,
    ) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let known = |raw: &RawValue| {
            let id = uuid(raw)?;
            if known(&id) { Ok(id) } else { Err(schema::fault("Unknown connection")) }
        };
        let conn_id = fields.required_or("conn_id", in_query, known);
        let channels = fields.required("channels", list(channel()));
        if channels.as_ref().is_some_and(Vec::is_empty) {
            fields.fault("channels", "Shorter than minimum length 1.");
        }
        let channel_configs = configs(&mut fields);
        let info = fields.optional("info", Info::read).unwrap_or_default();
        fields.finish()?;
        let (conn_id, channels) = conn_id.zip(channels).ok_or_else(impossible)?;
        Ok(Self { conn_id, channels, channel_configs, info })
    }
}

/// Reads the body of `/disconnect`.
pub(super) fn disconnect(raw: &RawValue, in_query: Option<&RawValue>) -> Result<Uuid, Fault> {
    let mut fields = Fields::of(raw)?;
    let conn_id = fields.required_or("conn_id", in_query, uuid);
    fields.finish()?;
    conn_id.ok_or_else(impossible)
}

/// The body of `/user_state`.
#[derive(Debug)]
pub(super) struct UserState {
    pub(super) user: User,
    pub(super) state: State,
    /// `None` leaves them as they are.
    pub(super) state_public_keys: Option<Vec<String>>,
}

impl UserState {
    /// `known` says whether there is such a user.
    pub(super) fn read(raw: &RawValue, known: impl Fn(&User) -> bool) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let user = fields.required("user", |raw| {
            let user = user()(raw)?;
            if known(&user) { Ok(user) } else { Err(schema::fault("Unknown user")) }
        });
        let state = fields.optional("user_state", dictionary(scalar)).unwrap_or_default();
        let state_public_keys = fields.nullable("state_public_keys", list(key));
        fields.finish()?;
        Ok(Self { user: user.ok_or_else(impossible)?, state, state_public_keys })
    }
}

/// Reads the body of `/channel_config`.
pub(super) fn channel_config(raw: &RawValue) -> Result<Vec<(Channel, Change)>, Fault> {
    let changes = dictionary(Change::read)(raw).map_err(|faults| match faults {
        // The original reads this one without saying that it is about a value.
        serde_json::Value::Object(faults) => faults
            .into_iter()
            .map(|(name, mut fault)| (name, fault["value"].take()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => serde_json::json!({"_schema": ["Invalid input type."]}),
    })?;
    let named = changes.into_iter().map(|(text, change)| match text.parse() {
        Ok(channel) => Ok((channel, change)),
        Err(_) => Err(serde_json::json!({text: ["Length must be between 1 and 256."]})),
    });
    named.collect()
}

/// For whom a message, its edit or its deletion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) channel: Option<Channel>,
    pub(super) pm_users: Vec<User>,
    pub(super) exclude_users: Vec<User>,
    pub(super) no_history: bool,
}

impl Delivery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let users =
            |fields: &mut Fields<'_>, name| fields.optional(name, list(user())).unwrap_or_default();
        Self {
            channel: fields.nullable("channel", channel()),
            pm_users: users(fields, "pm_users"),
            exclude_users: users(fields, "exclude_users"),
            no_history: fields.optional("no_history", boolean).unwrap_or(false),
        }
    }

    /// Returns whether it is for anybody.
    pub(super) fn has_destination(&self) -> bool {
        self.channel.is_some() || !self.pm_users.is_empty()
    }
}

/// An item of the body of `POST /message`.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) delivery: Delivery,
    pub(super) user: User,
    pub(super) uuid: Option<Uuid>,
    pub(super) timestamp: Option<Moment>,
    pub(super) payload: Option<Raw>,
    /// What else its sender has put there.
    pub(super) extra: State,
}

/// What a message has of its own: no sender may write these.
const OWN: [&str; 5] = ["edited", "catchup", "type", "users", "state"];

impl Message {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let user = fields.required("user", user());
        let uuid = fields.optional("uuid", uuid);
        let timestamp = fields.optional("timestamp", moment);
        let payload = fields.optional("message", mapping);
        let extra = extra(fields.finish()?);
        Ok(Self { delivery, user: user.ok_or_else(impossible)?, uuid, timestamp, payload, extra })
    }
}

/// An item of the body of `PATCH /message`.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) delivery: Delivery,
    pub(super) uuid: Uuid,
    pub(super) user: Option<User>,
    pub(super) timestamp: Option<Moment>,
    pub(super) message: Option<Raw>,
    pub(super) edited: Option<Moment>,
    pub(super) extra: State,
}

impl Edit {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let id = fields.required("uuid", uuid);
        let user = fields.optional("user", user());
        let timestamp = fields.optional("timestamp", moment);
        let message = fields.optional("message", mapping);
        let edited = fields.optional("edited", moment);
        let extra = extra(fields.finish()?);
        let uuid = id.ok_or_else(impossible)?;
        Ok(Self { delivery, uuid, user, timestamp, message, edited, extra })
    }
}

/// An item of the body of `DELETE /message`.
#[derive(Debug, Clone)]
pub(super) struct Delete {
    pub(super) delivery: Delivery,
    pub(super) uuid: Uuid,
}

impl Delete {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let id = fields.required("uuid", uuid);
        fields.finish()?;
        Ok(Self { delivery, uuid: id.ok_or_else(impossible)? })
    }
}

fn extra(rest: BTreeMap<String, &RawValue>) -> State {
    let rest = rest.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    rest.map(|(name, raw)| (name, raw.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn raw(value: &Value) -> Raw {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    /// Asserts what the answer to a body says is wrong with it.
    #[track_caller]
    fn wrong<T: std::fmt::Debug>(
        read: impl Fn(&RawValue) -> Result<T, Fault>,
        body: &Value,
        told: &Value,
    ) {
        assert_eq!(&read(&raw(body)).expect_err("it is wrong"), told, "{body}");
    }

    #[test]
    fn faults_of_connect_are_told_in_the_words_of_the_original() {
        let read = Connect::read;
        wrong(read, &json!({}), &json!({"username": ["Missing data for required field."]}));
        wrong(read, &json!([]), &json!({"_schema": ["Invalid input type."]}));
        wrong(read, &json!({"username": null}), &json!({"username": ["Field may not be null."]}));
        wrong(
            read,
            &json!({"username": ""}),
            &json!({"username": ["Length must be between 1 and 512."]}),
        );
        wrong(
            read,
            &json!({"username": "x".repeat(513), "channels": ["a", ""], "conn_id": "1"}),
            &json!({
                "username": ["Length must be between 1 and 512."],
                "channels": {"1": ["Length must be between 1 and 256."]},
                "conn_id": ["Not a valid UUID."],
            }),
        );
        wrong(
            read,
            &json!({"username": 5, "channels": "a", "user_state": {"a": [], "b": 1}}),
            &json!({
                "username": ["Not a valid string."],
                "channels": ["Not a valid list."],
                "user_state": {"a": {"value": ["Value is not type of string, integer, boolean or float."]}},
            }),
        );
        wrong(
            read,
            &json!({"username": "a", "channel_configs": {"c": {"history_size": -1, "store_frames": "perhaps"}}}),
            &json!({"channel_configs": {"c": {"value": {
                "history_size": ["Must be at least 0."],
                "store_frames": ["Not a valid boolean."],
            }}}}),
        );
        wrong(
            read,
            &json!({"username": "a", "fresh_user_state": 1, "info": 1, "state_public_keys": [null]}),
            &json!({
                "fresh_user_state": ["Not a valid mapping type."],
                "info": {"_schema": ["Invalid input type."]},
                "state_public_keys": {"0": ["Field may not be null."]},
            }),
        );
    }

    #[test]
    fn faults_of_the_other_calls_are_told_likewise() {
        let subscribe =
            |raw: &RawValue| Subscribe::read(&raw.to_owned(), None, |_| false).map(drop);
        wrong(
            subscribe,
            &json!({}),
            &json!({
                "conn_id": ["Field may not be null."],
                "channels": ["Missing data for required field."],
            }),
        );
        let id = "12345678-1234-5678-1234-567812345678";
        wrong(
            subscribe,
            &json!({"conn_id": id, "channels": []}),
            &json!({
                "conn_id": ["Unknown connection"],
                "channels": ["Shorter than minimum length 1."],
            }),
        );
        let user_state = |raw: &RawValue| UserState::read(raw, |_| false);
        wrong(user_state, &json!({}), &json!({"user": ["Missing data for required field."]}));
        wrong(user_state, &json!({"user": "x"}), &json!({"user": ["Unknown user"]}));
        wrong(Info::body, &json!({}), &json!({"info": ["Missing data for required field."]}));
        wrong(
            channel_config,
            &json!({"c": {"history_size": "many"}, "d": 1}),
            &json!({
                "c": {"history_size": ["Not a valid integer."]},
                "d": {"_schema": ["Invalid input type."]},
            }),
        );
    }

    #[test]
    fn faults_of_messages_are_told_by_their_places() {
        let messages = |raw: &RawValue| schema::many(&raw.to_owned(), Message::read).map(drop);
        wrong(messages, &json!({}), &json!({"_schema": ["Invalid input type."]}));
        wrong(
            messages,
            &json!([{}, {"user": "a"}, {"user": "a", "message": 1, "timestamp": "soon", "uuid": 1}, 5]),
            &json!({
                "0": {"user": ["Missing data for required field."]},
                "2": {
                    "message": ["Not a valid mapping type."],
                    "timestamp": ["Not a valid datetime."],
                    "uuid": ["Not a valid UUID."],
                },
                "3": {"_schema": ["Invalid input type."]},
            }),
        );
        let deletions = |raw: &RawValue| schema::many(&raw.to_owned(), Delete::read).map(drop);
        wrong(
            deletions,
            &json!([{"channel": "a"}]),
            &json!({"0": {"uuid": ["Missing data for required field."]}}),
        );
    }

    #[test]
    fn what_is_not_known_is_ignored_at_the_top_and_passed_on_in_messages() {
        let body = json!({"username": "a", "type": "x", "nonsense": {"b": 1}});
        assert!(Connect::read(&raw(&body)).is_ok());
        let body = json!({"user": "a", "channel": null, "type": "message", "catchup": true, "colour": "red"});
        let message = Message::read(&raw(&body)).expect("a message");
        assert_eq!(message.extra.keys().collect::<Vec<_>>(), ["colour"]);
        assert!(!message.delivery.has_destination());
    }

    #[test]
    fn words_and_numbers_are_truth_values_and_digits_a_count() {
        let body = json!({"notify_presence": "true", "store_history": 1, "history_size": "7", "notify_state": 0});
        let change = Change::read(&raw(&body)).expect("settings");
        let settings = change.apply(ChannelSettings::default());
        assert!(settings.notify_presence && settings.store_history && settings.store_frames);
        assert_eq!(settings.history_size, 7);
    }

    /// Values that are like what calls take, and not quite.
    fn odd() -> impl Strategy<Value = Value> {
        let names = ["username", "channels", "uuid", "user", "message", "info", "conn_id", "a"];
        let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
        let texts = ["", "a", "\u{0}", "12345678-1234-5678-1234-567812345678", "2010-01-01T01:01Z"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            proptest::sample::select(texts.to_vec()).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let members = proptest::collection::btree_map(name.clone(), inner.clone(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_told_to_be_wrong(body in odd()) {
            let raw = raw(&body);
            let told = [
                Connect::read(&raw).map(drop),
                Subscribe::read(&raw, None, |_| true).map(drop),
                UserState::read(&raw, |_| true).map(drop),
                Info::body(&raw).map(drop),
                channel_config(&raw).map(drop),
                disconnect(&raw, None).map(drop),
                schema::many(&raw, Message::read).map(drop),
                schema::many(&raw, Edit::read).map(drop),
                schema::many(&raw, Delete::read).map(drop),
            ];
            for fault in told.into_iter().filter_map(Result::err) {
                prop_assert!(fault.as_object().is_some_and(|faults| !faults.is_empty()), "{fault}");
            }
        }
    }
}
