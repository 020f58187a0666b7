//! One channel: its rules, its members and the messages that it keeps.

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use super::fanout::Members;
use super::kept::KeptWish;
use super::member::{MemberIdentity, Membership};
use super::outbox::Outbox;
use super::rules::{ChannelRules, ChannelSeen};
use crate::event::{Channel, ConnectionId, Event, EventId, User};

/// A channel with members, kept messages or rules of its own.
#[derive(Debug, Default)]
pub(in crate::hub) struct Room {
    pub(in crate::hub) rules: ChannelRules,
    pub(in crate::hub) members: BTreeMap<ConnectionId, Arc<Membership>>,
    pub(in crate::hub) users: BTreeMap<MemberIdentity, usize>,
    pub(in crate::hub) history: VecDeque<Arc<Event>>,
    /// Every message after this one is in `history`.
    pub(in crate::hub) forgotten: EventId,
    pub(in crate::hub) messages: u64,
    /// When the first token of a member expires, in seconds since 1970: its entry in the index.
    pub(in crate::hub) expiry: Option<u64>,
    /// It stays when it is empty: its rules were set.
    pub(in crate::hub) pinned: bool,
    /// Delivers to the members; there is none without members.
    pub(in crate::hub) outbox: Option<Arc<Outbox<Members>>>,
}

impl Room {
    pub(in crate::hub) fn seen(&self, channel: &Channel) -> ChannelSeen {
        ChannelSeen {
            channel: channel.clone(),
            rules: self.rules.clone(),
            messages: self.messages,
            members: self.members.len(),
            users: self.users.len(),
        }
    }

    /// Adds a member. Returns whether its user was not there before.
    pub(in crate::hub) fn enter(&mut self, member: &Arc<Membership>) -> bool {
        let connections = self.users.entry(member.identity.clone()).or_default();
        *connections += 1;
        let first = *connections == 1;
        self.members.insert(member.handle.id.clone(), Arc::clone(member));
        first
    }

    /// Removes a member. Returns it, and whether its user is there no more.
    pub(in crate::hub) fn leave(&mut self, id: &ConnectionId) -> Option<(Arc<Membership>, bool)> {
        let member = self.members.remove(id)?;
        count(&mut self.users, member.identity.clone(), false);
        let last = !self.users.contains_key(&member.identity);
        Some((member, last))
    }

    /// Returns up to `limit` names of users after `after`, in order. A connection without a user has
    /// its id for a name.
    pub(in crate::hub) fn users_after(&self, after: Option<&User>, limit: usize) -> Vec<User> {
        // The ids that come after a name are those that come after as much of it as an id may have.
        let id = after.map(|name| {
            let short: String = name.as_str().chars().take(ConnectionId::MAX_CHARS).collect();
            MemberIdentity::Nobody(short.parse().unwrap_or_else(|_| ConnectionId::nobody()))
        });
        let first_id = MemberIdentity::Nobody(ConnectionId::nobody());
        let user = after.map(|name| MemberIdentity::User(name.clone()));
        let users = user.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = Bound::Excluded(id.as_ref().unwrap_or(&first_id));
        let users = self.users.range((users, Bound::Excluded(&first_id))).take(limit);
        let ids = self.users.range((ids, Bound::Unbounded)).take(limit);
        let mut names: Vec<_> = users.chain(ids).map(|(identity, _)| identity.name()).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(limit);
        names
    }

    /// Returns the newest kept messages that a wish asks for, as many as fit into its budget, the
    /// oldest first.
    pub(in crate::hub) fn kept(&self, wish: KeptWish) -> impl Iterator<Item = &Arc<Event>> {
        let KeptWish { after, messages, bytes } = wish;
        let mut weight = 0;
        let fits = |event: &&Arc<Event>| {
            weight += event.weight();
            weight <= bytes && after.is_none_or(|after| event.id > after)
        };
        let count = self.history.iter().rev().take(messages).take_while(fits).count();
        self.history.iter().skip(self.history.len() - count)
    }

    /// Returns whether `count` kept messages are all that was published after an event.
    pub(in crate::hub) fn is_complete(&self, after: EventId, count: usize) -> bool {
        let older = self.history.len() - count;
        let before = older.checked_sub(1).and_then(|n| self.history.get(n));
        self.forgotten <= after && before.is_none_or(|event| event.id <= after)
    }

    /// Returns the id of the newest message that it keeps.
    pub(in crate::hub) fn newest(&self) -> Option<EventId> {
        self.history.back().map(|event| event.id)
    }

    pub(in crate::hub) fn is_worth_keeping(&self) -> bool {
        self.pinned || !self.members.is_empty() || !self.history.is_empty()
    }

    /// Returns whether it may be given up for the sake of others: it has nothing but kept messages.
    pub(in crate::hub) fn is_idle(&self) -> bool {
        !self.pinned && self.members.is_empty()
    }
}

/// Counts one more or one less of something. A count of 0 is removed.
pub(in crate::hub) fn count<K: Ord>(table: &mut BTreeMap<K, usize>, key: K, more: bool) {
    let number = table.entry(key);
    if more {
        *number.or_default() += 1;
    } else if let btree_map::Entry::Occupied(mut number) = number {
        *number.get_mut() -= 1;
        if *number.get() == 0 {
            number.remove();
        }
    }
}
