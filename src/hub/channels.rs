//! Who is in which channel, and what they all keep. It stands under the lock of the stream, so
//! that it and the events that tell of it change together. Knows nobody's rights.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::registry::ConnectionHandle;
use super::room::{ChannelInside, ChannelRules, ChannelSeen, Member, MemberIdentity, Room};
use crate::event::{Channel, ConnectionId, Event, EventId, User};
use crate::metrics::Numbers;

#[derive(Debug, Default)]
pub(super) struct Channels {
    rooms: HashMap<Channel, Room>,
    users: HashMap<User, HashMap<ConnectionId, Arc<ConnectionHandle>>>,
    /// Channels in which nobody is, and that nobody has set the rules of: they go when there are
    /// too many.
    idle: usize,
    kept: Kept,
    counts: Counts,
}

/// What all channels keep, the oldest first. What a channel has dropped by its own rules may still
/// stand here for a while.
#[derive(Debug, Default)]
struct Kept {
    order: VecDeque<(Channel, EventId)>,
    events: usize,
    bytes: usize,
}

/// Numbers that change with each who comes and goes, so that nobody has to count.
#[derive(Debug, Default)]
struct Counts {
    populated: usize,
    subscribed: usize,
    /// Connections in private channels, and in how many.
    private: HashMap<ConnectionId, usize>,
    /// The same for whom they belong to.
    private_users: HashMap<MemberIdentity, usize>,
}

/// Counts one more or one less of something; what there is none of is not there.
pub(super) fn count<K: Eq + std::hash::Hash>(table: &mut HashMap<K, usize>, key: K, more: bool) {
    let number = table.entry(key);
    if more {
        *number.or_default() += 1;
    } else if let std::collections::hash_map::Entry::Occupied(mut number) = number {
        *number.get_mut() -= 1;
        if *number.get() == 0 {
            number.remove();
        }
    }
}

impl Kept {
    fn note(&mut self, channel: &Channel, event: &Event) {
        self.order.push_back((channel.clone(), event.id));
        self.events += 1;
        self.bytes += event.weight();
    }

    /// Notes that these are kept no more.
    fn forget<'a>(&mut self, events: impl Iterator<Item = &'a Arc<Event>>) {
        for event in events {
            self.events -= 1;
            self.bytes -= event.weight();
        }
    }
}

impl Channels {
    pub(super) fn room(&self, channel: &Channel) -> Option<&Room> {
        self.rooms.get(channel)
    }

    pub(super) fn room_mut(&mut self, channel: &Channel) -> Option<&mut Room> {
        self.rooms.get_mut(channel)
    }

    /// Returns how many connections, users and channels there are, as channelize counts them.
    pub(super) fn count(&self, numbers: &mut Numbers) {
        numbers.channels = self.rooms.len();
        numbers.populated_channels = self.counts.populated;
        numbers.subscribed_connections = self.counts.subscribed;
        numbers.private_connections = self.counts.private.len();
        numbers.private_users = self.counts.private_users.len();
    }

    /// Returns a channel that is there, or is made now.
    pub(super) fn make(&mut self, channel: &Channel, rules: ChannelRules) -> &mut Room {
        let idle = &mut self.idle;
        self.rooms.entry(channel.clone()).or_insert_with(|| {
            *idle += 1;
            Room { rules, ..Room::default() }
        })
    }

    /// Returns whether so many more channels may be made. If it has to be, channels that nobody is
    /// in are given up for that, those that were spoken in least lately first.
    pub(super) fn has_room_for(&mut self, more: usize, max: usize) -> bool {
        let excess = self.rooms.len().saturating_add(more).saturating_sub(max);
        if excess == 0 {
            return true;
        }
        if excess > self.idle {
            return false;
        }
        let idle = self.rooms.iter().filter(|(_, room)| room.is_idle());
        let newest = |room: &Room| room.history.back().map(|event| event.id);
        let mut idle: Vec<_> = idle.map(|(name, room)| (newest(room), name.clone())).collect();
        // A few more than needed, so that the next ones need not look again.
        let gone = excess.max(idle.len() / 8);
        idle.select_nth_unstable(gone - 1);
        for (_, channel) in &idle[..gone] {
            if let Some(room) = self.rooms.remove(channel) {
                self.idle -= 1;
                self.kept.forget(room.history.iter());
            }
        }
        true
    }

    /// Lets a member into a channel that is there. Returns whether its user was not there before.
    pub(super) fn enter(&mut self, channel: &Channel, member: Member) -> bool {
        let Some(room) = self.rooms.get_mut(channel) else { return false };
        self.idle -= usize::from(room.is_idle());
        self.counts.populated += usize::from(room.members.is_empty());
        let mut channels = member.entry.lock_channels();
        self.counts.subscribed += usize::from(channels.is_empty());
        channels.insert(channel.clone());
        drop(channels);
        if member.private {
            count(&mut self.counts.private, member.entry.id.clone(), true);
            count(&mut self.counts.private_users, member.who.clone(), true);
        }
        room.enter(member)
    }

    /// Counts a message in a channel that is there, and keeps it where that is asked for, within a
    /// bound for all channels together.
    pub(super) fn keep(&mut self, channel: &Channel, event: &Arc<Event>, keep: bool, max: usize) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        room.messages += 1;
        if !keep || room.rules.history == 0 {
            return;
        }
        room.history.push_back(Arc::clone(event));
        self.kept.note(channel, event);
        self.trim(channel);
        while self.kept.bytes > max {
            let Some((channel, id)) = self.kept.order.pop_front() else { break };
            let Some(room) = self.rooms.get_mut(&channel) else { continue };
            if room.history.front().is_some_and(|oldest| oldest.id == id) {
                self.kept.forget(room.history.pop_front().iter());
                self.tidy(&channel);
            }
        }
    }

    /// Drops what a channel keeps beyond its rules.
    fn trim(&mut self, channel: &Channel) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        let excess = room.history.len().saturating_sub(room.rules.history);
        self.kept.forget(room.history.drain(..excess).collect::<Vec<_>>().iter());
        if self.kept.order.len() > 2 * self.kept.events + 1024 {
            let rooms = &self.rooms;
            let oldest = |channel: &Channel| Some(rooms.get(channel)?.history.front()?.id);
            self.kept.order.retain(|(channel, id)| oldest(channel).is_some_and(|it| it <= *id));
        }
    }

    /// Takes a member out of a channel. Returns it, and whether its user has left with it.
    pub(super) fn leave(&mut self, channel: &Channel, id: &ConnectionId) -> Option<(Member, bool)> {
        let room = self.rooms.get_mut(channel)?;
        let (member, last) = room.leave(id)?;
        self.counts.populated -= usize::from(room.members.is_empty());
        self.idle += usize::from(room.is_idle());
        let mut channels = member.entry.lock_channels();
        channels.remove(channel);
        self.counts.subscribed -= usize::from(channels.is_empty());
        drop(channels);
        if member.private {
            count(&mut self.counts.private, id.clone(), false);
            count(&mut self.counts.private_users, member.who.clone(), false);
        }
        Some((member, last))
    }

    /// Returns the channels in which a pass has run out by now, in seconds since 1970.
    pub(super) fn due(&self, now: u64) -> Vec<Channel> {
        let due = |room: &Room| room.soonest.is_some_and(|end| end <= now);
        self.rooms.iter().filter(|(_, room)| due(room)).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a channel in which nothing is any more.
    pub(super) fn tidy(&mut self, channel: &Channel) {
        if self.rooms.get(channel).is_some_and(|room| !room.is_worth_keeping()) {
            self.rooms.remove(channel);
            self.idle -= 1;
        }
        // A table that a flood has blown up gets small again.
        if self.rooms.capacity() > 1024 && self.rooms.len() < self.rooms.capacity() / 8 {
            self.rooms.shrink_to_fit();
        }
    }

    /// Sets the rules of a channel, which then stays also when it is empty.
    pub(super) fn set(&mut self, channel: &Channel, rules: ChannelRules) {
        let room = self.make(channel, ChannelRules::default());
        let idle = room.is_idle();
        (room.rules, room.pinned) = (rules, true);
        self.idle -= usize::from(idle);
        self.trim(channel);
    }

    /// Lets a channel go once it is empty, with what it keeps.
    pub(super) fn unset(&mut self, channel: &Channel) {
        if let Some(room) = self.rooms.get_mut(channel).filter(|room| room.pinned) {
            room.pinned = false;
            if room.members.is_empty() {
                self.idle += 1;
                self.kept.forget(std::mem::take(&mut room.history).iter());
            }
        }
        self.tidy(channel);
    }

    pub(super) fn inside(&self, channel: &Channel) -> Option<ChannelInside> {
        self.rooms.get(channel).map(|room| room.inside(channel))
    }

    pub(super) fn seen(&self) -> Vec<ChannelSeen> {
        self.rooms.iter().map(|(channel, room)| room.seen(channel)).collect()
    }

    /// Notes whose connection one is, so that its user finds it.
    pub(super) fn index_user(&mut self, entry: &Arc<ConnectionHandle>) {
        if let Some(user) = entry.user() {
            let connections = self.users.entry(user.clone()).or_default();
            connections.insert(entry.id.clone(), Arc::clone(entry));
        }
    }

    /// Forgets that.
    pub(super) fn unindex_user(&mut self, entry: &ConnectionHandle) {
        let Some(user) = entry.user() else { return };
        if let Some(connections) = self.users.get_mut(user) {
            connections.remove(&entry.id);
            if connections.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// Returns the connections of a user, in whatever channel.
    pub(super) fn connections_of(
        &self,
        user: &User,
    ) -> impl Iterator<Item = &Arc<ConnectionHandle>> {
        self.users.get(user).into_iter().flat_map(HashMap::values)
    }
}
