//! Metrics for Prometheus. Names begin with `wstap_`, units are base units.
//!
//! Counters are atomics that the hot path holds; gauges are read from the hub when they are scraped.
//! No label takes a value from the network.

mod gauges;
mod handshake;
mod histogram;
mod limit;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use crate::event::Kind;
use crate::filter::Evaluation;
use gauges::Gauges;
pub use gauges::{LogNumbers, Numbers};
pub(crate) use handshake::Handshake;
pub(crate) use histogram::{Histograms, Sampler};
pub use limit::Limit;

/// All counters of one hub.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    gauges: Gauges,
    events: [Counter; Kind::ALL.len()],
    /// WebSocket connections that registered.
    pub(crate) connections_opened: Counter,
    /// Listeners that were accepted.
    pub(crate) listeners_opened: Counter,
    /// Payload bytes of messages from WebSocket clients.
    pub(crate) received_bytes: Counter,
    /// Payload bytes of messages to WebSocket clients.
    pub(crate) sent_bytes: Counter,
    /// Bytes of the event stream given to listeners.
    pub(crate) delivered_bytes: Counter,
    /// Bytes rendered, once for all listeners of a form.
    pub(crate) rendered_bytes: Counter,
    /// Evaluations of filter expressions at an event, once for all listeners of an equal one.
    pub(crate) filter_evaluations: Counter,
    /// Evaluations that ended without an answer because their budget was used up.
    pub(crate) filter_exhausted: Counter,
    /// Gaps sent to listeners.
    pub(crate) gaps: Counter,
    /// Events in these gaps, as far as their number is known.
    pub(crate) missed_events: Counter,
    /// Plain requests that proxy mode has answered.
    pub(crate) requests: Counter,
    /// Those of them that failed.
    pub(crate) failed_requests: Counter,
    /// Messages that a relay forwarded and the tap had no room for.
    pub(crate) unseen_messages: Counter,
    /// TLS handshakes with clients, by [`Handshake`].
    handshakes: [Counter; Handshake::ALL.len()],
    /// Lines of the audit log that were lost.
    pub(crate) audit_lost: Counter,
    /// Times that a listener fell behind the live channel and was served from history.
    pub(crate) lagged: Counter,
    /// Messages that did not fit into the queue of a WebSocket client.
    pub queue_refusals: Counter,
    /// Messages, joins and leaves given to members of channels.
    pub(crate) deliveries: Counter,
    /// Frames that were answered with an error.
    pub(crate) frame_errors: Counter,
    limited: [Counter; Limit::ALL.len()],
    pub(crate) histograms: Histograms,
}

/// Registers a counter for each value of a label.
fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    (label, values): (&'static str, [&'static str; N]),
) -> [Counter; N] {
    let family = Family::<[(&str, &str); 1], Counter>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create(&[(label, value)]).clone())
}

impl Metrics {
    /// Counts an evaluation of a filter expression, and returns whether the expression holds.
    pub(crate) fn evaluated(&self, evaluation: Evaluation) -> bool {
        self.filter_evaluations.inc();
        self.filter_exhausted.inc_by(u64::from(evaluation.exhausted));
        evaluation.holds
    }

    /// Creates all metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("wstap");
        let info = prometheus_client::metrics::info::Info::new(vec![(
            "version",
            env!("CARGO_PKG_VERSION"),
        )]);
        registry.register("build", "Version of wstap", info);

        let gauges = Gauges::new(&mut registry);
        let histograms = Histograms::new(&mut registry);

        let kinds = ("kind", Kind::ALL.map(Kind::as_str));
        let by_kind = counters(&mut registry, "events", "Events published, by kind", kinds);
        let help = "What a limit has refused or ended, by limit";
        let limits = ("limit", Limit::ALL.map(Limit::as_str));
        let by_limit = counters(&mut registry, "limited", help, limits);
        let help = "TLS handshakes with clients, by result";
        let ends = ("result", Handshake::ALL.map(Handshake::as_str));
        let by_end = counters(&mut registry, "tls_handshakes", help, ends);

        let mut counter = |name: &str, help: &str, unit: Option<Unit>| {
            let counter = Counter::default();
            match unit {
                Some(unit) => registry.register_with_unit(name, help, unit, counter.clone()),
                None => registry.register(name, help, counter.clone()),
            }
            counter
        };
        let bytes = || Some(Unit::Bytes);
        Self {
            connections_opened: counter(
                "connections_opened",
                "WebSocket connections that registered",
                None,
            ),
            listeners_opened: counter("listeners_opened", "Listeners that were accepted", None),
            received_bytes: counter(
                "received",
                "Payload of messages from WebSocket clients",
                bytes(),
            ),
            sent_bytes: counter("sent", "Payload of messages to WebSocket clients", bytes()),
            delivered_bytes: counter("delivered", "Event stream given to listeners", bytes()),
            rendered_bytes: counter(
                "rendered",
                "Event stream rendered, once for all listeners of a form",
                bytes(),
            ),
            filter_evaluations: counter(
                "filter_evaluations",
                "Evaluations of filter expressions, once for all listeners of an equal one",
                None,
            ),
            filter_exhausted: counter(
                "filter_exhausted",
                "Evaluations of filter expressions that used up their budget and have no answer",
                None,
            ),
            gaps: counter("gaps", "Gaps sent to listeners", None),
            missed_events: counter(
                "missed_events",
                "Events in gaps, as far as their number is known",
                None,
            ),
            requests: counter("requests", "Plain requests that proxy mode has answered", None),
            failed_requests: counter(
                "failed_requests",
                "Plain requests with an error as answer, or with none",
                None,
            ),
            unseen_messages: counter(
                "unseen_messages",
                "Messages that were forwarded and became a gap, because the tap had no room for them",
                None,
            ),
            audit_lost: counter(
                "audit_lost",
                "Lines of the audit log that were lost because it could not be written fast enough",
                None,
            ),
            lagged: counter(
                "lagged",
                "Times a listener fell behind and was served from history",
                None,
            ),
            queue_refusals: counter(
                "queue_refusals",
                "Messages that did not fit into the queue of a WebSocket client",
                None,
            ),
            deliveries: counter(
                "channel_deliveries",
                "Messages, joins and leaves given to members of channels",
                None,
            ),
            frame_errors: counter("frame_errors", "Frames that were answered with an error", None),
            events: by_kind,
            limited: by_limit,
            handshakes: by_end,
            histograms,
            gauges,
            registry,
        }
    }

    /// Returns the counter of the events of a kind.
    pub(crate) fn events(&self, kind: Kind) -> &Counter {
        &self.events[kind as usize]
    }

    /// Returns the counter of the TLS handshakes that ended so.
    pub(crate) fn handshakes(&self, end: Handshake) -> &Counter {
        &self.handshakes[end as usize]
    }

    /// Returns the counter of what a limit has refused or ended.
    #[must_use]
    pub fn limited(&self, limit: Limit) -> &Counter {
        &self.limited[limit as usize]
    }

    /// Writes everything in the text format of Prometheus.
    #[must_use]
    pub fn render(&self, now: Numbers) -> String {
        self.gauges.set(now);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes all");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_prefix_a_type_and_a_help_text() {
        let metrics = Metrics::new();
        metrics.events(Kind::Close).inc();
        let text = metrics.render(Numbers { connections: 3, ..Numbers::default() });
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("wstap_"), "{line}");
        }
        assert_eq!(text.matches("# HELP").count(), text.matches("# TYPE").count());
        for line in [
            "wstap_connections 3",
            "wstap_events_total{kind=\"close\"} 1",
            "wstap_history_bytes 0",
            "wstap_received_bytes_total 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
