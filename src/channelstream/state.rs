//! What is remembered: users and their states, channels and their settings and histories, and who
//! is connected. No clock and no I/O; it stands under one std mutex, and nothing under it awaits.
//!
//! All of it is bounded: a user without connections and a channel without members are forgotten
//! after a while, and sooner where there are too many.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::keeper::SessionHandle;
use super::request::{Change, ChannelSettings, Edit, Raw, State};
use super::shape::{Changed, Post, Visible};
use super::time::Moment;
use crate::event::{Channel, EventId, User};

/// Users that are remembered at one time. When there are more, those without connections go.
const MAX_USERS: usize = 100_000;

/// The most messages that a channel keeps, whatever `history_size` says.
const MAX_HISTORY: usize = 1000;

/// Events that were put into words for all their readers. Those read one within moments.
const ENCODED: usize = 256;

/// Everything that is remembered.
#[derive(Debug, Default)]
pub(super) struct Tables {
    users: HashMap<User, KnownUser>,
    channels: BTreeMap<Channel, KnownChannel>,
    pub(super) connections: HashMap<Uuid, Arc<SessionHandle>>,
    encoded: VecDeque<(EventId, Arc<str>)>,
    /// Messages that were accepted.
    pub(super) accepted: u64,
}

/// A user.
#[derive(Debug)]
pub(super) struct KnownUser {
    pub(super) uuid: Uuid,
    pub(super) state: State,
    /// What of the state others may see.
    pub(super) public_keys: Vec<String>,
    pub(super) connections: BTreeSet<Uuid>,
    idle_since: Instant,
}

/// A channel.
#[derive(Debug)]
pub(super) struct KnownChannel {
    pub(super) settings: ChannelSettings,
    history: VecDeque<Post>,
    /// The last event of others that was put into words here.
    foreign: Option<EventId>,
    pub(super) last_active: Moment,
    idle_since: Instant,
}

impl KnownUser {
    fn new(now: Instant) -> Self {
        Self {
            uuid: Uuid::new_v4(),
            state: State::new(),
            public_keys: Vec::new(),
            connections: BTreeSet::new(),
            idle_since: now,
        }
    }

    /// Returns what others may see.
    pub(super) fn public_state(&self) -> State {
        let public = self.state.iter().filter(|(key, _)| self.public_keys.contains(key));
        public.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Sets values and returns those that are others now. A key that is new is not set to null.
    pub(super) fn merge(&mut self, state: State) -> Vec<Changed> {
        let mut changed = Vec::new();
        for (key, value) in state {
            let same = match self.state.get(&key) {
                Some(old) => old.get() == value.get(),
                None => value.get() == "null",
            };
            if !same {
                self.state.insert(key.clone(), value.clone());
                changed.push(Changed { key, value });
            }
        }
        changed
    }
}

impl KnownChannel {
    fn new(settings: ChannelSettings, now: Instant, at: Moment) -> Self {
        Self { settings, history: VecDeque::new(), foreign: None, last_active: at, idle_since: now }
    }

    /// Changes what is named of the settings.
    pub(super) fn configure(&mut self, change: Change) {
        self.settings = change.apply(self.settings);
        self.trim();
    }

    /// Keeps a message, if the channel keeps any and it is for all who are in it.
    pub(super) fn keep(&mut self, post: &Post) {
        let delivery = &post.delivery;
        if self.settings.store_history && !delivery.no_history && delivery.pm_users.is_empty() {
            self.history.push_back(post.clone());
            self.trim();
        }
    }

    /// Keeps what others have published, likewise. An event may be put into words more than once,
    /// if its readers read it far apart; what is older than the last one is kept already, or was
    /// deleted.
    pub(super) fn keep_from_other_dialect(&mut self, id: EventId, post: &Post) {
        if self.foreign.is_none_or(|last| id > last) {
            self.foreign = Some(id);
            self.keep(post);
        }
    }

    fn trim(&mut self) {
        while self.history.len() > self.settings.history_size.min(MAX_HISTORY) {
            self.history.pop_front();
        }
    }

    /// Returns what is kept, the oldest first.
    pub(super) fn history(&self) -> Vec<Raw> {
        self.history.iter().map(Post::kept).collect()
    }

    /// Changes a message that is kept.
    pub(super) fn edit(&mut self, edit: &Edit, edited: Moment) {
        let post = self.history.iter_mut().find(|post| post.uuid == edit.uuid);
        if let Some(post) = post {
            post.change(edit, edited);
        }
    }

    /// Forgets a message that is kept.
    pub(super) fn delete(&mut self, uuid: &Uuid) {
        self.history.retain(|post| post.uuid != *uuid);
    }
}

impl Tables {
    /// Returns a user who is remembered.
    pub(super) fn user(&self, user: &User) -> Option<&KnownUser> {
        self.users.get(user)
    }

    /// Returns a user who is remembered, to change what is known.
    pub(super) fn user_mut(&mut self, user: &User, now: Instant) -> Option<&mut KnownUser> {
        let known = self.users.get_mut(user)?;
        known.idle_since = now;
        Some(known)
    }

    /// Returns a user, who is new if nobody knows them; then `fresh` is their state.
    pub(super) fn make_user(&mut self, user: &User, fresh: State, now: Instant) -> &mut KnownUser {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(user) {
            self.users.retain(|_, known| !known.connections.is_empty());
        }
        let known = self.users.entry(user.clone()).or_insert_with(|| {
            let mut known = KnownUser::new(now);
            known.merge(fresh);
            known
        });
        known.idle_since = now;
        known
    }

    /// Returns how many users are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.users.len()
    }

    /// Returns the users who are connected.
    pub(super) fn connected(&self) -> impl Iterator<Item = (&User, &KnownUser)> {
        self.users.iter().filter(|(_, known)| !known.connections.is_empty())
    }

    /// Returns a user as others see them.
    pub(super) fn visible(&self, user: &User) -> Visible {
        let state = self.user(user).map(KnownUser::public_state).unwrap_or_default();
        Visible { user: user.to_string(), state }
    }

    /// Forgets a connection.
    pub(super) fn leave(&mut self, attended: &Arc<SessionHandle>, now: Instant) {
        let held = self.connections.get(&attended.id);
        if !held.is_some_and(|held| Arc::ptr_eq(held, attended)) {
            return;
        }
        self.connections.remove(&attended.id);
        if let Some(user) = self.user_mut(&attended.user, now) {
            user.connections.remove(&attended.id);
        }
    }

    /// Returns the channels that are remembered.
    pub(super) fn channels(&self) -> impl Iterator<Item = (&Channel, &KnownChannel)> {
        self.channels.iter()
    }

    /// Returns a channel that is remembered.
    pub(super) fn channel(&self, channel: &Channel) -> Option<&KnownChannel> {
        self.channels.get(channel)
    }

    /// Returns a channel that something has just happened in.
    pub(super) fn channel_mut(
        &mut self,
        channel: &Channel,
        now: Instant,
        at: Moment,
    ) -> Option<&mut KnownChannel> {
        let known = self.channels.get_mut(channel)?;
        (known.idle_since, known.last_active) = (now, at);
        Some(known)
    }

    /// Remembers a channel.
    pub(super) fn make_channel(
        &mut self,
        channel: &Channel,
        settings: ChannelSettings,
        now: Instant,
        at: Moment,
    ) -> &mut KnownChannel {
        self.channels.entry(channel.clone()).or_insert_with(|| KnownChannel::new(settings, now, at))
    }

    /// Returns how many channels are remembered.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Forgets channels that are empty and in which nothing has happened for a while; returns them.
    pub(super) fn collect_channels(
        &mut self,
        idle: Duration,
        now: Instant,
        empty: impl Fn(&Channel) -> bool,
    ) -> Vec<Channel> {
        let due = |known: &KnownChannel| now.duration_since(known.idle_since) >= idle;
        let mut gone = Vec::new();
        self.channels.retain(|channel, known| {
            if !empty(channel) {
                known.idle_since = now;
            } else if due(known) {
                gone.push(channel.clone());
                return false;
            }
            true
        });
        gone
    }

    /// Forgets the channel that has been empty for longest, and returns it.
    pub(super) fn evict_channel(
        &mut self,
        now: Instant,
        empty: impl Fn(&Channel) -> bool,
    ) -> Option<Channel> {
        let mut idle: Option<(Instant, &Channel)> = None;
        for (channel, known) in &mut self.channels {
            if !empty(channel) {
                known.idle_since = now;
            } else if idle.is_none_or(|(since, _)| known.idle_since < since) {
                idle = Some((known.idle_since, channel));
            }
        }
        let channel = idle?.1.clone();
        self.channels.remove(&channel);
        Some(channel)
    }

    /// Forgets users who have had no connection for a while.
    pub(super) fn collect_users(&mut self, idle: Duration, now: Instant) {
        self.users.retain(|_, known| {
            !known.connections.is_empty() || now.duration_since(known.idle_since) < idle
        });
        if self.users.capacity() > 1024 && self.users.len() < self.users.capacity() / 8 {
            self.users.shrink_to_fit();
        }
    }

    /// Returns an event in our words, which `make` finds if nobody has before.
    pub(super) fn encoded(
        &mut self,
        id: EventId,
        make: impl FnOnce(&mut Self) -> Arc<str>,
    ) -> Arc<str> {
        if let Some((_, words)) = self.encoded.iter().rev().find(|(of, _)| *of == id) {
            return Arc::clone(words);
        }
        let words = make(self);
        if self.encoded.len() == ENCODED {
            self.encoded.pop_front();
        }
        self.encoded.push_back((id, Arc::clone(&words)));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use serde_json::value::RawValue;

    fn raw(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn state(pairs: &[(&str, &str)]) -> State {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), raw(value))).collect()
    }

    fn user(name: &str) -> User {
        name.parse().expect("a user")
    }

    fn change(text: &str) -> Change {
        let changes = format!("{{\"c\":{text}}}");
        super::super::request::channel_config(&raw(&changes)).expect("settings")[0].1
    }

    #[test]
    fn a_new_key_that_is_null_is_no_change_and_an_old_one_is() {
        let mut tables = Tables::default();
        let now = Instant::now();
        let known = tables.make_user(&user("ann"), state(&[("colour", "\"red\"")]), now);
        assert!(known.merge(state(&[("size", "null"), ("colour", "\"red\"")])).is_empty());
        let changed = known.merge(state(&[("colour", "null"), ("n", "1")]));
        let changed: Vec<_> = changed.iter().map(|it| (it.key.as_str(), it.value.get())).collect();
        assert_eq!(changed, [("colour", "null"), ("n", "1")]);
        assert!(known.public_state().is_empty());
        known.public_keys.push("n".to_owned());
        assert_eq!(known.public_state().len(), 1);
        // Whoever is known keeps what is known of them.
        let again = tables.make_user(&user("ann"), state(&[("fresh", "1")]), now);
        assert!(!again.state.contains_key("fresh"));
    }

    #[test]
    fn users_without_connections_are_forgotten_after_a_while() {
        let (mut tables, now) = (Tables::default(), Instant::now());
        tables.make_user(&user("here"), State::new(), now).connections.insert(Uuid::nil());
        tables.make_user(&user("gone"), State::new(), now);
        let day = Duration::from_hours(24);
        tables.collect_users(day, now + day / 2);
        assert_eq!(tables.remembered(), 2);
        tables.collect_users(day, now + day);
        assert!(tables.user(&user("gone")).is_none() && tables.user(&user("here")).is_some());
    }

    #[test]
    fn channels_are_forgotten_once_they_have_been_empty_for_a_while() {
        let (mut tables, now) = (Tables::default(), Instant::now());
        let (full, empty): (Channel, Channel) =
            ("full".parse().expect("a channel"), "empty".parse().expect("a channel"));
        for channel in [&full, &empty] {
            tables.make_channel(channel, ChannelSettings::default(), now, Moment::of_ms(0));
        }
        let idle = Duration::from_secs(10);
        let gone = tables.collect_channels(idle, now + idle, |channel| *channel == empty);
        assert_eq!(gone, [empty]);
        // From when it is empty, and not from when it was made.
        assert!(tables.collect_channels(idle, now + idle * 3 / 2, |_| true).is_empty());
        assert_eq!(tables.collect_channels(idle, now + idle * 3, |_| true), [full]);
    }

    #[test]
    fn of_the_empty_channels_the_longest_idle_makes_room() {
        let (mut tables, now) = (Tables::default(), Instant::now());
        let [full, old, new] = ["full", "old", "new"].map(|it| it.parse().expect("a channel"));
        for (channel, at) in [(&full, 0), (&new, 2), (&old, 1)] {
            let at = now + Duration::from_secs(at);
            tables.make_channel(channel, ChannelSettings::default(), at, Moment::of_ms(0));
        }
        let empty = |channel: &Channel| *channel != full;
        assert_eq!(tables.evict_channel(now, empty), Some(old));
        assert_eq!(tables.evict_channel(now, empty), Some(new));
        assert_eq!(tables.evict_channel(now, empty), None);
    }

    fn post(text: &str) -> Post {
        let read = super::super::request::Message::read;
        let message = schema::many(&raw(text), read).expect("messages").remove(0);
        Post {
            delivery: message.delivery,
            uuid: Uuid::new_v4(),
            user: message.user.to_string(),
            timestamp: Moment::of_ms(0),
            message: None,
            edited: None,
            extra: State::new(),
        }
    }

    #[test]
    fn what_others_publish_is_kept_once_however_often_it_is_put_into_words() {
        let settings = ChannelSettings { store_history: true, ..ChannelSettings::default() };
        let mut channel = KnownChannel::new(settings, Instant::now(), Moment::of_ms(0));
        let posts = [(); 3].map(|()| post(r#"[{"user":"a","channel":"c"}]"#));
        let mut read =
            |n: usize| channel.keep_from_other_dialect(EventId { ms: 5, seq: n as u64 }, &posts[n]);
        [0, 1, 0, 1, 2, 0].into_iter().for_each(&mut read);
        assert_eq!(channel.history().len(), 3);
        channel.delete(&posts[1].uuid);
        channel.keep_from_other_dialect(EventId { ms: 5, seq: 1 }, &posts[1]);
        assert_eq!(channel.history().len(), 2, "what was deleted does not come back");
    }

    #[test]
    fn a_history_is_as_long_as_it_is_set_and_none_at_all_with_0() {
        let mut channel =
            KnownChannel::new(ChannelSettings::default(), Instant::now(), Moment::of_ms(0));
        let plain = post(r#"[{"user":"a","channel":"c"}]"#);
        channel.keep(&plain);
        assert!(channel.history().is_empty(), "none is kept unless that is asked for");
        channel.configure(change(r#"{"store_history":true,"history_size":2}"#));
        for _ in 0..5 {
            channel.keep(&plain);
        }
        channel.keep(&post(r#"[{"user":"a","channel":"c","no_history":true}]"#));
        channel.keep(&post(r#"[{"user":"a","channel":"c","pm_users":["b"]}]"#));
        assert_eq!(channel.history().len(), 2);
        channel.configure(change(r#"{"history_size":0}"#));
        channel.keep(&plain);
        assert!(channel.history().is_empty() && channel.settings.store_history);
    }
}
