//! Who is in which channel, and what a channel keeps. It stands under the lock of the stream, so
//! that it and the events that tell of it change together. Knows nobody's rights.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::registry::Entry;
use crate::auth::{Grant, Pattern};
use crate::event::{Channel, ConnectionId, Event, User, What};
use crate::metrics::Numbers;

/// The rules of a channel. The default is what holds for one that nobody has declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRules {
    /// Only who brings a token that fits may enter and publish.
    pub private: bool,
    /// Members are told who comes and goes.
    pub presence: bool,
    /// The last so many messages are kept for those who come later.
    pub history: usize,
    /// At most so many connections.
    pub max_members: Option<usize>,
}

/// Channels that are declared in the configuration, and their rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Which channels.
    pub name: Pattern,
    /// What holds for them.
    pub rules: ChannelRules,
}

/// A channel as others see it.
#[derive(Debug, Clone)]
pub struct ChannelSeen {
    /// Its name.
    pub channel: Channel,
    /// What holds for it.
    pub rules: ChannelRules,
    /// Messages that were published to it.
    pub messages: u64,
    /// How many connections are in it.
    pub members: usize,
    /// How many users they belong to.
    pub users: usize,
}

/// What is in a channel.
#[derive(Debug, Clone)]
pub struct ChannelInside {
    /// The channel.
    pub seen: ChannelSeen,
    /// The connections in it, in order.
    pub members: Vec<ConnectionId>,
    /// Their users, in order.
    pub users: Vec<User>,
    /// What it keeps, the oldest first: without what is hidden.
    pub history: Vec<Arc<Event>>,
}

/// What a member of a channel is handed: an event, shared by all members.
pub struct Delivered {
    /// The event: a message, a join or a leave.
    pub event: Arc<Event>,
    /// The message as it was sent, where the event hides something of it.
    whole: Option<What>,
    /// The same in the words of whoever published it, for members who speak like that.
    pub words: Option<Arc<str>>,
    frame: OnceLock<Bytes>,
}

impl Delivered {
    /// Hands on an event. `whole` is what redaction has changed, as it was.
    pub(super) fn new(event: Arc<Event>, whole: Option<What>, words: Option<Arc<str>>) -> Self {
        Self { event, whole, words, frame: OnceLock::new() }
    }

    /// Returns what has happened, with nothing hidden: members are who it was sent to.
    #[must_use]
    pub fn what(&self) -> &What {
        self.whole.as_ref().unwrap_or(&self.event.what)
    }

    /// Returns the frame that clients of wstap's own are sent, which is made once for all of them.
    pub fn frame(&self, make: impl FnOnce(&Self) -> String) -> &Bytes {
        self.frame.get_or_init(|| make(self).into())
    }

    pub(super) fn weight(&self) -> usize {
        self.event.weight()
    }

    pub(super) fn size(&self) -> u64 {
        match &self.event.what {
            What::Message(message) => message.size,
            _ => 0,
        }
    }
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered").field("event", &self.event).finish_non_exhaustive()
    }
}

/// What a member has come in with.
pub(super) struct Pass {
    pub(super) token: Box<str>,
    pub(super) grant: Grant,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("grant", &self.grant).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Arc<Entry>,
    /// As whom it has come in: what is left is the same, whatever is said of it meanwhile.
    pub(super) user: User,
    /// With what; public channels ask for nothing.
    pub(super) pass: Option<Arc<Pass>>,
}

/// A channel with somebody or something in it.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) rules: ChannelRules,
    pub(super) members: HashMap<ConnectionId, Member>,
    users: HashMap<User, usize>,
    history: VecDeque<Arc<Event>>,
    messages: u64,
    /// It stays when it is empty: somebody has set its rules.
    pinned: bool,
    /// When the first pass of a member runs out, or before that; seconds since 1970.
    pub(super) soonest: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Channels {
    rooms: HashMap<Channel, Room>,
    users: HashMap<User, HashMap<ConnectionId, Arc<Entry>>>,
}

impl Room {
    fn seen(&self, channel: &Channel) -> ChannelSeen {
        ChannelSeen {
            channel: channel.clone(),
            rules: self.rules.clone(),
            messages: self.messages,
            members: self.members.len(),
            users: self.users.len(),
        }
    }

    fn inside(&self, channel: &Channel) -> ChannelInside {
        let mut members: Vec<_> = self.members.keys().cloned().collect();
        members.sort_unstable();
        let (users, history) = (self.users(), self.history.iter().cloned().collect());
        ChannelInside { seen: self.seen(channel), members, users, history }
    }

    /// Returns the users in it, in order.
    pub(super) fn users(&self) -> Vec<User> {
        let mut users: Vec<_> = self.users.keys().cloned().collect();
        users.sort_unstable();
        users
    }

    /// Lets a member in. Returns whether its user was not there before.
    pub(super) fn enter(&mut self, member: Member) -> bool {
        self.note_pass(member.pass.as_deref());
        let connections = self.users.entry(member.user.clone()).or_default();
        *connections += 1;
        let first = *connections == 1;
        self.members.insert(member.entry.id.clone(), member);
        first
    }

    /// Notes when a pass runs out.
    pub(super) fn note_pass(&mut self, pass: Option<&Pass>) {
        if let Some(end) = pass.and_then(|pass| pass.grant.expires) {
            self.soonest = Some(self.soonest.map_or(end, |soonest| soonest.min(end)));
        }
    }

    /// Lets a member go. Returns it, and whether its user is there no more.
    fn leave(&mut self, id: &ConnectionId) -> Option<(Member, bool)> {
        let member = self.members.remove(id)?;
        let left = self.users.get_mut(&member.user)?;
        *left -= 1;
        let last = *left == 0;
        if last {
            self.users.remove(&member.user);
        }
        Some((member, last))
    }

    /// Counts a message, and keeps it where that is asked for.
    pub(super) fn keep(&mut self, event: &Arc<Event>, keep: bool) {
        self.messages += 1;
        if keep && self.rules.history > 0 {
            self.history.push_back(Arc::clone(event));
            self.trim();
        }
    }

    fn trim(&mut self) {
        while self.history.len() > self.rules.history {
            self.history.pop_front();
        }
    }

    /// Returns the last so many of what it keeps, the oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &Arc<Event>> {
        self.history.iter().skip(self.history.len().saturating_sub(count))
    }

    fn is_worth_keeping(&self) -> bool {
        self.pinned || !self.members.is_empty() || !self.history.is_empty()
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
        let (mut all, mut bearers, mut users) = (HashSet::new(), HashSet::new(), HashSet::new());
        for room in self.rooms.values() {
            for (id, member) in &room.members {
                all.insert(id);
                if room.rules.private {
                    bearers.insert(id);
                    users.insert(&member.user);
                }
            }
        }
        numbers.channels = self.rooms.len();
        numbers.populated_channels =
            self.rooms.values().filter(|room| !room.members.is_empty()).count();
        numbers.subscribed_connections = all.len();
        numbers.private_connections = bearers.len();
        numbers.private_users = users.len();
    }

    /// Returns a channel that is there, or is made now.
    pub(super) fn make(&mut self, channel: &Channel, rules: ChannelRules) -> &mut Room {
        self.rooms.entry(channel.clone()).or_insert_with(|| Room { rules, ..Room::default() })
    }

    /// Returns whether so many more channels may be made. Those that nobody is in are given up for
    /// that, with what they keep.
    pub(super) fn has_room_for(&mut self, more: usize, max: usize) -> bool {
        if self.rooms.len().saturating_add(more) > max {
            self.rooms.retain(|_, room| room.pinned || !room.members.is_empty());
        }
        self.rooms.len().saturating_add(more) <= max
    }

    /// Takes a member out of a channel. Returns it, and whether its user has left with it.
    pub(super) fn leave(&mut self, channel: &Channel, id: &ConnectionId) -> Option<(Member, bool)> {
        self.rooms.get_mut(channel)?.leave(id)
    }

    /// Forgets a channel in which nothing is any more.
    pub(super) fn tidy(&mut self, channel: &Channel) {
        if self.rooms.get(channel).is_some_and(|room| !room.is_worth_keeping()) {
            self.rooms.remove(channel);
        }
        // A table that a flood has blown up gets small again.
        if self.rooms.capacity() > 1024 && self.rooms.len() < self.rooms.capacity() / 8 {
            self.rooms.shrink_to_fit();
        }
    }

    /// Sets the rules of a channel, which then stays also when it is empty.
    pub(super) fn set(&mut self, channel: &Channel, rules: ChannelRules) {
        let room = self.make(channel, ChannelRules::default());
        (room.rules, room.pinned) = (rules, true);
        room.trim();
    }

    /// Lets a channel go once it is empty, with what it keeps.
    pub(super) fn unset(&mut self, channel: &Channel) {
        if let Some(room) = self.rooms.get_mut(channel) {
            room.pinned = false;
            if room.members.is_empty() {
                room.history.clear();
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
    pub(super) fn know(&mut self, entry: &Arc<Entry>) {
        if let Some(user) = entry.user() {
            let connections = self.users.entry(user.clone()).or_default();
            connections.insert(entry.id.clone(), Arc::clone(entry));
        }
    }

    /// Forgets that.
    pub(super) fn forget(&mut self, entry: &Entry) {
        let Some(user) = entry.user() else { return };
        if let Some(connections) = self.users.get_mut(user) {
            connections.remove(&entry.id);
            if connections.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// Returns the connections of a user, in whatever channel.
    pub(super) fn connections_of(&self, user: &User) -> impl Iterator<Item = &Arc<Entry>> {
        self.users.get(user).into_iter().flat_map(HashMap::values)
    }
}
