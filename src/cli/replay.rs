//! `wstap replay`: plays a recording again, as its clients or as its server.

mod report;

use std::sync::Arc;
use std::time::Duration;

use anstyle::Style;
use clap::Args;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use indicatif::HumanDuration;

use super::bearer::Bearer;
use super::escape::escape;
use super::failure::{Failure, print};
use super::reach::Reach;
use super::running::{Ending, block_on};
use super::{file, progress};
use crate::event::{ClosedBy, Event};
use crate::filter::{Expression, FilterError};
use crate::replay::{
    Ignored, Path, Progress, ReplaySettings, Rules, Script, Scripts, Server, Speed, Timing, play,
    stand_in,
};
use crate::server::{Listen, bind};

/// Play a recording again, as its clients or as its server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Replay {
    /// Recording whose clients are played
    #[arg(required_unless_present = "serve")]
    file: Option<String>,
    /// Server to play them against; a path in it replaces the recorded paths
    #[arg(required_unless_present = "serve")]
    url: Option<Server>,
    /// Takes the place of the server of this recording, and answers each client as it did
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["file", "url", "timeout", "header", "carry", "ca", "insecure", "any_order", "timing"]
    )]
    serve: Option<String>,
    /// Address that --serve listens on
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8080", requires = "serve")]
    listen: String,
    /// Speed: 0.1 to 100 times that of the recording, or max, without pauses
    #[arg(long, default_value = "1")]
    speed: Speed,
    /// Only this connection [repeatable]
    #[arg(long, value_name = "ID")]
    connection: Vec<String>,
    /// Only messages for which the expression is true, and connections that have such messages
    #[arg(long, value_name = "EXPR", value_parser = expression)]
    filter: Option<Arc<Expression>>,
    /// A value in JSON that is not compared, such as sid, data.time, items.*.id or $.sid
    /// [repeatable]
    #[arg(long, value_name = "PATH")]
    ignore: Vec<Path>,
    /// A part of texts that is not compared: what a regular expression matches [repeatable]
    #[arg(long, value_name = "REGEX")]
    ignore_pattern: Vec<Ignored>,
    /// A header line in messages that is not compared, such as message-id of STOMP [repeatable]
    #[arg(long, value_name = "NAME")]
    ignore_header: Vec<String>,
    /// A value of answers that the client sends again later, such as a token: the new value of the
    /// server is sent in the place of the recorded one [repeatable]
    #[arg(long, value_name = "PATH")]
    carry: Vec<Path>,
    /// Accepts the answers of a connection in any order
    #[arg(long)]
    any_order: bool,
    /// Time limit for an answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// Header field of every handshake, such as 'Authorization: Bearer x' [repeatable]
    #[arg(long, value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    reach: Reach,
    /// Prints by how much messages were sent after their time
    #[arg(long)]
    timing: bool,
    #[command(flatten)]
    bearer: Bearer,
}

const EXAMPLES: &str = "\
The answers of each connection are compared with the recorded ones, in their order: JSON by value,
also after a number as in Socket.IO. Differences are printed, and the exit code is 1. A message of
the client waits for the answers before it, and then for its pause.

Examples:
  wstap replay day.ndjson ws://localhost:9000                   the same again
  wstap replay day.ndjson ws://localhost:9000 --speed max --ignore sid --ignore data.time
  wstap replay chrome.har wss://staging.example --connection 1kahc9d7v05
  wstap replay day.ndjson ws://localhost:9000 --header 'Cookie: session=1' --carry token
  wstap replay --serve day.ndjson --listen localhost:9000       a server that answers as recorded";

const BOLD: Style = Style::new().bold();

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = self.serve.as_ref().or(self.file.as_ref()).expect("clap requires one of them");
        let scripts = self.scripts(path)?;
        let headers = self.ignore_header.iter().map(|name| Ignored::header(name));
        let ignored = self.ignore_pattern.iter().cloned().chain(headers).collect();
        let rules = Rules { ignore: self.ignore.clone(), ignored, any_order: self.any_order };
        match self.url.clone() {
            Some(server) => self.play(server, &scripts, &rules),
            None => block_on(self.stand_in(path, &scripts, &rules)),
        }
    }

    /// Returns the scripts of a recording that are selected.
    fn scripts(&self, path: &str) -> Result<Vec<Script>, Failure> {
        let mut scripts = Scripts::default();
        let events = file::events(path, 0)?;
        events.iter().filter(|event| self.selects(event)).for_each(|event| scripts.take(event));
        let streams = scripts.event_streams();
        if streams > 0 {
            let (are, streams) = match streams {
                1 => ("is", "1 event stream".to_owned()),
                _ => ("are", format!("{streams} event streams")),
            };
            anstream::eprintln!(
                "wstap: {path}: {streams} {are} left out; only WebSockets are played"
            );
        }
        let mut scripts = scripts.finish();
        if self.filter.is_some() {
            scripts.retain(|script| script.answers().count() + script.questions() > 0);
            // The messages that made the server close may be left out.
            for script in &mut scripts {
                script.end = script.end.take().filter(|end| end.by != ClosedBy::Server);
            }
        }
        if scripts.is_empty() {
            return Err(Failure::Failed(format!(
                "{path}: no connection in it has a handshake and is selected"
            )));
        }
        let left_out: usize = scripts.iter().map(|script| script.left_out).sum();
        if left_out > 0 {
            anstream::eprintln!(
                "wstap: {path}: {left_out} messages were recorded without content; they are left out"
            );
        }
        Ok(scripts)
    }

    fn selects(&self, event: &Event) -> bool {
        let id = event.connection.as_str();
        let filter = self.filter.as_ref().filter(|_| event.direction().is_some());
        (self.connection.is_empty() || self.connection.iter().any(|named| named == id))
            && filter.is_none_or(|filter| filter.holds(event))
    }

    fn play(mut self, server: Server, scripts: &[Script], rules: &Rules) -> Result<(), Failure> {
        if let Some(field) = self.bearer.token()?.field().map_err(Failure::Usage)? {
            // A field of --header is more exact.
            self.header.insert(0, (AUTHORIZATION, field));
        }
        let dialer = self.reach.dialer(server.tls(), self.timeout)?;
        let settings = ReplaySettings {
            server,
            speed: self.speed,
            timeout: self.timeout,
            headers: self.header,
            carry: self.carry,
            only: self.filter,
        };
        let questions = scripts.iter().map(|script| script.questions() as u64).sum();
        let template = "{spinner} {bar:30} {pos} of {len} messages sent, {elapsed}{msg}";
        let bar = progress::ticking(questions, template);
        let lasted = scripts.iter().map(|script| settings.speed.scale(script.lasts())).max();
        if let Some(whole) = lasted.filter(|whole| !whole.is_zero()) {
            bar.set_message(format!(" of about {}", HumanDuration(whole)));
        }
        let wait = self.timeout;
        let tell = |progress: Progress<'_>| match progress {
            Progress::Sent => bar.inc(1),
            Progress::Silent(id) => bar.suspend(|| {
                anstream::eprintln!(
                    "wstap: {}: the server answers nothing; it is waited for, {wait:?} in all",
                    escape(id.as_str(), 40)
                );
            }),
        };
        let played = block_on(async { Ok(play(scripts, &settings, &dialer, tell).await) })?;
        bar.finish_and_clear();
        if self.timing {
            let late = played.iter().flat_map(|played| played.late.iter().copied()).collect();
            anstream::eprintln!("wstap: {}", Timing::new(late));
        }
        let (report, summary) = report::report(scripts, &played, rules);
        print(&report)?;
        if summary.is_same() {
            anstream::eprintln!("wstap: {summary}");
            return Ok(());
        }
        Err(Failure::Failed(summary.to_string()))
    }

    async fn stand_in(&self, path: &str, scripts: &[Script], rules: &Rules) -> Result<(), Failure> {
        let text = &self.listen;
        let fault = |fault| Failure::Usage(format!("--listen {text}: {fault}"));
        let listen: Listen = text.parse().map_err(fault)?;
        let listeners = bind(&listen, "listen", false)
            .await
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let bound = listeners.first().and_then(|listener| listener.local_addr().ok());
        let port = bound.map_or(0, |addr| addr.port());
        let at = Listen { port, ..listen };
        anstream::eprintln!(
            "{path} answers at {BOLD}ws://{at}{BOLD:#} in place of its server. Ctrl-C stops.\n"
        );
        for script in scripts {
            let (id, path) = (escape(script.connection.as_str(), 40), escape(&script.path, 120));
            anstream::eprintln!("  {id:<14} {path}  {} messages", script.steps.len());
        }
        let serving = stand_in(&listeners, scripts, self.speed, rules, |notice| {
            anstream::eprintln!("wstap: {}", escape(&notice.to_string(), report::PREVIEW));
        });
        let mut ending = Ending::new()?;
        tokio::select! {
            served = serving => served.map_err(Failure::of("cannot accept")),
            _ = ending.next() => Ok(()),
        }
    }
}

fn expression(text: &str) -> Result<Arc<Expression>, FilterError> {
    Expression::parse(text).map(Arc::new)
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
