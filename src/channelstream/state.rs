//! The tables of the API: users, channels and connections. No clock and no I/O.
//!
//! They are guarded by one std mutex, under which nothing is awaited. All of them are bounded: users
//! without connections and channels without members are forgotten after a while, and sooner where
//! there are too many.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::channels::Channels;
use super::handle::SessionHandle;
use super::users::Users;
use crate::event::{Channel, EventId};

/// Encoded events that are remembered for all their readers, which read one within moments.
const ENCODED: usize = 256;

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) users: Users,
    pub(super) channels: Channels,
    /// Channels whose history is still to be taken from an earlier process. A channel leaves when it
    /// becomes known, or when a message of it is edited or deleted.
    pub(super) earlier: HashSet<Channel>,
    pub(super) connections: HashMap<Uuid, Arc<SessionHandle>>,
    encoded: VecDeque<(EventId, Arc<str>)>,
    /// Messages that were accepted.
    pub(super) accepted: u64,
}

impl Tables {
    /// Removes a connection.
    pub(super) fn leave(&mut self, handle: &Arc<SessionHandle>, now: Instant) {
        let held = self.connections.get(&handle.id);
        if !held.is_some_and(|held| Arc::ptr_eq(held, handle)) {
            return;
        }
        self.connections.remove(&handle.id);
        if let Some(user) = self.users.used(&handle.user, now) {
            user.connections.remove(&handle.id);
        }
    }

    /// Returns an event as its readers receive it. `make` encodes it for the first of them.
    pub(super) fn encoded(
        &mut self,
        id: EventId,
        make: impl FnOnce(&mut Self) -> Arc<str>,
    ) -> Arc<str> {
        if let Some((_, text)) = self.encoded.iter().rev().find(|(of, _)| *of == id) {
            return Arc::clone(text);
        }
        let text = make(self);
        if self.encoded.len() == ENCODED {
            self.encoded.pop_front();
        }
        self.encoded.push_back((id, Arc::clone(&text)));
        text
    }
}
