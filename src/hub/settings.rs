//! The settings of a hub.

use std::sync::Arc;
use std::time::Duration;

use super::channels::rules::Declared;
use super::history::memory::Retention;
use crate::auth::Authority;
use crate::redact::Redaction;

/// The settings of a hub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much history is kept.
    pub history: Retention,
    /// At most this many WebSocket connections, registered or not.
    pub max_connections: usize,
    /// At most this many listeners.
    pub max_listeners: usize,
    /// What becomes of a second connection with the same id.
    pub duplicate_id: DuplicateId,
    /// How often an idle listener gets a heartbeat.
    pub heartbeat: Duration,
    /// What is hidden in events before they are kept or shown.
    pub redaction: Redaction,
    /// Whether it shows a recording. Then no connection registers.
    pub recording: bool,
    /// Channels that have rules of their own; the first that fits a name counts.
    pub channels: Vec<Declared>,
    /// At most this many channels at one time.
    pub max_channels: usize,
    /// What becomes of a client that does not keep up with its channels.
    pub slow_client: SlowClient,
    /// How much processor time a finite reading may take for events that it does not return. Then it
    /// ends, and says where to continue.
    pub search_time: Duration,
    /// Over how long a shutdown spreads the ends of connections and the returns of listeners at most.
    /// Few of them take less.
    pub drain_time: Duration,
    /// Verifies the tokens for private channels.
    pub authority: Option<Arc<dyn Authority>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history: Retention { events: 100_000, bytes: 64 << 20, age: None },
            max_connections: 10_000,
            max_listeners: 10_000,
            duplicate_id: DuplicateId::Replace,
            heartbeat: Duration::from_secs(15),
            redaction: Redaction::default(),
            recording: false,
            channels: Vec::new(),
            max_channels: 100_000,
            slow_client: SlowClient::Drop,
            search_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(5),
            authority: None,
        }
    }
}

/// What becomes of a second live connection with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateId {
    /// It replaces the first, which is closed.
    Replace,
    /// It is refused.
    Reject,
}

/// What becomes of a client whose queue is full when a message is published to its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowClient {
    /// It does not get that message, and stays connected.
    Drop,
    /// It is closed.
    Close,
}
