//! The JSON that the API answers and sends. Pure.
//!
//! It is compact, where the original indents by four: clients only parse it, and a frame is half as
//! large. A frame for a client never names other recipients.
//!
//! ```json
//! {"channel":"a","uuid":"…","timestamp":"…","user":"ann","message":{"text":"hi"},"edited":null,"catchup":false,"type":"message"}
//! {"channel":"a","uuid":"…","timestamp":"…","message":{"text":"ho"},"edited":"…","type":"message:edit"}
//! {"channel":"a","uuid":"…","type":"message:delete"}
//! ```

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::request::{ChannelSettings, Delete, Delivery, Edit, Raw, State};
use super::time::Moment;
use crate::event::{Channel, User};

/// Writes a JSON object.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&json(name));
        self.0.push(':');
        self.0.push_str(&json(value));
        self
    }

    /// Adds a member if there is a value.
    pub(super) fn with_some(self, name: &str, value: Option<&(impl Serialize + ?Sized)>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds members.
    fn with_all(self, members: &State) -> Self {
        members.iter().fold(self, |object, (name, value)| object.with(name, value))
    }

    /// Adds the recipients.
    fn with_delivery(self, delivery: &Delivery) -> Self {
        self.with("channel", &channel(delivery))
            .with("pm_users", &names(&delivery.pm_users))
            .with("exclude_users", &names(&delivery.exclude_users))
            .with("no_history", &delivery.no_history)
    }

    /// Ends the object.
    pub(super) fn text(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Ends an object that becomes a member of another.
    pub(super) fn end(self) -> Raw {
        RawValue::from_string(self.text()).expect("it was written as JSON")
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("names, numbers and JSON are always JSON")
}

fn channel(delivery: &Delivery) -> Option<&str> {
    delivery.channel.as_ref().map(Channel::as_str)
}

/// Returns the names as text.
pub(super) fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(User::as_str).collect()
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) delivery: Delivery,
    pub(super) uuid: Uuid,
    pub(super) user: String,
    pub(super) timestamp: Moment,
    pub(super) message: Option<Raw>,
    /// When it was last changed.
    pub(super) edited: Option<Moment>,
    pub(super) extra: State,
}

impl Post {
    /// Returns the frame for clients.
    pub(super) fn frame(&self) -> String {
        let object = Object::new()
            .with("channel", &channel(&self.delivery))
            .with("uuid", &self.uuid.to_string())
            .with("timestamp", &self.timestamp)
            .with("user", &self.user)
            .with_some("message", self.message.as_ref())
            .with("edited", &self.edited);
        object.with_all(&self.extra).with("catchup", &false).with("type", "message").text()
    }

    /// Returns the answer to the sender.
    pub(super) fn answer(&self) -> Raw {
        self.whole().end()
    }

    /// Returns the message as a history shows it.
    pub(super) fn kept(&self) -> Raw {
        self.whole().with("catchup", &false).with("type", "message").end()
    }

    fn whole(&self) -> Object {
        Object::new()
            .with_delivery(&self.delivery)
            .with("uuid", &self.uuid.to_string())
            .with("timestamp", &self.timestamp)
            .with("user", &self.user)
            .with_some("message", self.message.as_ref())
            .with("edited", &self.edited)
            .with_all(&self.extra)
    }

    /// Applies an edit.
    pub(super) fn change(&mut self, edit: &Edit, edited: Moment) {
        if let Some(user) = &edit.user {
            user.as_str().clone_into(&mut self.user);
        }
        if let Some(timestamp) = edit.timestamp {
            self.timestamp = timestamp;
        }
        if let Some(message) = &edit.message {
            self.message = Some(message.clone());
        }
        self.edited = Some(edited);
    }
}

/// Returns the frame that tells clients of an edit.
pub(super) fn edit_frame(edit: &Edit, edited: Moment) -> String {
    let object = Object::new().with("channel", &channel(&edit.delivery));
    edit_members(object, edit, edited).with("type", "message:edit").text()
}

/// Returns the answer to an edit.
pub(super) fn edit_answer(edit: &Edit, edited: Moment) -> Raw {
    edit_members(Object::new().with_delivery(&edit.delivery), edit, edited).end()
}

fn edit_members(object: Object, edit: &Edit, edited: Moment) -> Object {
    object
        .with("uuid", &edit.uuid.to_string())
        .with_some("timestamp", edit.timestamp.as_ref())
        .with_some("user", edit.user.as_ref().map(User::as_str))
        .with_some("message", edit.message.as_ref())
        .with("edited", &edited)
        .with_all(&edit.extra)
}

/// Returns the frame that tells clients of a deletion.
pub(super) fn delete_frame(delete: &Delete) -> String {
    Object::new()
        .with("channel", &channel(&delete.delivery))
        .with("uuid", &delete.uuid.to_string())
        .with("type", "message:delete")
        .text()
}

/// Returns the answer to a deletion.
pub(super) fn delete_answer(delete: &Delete) -> Raw {
    Object::new().with_delivery(&delete.delivery).with("uuid", &delete.uuid.to_string()).end()
}

/// Returns the members of an object written here, or none if the text is no object.
fn members(object: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(object).unwrap_or_default()
}

/// Returns the frame of a message with the changes of an edit.
pub(super) fn edited(frame: &str, edit: &str) -> String {
    let edit = members(edit);
    let new = |name: &str| match name {
        "timestamp" | "user" | "message" | "edited" => edit.get(name).copied(),
        _ => None,
    };
    let members = members(frame).into_iter();
    let members = members.map(|(name, old)| (new(&name).unwrap_or(old), name));
    let object = members.fold(Object::new(), |object, (value, name)| object.with(&name, value));
    object.text()
}

/// Returns a frame marked as missed while the client did not listen.
pub(super) fn late(frame: &str) -> String {
    let members = members(frame);
    let others = members.iter().filter(|(name, _)| name.as_str() != "catchup");
    let object = others.fold(Object::new(), |object, (name, value)| object.with(name, value));
    object.with("catchup", &true).text()
}

/// A user as others see them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Visible {
    pub(super) user: String,
    pub(super) state: State,
}

/// A join (`joined`) or a leave (`parted`) for the members of a channel.
#[derive(Debug)]
pub(super) struct Presence<'a> {
    pub(super) uuid: Uuid,
    pub(super) timestamp: Moment,
    pub(super) channel: &'a Channel,
    pub(super) user: &'a User,
    /// The users in the channel, if its settings include them.
    pub(super) users: Vec<Visible>,
    /// The public state of a user who has joined; `None` for a leave.
    pub(super) joined: Option<State>,
}

impl Presence<'_> {
    pub(super) fn frame(&self) -> String {
        let action = if self.joined.is_some() { "joined" } else { "parted" };
        Object::new()
            .with("uuid", &self.uuid.to_string())
            .with("type", "presence")
            .with("user", self.user.as_str())
            .with("users", &self.users)
            .with("timestamp", &self.timestamp)
            .with("channel", self.channel.as_str())
            .with("message", &BTreeMap::from([("action", action)]))
            .with("state", &self.joined)
            .with("catchup", &false)
            .text()
    }
}

/// A changed value of a user's state.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Changed {
    pub(super) key: String,
    pub(super) value: Raw,
}

/// Returns the frame that tells members of a changed state.
pub(super) fn state_frame(
    (uuid, timestamp): (Uuid, Moment),
    channel: &Channel,
    user: &User,
    state: &State,
    changed: &[Changed],
) -> String {
    let message = Object::new().with("state", state).with("changed", changed).end();
    Object::new()
        .with("uuid", &uuid.to_string())
        .with("type", "user_state_change")
        .with("user", user.as_str())
        .with("timestamp", &timestamp)
        .with("catchup", &false)
        .with("channel", channel.as_str())
        .with("message", &message)
        .text()
}

/// A channel in `channels_info`.
#[derive(Debug, Serialize)]
pub(super) struct ChannelInfo {
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) long_name: Option<()>,
    pub(super) settings: ChannelSettings,
    pub(super) history: Vec<Raw>,
    pub(super) last_active: Moment,
    pub(super) total_connections: usize,
    pub(super) total_users: usize,
    pub(super) users: Vec<String>,
}

/// A user in `channels_info`.
#[derive(Debug, Serialize)]
pub(super) struct UserInfo {
    pub(super) user: String,
    pub(super) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<Vec<String>>,
}

/// Channels and the users in them.
#[derive(Debug, Default, Serialize)]
pub(super) struct ChannelsInfo {
    pub(super) channels: BTreeMap<String, ChannelInfo>,
    pub(super) users: Vec<UserInfo>,
}

/// The answer to `/connect`.
#[derive(Debug, Serialize)]
pub(super) struct Connected {
    pub(super) conn_id: String,
    pub(super) state: State,
    pub(super) username: String,
    pub(super) public_state: State,
    pub(super) channels: Vec<String>,
    pub(super) channels_info: ChannelsInfo,
}

#[cfg(test)]
mod tests {
    use super::super::request::Message;
    use super::*;

    fn raw(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn post(text: &str) -> Post {
        let message = Message::read(&raw(text)).expect("a message");
        Post {
            delivery: message.delivery,
            uuid: Uuid::from_u128(1),
            user: message.user.to_string(),
            timestamp: Moment::of_ms(0),
            message: message.payload,
            edited: None,
            extra: message.extra,
        }
    }

    #[test]
    fn a_client_is_not_told_for_whom_else_a_message_was() {
        let post = post(
            r#"{"user":"ann","channel":"a","pm_users":["bob"],"exclude_users":["eve"],"no_history":true,"message":{"n":1e999},"type":"shout","colour":[1]}"#,
        );
        let frame = r#"{"channel":"a","uuid":"00000000-0000-0000-0000-000000000001","timestamp":"1970-01-01T00:00:00","user":"ann","message":{"n":1e999},"edited":null,"colour":[1],"catchup":false,"type":"message"}"#;
        assert_eq!(post.frame(), frame);
        let answer = r#"{"channel":"a","pm_users":["bob"],"exclude_users":["eve"],"no_history":true,"uuid":"00000000-0000-0000-0000-000000000001","timestamp":"1970-01-01T00:00:00","user":"ann","message":{"n":1e999},"edited":null,"colour":[1]}"#;
        assert_eq!(post.answer().get(), answer);
        assert!(post.kept().get().ends_with(r#","catchup":false,"type":"message"}"#));
    }

    #[test]
    fn what_comes_late_says_so() {
        let deletion = late(r#"{"uuid":"x","type":"message:delete"}"#);
        assert_eq!(deletion, r#"{"type":"message:delete","uuid":"x","catchup":true}"#);
        let message = late(&post(r#"{"user":"a","channel":"a"}"#).frame());
        assert!(message.contains(r#""catchup":true"#) && !message.contains("false"));
    }
}
