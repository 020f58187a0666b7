//! Calls about connections and users: `/connect`, `/subscribe`, `/unsubscribe`, `/user_state` and
//! `/disconnect`.
//!
//! A change and the events that announce it happen under one hold of the lock of the tables, so that
//! both have one order. A call that is refused changes nothing.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::answer::ApiError;
use super::handle::{Command, SessionHandle, commands};
use super::keeper::SessionTask;
use super::request::{self, Delivery, Info, Raw};
use super::shape::{self, Connected};
use super::shared::Shared;
use super::state::Tables;
use super::time::Moment;
use crate::code;
use crate::event::{Channel, Connect, User};
use crate::hub::{CloseRequest, ConnectionPermit, Credential, Ending, NotAllowed};

/// The connection of a user who connects.
enum Place {
    /// The one that the user has.
    Held(Arc<SessionHandle>),
    /// A new one.
    Free(ConnectionPermit),
}

impl Shared {
    /// Carries out `/connect`. `arrival` describes the caller on the event stream.
    pub(super) fn connect(
        self: &Arc<Self>,
        call: request::Connect,
        arrival: Connect,
    ) -> Result<Connected, ApiError> {
        let id = call.conn_id.unwrap_or_else(Uuid::new_v4);
        let mut channels = call.channels;
        channels.sort_unstable();
        channels.dedup();
        let mut tables = self.tables();
        let held = tables.connections.get(&id).filter(|held| held.user == call.username).cloned();
        let place = if let Some(held) = held {
            Place::Held(held)
        } else {
            let permit = self.hub.permit()?;
            self.hub.may_connect(&self.own_id(id))?;
            self.may_enter(&channels)?;
            Place::Free(permit)
        };
        let made = self.make_channels(&mut tables, &channels, &call.channel_configs)?;
        let entered = match place {
            Place::Held(held) => held
                .connection
                .join(&channels, Credential::Trusted, 0)
                .map(|_| held.renew(&self.hub))
                .map(|()| held)
                .map_err(ApiError::from),
            Place::Free(permit) => {
                self.enter(&mut tables, (id, &call.username), &channels, arrival, permit)
            }
        };
        let handle = match entered {
            Ok(handle) => handle,
            Err(refused) => {
                self.forget_channels(&mut tables, &made);
                return Err(refused);
            }
        };
        // Members receive the join with this state: it is encoded once the lock is free.
        let user = tables.users.make(&call.username, call.fresh_user_state, Instant::now());
        user.public_keys = call.state_public_keys;
        user.merge(call.user_state);
        user.connections.insert(id);
        let (state, public_state) = (user.state.clone(), user.public_state());
        let channels_info = self.channels_info(&tables, &channels, &call.info);
        Ok(Connected {
            conn_id: handle.id.to_string(),
            state,
            username: call.username.to_string(),
            public_state,
            channels: names(&channels),
            channels_info,
        })
    }

    /// Checks whether a new connection may enter all of these channels, as far as that can be known
    /// before it is registered: a registration may replace another connection.
    fn may_enter(&self, channels: &[Channel]) -> Result<(), NotAllowed> {
        if channels.len() > crate::hub::MAX_SUBSCRIPTIONS {
            return Err(NotAllowed::TooMany);
        }
        for channel in channels {
            let max = self.hub.rules(channel).max_members;
            if max.is_some_and(|max| self.hub.members(channel) >= max) {
                return Err(NotAllowed::Crowded(channel.clone()));
            }
        }
        Ok(())
    }

    /// Registers a connection that is in these channels from the start.
    fn enter(
        self: &Arc<Self>,
        tables: &mut Tables,
        (id, user): (Uuid, &User),
        channels: &[Channel],
        arrival: Connect,
        permit: ConnectionPermit,
    ) -> Result<Arc<SessionHandle>, ApiError> {
        let (connection, mailbox) = self.hub.connect(self.own_id(id), arrival)?;
        if let Some(old) = tables.connections.get(&id).cloned() {
            tables.leave(&old, Instant::now());
        }
        if let Err(not) = connection.join(channels, Credential::Trusted, 0) {
            let ending = Ending::lost(not.to_string());
            connection.end(ending);
            return Err(not.into());
        }
        let (sender, receiver) = commands();
        let user = user.clone();
        let handle = Arc::new(SessionHandle { id, user, connection, commands: sender });
        tables.connections.insert(id, Arc::clone(&handle));
        let keeper = SessionTask::new(Arc::clone(self), Arc::clone(&handle));
        self.hub.run(async move {
            keeper.run(mailbox, receiver).await;
            drop(permit);
        });
        Ok(handle)
    }

    /// Carries out `/subscribe`.
    pub(super) fn subscribe(&self, call: &request::Subscribe) -> Result<Raw, ApiError> {
        let mut tables = self.tables();
        let handle = known(&tables, &call.conn_id)?;
        let before = self.channels_of(&handle);
        let made = self.make_channels(&mut tables, &call.channels, &call.channel_configs)?;
        if let Err(not) = handle.connection.join(&call.channels, Credential::Trusted, 0) {
            self.forget_channels(&mut tables, &made);
            return Err(not.into());
        }
        let after = self.channels_of(&handle);
        let new: Vec<_> = after.iter().filter(|it| !before.contains(it)).cloned().collect();
        Ok(self.membership(&tables, &after, &call.info, "subscribed_to", &new))
    }

    /// Carries out `/unsubscribe`. Channels that the connection is not in are ignored.
    pub(super) fn unsubscribe(&self, call: &request::Subscribe) -> Result<Raw, ApiError> {
        let tables = self.tables();
        let handle = known(&tables, &call.conn_id)?;
        let before = self.channels_of(&handle);
        handle.connection.leave(&call.channels)?;
        let after = self.channels_of(&handle);
        let gone: Vec<_> = before.into_iter().filter(|it| !after.contains(it)).collect();
        Ok(self.membership(&tables, &after, &call.info, "unsubscribed_from", &gone))
    }

    fn membership(
        &self,
        tables: &Tables,
        channels: &[Channel],
        info: &Info,
        name: &str,
        changed: &[Channel],
    ) -> Raw {
        let channels_info = self.channels_info(tables, channels, info);
        shape::Object::new()
            .with("channels", &names(channels))
            .with("channels_info", &channels_info)
            .with(name, &names(changed))
            .end()
    }

    /// Carries out `/user_state`.
    pub(super) fn user_state(&self, call: request::UserState) -> Result<Raw, ApiError> {
        let mut tables = self.tables();
        let Some(user) = tables.users.used(&call.user, Instant::now()) else {
            return Err(ApiError::Invalid(serde_json::json!({"user": ["Unknown user"]})));
        };
        if let Some(keys) = call.state_public_keys {
            user.public_keys = keys;
        }
        let changed = user.merge(call.state);
        let answer = shape::Object::new()
            .with("user_state", &user.state)
            .with("changed_state", &changed)
            .with("public_keys", &user.public_keys)
            .end();
        if changed.is_empty() {
            return Ok(answer);
        }
        let public = user.public_state();
        let connections = user.connections.clone();
        let changed: Vec<_> =
            changed.into_iter().filter(|it| public.contains_key(&it.key)).collect();
        let connections = connections.iter().filter_map(|id| tables.connections.get(id));
        let mut channels: Vec<_> = connections.flat_map(|it| self.channels_of(it)).collect();
        channels.sort_unstable();
        channels.dedup();
        for channel in channels {
            let at = Moment::now();
            let known = tables.channels.used(&channel, Instant::now(), at);
            if !known.is_some_and(|known| known.settings.notify_state) {
                continue;
            }
            let about = (Uuid::new_v4(), at);
            let frame = shape::state_frame(about, &channel, &call.user, &public, &changed);
            let delivery = Delivery {
                channel: Some(channel),
                pm_users: Vec::new(),
                exclude_users: Vec::new(),
                no_history: true,
            };
            self.announce(&delivery, call.user.clone(), frame)?;
        }
        Ok(answer)
    }

    /// Carries out `/disconnect`. Returns whether there was such a connection.
    pub(super) fn disconnect(&self, id: &Uuid) -> bool {
        let Some(handle) = self.handle(id) else { return false };
        if handle.commands.try_send(Command::Disconnect).is_err() {
            // The hub's request to close overtakes all commands.
            let _ =
                handle.connection.close(CloseRequest { code: code::NORMAL, reason: String::new() });
        }
        true
    }

    /// Returns a connection.
    pub(super) fn handle(&self, id: &Uuid) -> Option<Arc<SessionHandle>> {
        self.tables().connections.get(id).cloned()
    }

    /// Returns the channels of a connection, in order.
    fn channels_of(&self, handle: &SessionHandle) -> Vec<Channel> {
        let entry = self.hub.connection(handle.connection.redacted_id());
        entry.map(|entry| entry.channels()).unwrap_or_default()
    }
}

fn known(tables: &Tables, id: &Uuid) -> Result<Arc<SessionHandle>, ApiError> {
    let handle = tables.connections.get(id).cloned();
    handle.ok_or_else(|| ApiError::Invalid(serde_json::json!({"conn_id": ["Unknown connection"]})))
}

fn names(channels: &[Channel]) -> Vec<String> {
    channels.iter().map(Channel::to_string).collect()
}
