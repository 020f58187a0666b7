//! The flags that select events, and the query that they make.

use clap::Args;
use form_urlencoded::Serializer;

/// The flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct Selection {
    /// Only events of this connection [repeatable]
    #[arg(long, value_name = "ID")]
    connection: Vec<String>,
    /// Only events of this kind: connect, message, close, join, leave or request [repeatable]
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only messages in (from clients) or out [repeatable]
    #[arg(long, value_name = "DIRECTION")]
    direction: Vec<String>,
    /// Only events for which the expression is true: message.price > 100.0
    #[arg(long, value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Begin with the last N events
    #[arg(long, value_name = "N")]
    last: Option<String>,
    /// Begin with the events since a time: 5m (ago), or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

impl Selection {
    /// Adds the flags to a query.
    pub(super) fn query(&self, query: &mut Serializer<'_, String>) {
        for (name, values) in [
            ("connection", self.connection.as_slice()),
            ("kind", &self.kind),
            ("direction", &self.direction),
            ("filter", self.filter.as_slice()),
            ("last", self.last.as_slice()),
            ("since", self.since.as_slice()),
        ] {
            query.extend_pairs(values.iter().map(|value| (name, value)));
        }
    }
}
