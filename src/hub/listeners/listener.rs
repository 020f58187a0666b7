//! What is known of each listener, and what the broadcast channel carries to them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::event::{EventId, Gap};
use crate::hub::history::segment::{Segment, Selection};

/// What a listener reads.
#[derive(Debug)]
pub enum Delivery {
    /// Events, in order.
    Events(Selection),
    /// Events that are lost for good.
    Gap(Gap),
    /// No event: the clock of heartbeats has ticked. Carries the id up to which the listener has read,
    /// if its filter has selected none of the last events.
    Pulse(Option<EventId>),
}

/// What goes through the broadcast channel.
#[derive(Debug, Clone)]
pub(in crate::hub) enum Signal {
    /// The next events; the hub owns them.
    Segment(Weak<Segment>),
    /// The clock of heartbeats has ticked.
    Pulse,
    /// A listener was dismissed; each looks whether it is the one.
    Look,
    /// There will be no more.
    Over,
}

/// What is known of a listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name in `/api/listeners`.
    pub number: u64,
    /// How its outlet describes it.
    pub about: About,
    /// When it subscribed, in milliseconds since 1970.
    pub since_ms: u64,
    position: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    dismissed: AtomicBool,
}

/// How an outlet describes a listener.
#[derive(Debug, Clone)]
pub struct About {
    /// The other end of its TCP connection.
    pub remote: std::net::SocketAddr,
    /// `plain`, `full`, `ndjson` or `poll`.
    pub form: &'static str,
    /// The query that selects its events.
    pub query: String,
}

impl Listener {
    /// Returns the position of the last event that it has passed.
    pub(in crate::hub) fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    pub(in crate::hub) fn set_position(&self, position: u64) {
        self.position.store(position, Relaxed);
    }

    /// Returns the number of events that it was given.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Returns the number of bytes that it was given.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Returns the number of gaps that it was told.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Relaxed)
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(in crate::hub) fn count_events(&self, events: usize) {
        self.events.fetch_add(events as u64, Relaxed);
    }

    pub(in crate::hub) fn count_gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    pub(in crate::hub) fn dismiss(&self) {
        self.dismissed.store(true, Relaxed);
    }

    pub(in crate::hub) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Relaxed)
    }
}

/// All listeners by number.
#[derive(Debug, Default)]
pub(in crate::hub) struct Listeners {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    by_number: BTreeMap<u64, Arc<Listener>>,
}

impl Listeners {
    /// Adds a listener, if there are fewer than `max`.
    pub(in crate::hub) fn enter(
        &self,
        about: About,
        now_ms: u64,
        max: usize,
    ) -> Option<Arc<Listener>> {
        let mut table = self.lock();
        if table.by_number.len() >= max {
            return None;
        }
        table.last += 1;
        let listener = Arc::new(Listener {
            number: table.last,
            about,
            since_ms: now_ms,
            position: AtomicU64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            dismissed: AtomicBool::new(false),
        });
        table.by_number.insert(listener.number, Arc::clone(&listener));
        Some(listener)
    }

    pub(in crate::hub) fn leave(&self, number: u64) {
        let left = self.lock().by_number.remove(&number);
        drop(left);
    }

    pub(in crate::hub) fn get(&self, number: u64) -> Option<Arc<Listener>> {
        self.lock().by_number.get(&number).cloned()
    }

    pub(in crate::hub) fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    /// Returns up to `limit` listeners with numbers greater than `after`, in order.
    pub(in crate::hub) fn after(&self, after: u64, limit: usize) -> Vec<Arc<Listener>> {
        let after = (Bound::Excluded(after), Bound::Unbounded);
        self.lock().by_number.range(after).take(limit).map(|(_, it)| Arc::clone(it)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}
