//! `wstap inspect`: a summary of a recording.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use clap::Args;

use super::escape::escape;
use super::failure::{Failure, print};
use super::file;
use crate::code::absent;
use crate::event::{Close, ConnectionId, Direction, Event, EventBody, Flow, Transport};
use crate::wire::{self, Recorded};

/// Print a summary of a recording
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    /// NDJSON of wstap, or a HAR of wstap, Chrome, Playwright or mitmproxy
    file: String,
}

const EXAMPLES: &str = "\
Examples:
  wstap inspect day.ndjson
  wstap inspect chrome.har
  wstap inspect day.ndjson | grep 'still open'
  wstap serve --open day.ndjson                  show it in the pages";

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();

impl Inspect {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut contents = Contents::default();
        let form = file::each(&self.file, |recorded| {
            contents.take(recorded);
            Ok(())
        })?;
        let mut text = Vec::new();
        contents.write(&self.file, form, &mut text).expect("a Vec takes all");
        print(&text)
    }
}

/// Counts of a recording.
#[derive(Default)]
struct Contents {
    events: u64,
    first_ms: Option<u64>,
    last_ms: u64,
    flow: Sum,
    /// Gaps, and how many events were lost in those that have a number.
    gaps: u64,
    missed: u64,
    codes: BTreeMap<u16, u64>,
    connections: Vec<Connection>,
    /// Connections that are open at this point, by their index.
    open: HashMap<ConnectionId, usize>,
}

/// The recorded part of a connection.
struct Connection {
    id: ConnectionId,
    path: Option<String>,
    transport: Transport,
    first_ms: u64,
    last_ms: u64,
    flow: Sum,
    end: Option<(u16, String)>,
    /// Status of the answer, if the handshake was refused.
    refused: Option<u16>,
    /// From registration to end, if the recording says it.
    duration: Option<Duration>,
}

#[derive(Default)]
struct Sum {
    messages: Flow,
    bytes: Flow,
}

impl Sum {
    fn add(&mut self, direction: Direction, size: u64) {
        let (messages, bytes) = (&mut self.messages, &mut self.bytes);
        let (messages, bytes) = match direction {
            Direction::In => (&mut messages.inward, &mut bytes.inward),
            Direction::Out => (&mut messages.outward, &mut bytes.outward),
        };
        *messages += 1;
        *bytes += size;
    }

    fn words(&self) -> String {
        let size = |bytes| ByteSize::b(bytes).to_string();
        let (messages, bytes) = (self.messages, self.bytes);
        format!(
            "{} in ({}), {} out ({})",
            messages.inward,
            size(bytes.inward),
            messages.outward,
            size(bytes.outward)
        )
    }
}

impl Contents {
    fn take(&mut self, recorded: Recorded) {
        let event = match recorded {
            Recorded::Event(event) => event,
            Recorded::Gap(gap) => {
                self.gaps += 1;
                self.missed += gap.missed.unwrap_or(0);
                return;
            }
        };
        self.events += 1;
        self.first_ms.get_or_insert(event.id.ms);
        self.last_ms = self.last_ms.max(event.id.ms);
        match &event.body {
            EventBody::Lost(missed) => {
                self.gaps += 1;
                self.missed += missed;
            }
            EventBody::Connect(connect) => {
                self.open.remove(&event.connection);
                let connection = self.connection(&event);
                connection.path = Some(connect.path.clone());
                connection.transport = connect.transport();
            }
            EventBody::Message(message) => {
                self.flow.add(message.direction, message.size);
                self.connection(&event).flow.add(message.direction, message.size);
            }
            EventBody::Close(close) => self.close(&event, close),
            EventBody::Join(_) | EventBody::Leave(_) | EventBody::Request(_) => {}
        }
    }

    fn close(&mut self, event: &Event, close: &Close) {
        *self.codes.entry(close.code).or_default() += 1;
        let connection = self.connection(event);
        if let Some(refused) = &close.refused {
            connection.path = Some(refused.path.clone());
        }
        connection.end = Some((close.code, close.by.as_str().to_owned()));
        connection.refused = close
            .refused
            .as_ref()
            .map(|refused| refused.answer.as_ref().map_or(0, |answer| answer.status));
        connection.duration = Some(close.duration).filter(|duration| !duration.is_zero());
        self.open.remove(&event.connection);
    }

    /// Returns the connection of an event. A new one is added if it is unknown.
    fn connection(&mut self, event: &Event) -> &mut Connection {
        let next = self.connections.len();
        let place = *self.open.entry(event.connection.clone()).or_insert(next);
        if place == next {
            self.connections.push(Connection {
                id: event.connection.clone(),
                path: None,
                transport: Transport::default(),
                first_ms: event.id.ms,
                last_ms: event.id.ms,
                flow: Sum::default(),
                end: None,
                refused: None,
                duration: None,
            });
        }
        let connection = &mut self.connections[place];
        connection.last_ms = event.id.ms;
        connection
    }

    fn write(&self, path: &str, form: file::Form, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{BOLD}{}{BOLD:#}  {}", escape(path, 200), form.as_str())?;
        let mut row = |name: &str, value: &str| writeln!(out, "  {name:<12} {value}");
        row("events", &self.events.to_string())?;
        if let Some(first) = self.first_ms {
            let span = seconds(first, self.last_ms);
            row("time", &format!("{} to {}, {span}", wire::time(first), wire::time(self.last_ms)))?;
        }
        let open = self.open.len();
        let open = if open > 0 { format!(", {open} still open") } else { String::new() };
        row("connections", &format!("{}{open}", self.connections.len()))?;
        row("messages", &self.flow.words())?;
        if self.gaps > 0 {
            let (gaps, missed) = (self.gaps, self.missed);
            row("gaps", &format!("{RED}{gaps}, with at least {missed} events missed{RED:#}"))?;
        } else {
            row("gaps", "none")?;
        }
        let codes: Vec<_> =
            self.codes.iter().map(|(code, count)| format!("{code} ({count})")).collect();
        row(
            "close codes",
            if codes.is_empty() { "none".to_owned() } else { codes.join(", ") }.as_str(),
        )?;
        if !self.connections.is_empty() {
            writeln!(out)?;
        }
        self.connections.iter().try_for_each(|connection| connection.write(out))
    }
}

impl Connection {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let id = escape(self.id.as_str(), 40);
        let path = self
            .path
            .as_deref()
            .map_or("(handshake not recorded)".to_owned(), |path| escape(path, 80));
        let stream = if self.transport == Transport::Sse { "event stream " } else { "" };
        let end = match &self.end {
            Some(_) if self.refused == Some(0) => "not answered".to_owned(),
            Some(_) if self.refused.is_some() => {
                format!("refused with status {}", self.refused.unwrap_or(0))
            }
            Some((code, by)) if self.transport == Transport::Sse => match *code {
                absent::NO_STATUS => format!("ended by the {by}"),
                _ => format!("broken off by the {by}"),
            },
            Some((code, by)) => format!("closed {code} by the {by}"),
            None => "still open".to_owned(),
        };
        let recorded = self.last_ms.saturating_sub(self.first_ms);
        let lasted =
            self.duration.map_or(recorded, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        let (begin, span) = (wire::time(self.first_ms), seconds(0, lasted));
        writeln!(
            out,
            "  {id:<14} {DIM}{begin}{DIM:#}  {stream}{path}  {}  {YELLOW}{end}{YELLOW:#} after {span}",
            self.flow.words()
        )
    }
}

fn seconds(first: u64, last: u64) -> String {
    let ms = last.saturating_sub(first);
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}
