//! `wstap watch`: follows a server's events in the terminal, a line each, and comes back to where
//! it was when the connection breaks.

pub(super) mod line;

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Failure;
use super::client::{Client, Problem, Target};

pub(super) fn command() -> Command {
    let field = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
    };
    Command::new("watch")
        .about("Follow a server's events in the terminal")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("url")
                .value_name("URL")
                .default_value("http://localhost:8080")
                .help("Server to follow"),
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
  wstap watch --json | jq .message";

/// The longest wait between two attempts to come back.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let url = matches.get_one::<String>("url").expect("it has a default");
    let target = Target::parse(url, &query(matches)).map_err(Failure::Usage)?;
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

fn query(matches: &ArgMatches) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("format", "full");
    for name in ["connection", "kind", "direction", "last", "since"] {
        for value in matches.get_many::<String>(name).into_iter().flatten() {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
