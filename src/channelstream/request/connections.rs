//! The bodies of `/connect`, `/subscribe`, `/unsubscribe`, `/disconnect` and `/user_state`.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::schema::{self, Fault, Fields, dictionary, list, scalar, uuid};
use super::{Change, Changes, Info, State, channel, key, missing, user};
use crate::event::{Channel, User};

/// The body of `/connect`.
#[derive(Debug)]
pub(in super::super) struct Connect {
    pub(in super::super) username: User,
    /// The id that the caller has chosen for the connection.
    pub(in super::super) conn_id: Option<Uuid>,
    pub(in super::super) channels: Vec<Channel>,
    /// The initial state of a new user.
    pub(in super::super) fresh_user_state: State,
    pub(in super::super) user_state: State,
    /// The keys of the state that others may see.
    pub(in super::super) state_public_keys: Vec<String>,
    /// Settings of channels that do not exist yet.
    pub(in super::super) channel_configs: Changes,
    pub(in super::super) info: Info,
}

impl Connect {
    pub(in super::super) fn read(raw: &RawValue) -> Result<Self, Fault> {
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
        let username = username.ok_or_else(missing)?;
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

fn configs(fields: &mut Fields<'_>) -> Changes {
    fields.optional("channel_configs", dictionary(Change::read)).unwrap_or_default()
}

/// The body of `/subscribe` and `/unsubscribe`.
#[derive(Debug)]
pub(in super::super) struct Subscribe {
    pub(in super::super) conn_id: Uuid,
    pub(in super::super) channels: Vec<Channel>,
    pub(in super::super) channel_configs: Changes,
    pub(in super::super) info: Info,
}

impl Subscribe {
    /// Reads a body. `in_query` is the `conn_id` of the URL, which counts if the body has none;
    /// `known` returns whether there is such a connection.
    pub(in super::super) fn read(
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
        let (conn_id, channels) = conn_id.zip(channels).ok_or_else(missing)?;
        Ok(Self { conn_id, channels, channel_configs, info })
    }
}

/// Reads the body of `/disconnect`.
pub(in super::super) fn disconnect(
    raw: &RawValue,
    in_query: Option<&RawValue>,
) -> Result<Uuid, Fault> {
    let mut fields = Fields::of(raw)?;
    let conn_id = fields.required_or("conn_id", in_query, uuid);
    fields.finish()?;
    conn_id.ok_or_else(missing)
}

/// The body of `/user_state`.
#[derive(Debug)]
pub(in super::super) struct UserState {
    pub(in super::super) user: User,
    pub(in super::super) state: State,
    /// The keys of the state that others may see; `None` leaves them as they are.
    pub(in super::super) state_public_keys: Option<Vec<String>>,
}

impl UserState {
    /// Reads a body. `known` returns whether there is such a user.
    pub(in super::super) fn read(
        raw: &RawValue,
        known: impl Fn(&User) -> bool,
    ) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let user = fields.required("user", |raw| {
            let user = user()(raw)?;
            if known(&user) { Ok(user) } else { Err(schema::fault("Unknown user")) }
        });
        let state = fields.optional("user_state", dictionary(scalar)).unwrap_or_default();
        let state_public_keys = fields.nullable("state_public_keys", list(key));
        fields.finish()?;
        Ok(Self { user: user.ok_or_else(missing)?, state, state_public_keys })
    }
}
