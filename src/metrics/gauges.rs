//! The gauges of a hub: numbers that are read when they are scraped.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The current numbers of a hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Registered connections.
    pub connections: usize,
    /// Listeners.
    pub listeners: usize,
    /// Events in the history.
    pub history_events: usize,
    /// Bytes of memory that the history takes.
    pub history_bytes: usize,
    /// Events that the slowest listener has not been given yet.
    pub max_lag: u64,
    /// How far the id of the newest event is ahead of the clock, which was set back.
    pub clock_behind: Duration,
    /// Tasks of the runtime: a few, and those of connections.
    pub tasks: usize,
    /// Channels that have members or a history.
    pub channels: usize,
    /// Channels that have members.
    pub populated_channels: usize,
    /// Connections that are members of a channel.
    pub subscribed_connections: usize,
    /// Connections that are members of a private channel.
    pub private_connections: usize,
    /// Users of these connections.
    pub private_users: usize,
    /// The log on disk.
    pub log: LogNumbers,
}

/// The current numbers of a log on disk; zero without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogNumbers {
    /// Events in the log.
    pub events: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// Events that could not be written so far.
    pub unkept: u64,
    /// Whether it cannot be written now.
    pub failing: bool,
}

#[derive(Debug, Default)]
pub(super) struct Gauges {
    connections: Gauge,
    listeners: Gauge,
    history_events: Gauge,
    history_bytes: Gauge,
    max_lag: Gauge,
    clock_behind: Gauge<f64, AtomicU64>,
    tasks: Gauge,
    channels: Gauge,
    /// The five gauges of channelize, under the names of its documentation.
    channelize: [Gauge; 5],
    log_events: Gauge,
    log_bytes: Gauge,
    log_wal_bytes: Gauge,
    log_unkept: Gauge,
    log_failing: Gauge,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("connections", "WebSocket connections registered now", &gauges.connections);
        gauge("listeners", "Listeners of the event stream now", &gauges.listeners);
        gauge("history_events", "Events in the history", &gauges.history_events);
        gauge(
            "listener_lag_events",
            "Events that the slowest listener has not been given yet",
            &gauges.max_lag,
        );
        gauge("tasks", "Tasks of the server now", &gauges.tasks);
        gauge("channels", "Channels that have members or a history", &gauges.channels);
        gauge("log_events", "Events in the log on disk", &gauges.log_events);
        gauge(
            "log_unkept_events",
            "Events since the start that the log on disk could not keep",
            &gauges.log_unkept,
        );
        gauge(
            "log_failing",
            "1 while the log on disk cannot be written or read",
            &gauges.log_failing,
        );
        let channelize = [
            ("open_connections", "Connections that are registered"),
            ("private_connections", "Connections that are in a private channel"),
            (
                "private_connections_storage_length",
                "Users whose connections are in private channels",
            ),
            ("open_connections_storage_length", "Channels that have members"),
            ("subscribed_channels_storage_length", "Connections that are in a channel"),
        ];
        for ((name, help), at) in channelize.into_iter().zip(&gauges.channelize) {
            gauge(name, help, at);
        }
        registry.register_with_unit(
            "clock_behind",
            "How far the time of the newest event is ahead of the clock, which was set back",
            Unit::Seconds,
            gauges.clock_behind.clone(),
        );
        registry.register_with_unit(
            "history",
            "Memory of the events in the history",
            Unit::Bytes,
            gauges.history_bytes.clone(),
        );
        registry.register_with_unit(
            "log",
            "Disk space of the log, its write-ahead log included",
            Unit::Bytes,
            gauges.log_bytes.clone(),
        );
        registry.register_with_unit(
            "log_wal",
            "Disk space of the write-ahead log",
            Unit::Bytes,
            gauges.log_wal_bytes.clone(),
        );
        gauges
    }

    /// Sets all of them.
    pub(super) fn set(&self, now: Numbers) {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.connections, now.connections);
        set(&self.listeners, now.listeners);
        set(&self.history_events, now.history_events);
        set(&self.history_bytes, now.history_bytes);
        set(&self.max_lag, usize::try_from(now.max_lag).unwrap_or(usize::MAX));
        self.clock_behind.set(now.clock_behind.as_secs_f64());
        set(&self.tasks, now.tasks);
        set(&self.channels, now.channels);
        let log = [
            (&self.log_events, now.log.events),
            (&self.log_bytes, now.log.bytes),
            (&self.log_wal_bytes, now.log.wal_bytes),
            (&self.log_unkept, now.log.unkept),
            (&self.log_failing, u64::from(now.log.failing)),
        ];
        for (gauge, number) in log {
            set(gauge, usize::try_from(number).unwrap_or(usize::MAX));
        }
        let channelize = [
            now.connections,
            now.private_connections,
            now.private_users,
            now.populated_channels,
            now.subscribed_connections,
        ];
        for (gauge, number) in self.channelize.iter().zip(channelize) {
            set(gauge, number);
        }
    }
}
