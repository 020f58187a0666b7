//! What the calls of the API do, once they have been read.
//!
//! What changes is changed, and what tells of it is published, under the lock of the tables, so
//! that both happen in one order. The lock of the hub is taken within, never the other way round.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use uuid::Uuid;

use super::Shared;
use super::keeper::{Command, SessionHandle, SessionTask, commands};
use super::request::{self, Change, Changes, ChannelSettings, Delete, Delivery, Edit, Info, Raw};
use super::shape::{self, ChannelsInfo, Connected, Post};
use super::state::Tables;
use super::time::Moment;
use crate::code;
use crate::event::{Body, Channel, Connect, ConnectionId, Opcode, User};
use crate::hub::{
    CloseRequest, ConnectionPermit, Credential, Ending, NotAllowed, Publication, now_ms,
};
use crate::json::Json;
use crate::problem::Problem;

/// Why a call does nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What was sent is wrong, and this is what.
    Fault(Value),
    /// Anything else.
    Problem(Problem),
}

impl<T: Into<Problem>> From<T> for Refusal {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// Where a user who connects finds a place.
enum Place {
    /// On a connection that is there.
    Held(Arc<SessionHandle>),
    /// On one that is made.
    Free(ConnectionPermit),
}

impl Shared {
    /// Carries out `/connect`. `arrival` is what the hub is to tell of it.
    pub(super) fn connect(
        self: &Arc<Self>,
        call: request::Connect,
        arrival: Connect,
    ) -> Result<Connected, Refusal> {
        let id = call.conn_id.unwrap_or_else(Uuid::new_v4);
        let mut channels = call.channels;
        channels.sort_unstable();
        channels.dedup();
        let mut tables = self.tables();
        let held = tables.connections.get(&id).filter(|held| held.user == call.username).cloned();
        let place = if let Some(held) = held {
            Place::Held(held)
        } else {
            let seat = self.hub.permit()?;
            // A call that is refused changes nothing.
            self.hub.may_connect(&own_id(id))?;
            Place::Free(seat)
        };
        // First what is known of the user: those who are told of a newcomer are told that too.
        let user = tables.make_user(&call.username, call.fresh_user_state, Instant::now());
        user.public_keys = call.state_public_keys;
        user.merge(call.user_state);
        self.make_channels(&mut tables, &channels, &call.channel_configs)?;
        let attended = match place {
            Place::Held(held) => {
                held.connection.join(&channels, Credential::Trusted, 0)?;
                held.renew(&self.hub);
                held
            }
            Place::Free(seat) => {
                self.enter(&mut tables, (id, &call.username), &channels, arrival, seat)?
            }
        };
        let fresh = request::State::new();
        let user = tables.make_user(&call.username, fresh, Instant::now());
        user.connections.insert(id);
        let (state, public_state) = (user.state.clone(), user.public_state());
        let channels_info = self.channels_info(&tables, &channels, &call.info);
        Ok(Connected {
            conn_id: attended.id.to_string(),
            state,
            username: call.username.to_string(),
            public_state,
            channels: names(&channels),
            channels_info,
        })
    }

    /// Makes a connection that is in these channels from the start.
    fn enter(
        self: &Arc<Self>,
        tables: &mut Tables,
        (id, user): (Uuid, &User),
        channels: &[Channel],
        arrival: Connect,
        seat: ConnectionPermit,
    ) -> Result<Arc<SessionHandle>, Refusal> {
        let (connection, orders) = self.hub.connect(own_id(id), arrival)?;
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
        let attended = Arc::new(SessionHandle { id, user, connection, commands: sender });
        tables.connections.insert(id, Arc::clone(&attended));
        let keeper = SessionTask::new(Arc::clone(self), Arc::clone(&attended));
        self.hub.run(async move {
            keeper.run(orders, receiver).await;
            drop(seat);
        });
        Ok(attended)
    }

    /// Carries out `/subscribe`.
    pub(super) fn subscribe(&self, call: &request::Subscribe) -> Result<Raw, Refusal> {
        let mut tables = self.tables();
        let attended = known(&tables, &call.conn_id)?;
        let before = self.channels_of(&attended);
        self.make_channels(&mut tables, &call.channels, &call.channel_configs)?;
        attended.connection.join(&call.channels, Credential::Trusted, 0)?;
        let after = self.channels_of(&attended);
        let new: Vec<_> = after.iter().filter(|it| !before.contains(it)).cloned().collect();
        Ok(self.membership(&tables, &after, &call.info, "subscribed_to", &new))
    }

    /// Carries out `/unsubscribe`. Where the connection is not, nobody is told that it has left.
    pub(super) fn unsubscribe(&self, call: &request::Subscribe) -> Result<Raw, Refusal> {
        let tables = self.tables();
        let attended = known(&tables, &call.conn_id)?;
        let before = self.channels_of(&attended);
        attended.connection.leave(&call.channels)?;
        let after = self.channels_of(&attended);
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
    pub(super) fn user_state(&self, call: request::UserState) -> Result<Raw, Refusal> {
        let mut tables = self.tables();
        let Some(user) = tables.user_mut(&call.user, Instant::now()) else {
            return Err(Refusal::Fault(serde_json::json!({"user": ["Unknown user"]})));
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
            let at = Moment::of_ms(now_ms());
            let known = tables.channel_mut(&channel, Instant::now(), at);
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
            self.publish(&delivery, Some(call.user.clone()), None, frame)?;
        }
        Ok(answer)
    }

    /// Carries out `POST /message`. What is for nobody is left out of the answer.
    pub(super) fn message(&self, call: Vec<request::Message>) -> Result<Vec<Raw>, Refusal> {
        let mut answers = Vec::with_capacity(call.len());
        for message in call.into_iter().filter(|message| message.delivery.has_destination()) {
            let now = Moment::of_ms(now_ms());
            let post = Post {
                delivery: message.delivery,
                uuid: message.uuid.unwrap_or_else(Uuid::new_v4),
                user: message.user.to_string(),
                timestamp: message.timestamp.unwrap_or(now),
                message: message.payload,
                edited: None,
                extra: message.extra,
            };
            {
                let mut tables = self.tables();
                tables.accepted += 1;
                let channel = post.delivery.channel.as_ref();
                let known = channel.and_then(|it| tables.channel_mut(it, Instant::now(), now));
                if let Some(known) = known {
                    known.keep(&post);
                }
            }
            answers.push(post.answer());
            let payload = post.message.as_deref().map_or("null", |raw| raw.get());
            let payload = Json::parse(payload);
            self.publish(&post.delivery, Some(message.user), payload, post.frame())?;
        }
        Ok(answers)
    }

    /// Carries out `PATCH /message`.
    pub(super) fn edit(&self, call: &[Edit]) -> Result<Vec<Raw>, Refusal> {
        let mut answers = Vec::with_capacity(call.len());
        for edit in call {
            let now = Moment::of_ms(now_ms());
            let edited = edit.edited.unwrap_or(now);
            if let Some(channel) = &edit.delivery.channel {
                let mut tables = self.tables();
                if let Some(known) = tables.channel_mut(channel, Instant::now(), now) {
                    known.edit(edit, edited);
                }
            }
            answers.push(shape::edit_answer(edit, edited));
            if edit.delivery.has_destination() {
                let frame = shape::edit_frame(edit, edited);
                self.publish(&edit.delivery, edit.user.clone(), None, frame)?;
            }
        }
        Ok(answers)
    }

    /// Carries out `DELETE /message`.
    pub(super) fn delete(&self, call: &[Delete]) -> Result<Vec<Raw>, Refusal> {
        for delete in call {
            if let Some(channel) = &delete.delivery.channel {
                let (now, mut tables) = (Moment::of_ms(now_ms()), self.tables());
                if let Some(known) = tables.channel_mut(channel, Instant::now(), now) {
                    known.delete(&delete.uuid);
                }
            }
            if delete.delivery.has_destination() {
                self.publish(&delete.delivery, None, None, shape::delete_frame(delete))?;
            }
        }
        Ok(call.iter().map(shape::delete_answer).collect())
    }

    /// Carries out `/channel_config`: what is not named stays as it is.
    pub(super) fn channel_config(
        &self,
        call: &[(Channel, Change)],
    ) -> Result<ChannelsInfo, Refusal> {
        let mut tables = self.tables();
        for (channel, change) in call {
            self.make_channel(&mut tables, channel, None)?;
            let at = Moment::of_ms(now_ms());
            if let Some(known) = tables.channel_mut(channel, Instant::now(), at) {
                known.configure(*change);
                let settings = known.settings;
                self.configure(channel, settings)?;
            }
        }
        let channels: Vec<_> = call.iter().map(|(channel, _)| channel.clone()).collect();
        let info = Info { include_history: false, include_users: false, ..Info::default() };
        Ok(self.channels_info(&tables, &channels, &info))
    }

    /// Carries out `/disconnect`. Returns whether there was such a connection.
    pub(super) fn disconnect(&self, id: &Uuid) -> bool {
        let Some(attended) = self.attended(id) else { return false };
        if attended.commands.try_send(Command::Disconnect).is_err() {
            // The hub's own order comes past all commands.
            let order = CloseRequest { code: code::NORMAL, reason: String::new() };
            let _ = self.hub.close(attended.connection.redacted_id(), order);
        }
        true
    }

    /// Returns a connection.
    pub(super) fn attended(&self, id: &Uuid) -> Option<Arc<SessionHandle>> {
        self.tables().connections.get(id).cloned()
    }

    /// Publishes something. `payload` is what others get of it; without one, the frame.
    fn publish(
        &self,
        delivery: &Delivery,
        user: Option<User>,
        payload: Option<Json>,
        frame: String,
    ) -> Result<(), Refusal> {
        let keep = payload.is_some() && !delivery.no_history;
        let json = payload.or_else(|| Json::parse(&frame)).ok_or_else(|| {
            Problem::malformed(format!("a message nests at most {} deep", crate::json::MAX_DEPTH))
        })?;
        let publication = Publication {
            channel: delivery.channel.clone(),
            to: delivery.pm_users.clone(),
            except: delivery.exclude_users.clone(),
            user,
            opcode: Opcode::Text,
            size: json.as_str().len(),
            body: Body::Value(json),
            words: Some(frame.into()),
            keep,
        };
        self.hub.publish(publication)?;
        Ok(())
    }

    fn make_channels(
        &self,
        tables: &mut Tables,
        channels: &[Channel],
        changes: &Changes,
    ) -> Result<(), NotAllowed> {
        for channel in channels {
            self.make_channel(tables, channel, changes.get(channel.as_str()).copied())?;
        }
        Ok(())
    }

    /// Remembers a channel, if it is new, with these settings.
    fn make_channel(
        &self,
        tables: &mut Tables,
        channel: &Channel,
        change: Option<Change>,
    ) -> Result<(), NotAllowed> {
        if tables.channel(channel).is_some() {
            return Ok(());
        }
        if tables.channel_count() >= self.hub.settings().max_channels {
            // One that is empty is given up for one that is wanted.
            self.evict_channel(tables);
        }
        if tables.channel_count() >= self.hub.settings().max_channels {
            return Err(NotAllowed::Full);
        }
        let defaults = self.settings_of(channel);
        let settings = change.map_or(defaults, |change| change.apply(defaults));
        self.configure(channel, settings)?;
        let at = Moment::of_ms(now_ms());
        tables.make_channel(channel, settings, Instant::now(), at);
        Ok(())
    }

    /// Returns the settings that a channel has unless a call says otherwise.
    pub(super) fn settings_of(&self, channel: &Channel) -> ChannelSettings {
        let notify_presence = self.hub.rules(channel).presence;
        ChannelSettings { notify_presence, ..ChannelSettings::default() }
    }

    /// Has the hub tell who comes and goes, or not.
    fn configure(&self, channel: &Channel, settings: ChannelSettings) -> Result<(), NotAllowed> {
        let mut rules = self.hub.rules(channel);
        if rules.presence == settings.notify_presence {
            return Ok(());
        }
        rules.presence = settings.notify_presence;
        self.hub.configure(channel, rules)
    }

    /// Returns the channels of a connection, in order.
    pub(super) fn channels_of(&self, attended: &SessionHandle) -> Vec<Channel> {
        let entry = self.hub.connection(attended.connection.redacted_id());
        entry.map(|entry| entry.channels()).unwrap_or_default()
    }
}

/// Returns what the hub calls a connection.
fn own_id(id: Uuid) -> ConnectionId {
    id.to_string().parse().expect("a UUID is an id")
}

fn known(tables: &Tables, id: &Uuid) -> Result<Arc<SessionHandle>, Refusal> {
    let attended = tables.connections.get(id).cloned();
    attended.ok_or_else(|| Refusal::Fault(serde_json::json!({"conn_id": ["Unknown connection"]})))
}

fn names(channels: &[Channel]) -> Vec<String> {
    channels.iter().map(Channel::to_string).collect()
}
