//! The items of the bodies of `/message`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::schema::{Fault, Fields, boolean, list, mapping, moment, uuid};
use super::super::time::Moment;
use super::{Raw, State, channel, missing, user};
use crate::event::{Channel, User};

/// The recipients of a message, its edit or its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Delivery {
    pub(in super::super) channel: Option<Channel>,
    pub(in super::super) pm_users: Vec<User>,
    pub(in super::super) exclude_users: Vec<User>,
    pub(in super::super) no_history: bool,
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

    /// Returns whether there is a recipient.
    pub(in super::super) fn has_destination(&self) -> bool {
        self.channel.is_some() || !self.pm_users.is_empty()
    }
}

/// An item of the body of `POST /message`.
#[derive(Debug, Clone)]
pub(in super::super) struct Message {
    pub(in super::super) delivery: Delivery,
    pub(in super::super) user: User,
    pub(in super::super) uuid: Option<Uuid>,
    pub(in super::super) timestamp: Option<Moment>,
    pub(in super::super) payload: Option<Raw>,
    /// Further members, which are passed on.
    pub(in super::super) extra: State,
}

/// Members that the server writes, which are dropped from the further members.
const OWN: [&str; 5] = ["edited", "catchup", "type", "users", "state"];

impl Message {
    pub(in super::super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let user = fields.required("user", user());
        let uuid = fields.optional("uuid", uuid);
        let timestamp = fields.optional("timestamp", moment);
        let payload = fields.optional("message", mapping);
        let extra = extra(fields.finish()?);
        Ok(Self { delivery, user: user.ok_or_else(missing)?, uuid, timestamp, payload, extra })
    }
}

/// An item of the body of `PATCH /message`.
#[derive(Debug, Clone)]
pub(in super::super) struct Edit {
    pub(in super::super) delivery: Delivery,
    pub(in super::super) uuid: Uuid,
    pub(in super::super) user: Option<User>,
    pub(in super::super) timestamp: Option<Moment>,
    pub(in super::super) message: Option<Raw>,
    pub(in super::super) edited: Option<Moment>,
    pub(in super::super) extra: State,
}

impl Edit {
    pub(in super::super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let id = fields.required("uuid", uuid);
        let user = fields.optional("user", user());
        let timestamp = fields.optional("timestamp", moment);
        let message = fields.optional("message", mapping);
        let edited = fields.optional("edited", moment);
        let extra = extra(fields.finish()?);
        let uuid = id.ok_or_else(missing)?;
        Ok(Self { delivery, uuid, user, timestamp, message, edited, extra })
    }
}

/// An item of the body of `DELETE /message`.
#[derive(Debug, Clone)]
pub(in super::super) struct Delete {
    pub(in super::super) delivery: Delivery,
    pub(in super::super) uuid: Uuid,
}

impl Delete {
    pub(in super::super) fn read(raw: &RawValue) -> Result<Self, Fault> {
        let mut fields = Fields::of(raw)?;
        let delivery = Delivery::read(&mut fields);
        let id = fields.required("uuid", uuid);
        fields.finish()?;
        Ok(Self { delivery, uuid: id.ok_or_else(missing)? })
    }
}

fn extra(rest: BTreeMap<String, &RawValue>) -> State {
    let rest = rest.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    rest.map(|(name, raw)| (name, raw.to_owned())).collect()
}
