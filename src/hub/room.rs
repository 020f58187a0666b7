//! One channel: its rules, who is in it and as whom, and what it keeps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::channels::count;
use super::registry::ConnectionHandle;
use crate::auth::{Grant, Pattern};
use crate::event::{Channel, ConnectionId, Event, User};

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

/// What a member has come in with.
pub(super) struct ChannelAuthorization {
    pub(super) token: Box<str>,
    pub(super) grant: Grant,
}

impl fmt::Debug for ChannelAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("grant", &self.grant).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Arc<ConnectionHandle>,
    /// As whom it has come in: what is left is the same, whatever is said of it meanwhile.
    pub(super) who: MemberIdentity,
    /// With what; public channels ask for nothing.
    pub(super) pass: Option<Arc<ChannelAuthorization>>,
    /// Whether the channel was private then.
    pub(super) private: bool,
}

/// As whom somebody is in a channel. A client chooses its own id, so that what is for the user `ann`
/// must not reach one that calls itself so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum MemberIdentity {
    /// A user, by the word of somebody who may say so.
    User(User),
    /// Nobody's connection.
    Nobody(ConnectionId),
}

impl MemberIdentity {
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
    pub(super) users: HashMap<MemberIdentity, usize>,
    pub(super) history: VecDeque<Arc<Event>>,
    pub(super) messages: u64,
    /// It stays when it is empty: somebody has set its rules.
    pub(super) pinned: bool,
    /// When the first pass of a member runs out, or before that; seconds since 1970.
    pub(super) soonest: Option<u64>,
}

impl Room {
    pub(super) fn seen(&self, channel: &Channel) -> ChannelSeen {
        ChannelSeen {
            channel: channel.clone(),
            rules: self.rules.clone(),
            messages: self.messages,
            members: self.members.len(),
            users: self.users.len(),
        }
    }

    pub(super) fn inside(&self, channel: &Channel) -> ChannelInside {
        let mut members: Vec<_> = self.members.keys().cloned().collect();
        members.sort_unstable();
        let (users, history) = (self.users(), self.history.iter().cloned().collect());
        ChannelInside { seen: self.seen(channel), members, users, history }
    }

    /// Returns the users in it, in order.
    pub(super) fn users(&self) -> Vec<User> {
        let mut users: Vec<_> = self.users.keys().map(MemberIdentity::name).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Lets a member in. Returns whether its user was not there before.
    pub(super) fn enter(&mut self, member: Member) -> bool {
        self.note_pass(member.pass.as_deref());
        let connections = self.users.entry(member.who.clone()).or_default();
        *connections += 1;
        let first = *connections == 1;
        self.members.insert(member.entry.id.clone(), member);
        first
    }

    /// Notes when a pass runs out.
    pub(super) fn note_pass(&mut self, pass: Option<&ChannelAuthorization>) {
        if let Some(end) = pass.and_then(|pass| pass.grant.expires) {
            self.soonest = Some(self.soonest.map_or(end, |soonest| soonest.min(end)));
        }
    }

    /// Lets a member go. Returns it, and whether its user is there no more.
    pub(super) fn leave(&mut self, id: &ConnectionId) -> Option<(Member, bool)> {
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

    pub(super) fn is_worth_keeping(&self) -> bool {
        self.pinned || !self.members.is_empty() || !self.history.is_empty()
    }

    /// Returns whether nobody would miss it but for what it keeps.
    pub(super) fn is_idle(&self) -> bool {
        !self.pinned && self.members.is_empty()
    }
}
