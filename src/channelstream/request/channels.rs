//! Settings of channels, and what a call asks about channels.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::schema::{Fault, Fields, boolean, count, dictionary, list};
use super::channel;
use crate::event::Channel;

/// The settings of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are what the API has")]
pub(in super::super) struct ChannelSettings {
    /// Whether members receive joins and leaves.
    pub(in super::super) notify_presence: bool,
    /// Whether messages are kept in a history.
    pub(in super::super) store_history: bool,
    /// How many messages the history keeps.
    pub(in super::super) history_size: usize,
    /// Whether joins and leaves carry the list of users.
    pub(in super::super) broadcast_presence_with_user_lists: bool,
    /// Whether members receive changes of a user's state.
    pub(in super::super) notify_state: bool,
    /// Whether members receive what was published while they did not listen.
    pub(in super::super) store_frames: bool,
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

/// Changes of the settings of a channel. `None` leaves a setting as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Change {
    notify_presence: Option<bool>,
    store_history: Option<bool>,
    history_size: Option<usize>,
    broadcast_presence_with_user_lists: Option<bool>,
    notify_state: Option<bool>,
    store_frames: Option<bool>,
}

impl Change {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
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

    /// Returns the settings with the changes.
    pub(in super::super) fn apply(self, settings: ChannelSettings) -> ChannelSettings {
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
pub(in super::super) type Changes = BTreeMap<String, Change>;

/// What a call asks about channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are what the API has")]
pub(in super::super) struct Info {
    /// The channels; `None` for all that the call is about.
    pub(in super::super) channels: Option<Vec<Channel>>,
    /// Channels that are left out.
    pub(in super::super) exclude_channels: Vec<Channel>,
    /// Whether the history is included.
    pub(in super::super) include_history: bool,
    /// Whether the users and their states are included.
    pub(in super::super) include_users: bool,
    /// Whether the connections of the users are included.
    pub(in super::super) include_connections: bool,
    /// Whether states are reduced to their public part.
    pub(in super::super) return_public_state: bool,
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
    pub(super) fn read(raw: &RawValue) -> Result<Self, Fault> {
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
    pub(in super::super) fn body(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let info = fields.required("info", Self::read);
        fields.finish().map(|_| info.unwrap_or_default())
    }
}

/// Reads the body of `/channel_config`.
pub(in super::super) fn channel_config(raw: &RawValue) -> Result<Vec<(Channel, Change)>, Fault> {
    let changes = dictionary(Change::read)(raw).map_err(|faults| match faults {
        // The original reports these faults without the level `value`.
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
