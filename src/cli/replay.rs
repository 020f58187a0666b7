//! `wstap replay`: plays a recording again, as its clients or as its server.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use form_urlencoded::Serializer;
use http::{HeaderName, HeaderValue};
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::watch::line::shown;
use super::{Failure, file};
use crate::config::Listen;
use crate::event::{ClosedBy, Event, EventId};
use crate::filter::Expression;
use crate::hub::{Order, Range, Scanned, Settings as HubSettings, Start};
use crate::proxy::{Dialer, Trust};
use crate::replay::{
    Change, Ended, Path, Payload, Played, Rules, Script, Scripts, Server, Settings, Speed, Timing,
    compare, play, stand_in,
};
use crate::server::bind;
use crate::wire::{self, Recorded};

pub(super) fn command() -> Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("replay")
        .about("Play a recording again: its clients against a server, or its server for clients")
        .after_help(EXAMPLES)
        .arg(Arg::new("file").value_name("FILE").required_unless_present("serve").help("Recording whose clients are played"))
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required_unless_present("serve")
                .help("Server to play them against; with a path, that is asked for instead of those recorded"),
        )
        .arg(
            flag("serve", "FILE", "Stands in for the server of this recording, and answers each client as it did")
                .conflicts_with_all(["file", "url", "timeout", "header", "carry", "ca", "insecure", "any-order", "timing"]),
        )
        .arg(flag("listen", "HOST:PORT", "Where --serve listens").default_value("localhost:8080").requires("serve"))
        .arg(flag("speed", "SPEED", "How fast: 0.1 to 100 times, or max, without pauses").default_value("1").value_parser(value_parser!(Speed)))
        .arg(flag("connection", "ID", "Only this connection [repeatable]").action(ArgAction::Append))
        .arg(flag("filter", "EXPR", "Only messages of which this is true, and connections that have some"))
        .arg(
            flag("ignore", "PATH", "What changes by nature in JSON, such as sid, data.time, items.*.id or $.sid [repeatable]")
                .action(ArgAction::Append)
                .value_parser(value_parser!(Path)),
        )
        .arg(
            flag("carry", "PATH", "A value of answers that the client says again later, such as a token: what the server says now goes there [repeatable]")
                .action(ArgAction::Append)
                .value_parser(value_parser!(Path)),
        )
        .arg(flag("any-order", "", "Answers of a connection may come in any order").num_args(0).action(ArgAction::SetTrue))
        .arg(flag("timeout", "SECONDS", "How long an answer is waited for").default_value("5").value_parser(seconds))
        .arg(
            flag("header", "HEADER", "Header of every handshake, such as 'Authorization: Bearer x' [repeatable]")
                .action(ArgAction::Append)
                .value_parser(header),
        )
        .arg(flag("ca", "FILE", "PEM file with the certificates that the server's may be signed by"))
        .arg(flag("insecure", "", "Takes any certificate").num_args(0).action(ArgAction::SetTrue).conflicts_with("ca"))
        .arg(flag("timing", "", "Says how closely the recorded times were met").num_args(0).action(ArgAction::SetTrue))
}

const EXAMPLES: &str = "\
The answers of each connection are compared with those recorded, in their order: JSON by value, also
behind a number as Socket.IO has it. What differs is printed, and the exit code is 1. A client's
message waits for the answers before it, and then for its pause.

Examples:
  wstap replay day.ndjson ws://localhost:9000                   the same again
  wstap replay day.ndjson ws://localhost:9000 --speed max --ignore sid --ignore data.time
  wstap replay chrome.har wss://staging.example --connection 1kahc9d7v05
  wstap replay day.ndjson ws://localhost:9000 --header 'Cookie: session=1' --carry token
  wstap replay --serve day.ndjson --listen localhost:9000       a server that answers as that did";

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Characters of a message that are shown in a difference.
const PREVIEW: usize = 300;

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let many = |name| matches.get_many::<Path>(name).into_iter().flatten().cloned().collect();
    let any_order = matches.get_flag("any-order");
    let rules = Rules { ignore: many("ignore"), any_order };
    let speed = *matches.get_one::<Speed>("speed").expect("it has a default");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    if let Some(path) = matches.get_one::<String>("serve") {
        return runtime.block_on(async {
            let scripts = scripts(path, matches).await?;
            serve(path, matches, &scripts, speed, &rules).await
        });
    }
    let path = matches.get_one::<String>("file").expect("it is required");
    let url = matches.get_one::<String>("url").expect("it is required");
    let server: Server = url.parse().map_err(|fault| Failure::Usage(format!("{url}: {fault}")))?;
    let trust = match matches.get_one::<String>("ca") {
        Some(file) => Trust::File(file.clone()),
        None if matches.get_flag("insecure") => Trust::Anybody,
        None => Trust::System,
    };
    let patience = *matches.get_one::<Duration>("timeout").expect("it has a default");
    let dialer = Dialer::new(Vec::new(), server.tls().then_some(&trust), patience);
    let dialer = dialer.map_err(|error| Failure::Usage(error.to_string()))?;
    let headers = matches.get_many::<(HeaderName, HeaderValue)>("header").into_iter().flatten();
    let only = matches.get_one::<String>("filter").map(|filter| {
        let fault = |fault| Failure::Usage(format!("--filter: {fault}"));
        Expression::parse(filter).map(Arc::new).map_err(fault)
    });
    let only = only.transpose()?;
    let settings = Settings {
        server,
        speed,
        patience,
        headers: headers.cloned().collect(),
        carry: many("carry"),
        only,
    };
    let (scripts, played) = runtime.block_on(async {
        let scripts = scripts(path, matches).await?;
        let bar = bar(&scripts);
        let played = play(&scripts, &settings, &dialer, || bar.inc(1)).await;
        bar.finish_and_clear();
        Ok::<_, Failure>((scripts, played))
    })?;
    if matches.get_flag("timing") {
        let late = played.iter().flat_map(|played| played.late.iter().copied()).collect();
        anstream::eprintln!("wstap: {}", Timing::new(late));
    }
    report(&scripts, &played, &rules)
}

/// Reads the scripts of a recording that were asked for.
async fn scripts(path: &str, matches: &ArgMatches) -> Result<Vec<Script>, Failure> {
    let (hub, _) = file::hub(path, HubSettings::default())?;
    let wanted = match matches.get_one::<String>("filter") {
        Some(filter) => {
            let mut query = Serializer::new(String::new());
            query
                .append_pair("format", "ndjson")
                .append_pair("limit", "all")
                .append_pair("filter", filter);
            let mut lines = Vec::new();
            file::ask(&hub, &query.finish(), |data| {
                lines.extend_from_slice(data);
                Ok(())
            })
            .await?;
            Some(ids(&lines))
        }
        None => None,
    };
    let connections: Vec<&String> = matches.get_many("connection").into_iter().flatten().collect();
    let mut scripts = Scripts::default();
    let range =
        Range { start: Start::Oldest, until: None, limit: usize::MAX, order: Order::Ascending };
    for page in hub.scan(range, crate::filter::Filter::default()) {
        let Scanned::Events(events) = page else { continue };
        let chosen = |event: &&Arc<Event>| {
            let named = connections.iter().any(|id| *id == event.connection.as_str());
            let passes = wanted
                .as_ref()
                .is_none_or(|ids| event.direction().is_none() || ids.contains(&event.id));
            (connections.is_empty() || named) && passes
        };
        events.iter().filter(chosen).for_each(|event| scripts.take(event));
    }
    let mut scripts = scripts.finish();
    scripts.retain(|script| wanted.is_none() || script.answers().count() + script.questions() > 0);
    if wanted.is_some() {
        // What made the server close may be left out.
        for script in &mut scripts {
            script.end = script.end.take().filter(|end| end.by != ClosedBy::Server);
        }
    }
    if scripts.is_empty() {
        return Err(Failure::Failed(format!(
            "{path}: no connection in it has its handshake and was chosen"
        )));
    }
    let left_out: usize = scripts.iter().map(|script| script.left_out).sum();
    if left_out > 0 {
        anstream::eprintln!(
            "wstap: {path}: of {left_out} messages nothing is kept; they are left out"
        );
    }
    Ok(scripts)
}

fn ids(lines: &[u8]) -> HashSet<EventId> {
    let text = String::from_utf8_lossy(lines);
    let id = |line| match wire::read(line) {
        Ok(Recorded::Event(event)) => Some(event.id),
        Ok(Recorded::Gap(_)) | Err(_) => None,
    };
    text.lines().filter_map(id).collect()
}

fn bar(scripts: &[Script]) -> ProgressBar {
    let bar = ProgressBar::new(scripts.iter().map(|script| script.questions() as u64).sum());
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.with_style(file::style("{bar:30} {pos} of {len} messages said"))
}

/// Prints what differs; that something does is a failure.
fn report(scripts: &[Script], played: &[Played], rules: &Rules) -> Result<(), Failure> {
    let mut out = anstream::AutoStream::auto(io::stdout());
    let (mut all, mut different, mut ends) = (0, 0, 0);
    let mut text = Vec::new();
    for (script, played) in scripts.iter().zip(played) {
        let then: Vec<&Payload> = script.answers().map(|step| &step.said).collect();
        let now: Vec<&Payload> = played.answers.iter().collect();
        let changes = compare(&then, &now, rules);
        let end = end(script, &played.ended);
        all += then.len();
        different += changes.iter().filter(|change| !change.is_same()).count();
        ends += usize::from(end.is_some());
        if end.is_some() || !changes.iter().all(Change::is_same) {
            difference(script, &then, &now, &changes, end.as_deref(), &mut text)
                .expect("a Vec takes all");
        }
    }
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Failure::Failed(format!("cannot write: {error}")));
        }
        _ => {}
    }
    let (connections, sent) =
        (scripts.len(), played.iter().map(|played| played.sent).sum::<usize>());
    if different + ends == 0 {
        anstream::eprintln!(
            "wstap: {connections} connections said {sent} messages; all {all} answers are as recorded"
        );
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{connections} connections said {sent} messages; {different} of {all} answers and {ends} ends are not as recorded"
    )))
}

/// Says how the end of a connection is another than it was.
fn end(script: &Script, ended: &Ended) -> Option<String> {
    let then = match (&script.refused, &script.end) {
        (Some(status), _) => Some(Ended::Refused(*status)),
        (None, Some(end)) if end.by == ClosedBy::Server => Some(Ended::ByServer(end.code)),
        (None, _) => None,
    };
    match (then, ended) {
        (Some(then), ended) if then == *ended => None,
        (None, Ended::ByClient) => None,
        // A code that no frame may carry was none then either.
        (Some(then), ended) => Some(format!("it was {then}, and is {ended}")),
        (None, ended) => Some(format!("it is {ended}")),
    }
}

/// Writes the answers of a connection that differ, each with one before it that does not.
fn difference(
    script: &Script,
    then: &[&Payload],
    now: &[&Payload],
    changes: &[Change],
    end: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (id, path) = (shown(script.connection.as_str(), 40), shown(&script.path, 120));
    writeln!(out, "{BOLD}{id}{BOLD:#}  {path}")?;
    let mut before: Option<usize> = None;
    for change in changes {
        if let Change::Same { now: n, .. } = change {
            before = Some(*n);
            continue;
        }
        if let Some(n) = before.take() {
            writeln!(out, "  {DIM}  {}{DIM:#}", words(now[n]))?;
        }
        match change {
            Change::Missing(n) => writeln!(out, "  {RED}- {}{RED:#}", words(then[*n]))?,
            Change::Extra(n) => writeln!(out, "  {GREEN}+ {}{GREEN:#}", words(now[*n]))?,
            Change::Differs { then: one, now: two, place } => {
                writeln!(out, "  {RED}- {}{RED:#}", words(then[*one]))?;
                writeln!(out, "  {GREEN}+ {}{GREEN:#}", words(now[*two]))?;
                if let Some(place) = place {
                    writeln!(out, "    {DIM}{}{DIM:#}", shown(place, PREVIEW))?;
                }
            }
            Change::Same { .. } => {}
        }
    }
    end.map_or(Ok(()), |end| writeln!(out, "  {RED}{}{RED:#}", shown(end, PREVIEW)))
}

fn words(said: &Payload) -> String {
    match said {
        Payload::Text(text) => shown(text, PREVIEW),
        Payload::Binary(bytes) => {
            let mut words = format!("{} bytes ", bytes.len());
            for byte in bytes.iter().take(32) {
                write!(words, "{byte:02x}").expect("a String takes all");
            }
            words
        }
    }
}

async fn serve(
    path: &str,
    matches: &ArgMatches,
    scripts: &[Script],
    speed: Speed,
    rules: &Rules,
) -> Result<(), Failure> {
    let text = matches.get_one::<String>("listen").expect("it has a default");
    let listen: Listen =
        text.parse().map_err(|right| Failure::Usage(format!("--listen {text}: {right}")))?;
    let listeners = bind(&listen, "listen", false).await;
    let listeners = listeners.map_err(|error| Failure::Failed(error.to_string()))?;
    let port = listeners
        .first()
        .and_then(|listener| listener.local_addr().ok())
        .map_or(0, |addr| addr.port());
    let at = Listen { port, ..listen };
    anstream::eprintln!(
        "{path} answers at {BOLD}ws://{at}{BOLD:#} in place of its server. Ctrl-C stops.\n"
    );
    for script in scripts {
        let (id, path) = (shown(script.connection.as_str(), 40), shown(&script.path, 120));
        anstream::eprintln!("  {id:<14} {path}  {} messages", script.steps.len());
    }
    let serving = stand_in(&listeners, scripts, speed, rules, |told| {
        anstream::eprintln!("wstap: {}", shown(&told.to_string(), PREVIEW));
    });
    let mut ending = super::Ending::new()
        .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    tokio::select! {
        served = serving => served.map_err(|error| Failure::Failed(format!("cannot accept: {error}"))),
        () = ending.next() => Ok(()),
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let right = "a time limit is a number of seconds, such as 5 or 0.5";
    let seconds = text.trim_end_matches('s').parse().ok();
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or(right)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let right = "a header is a name and a value, such as 'Cookie: a=1'";
    let (name, value) = text.split_once(':').ok_or(right)?;
    let name = name.trim().parse().map_err(|_| right)?;
    Ok((name, value.trim().parse().map_err(|_| right)?))
}
