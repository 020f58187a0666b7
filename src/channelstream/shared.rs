//! The state that the handlers and tasks of the API share.
//!
//! The tables are under a std mutex that is never held across an await. The lock of the hub is taken
//! inside it, never the other way round.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use uuid::Uuid;

use super::edits::Edits;
use super::settings::ChannelstreamSettings;
use super::state::Tables;
use crate::event::ConnectionId;
use crate::hub::Hub;
use crate::session::UpgradeContext;

/// The state of the handlers.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) shared: Arc<Shared>,
    pub(super) context: UpgradeContext,
    pub(super) api: Arc<str>,
}

/// The state of the API, which handlers and tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) settings: ChannelstreamSettings,
    tables: Mutex<Tables>,
    pub(super) edits: Edits,
    /// Derives the ids of connections. The key is new in each process, so that a `conn_id` that is
    /// easy to guess cannot be found by trying.
    ids: Hmac<Sha1>,
    /// Frames that were handed to listeners.
    pub(super) delivered: AtomicU64,
    pub(super) listeners: AtomicUsize,
    pub(super) started: Instant,
}

impl Shared {
    pub(super) fn new(hub: Hub, settings: ChannelstreamSettings) -> Self {
        let mut tables = Tables::default();
        if hub.log().is_some() {
            tables.earlier = hub.channels().into_iter().map(|seen| seen.channel).collect();
        }
        Self {
            hub,
            settings,
            tables: Mutex::new(tables),
            edits: Edits::default(),
            ids: Hmac::new_from_slice(Uuid::new_v4().as_bytes()).expect("a key has any length"),
            delivered: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn count_delivery(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }

    /// Returns the id of a connection in the hub.
    pub(super) fn own_id(&self, id: Uuid) -> ConnectionId {
        let hash = self.ids.clone().chain_update(id.as_bytes()).finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let derived = uuid::Builder::from_custom_bytes(bytes).into_uuid();
        derived.to_string().parse().expect("a UUID is an id")
    }
}
