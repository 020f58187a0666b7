//! What commands are decided on: the live connections, the channels, and whether the hub stops.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::handshakes::Handshakes;
use crate::event::{Channel, ConnectionId, EventId};
use crate::hub::channels::fanout::Users;
use crate::hub::channels::outbox::Outbox;
use crate::hub::channels::rooms::Channels;
use crate::hub::channels::rules::{ChannelRules, Declared};
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::connections::recorded::RecordedConnections;

/// The table of connections has room for this many from the start, so that it does not have to grow
/// while others wait: what is not used takes no memory.
const ROOM_FOR: usize = 100_000;

#[derive(Debug)]
pub(in crate::hub) struct State {
    connections: HashMap<ConnectionId, Arc<ConnectionHandle>>,
    /// The same in the order of registration, for lists.
    by_number: BTreeMap<u64, Arc<ConnectionHandle>>,
    pub(in crate::hub) channels: Channels,
    /// Delivers to the connections of users.
    pub(in crate::hub) users: Arc<Outbox<Users>>,
    /// The handshakes of connections of a recording.
    pub(in crate::hub) restored: Handshakes,
    /// The connections of a recording.
    pub(in crate::hub) recorded: RecordedConnections,
    /// No connection registers any more.
    pub(in crate::hub) stopping: bool,
}

impl State {
    pub(in crate::hub) fn new(max_connections: usize, max_channels: usize, since: EventId) -> Self {
        Self {
            connections: HashMap::with_capacity(max_connections.min(ROOM_FOR)),
            by_number: BTreeMap::new(),
            channels: Channels::new(max_channels, since),
            users: Arc::default(),
            restored: Handshakes::default(),
            recorded: RecordedConnections::default(),
            stopping: false,
        }
    }

    pub(in crate::hub) fn connection(&self, id: &ConnectionId) -> Option<&Arc<ConnectionHandle>> {
        self.connections.get(id)
    }

    pub(in crate::hub) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Returns up to `limit` connections whose numbers are greater than `after`, in the order of
    /// registration.
    pub(in crate::hub) fn connections(
        &self,
        after: u64,
        limit: usize,
    ) -> Vec<Arc<ConnectionHandle>> {
        let after = (Bound::Excluded(after), Bound::Unbounded);
        self.by_number.range(after).take(limit).map(|(_, handle)| Arc::clone(handle)).collect()
    }

    pub(in crate::hub) fn insert(&mut self, handle: &Arc<ConnectionHandle>) {
        self.connections.insert(handle.id.clone(), Arc::clone(handle));
        self.by_number.insert(handle.number, Arc::clone(handle));
    }

    /// Removes a connection, unless another has taken its id.
    pub(in crate::hub) fn remove(&mut self, handle: &Arc<ConnectionHandle>) {
        if self.connections.get(&handle.id).is_some_and(|held| Arc::ptr_eq(held, handle)) {
            self.connections.remove(&handle.id);
        }
        self.by_number.remove(&handle.number);
    }

    /// Returns the rules of a channel, whether it is there or not.
    pub(in crate::hub) fn rules(&self, declared: &[Declared], channel: &Channel) -> ChannelRules {
        match self.channels.room(channel) {
            Some(room) => room.rules.clone(),
            None => Declared::rules(declared, channel).cloned().unwrap_or_default(),
        }
    }
}
