//! Channels, their settings and their histories. No clock and no I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::request::{ChannelSettings, Edit, Raw};
use super::shape::Post;
use super::time::Moment;
use crate::event::{Channel, EventId};

/// The most messages that a history keeps, whatever `history_size` is.
pub(super) const MAX_HISTORY: usize = 1000;

/// Channels that a search for idle ones looks at. Each costs a look-up in the hub, under the lock of
/// the tables; 1,024 of them take less than a millisecond.
const LOOKS: usize = 1024;

/// A channel.
#[derive(Debug)]
pub(super) struct KnownChannel {
    pub(super) settings: ChannelSettings,
    /// Messages in the order of their events, which is the order of delivery.
    history: VecDeque<(EventId, Post)>,
    /// The newest event of another dialect that was considered for the history.
    newest_foreign: Option<EventId>,
    pub(super) last_active: Moment,
    idle_since: Instant,
}

impl KnownChannel {
    fn new(settings: ChannelSettings, now: Instant, at: Moment) -> Self {
        let (history, newest_foreign) = (VecDeque::new(), None);
        Self { settings, history, newest_foreign, last_active: at, idle_since: now }
    }

    /// Changes settings.
    pub(super) fn configure(&mut self, settings: ChannelSettings) {
        self.settings = settings;
        self.trim();
    }

    /// Adds a message to the history, if the channel has one and the message is for all members.
    pub(super) fn keep(&mut self, id: EventId, post: &Post) {
        let delivery = &post.delivery;
        if self.settings.store_history && !delivery.no_history && delivery.pm_users.is_empty() {
            // A message of another dialect is added when a listener first reads it, after newer
            // messages may have been added.
            let at = self.history.partition_point(|(kept, _)| *kept < id);
            self.history.insert(at, (id, post.clone()));
            self.trim();
        }
    }

    /// Begins the history with messages of an earlier process.
    pub(super) fn begin_with(&mut self, earlier: Vec<(EventId, Post)>) {
        self.newest_foreign = earlier.last().map(|(id, _)| *id);
        self.history = earlier.into();
        self.trim();
    }

    /// Adds a message of another dialect. Such an event may be encoded more than once if its readers
    /// read it far apart; one that is not newer than the last is in the history already, or was
    /// deleted from it.
    pub(super) fn keep_foreign(&mut self, id: EventId, post: &Post) {
        if self.newest_foreign.is_none_or(|newest| id > newest) {
            self.newest_foreign = Some(id);
            self.keep(id, post);
        }
    }

    fn trim(&mut self) {
        while self.history.len() > self.settings.history_size.min(MAX_HISTORY) {
            self.history.pop_front();
        }
    }

    /// Returns the history, the oldest message first.
    pub(super) fn history(&self) -> Vec<Raw> {
        self.history.iter().map(|(_, post)| post.kept()).collect()
    }

    /// Changes a message in the history.
    pub(super) fn edit(&mut self, edit: &Edit, edited: Moment) {
        let found = self.history.iter_mut().find(|(_, post)| post.uuid == edit.uuid);
        if let Some((_, post)) = found {
            post.change(edit, edited);
        }
    }

    /// Removes a message from the history.
    pub(super) fn delete(&mut self, uuid: &Uuid) {
        self.history.retain(|(_, post)| post.uuid != *uuid);
    }
}

/// The channels that are remembered.
#[derive(Debug, Default)]
pub(super) struct Channels {
    by_name: BTreeMap<Channel, KnownChannel>,
    /// The same, the longest idle first.
    by_use: BTreeSet<(Instant, Channel)>,
}

impl Channels {
    /// Returns the channels in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Channel, &KnownChannel)> {
        self.by_name.iter()
    }

    /// Returns a channel.
    pub(super) fn get(&self, channel: &Channel) -> Option<&KnownChannel> {
        self.by_name.get(channel)
    }

    /// Returns a channel, which counts as used now.
    pub(super) fn used(
        &mut self,
        channel: &Channel,
        now: Instant,
        at: Moment,
    ) -> Option<&mut KnownChannel> {
        self.touch(channel, now);
        let known = self.by_name.get_mut(channel)?;
        known.last_active = at;
        Some(known)
    }

    /// Returns a channel, to change it. It counts as used when it was before.
    pub(super) fn get_mut(&mut self, channel: &Channel) -> Option<&mut KnownChannel> {
        self.by_name.get_mut(channel)
    }

    fn touch(&mut self, channel: &Channel, now: Instant) {
        let Some(known) = self.by_name.get_mut(channel) else { return };
        if known.idle_since != now {
            self.by_use.remove(&(known.idle_since, channel.clone()));
            known.idle_since = now;
            self.by_use.insert((now, channel.clone()));
        }
    }

    /// Adds a channel, unless it is there.
    pub(super) fn add(
        &mut self,
        channel: &Channel,
        settings: ChannelSettings,
        now: Instant,
        at: Moment,
    ) {
        if !self.by_name.contains_key(channel) {
            self.by_name.insert(channel.clone(), KnownChannel::new(settings, now, at));
            self.by_use.insert((now, channel.clone()));
        }
    }

    /// Removes a channel.
    pub(super) fn remove(&mut self, channel: &Channel) {
        if let Some(known) = self.by_name.remove(channel) {
            self.by_use.remove(&(known.idle_since, channel.clone()));
        }
    }

    /// Returns how many channels there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns up to `count` of the channels for which `is_empty` is true, the longest idle first.
    /// Channels that are not empty count as used now.
    pub(super) fn longest_idle(
        &mut self,
        count: usize,
        now: Instant,
        is_empty: impl Fn(&Channel) -> bool,
    ) -> Vec<Channel> {
        let (mut idle, mut full) = (Vec::new(), Vec::new());
        for (_, channel) in self.by_use.iter().take(count.saturating_add(LOOKS)) {
            if idle.len() == count {
                break;
            }
            if is_empty(channel) { &mut idle } else { &mut full }.push(channel.clone());
        }
        for channel in &full {
            self.touch(channel, now);
        }
        idle
    }

    /// Looks at some channels after `last`, removes those that have been empty for `idle`, and
    /// returns them with the last channel of the look, or `None` at the end of the table. Channels
    /// that are not empty count as used now.
    pub(super) fn collect(
        &mut self,
        last: Option<&Channel>,
        idle: Duration,
        now: Instant,
        is_empty: impl Fn(&Channel) -> bool,
    ) -> (Vec<Channel>, Option<Channel>) {
        let from = last.map_or(Unbounded, Excluded);
        let (mut due, mut full, mut end, mut looks) = (Vec::new(), Vec::new(), None, 0);
        for (channel, known) in self.by_name.range::<Channel, _>((from, Unbounded)).take(LOOKS) {
            (end, looks) = (Some(channel.clone()), looks + 1);
            if !is_empty(channel) {
                full.push(channel.clone());
            } else if now.duration_since(known.idle_since) >= idle {
                due.push(channel.clone());
            }
        }
        for channel in &full {
            self.touch(channel, now);
        }
        for channel in &due {
            self.remove(channel);
        }
        (due, end.filter(|_| looks == LOOKS))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::request::{self, Change, State};
    use super::super::schema;
    use super::*;

    fn raw(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn configure(channel: &mut KnownChannel, text: &str) {
        let changes = format!("{{\"c\":{text}}}");
        let change: Change = request::channel_config(&raw(&changes)).expect("settings")[0].1;
        channel.configure(change.apply(channel.settings));
    }

    fn id(seq: u64) -> EventId {
        EventId { ms: 5, seq }
    }

    #[test]
    fn channels_are_forgotten_once_they_have_been_empty_for_a_while() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        let (full, empty): (Channel, Channel) =
            ("full".parse().expect("a channel"), "empty".parse().expect("a channel"));
        for channel in [&full, &empty] {
            channels.add(channel, ChannelSettings::default(), now, Moment::of_ms(0));
        }
        let idle = Duration::from_secs(10);
        let (gone, _) = channels.collect(None, idle, now + idle, |channel| *channel == empty);
        assert_eq!(gone, [empty]);
        // The time counts from the end of the last use, not from the creation.
        assert!(channels.collect(None, idle, now + idle * 3 / 2, |_| true).0.is_empty());
        assert_eq!(channels.collect(None, idle, now + idle * 3, |_| true).0, [full]);
        assert!(channels.by_use.is_empty());
    }

    #[test]
    fn many_channels_are_collected_in_pieces() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        for n in 0..3 * LOOKS {
            let channel = n.to_string().parse().expect("a channel");
            channels.add(&channel, ChannelSettings::default(), now, Moment::of_ms(0));
        }
        let (mut last, mut gone, mut pieces) = (None, 0, 0);
        loop {
            let (some, end) = channels.collect(last.as_ref(), Duration::ZERO, now, |_| true);
            (gone, pieces) = (gone + some.len(), pieces + 1);
            assert!(some.len() <= LOOKS);
            match end {
                Some(end) => last = Some(end),
                None => break,
            }
        }
        assert_eq!((gone, channels.len()), (3 * LOOKS, 0));
        assert!(pieces >= 3);
    }

    #[test]
    fn of_the_empty_channels_the_longest_idle_makes_room() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        let [full, old, new] = ["full", "old", "new"].map(|it| it.parse().expect("a channel"));
        for (channel, at) in [(&full, 0), (&new, 2), (&old, 1)] {
            let at = now + Duration::from_secs(at);
            channels.add(channel, ChannelSettings::default(), at, Moment::of_ms(0));
        }
        let empty = |channel: &Channel| *channel != full;
        let first = channels.longest_idle(1, now, empty);
        channels.remove(&old);
        assert_eq!(first, [old]);
        let second = channels.longest_idle(5, now, empty);
        channels.remove(&new);
        assert_eq!(second, [new]);
        assert!(channels.longest_idle(1, now, empty).is_empty());
    }

    fn post(text: &str) -> Post {
        let read = request::Message::read;
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
    fn a_message_of_another_dialect_is_kept_once_however_often_it_is_encoded() {
        let settings = ChannelSettings { store_history: true, ..ChannelSettings::default() };
        let mut channel = KnownChannel::new(settings, Instant::now(), Moment::of_ms(0));
        let posts = [(); 3].map(|()| post(r#"[{"user":"a","channel":"c"}]"#));
        for n in [0, 1, 0, 1, 2, 0] {
            channel.keep_foreign(id(n as u64), &posts[n]);
        }
        assert_eq!(channel.history().len(), 3);
        channel.delete(&posts[1].uuid);
        channel.keep_foreign(id(1), &posts[1]);
        assert_eq!(channel.history().len(), 2, "a deleted message does not come back");
    }

    #[test]
    fn history_has_the_order_of_events() {
        let settings = ChannelSettings { store_history: true, ..ChannelSettings::default() };
        let mut channel = KnownChannel::new(settings, Instant::now(), Moment::of_ms(0));
        let [first, second, third] = [(); 3].map(|()| post(r#"[{"user":"a","channel":"c"}]"#));
        channel.keep(id(2), &second);
        // A listener reads this one, which was published before, only now.
        channel.keep_foreign(id(1), &first);
        channel.keep(id(3), &third);
        let kept: Vec<_> = channel.history.iter().map(|(_, post)| post.uuid).collect();
        assert_eq!(kept, [first.uuid, second.uuid, third.uuid]);
    }

    #[test]
    fn a_history_is_as_long_as_it_is_set_and_none_at_all_with_0() {
        let mut channel =
            KnownChannel::new(ChannelSettings::default(), Instant::now(), Moment::of_ms(0));
        let plain = post(r#"[{"user":"a","channel":"c"}]"#);
        channel.keep(id(0), &plain);
        assert!(channel.history().is_empty(), "none is kept unless that is asked for");
        configure(&mut channel, r#"{"store_history":true,"history_size":2}"#);
        for n in 1..6 {
            channel.keep(id(n), &plain);
        }
        channel.keep(id(6), &post(r#"[{"user":"a","channel":"c","no_history":true}]"#));
        channel.keep(id(7), &post(r#"[{"user":"a","channel":"c","pm_users":["b"]}]"#));
        assert_eq!(channel.history().len(), 2);
        configure(&mut channel, r#"{"history_size":0}"#);
        channel.keep(id(8), &plain);
        assert!(channel.history().is_empty() && channel.settings.store_history);
    }
}
