//! `wstap watch`: follows the events of a server in the terminal, one line each. Resumes after the
//! last event when the connection breaks.

pub(super) mod line;

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use form_urlencoded::Serializer;
use tokio::time::timeout;

use super::bearer::{Bearer, Token};
use super::client::{self, Client, Target};
use super::failure::Failure;
use super::find;
use super::reach::Reach;
use super::running::block_on;
use super::selection::Selection;
use crate::filter::{Expression, shorthand};

/// Maximum bytes of the list of connections: a thousand with long headers.
const MAX_LIST: usize = 8 << 20;

/// Time limit for the list of connections. Without it, only paths are missing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Follow the events of a server in the terminal
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Watch {
    /// Server to follow, and terms that select events. Without a server, the tap that answers at
    /// localhost:8080 or localhost:8082
    #[arg(value_name = "URL|TERM")]
    words: Vec<String>,
    /// Print the events as JSON, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    bearer: Bearer,
}

const EXAMPLES: &str = "\
Examples:
  wstap watch                                    the traffic of the wstap on this machine
  wstap watch http://localhost:8082 --last 20    with the last 20 events first
  wstap watch --connection room-7 --kind message
  wstap watch --filter 'message.price > 100.0 && direction == \"in\"'
  wstap watch 'conn:room-* dir:out \"some text\" size>100'
  wstap watch --json | jq .message

Terms are a short form of a filter, which is printed: conn:ID (or START*), kind:, dir:, op:, path:,
re:PATTERN, words or \"a phrase\" of a message, a comparison, and !TERM for the opposite of a term. An
event has to match all terms; of several terms with the same key, one.";

impl Watch {
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let (url, terms) = url_and_terms(self.words)?;
        self.selection.filter = filter(self.selection.filter.as_deref(), &terms)?;
        let mut query = Serializer::new(String::new());
        query.append_pair("format", "full");
        self.selection.query(&mut query);
        let query = query.finish();
        let token = self.bearer.token()?;
        // A wrong address is reported before anything is asked.
        let reach = &self.reach;
        let parse = |url: &str| {
            let target = Target::parse(url, &query, reach)?;
            Ok::<_, Failure>(target.showing(token.clone()))
        };
        url.as_deref().map(parse).transpose()?;
        if let Some(filter) = self.selection.filter.filter(|_| !terms.is_empty()) {
            anstream::eprintln!("wstap: filter: {filter}");
        }
        let mut lines = line::Lines::default();
        let mut out = anstream::AutoStream::auto(io::stdout());
        let say = |words: &str| anstream::eprintln!("wstap: {words}");
        block_on(async {
            let url = find::server(url.as_deref()).await?;
            if !self.json {
                lines.learn(&connections(&url, reach, token.clone()).await);
            }
            let print = |message| {
                let line = if self.json { line::json(&message) } else { lines.text(&message) };
                line.map_or(Ok(()), |line| writeln!(out, "{line}")).and_then(|()| out.flush())
            };
            let problem = Client::new(parse(&url)?).follow(print, say).await;
            Err(find::explain(problem, &url).await)
        })
    }
}

/// Returns the list of the first connections that are open, as JSON; nothing if that fails. It has the
/// paths of connections that began before the first event that is read.
async fn connections(url: &str, reach: &Reach, token: Token) -> Vec<u8> {
    let target = Target::of(url, "/api/connections", "limit=1000", reach);
    let Ok(target) = target else { return Vec::new() };
    let target = target.showing(token);
    let mut list = Vec::new();
    let read = client::get(&target, |data| {
        list.extend_from_slice(data);
        let fits = list.len() <= MAX_LIST;
        if fits { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    });
    match timeout(PATIENCE, read).await {
        Ok(Ok(())) => list,
        _ => Vec::new(),
    }
}

/// Splits the arguments into the URL, which has a scheme, or is a host and a port, and the terms.
fn url_and_terms(words: Vec<String>) -> Result<(Option<String>, String), Failure> {
    let (mut urls, terms): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| is_url(word));
    if let [one, other, ..] = urls.as_slice() {
        return Err(Failure::Usage(format!("{one} and {other}: one server is right")));
    }
    Ok((urls.pop(), terms.join(" ")))
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

/// Joins the expression of `--filter` and the terms to one expression.
fn filter(given: Option<&str>, terms: &str) -> Result<Option<String>, Failure> {
    if let Some(given) = given {
        let fault = |fault| Failure::Usage(format!("--filter: {fault}"));
        Expression::parse(given).map_err(fault)?;
    }
    let terms = shorthand::translate(terms).map_err(|fault| Failure::Usage(fault.to_string()))?;
    let filter = shorthand::both(given.unwrap_or_default(), &terms);
    if filter.is_empty() {
        return Ok(None);
    }
    let fault = |fault| Failure::Usage(format!("{filter}: {fault}"));
    Expression::parse(&filter).map_err(fault)?;
    Ok(Some(filter))
}
