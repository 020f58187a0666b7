//! Who is in which channel, and what a channel keeps. It stands under the lock of the stream, so
//! that it and the events that tell of it change together. Knows nobody's rights.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::registry::Entry;
use crate::auth::{Grant, Pattern};
use crate::event::{Channel, ConnectionId, Event, EventId, User, What};
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
    pub(super) who: Who,
    /// With what; public channels ask for nothing.
    pub(super) pass: Option<Arc<Pass>>,
    /// Whether the channel was private then.
    pub(super) private: bool,
}

/// As whom somebody is in a channel. A client chooses its own id, so that what is for the user `ann`
/// must not reach one that calls itself so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Who {
    /// A user, by the word of somebody who may say so.
    User(User),
    /// Nobody's connection.
    Nobody(ConnectionId),
}

impl Who {
    /// Returns the name that others see.
    pub(super) fn name(&self) -> User {
        match self {
            Self::User(user) => user.clone(),
            Self::Nobody(id) => User::shown(id.as_str().to_owned()),
        }
    }

    /// Returns whether it is one of these users.
    pub(super) fn is_among(&self, users: &Users<'_>) -> bool {
        matches!(self, Self::User(user) if users.contain(user))
    }
}

/// Users that a message is for, or not for.
pub(super) enum Users<'a> {
    Few(&'a [User]),
    Many(HashSet<&'a User>),
}

impl<'a> Users<'a> {
    pub(super) fn new(users: &'a [User]) -> Self {
        // Up to here looking at each is quicker than hashing one.
        if users.len() <= 8 { Self::Few(users) } else { Self::Many(users.iter().collect()) }
    }

    fn contain(&self, user: &User) -> bool {
        match self {
            Self::Few(users) => users.contains(user),
            Self::Many(users) => users.contains(user),
        }
    }
}

/// A channel with somebody or something in it.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) rules: ChannelRules,
    pub(super) members: HashMap<ConnectionId, Member>,
    users: HashMap<Who, usize>,
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
    private_users: HashMap<Who, usize>,
}

/// Counts one more or one less of something; what there is none of is not there.
fn count<K: Eq + std::hash::Hash>(table: &mut HashMap<K, usize>, key: K, more: bool) {
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
        let mut users: Vec<_> = self.users.keys().map(Who::name).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Lets a member in. Returns whether its user was not there before.
    fn enter(&mut self, member: Member) -> bool {
        self.note_pass(member.pass.as_deref());
        let connections = self.users.entry(member.who.clone()).or_default();
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
        count(&mut self.users, member.who.clone(), false);
        let last = !self.users.contains_key(&member.who);
        Some((member, last))
    }

    /// Returns the last so many of what it keeps, as many as fit into so many bytes, the oldest
    /// first.
    pub(super) fn last(&self, count: usize, bytes: usize) -> impl Iterator<Item = &Arc<Event>> {
        let mut weight = 0;
        let fits = |event: &&Arc<Event>| {
            weight += event.weight();
            weight <= bytes
        };
        let count = self.history.iter().rev().take(count).take_while(fits).count();
        self.history.iter().skip(self.history.len() - count)
    }

    fn is_worth_keeping(&self) -> bool {
        self.pinned || !self.members.is_empty() || !self.history.is_empty()
    }

    /// Returns whether nobody would miss it but for what it keeps.
    fn is_idle(&self) -> bool {
        !self.pinned && self.members.is_empty()
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
