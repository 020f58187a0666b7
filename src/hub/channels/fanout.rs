//! The recipients of deliveries: the members of a channel, and the connections of users.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::kept::Resumption;
use super::member::{MemberIdentity, Membership};
use super::outbox::{Courier, Outbox, Recipients};
use crate::event::{ConnectionId, Event, User};
use crate::hub::connections::delivered::Delivered;
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::connections::queue::Outgoing;

/// The members of a channel that are connected to this node.
#[derive(Debug, Default)]
pub(in crate::hub) struct Members {
    list: Vec<Arc<Membership>>,
    index: HashMap<ConnectionId, usize>,
    /// Names of users, each with the number of its connections.
    users: BTreeMap<User, usize>,
    /// The names as a list, if they have not changed since it was made.
    listed: Option<Arc<[User]>>,
}

/// What happens in a channel.
#[derive(Debug)]
pub(in crate::hub) enum ChannelTask {
    /// A member enters. It gets kept messages, and with `lists_users` the users.
    Enter { member: Arc<Membership>, kept: Past, lists_users: bool },
    /// A member leaves; with `expelled` it is told that its token has expired.
    Leave { member: Arc<Membership>, expelled: bool },
    /// A message, for all members or for users.
    Message(Arc<Delivered>, Audience),
    /// A user has come or gone, which its own connections are not told.
    Presence(Arc<Delivered>, MemberIdentity),
}

/// The kept messages for a member that enters.
#[derive(Debug)]
pub(in crate::hub) enum Past {
    /// Each is a delivery.
    Deliveries(Vec<Arc<Event>>),
    /// All are one item.
    Resumed(Arc<Resumption>),
}

impl Past {
    fn weight(&self) -> usize {
        match self {
            Self::Deliveries(messages) => messages.iter().map(|event| event.weight()).sum(),
            Self::Resumed(resumption) => resumption.weight(),
        }
    }

    /// Sends them to a member, and returns about how many deliveries that takes.
    fn send(&self, member: &Membership, courier: &Courier<'_>) -> usize {
        match self {
            Self::Deliveries(messages) => {
                for event in messages {
                    let delivered = Delivered::new(Arc::clone(event), None, None);
                    courier.deliver(&member.handle, &Arc::new(delivered));
                }
                messages.len()
            }
            Self::Resumed(resumption) => {
                let resumed = Outgoing::Resumed(member.channel.clone(), Arc::clone(resumption));
                courier.enqueue(&member.handle, resumed);
                1
            }
        }
    }
}

/// Users that a message is for, and users that it is not for.
#[derive(Debug, Default)]
pub(in crate::hub) struct Audience {
    /// Only these; `None` is everybody.
    pub(in crate::hub) only: Option<HashSet<User>>,
    /// Not these.
    pub(in crate::hub) except: HashSet<User>,
}

impl Members {
    fn enter(&mut self, member: &Arc<Membership>) {
        *self.users.entry(member.identity.name()).or_insert_with(|| {
            self.listed = None;
            0
        }) += 1;
        self.index.insert(member.handle.id.clone(), self.list.len());
        self.list.push(Arc::clone(member));
    }

    fn leave(&mut self, member: &Arc<Membership>) {
        let Some(n) = self.index.get(&member.handle.id).copied() else { return };
        if !Arc::ptr_eq(&self.list[n], member) {
            return;
        }
        self.index.remove(&member.handle.id);
        self.list.swap_remove(n);
        if let Some(moved) = self.list.get(n) {
            self.index.insert(moved.handle.id.clone(), n);
        }
        let name = member.identity.name();
        if let Some(count) = self.users.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&name);
                self.listed = None;
            }
        }
    }

    fn users(&mut self) -> Arc<[User]> {
        let users = &self.users;
        Arc::clone(self.listed.get_or_insert_with(|| users.keys().cloned().collect()))
    }

    /// Makes the next deliveries to those whom `wants` picks.
    fn deliver(
        &self,
        delivered: &Arc<Delivered>,
        done: usize,
        budget: usize,
        courier: &Courier<'_>,
        wants: impl Fn(&Membership) -> bool,
    ) -> (usize, bool) {
        let end = self.list.len().min(done.saturating_add(budget));
        let piece = self.list.get(done..end).unwrap_or_default();
        for member in piece {
            let valid = !member.bound || !member.expired(courier.now);
            if valid && wants(member) {
                courier.deliver(&member.handle, delivered);
            }
        }
        (piece.len(), end == self.list.len())
    }
}

impl Recipients for Members {
    type Task = ChannelTask;

    fn weight(task: &ChannelTask) -> usize {
        match task {
            ChannelTask::Message(delivered, _) | ChannelTask::Presence(delivered, _) => {
                delivered.weight()
            }
            ChannelTask::Enter { kept, .. } => kept.weight(),
            ChannelTask::Leave { .. } => 0,
        }
    }

    fn carry_out(
        &mut self,
        task: &ChannelTask,
        done: usize,
        budget: usize,
        courier: &Courier<'_>,
    ) -> (usize, bool) {
        match task {
            ChannelTask::Enter { member, kept, lists_users } => {
                self.enter(member);
                let mut made = 1 + kept.send(member, courier);
                if *lists_users {
                    // Copying names is much quicker than delivering.
                    made += self.users.len() / 64;
                    let present = Outgoing::Present(member.channel.clone(), self.users());
                    courier.enqueue(&member.handle, present);
                }
                (made, true)
            }
            ChannelTask::Leave { member, expelled } => {
                self.leave(member);
                if *expelled {
                    let expelled = Outgoing::Expelled(member.channel.clone());
                    courier.enqueue(&member.handle, expelled);
                }
                (1, true)
            }
            ChannelTask::Message(delivered, audience) => {
                let now = courier.now;
                self.deliver(delivered, done, budget, courier, |member| {
                    let Audience { only, except } = audience;
                    only.as_ref().is_none_or(|only| member.is_one_of(only, now))
                        && (except.is_empty() || !member.is_one_of(except, now))
                })
            }
            ChannelTask::Presence(delivered, identity) => {
                self.deliver(delivered, done, budget, courier, |member| {
                    member.identity != *identity
                })
            }
        }
    }
}

impl Outbox<Members> {
    /// Notes when the token of a member expires, in seconds since 1970.
    pub(in crate::hub) fn note_expiry(&self, end: u64) {
        self.soonest.fetch_min(end, Relaxed);
    }

    /// Finds when the next token expires, after expired ones have been asked for again.
    pub(in crate::hub) fn find_soonest(&self, now_ms: u64) {
        let active = self.active();
        self.soonest.store(u64::MAX, Relaxed);
        let ends = active.recipients.list.iter().filter_map(|member| member.expires());
        if let Some(end) = ends.filter(|end| *end > now_ms / 1000).min() {
            self.note_expiry(end);
        }
    }

    /// Returns the members whose tokens have expired at `now_ms`.
    pub(in crate::hub) fn expired(&self, now_ms: u64) -> Vec<Arc<Membership>> {
        let active = self.active();
        active.recipients.list.iter().filter(|member| member.expired(now_ms)).cloned().collect()
    }
}

/// The connections of users, whatever channels they are in.
#[derive(Debug, Default)]
pub(in crate::hub) struct Users {
    connections: HashMap<User, BTreeMap<u64, Arc<ConnectionHandle>>>,
}

/// What happens to the connections of users.
#[derive(Debug)]
pub(in crate::hub) enum UserTask {
    /// A connection is that of a user from now on.
    Index(User, Arc<ConnectionHandle>),
    /// It is no more.
    Unindex(User, Arc<ConnectionHandle>),
    /// A message for users.
    Message(Arc<Delivered>, Vec<User>),
}

impl Recipients for Users {
    type Task = UserTask;

    fn weight(task: &UserTask) -> usize {
        match task {
            UserTask::Message(delivered, _) => delivered.weight(),
            UserTask::Index(..) | UserTask::Unindex(..) => 0,
        }
    }

    fn carry_out(
        &mut self,
        task: &UserTask,
        done: usize,
        budget: usize,
        courier: &Courier<'_>,
    ) -> (usize, bool) {
        match task {
            UserTask::Index(user, handle) => {
                let connections = self.connections.entry(user.clone()).or_default();
                connections.insert(handle.number, Arc::clone(handle));
                (1, true)
            }
            UserTask::Unindex(user, handle) => {
                if let Some(connections) = self.connections.get_mut(user) {
                    connections.remove(&handle.number);
                    if connections.is_empty() {
                        self.connections.remove(user);
                    }
                }
                (1, true)
            }
            UserTask::Message(delivered, to) => {
                let end = to.len().min(done.saturating_add(budget));
                for user in &to[done..end] {
                    for handle in self.connections.get(user).into_iter().flat_map(BTreeMap::values)
                    {
                        // A token that has named the user may have expired.
                        if handle.user_at(courier.now).as_ref() == Some(user) {
                            courier.deliver(handle, delivered);
                        }
                    }
                }
                (end - done, end == to.len())
            }
        }
    }
}

/// An outbox that has something to deliver.
#[derive(Debug, Clone)]
pub(in crate::hub) enum Lane {
    /// Of a channel.
    Channel(Arc<Outbox<Members>>),
    /// Of all users.
    Users(Arc<Outbox<Users>>),
}

impl Lane {
    pub(in crate::hub) fn drain(&self, courier: &Courier<'_>, budget: usize) -> bool {
        match self {
            Self::Channel(outbox) => outbox.drain(courier, budget),
            Self::Users(outbox) => outbox.drain(courier, budget),
        }
    }

    pub(in crate::hub) fn schedule(&self) -> bool {
        match self {
            Self::Channel(outbox) => outbox.schedule(),
            Self::Users(outbox) => outbox.schedule(),
        }
    }

    pub(in crate::hub) fn unschedule(&self) {
        match self {
            Self::Channel(outbox) => outbox.unschedule(),
            Self::Users(outbox) => outbox.unschedule(),
        }
    }
}

/// Outboxes that something was pushed into: nearly always at most one.
#[derive(Debug, Default)]
pub(in crate::hub) struct Lanes {
    first: Option<Lane>,
    more: Vec<Lane>,
}

impl Lanes {
    pub(in crate::hub) fn add(&mut self, lane: Lane) {
        match &self.first {
            None => self.first = Some(lane),
            Some(_) => self.more.push(lane),
        }
    }

    pub(in crate::hub) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.first.iter().chain(&self.more)
    }
}
