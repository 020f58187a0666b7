//! All channels: part of the state that commands are decided on. Knows nothing of rights.
//!
//! Every operation takes time that grows at most with the logarithm of the number of channels: there
//! are indexes by name (for lists), by age of idle channels (to make room), by expiry of tokens, and of
//! kept messages by id (to bound them all together).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::fanout::Members;
use super::member::{MemberIdentity, Membership};
use super::outbox::Outbox;
use super::room::{Room, count};
use super::rules::{ChannelRules, ChannelSeen};
use crate::event::{Channel, ConnectionId, Event, EventId};
use crate::metrics::Numbers;

/// The table of channels has room for this many from the start, so that it does not have to grow
/// while others wait: what is not used takes no memory.
const ROOM_FOR: usize = 100_000;

#[derive(Debug)]
pub(in crate::hub) struct Channels {
    rooms: HashMap<Channel, Box<Room>>,
    names: BTreeSet<Channel>,
    /// Channels without members that nobody has set the rules of, those with the oldest messages
    /// first: they are given up when there are too many.
    idle: BTreeSet<(Option<EventId>, Channel)>,
    /// Channels of which a token expires, in seconds since 1970.
    expiring: BTreeSet<(u64, Channel)>,
    /// The messages that all channels keep.
    kept: BTreeMap<EventId, Channel>,
    kept_bytes: usize,
    /// No message after this one was published to a channel that is not in `rooms`: what a new room
    /// has forgotten.
    lost: EventId,
    counts: Counts,
}

/// Numbers that change with each connection that enters and leaves.
#[derive(Debug, Default)]
struct Counts {
    populated: usize,
    subscribed: usize,
    /// Connections in private channels, and in how many.
    private: BTreeMap<ConnectionId, usize>,
    /// The same by user.
    private_users: BTreeMap<MemberIdentity, usize>,
}

/// What is dropped, to be freed without the lock.
pub(in crate::hub) type Dropped = Vec<Box<Room>>;

impl Channels {
    /// Creates the table. Messages before `since` are not known.
    pub(in crate::hub) fn new(max: usize, since: EventId) -> Self {
        Self {
            rooms: HashMap::with_capacity(max.min(ROOM_FOR)),
            names: BTreeSet::new(),
            idle: BTreeSet::new(),
            expiring: BTreeSet::new(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
            lost: since,
            counts: Counts::default(),
        }
    }

    /// Sets the event after which all messages are known, before there are channels.
    pub(in crate::hub) fn know_since(&mut self, since: EventId) {
        self.lost = since;
    }

    pub(in crate::hub) fn room(&self, channel: &Channel) -> Option<&Room> {
        self.rooms.get(channel).map(|room| &**room)
    }

    /// Sets the numbers of connections, users and channels, as channelize counts them.
    pub(in crate::hub) fn count(&self, numbers: &mut Numbers) {
        numbers.channels = self.rooms.len();
        numbers.populated_channels = self.counts.populated;
        numbers.subscribed_connections = self.counts.subscribed;
        numbers.private_connections = self.counts.private.len();
        numbers.private_users = self.counts.private_users.len();
    }

    /// Returns up to `limit` channels with names after `after`, in order.
    pub(in crate::hub) fn seen(&self, after: Option<&Channel>, limit: usize) -> Vec<ChannelSeen> {
        let names = self.names_after(after).take(limit);
        names.filter_map(|name| Some(self.rooms.get(name)?.seen(name))).collect()
    }

    /// Returns the names of these channels.
    pub(in crate::hub) fn names(&self, after: Option<&Channel>, limit: usize) -> Vec<Channel> {
        self.names_after(after).take(limit).cloned().collect()
    }

    fn names_after(&self, after: Option<&Channel>) -> impl Iterator<Item = &Channel> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range::<Channel, _>((start, Bound::Unbounded))
    }

    /// Changes a channel, and keeps the index of idle ones. A channel that is not there is made with
    /// `rules`, if there are any.
    fn change<T>(
        &mut self,
        channel: &Channel,
        rules: Option<&ChannelRules>,
        change: impl FnOnce(&mut Room) -> T,
    ) -> Option<T> {
        let room = match (self.rooms.get_mut(channel), rules) {
            (Some(room), _) => {
                if room.is_idle() {
                    self.idle.remove(&(room.newest(), channel.clone()));
                }
                room
            }
            (None, None) => return None,
            (None, Some(rules)) => {
                self.names.insert(channel.clone());
                let forgotten = self.lost;
                let room = Room { rules: rules.clone(), forgotten, ..Room::default() };
                self.rooms.entry(channel.clone()).or_insert(Box::new(room))
            }
        };
        let changed = change(room);
        if room.is_idle() {
            self.idle.insert((room.newest(), channel.clone()));
        }
        Some(changed)
    }

    /// Returns whether `more` channels may be made, if idle ones are given up.
    pub(in crate::hub) fn has_room_for(&self, more: usize, max: usize) -> bool {
        self.excess(more, max) <= self.idle.len()
    }

    fn excess(&self, more: usize, max: usize) -> usize {
        self.rooms.len().saturating_add(more).saturating_sub(max)
    }

    /// Gives up as many idle channels as needed for `more` new ones.
    pub(in crate::hub) fn make_room_for(&mut self, more: usize, max: usize, dropped: &mut Dropped) {
        for _ in 0..self.excess(more, max) {
            let Some((_, channel)) = self.idle.pop_first() else { return };
            dropped.extend(self.drop_room(&channel));
        }
    }

    /// Removes a channel from all tables but that of idle ones.
    fn drop_room(&mut self, channel: &Channel) -> Option<Box<Room>> {
        let room = self.rooms.remove(channel)?;
        self.names.remove(channel);
        if let Some(end) = room.expiry {
            self.expiring.remove(&(end, channel.clone()));
        }
        for event in &room.history {
            self.kept.remove(&event.id);
            self.kept_bytes -= event.weight();
        }
        self.lost = self.lost.max(room.forgotten).max(room.newest().unwrap_or_default());
        Some(room)
    }

    /// Adds a member to a channel, which is made if it is not there. Returns whether its user was not
    /// there before, and the outbox.
    pub(in crate::hub) fn enter(
        &mut self,
        member: &Arc<Membership>,
        rules: &ChannelRules,
    ) -> (bool, Arc<Outbox<Members>>) {
        let channel = &member.channel;
        let entered = self.change(channel, Some(rules), |room| {
            let populated = room.members.is_empty();
            let outbox = Arc::clone(room.outbox.get_or_insert_default());
            (room.enter(member), populated, outbox)
        });
        let (first, populated, outbox) = entered.expect("it is made");
        self.counts.populated += usize::from(populated);
        let mut channels = member.handle.lock_channels();
        self.counts.subscribed += usize::from(channels.is_empty());
        channels.insert(channel.clone());
        drop(channels);
        if member.private {
            count(&mut self.counts.private, member.handle.id.clone(), true);
            count(&mut self.counts.private_users, member.identity.clone(), true);
        }
        if let Some(end) = member.expires() {
            outbox.note_expiry(end);
            self.note_expiry(channel, end);
        }
        (first, outbox)
    }

    /// Notes when a token of a member of a channel expires, in seconds since 1970.
    pub(in crate::hub) fn note_expiry(&mut self, channel: &Channel, end: u64) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        // One entry for each channel, however often tokens are shown to it.
        if let Some(held) = room.expiry {
            if held <= end {
                return;
            }
            self.expiring.remove(&(held, channel.clone()));
        }
        room.expiry = Some(end);
        self.expiring.insert((end, channel.clone()));
    }

    /// Takes the channels in which a token has expired by `now`, in seconds since 1970.
    pub(in crate::hub) fn take_due(&mut self, now: u64) -> Vec<Channel> {
        let mut due = Vec::new();
        while self.expiring.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, channel)) = self.expiring.pop_first() else { break };
            if let Some(room) = self.rooms.get_mut(&channel) {
                room.expiry = None;
            }
            due.push(channel);
        }
        due
    }

    /// Removes a member from a channel. Returns it, whether its user has left with it, and the
    /// outbox.
    pub(in crate::hub) fn leave(
        &mut self,
        channel: &Channel,
        id: &ConnectionId,
        dropped: &mut Dropped,
    ) -> Option<(Arc<Membership>, bool, Arc<Outbox<Members>>)> {
        let (member, last, empty, outbox) = self.change(channel, None, |room| {
            let (member, last) = room.leave(id)?;
            let empty = room.members.is_empty();
            let outbox = if empty { room.outbox.take() } else { room.outbox.clone() };
            Some((member, last, empty, outbox))
        })??;
        self.counts.populated -= usize::from(empty);
        let mut channels = member.handle.lock_channels();
        channels.remove(channel);
        self.counts.subscribed -= usize::from(channels.is_empty());
        drop(channels);
        if member.private {
            count(&mut self.counts.private, id.clone(), false);
            count(&mut self.counts.private_users, member.identity.clone(), false);
        }
        self.tidy(channel, dropped);
        Some((member, last, outbox?))
    }

    /// Counts a message in a channel, and keeps it with `keep`, if the channel keeps any, within
    /// `max` bytes for all channels together. The channel is made if there is something to keep and
    /// `may_make` allows that.
    pub(in crate::hub) fn message(
        &mut self,
        channel: &Channel,
        event: &Arc<Event>,
        keep: bool,
        rules: &ChannelRules,
        max: usize,
        dropped: &mut Dropped,
    ) {
        let Some(room) = self.rooms.get_mut(channel) else {
            if keep && rules.history > 0 {
                self.change(channel, Some(rules), |_| ());
                self.message(channel, event, keep, rules, max, dropped);
            } else {
                self.lost = event.id;
            }
            return;
        };
        room.messages += 1;
        if !keep || room.rules.history == 0 {
            room.forgotten = event.id;
            return;
        }
        self.change(channel, None, |room| room.history.push_back(Arc::clone(event)));
        self.kept.insert(event.id, channel.clone());
        self.kept_bytes += event.weight();
        self.trim(channel);
        while self.kept_bytes > max {
            let Some((_, channel)) = self.kept.first_key_value() else { break };
            let channel = channel.clone();
            self.drop_oldest(&channel);
            self.tidy(&channel, dropped);
        }
    }

    /// Drops what a channel keeps beyond its rules.
    fn trim(&mut self, channel: &Channel) {
        while self.room(channel).is_some_and(|room| room.history.len() > room.rules.history) {
            self.drop_oldest(channel);
        }
    }

    fn drop_oldest(&mut self, channel: &Channel) {
        let oldest = self.change(channel, None, |room| room.history.pop_front()).flatten();
        if let Some(event) = oldest {
            self.kept.remove(&event.id);
            self.kept_bytes -= event.weight();
            if let Some(room) = self.rooms.get_mut(channel) {
                room.forgotten = room.forgotten.max(event.id);
            }
        }
    }

    /// Removes a channel in which nothing is left.
    fn tidy(&mut self, channel: &Channel, dropped: &mut Dropped) {
        if self.rooms.get(channel).is_some_and(|room| !room.is_worth_keeping()) {
            self.idle.remove(&(None, channel.clone()));
            dropped.extend(self.drop_room(channel));
        }
    }

    /// Sets the rules of a channel, which then stays also when it is empty.
    pub(in crate::hub) fn set(&mut self, channel: &Channel, rules: ChannelRules) {
        let change = |room: &mut Room| (room.rules, room.pinned) = (rules, true);
        self.change(channel, Some(&ChannelRules::default()), change);
        self.trim(channel);
    }

    /// Changes the rules of a channel unless they were set. What it keeps beyond them is dropped.
    pub(in crate::hub) fn declare(
        &mut self,
        channel: &Channel,
        rules: ChannelRules,
        dropped: &mut Dropped,
    ) {
        if self.room(channel).is_some_and(|room| !room.pinned) {
            self.change(channel, None, |room| room.rules = rules);
            self.trim(channel);
            self.tidy(channel, dropped);
        }
    }

    /// Lets a channel whose rules were set go once it is empty, with what it keeps.
    pub(in crate::hub) fn unset(&mut self, channel: &Channel, dropped: &mut Dropped) {
        let Some(room) = self.rooms.get(channel).filter(|room| room.pinned) else { return };
        let kept = if room.members.is_empty() { room.history.len() } else { 0 };
        self.change(channel, None, |room| room.pinned = false);
        (0..kept).for_each(|_| self.drop_oldest(channel));
        self.tidy(channel, dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_of_expiring_tokens_has_one_entry_for_each_channel() {
        let mut channels = Channels::new(10, EventId::default());
        let [a, b] = ["a", "b"].map(|name| name.parse().expect("a channel"));
        for channel in [&a, &b] {
            channels.set(channel, ChannelRules::default());
        }
        for end in (100..1000).rev() {
            channels.note_expiry(&a, end);
        }
        for end in 200..1000 {
            channels.note_expiry(&b, end);
        }
        assert_eq!(channels.expiring.len(), 2);
        assert_eq!(channels.take_due(99), []);
        assert_eq!(channels.take_due(150), [a]);
        channels.unset(&b, &mut Vec::new());
        assert!(channels.expiring.is_empty(), "a channel takes its entry with it");
    }
}
