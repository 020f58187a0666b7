//! `wstap watch`: follows a server's events in the terminal, a line each, and comes back to where
//! it was when the connection breaks.

pub(super) mod line;

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Failure;
use super::client::{Client, Problem, Target};
use crate::filter::{Expression, shorthand};

pub(super) fn command() -> Command {
    let field = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
    };
    Command::new("watch")
        .about("Follow a server's events in the terminal")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("words")
                .value_name("URL|TERM")
                .num_args(0..)
                .help("Server to follow [default: http://localhost:8080], and what to show of it"),
        )
        .arg(
            Arg::new("filter")
                .long("filter")
                .value_name("EXPR")
                .help("Only events of which this is true: kind == \"close\" && duration > 5.0"),
        )
        .arg(field("connection", "ID", "Only events of this connection [repeatable]"))
        .arg(field("kind", "KIND", "Only connect, message or close [repeatable]"))
        .arg(field("direction", "DIRECTION", "Only messages in (from clients) or out [repeatable]"))
        .arg(Arg::new("last").long("last").value_name("N").help("Begin with the last N events"))
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("TIME")
                .help("Begin with what is younger: 5m, or 2026-01-31T12:00:00Z"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the events as JSON, one a line"),
        )
}

const EXAMPLES: &str = "\
Examples:
  wstap watch                                    what passes at http://localhost:8080
  wstap watch http://localhost:8082 --last 20    with the last 20 events first
  wstap watch --connection room-7 --kind message
  wstap watch --filter 'message.price > 100.0 && direction == \"in\"'
  wstap watch 'conn:room-* dir:out \"some text\" size>100'

Terms are short for a filter, which is shown: conn:ID (or START*), kind:, dir:, op:, path:, re:PATTERN,
words or \"a phrase\" of a message, a comparison, and !TERM for what is not to be. All have to hold; of
the same key, one.
  wstap watch --json | jq .message";

/// The longest wait between two attempts to come back.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (url, terms) = words(matches)?;
    let filter = filter(matches, &terms)?;
    let target = Target::parse(&url, &query(matches, &filter)).map_err(Failure::Usage)?;
    if !terms.is_empty() {
        anstream::eprintln!("wstap: filter: {filter}");
    }
    let json = matches.get_flag("json");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    match runtime.block_on(follow(target, json)) {
        // Who reads us has seen enough.
        Err(Problem::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Problem::Output(error)) => Err(Failure::Failed(format!("cannot write: {error}"))),
        Err(Problem::Refused(words) | Problem::Lost(words)) => Err(Failure::Failed(words)),
        Ok(()) => Ok(()),
    }
}

/// Follows for ever. A server that was never there is a failure; one that goes is waited for.
async fn follow(target: Target, json: bool) -> Result<(), Problem> {
    let mut client = Client::new(target);
    let mut out = anstream::AutoStream::auto(io::stdout());
    let mut wait = Duration::ZERO;
    loop {
        let mut came = false;
        let ended = client.stream(|message| {
            came = true;
            let written = if json { line::json(&message) } else { line::text(&message) };
            written.map_or(Ok(()), |line| writeln!(out, "{line}")).and_then(|()| out.flush())
        });
        match ended.await {
            Ok(()) => {}
            Err(Problem::Lost(words)) if client.was_connected() => {
                anstream::eprintln!("wstap: {words}");
            }
            Err(problem) => return Err(problem),
        }
        // The server says when to come back; while it is not there at all, ever more slowly.
        wait = if came { Duration::ZERO } else { (wait * 2).min(MAX_WAIT) };
        wait = wait.max(client.retry());
        anstream::eprintln!("wstap: the stream ended; back in {:.1} s", wait.as_secs_f64());
        tokio::time::sleep(wait).await;
    }
}

/// Tells the URL from the terms: it has a scheme, or is a host and a port.
fn words(matches: &ArgMatches) -> Result<(String, String), Failure> {
    let (mut url, mut terms) = (None, Vec::new());
    for word in matches.get_many::<String>("words").into_iter().flatten() {
        if !is_url(word) {
            terms.push(word.as_str());
        } else if let Some(other) = url.replace(word.clone()) {
            return Err(Failure::Usage(format!("{other} and {word}: one server is right")));
        }
    }
    let url = url.unwrap_or_else(|| "http://localhost:8080".to_owned());
    Ok((url, terms.join(" ")))
}

fn is_url(word: &str) -> bool {
    let has_scheme = word.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|char| char.is_ascii_alphanumeric())
    });
    let authority = word.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok()
    });
    has_scheme || has_port && !shorthand::has_key(word) || authority == "localhost"
}

/// Returns the expression that holds; empty if there is none.
fn filter(matches: &ArgMatches, terms: &str) -> Result<String, Failure> {
    let usage = |what: &dyn std::fmt::Display| Failure::Usage(what.to_string());
    let given = matches.get_one::<String>("filter").map_or("", String::as_str);
    if matches.contains_id("filter") {
        Expression::parse(given).map_err(|fault| usage(&format_args!("--filter: {fault}")))?;
    }
    let terms = shorthand::translate(terms).map_err(|fault| usage(&fault))?;
    let filter = shorthand::both(given, &terms);
    if !filter.is_empty() {
        let right = |fault| usage(&format_args!("{filter}: {fault}"));
        Expression::parse(&filter).map_err(right)?;
    }
    Ok(filter)
}

fn query(matches: &ArgMatches, filter: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("format", "full");
    if !filter.is_empty() {
        query.append_pair("filter", filter);
    }
    for name in ["connection", "kind", "direction", "last", "since"] {
        for value in matches.get_many::<String>(name).into_iter().flatten() {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
