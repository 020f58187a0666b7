//! The flags that select events of a server, and the query that they make.

use clap::{Arg, ArgAction, ArgMatches};
use form_urlencoded::Serializer;

/// Returns the flags.
pub(super) fn flags() -> Vec<Arg> {
    let one = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Selection")
    };
    let many = |name, value, help| one(name, value, help).action(ArgAction::Append);
    vec![
        many("connection", "ID", "Only events of this connection [repeatable]"),
        many("kind", "KIND", "Only connect, message or close [repeatable]"),
        many("direction", "DIRECTION", "Only messages in (from clients) or out [repeatable]"),
        one("filter", "EXPR", "Only events of which this is true: message.price > 100.0"),
        one("last", "N", "Only the last N events"),
        one("since", "TIME", "Only what is younger: 5m, or 2026-01-31T12:00:00Z"),
    ]
}

/// Adds what was asked for to a query.
pub(super) fn query(matches: &ArgMatches, query: &mut Serializer<'_, String>) {
    for flag in flags() {
        let name = flag.get_id().as_str();
        for value in matches.get_many::<String>(name).into_iter().flatten() {
            query.append_pair(name, value);
        }
    }
}

/// Returns the positional argument that names a server.
pub(super) fn server() -> Arg {
    Arg::new("url").value_name("URL").default_value("http://localhost:8080")
}
