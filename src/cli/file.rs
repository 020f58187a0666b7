//! Recordings as files: lines of JSON, an array of the same, an archive, or a database.

mod bytes;

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::Path;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Collected};
use serde_json::value::RawValue;
use tower::ServiceExt as _;

use self::bytes::{Packing, without_callback};
use super::client::detail;
use super::failure::Failure;
use super::progress;
use crate::database::{self, OpenError};
use crate::event::{Event, Kind};
use crate::hub::{Hub, Settings};
use crate::web::Web;
use crate::wire::{self, Recorded, Unreadable, har};

/// The format of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Ndjson,
    Json,
    Har,
    Database,
}

/// The first bytes of a database of SQLite.
const DATABASE: &[u8] = b"SQLite format 3\0";

impl Form {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "NDJSON",
            Self::Json => "JSON",
            Self::Har => "HAR",
            Self::Database => "SQLite",
        }
    }
}

/// Reads a recording, and calls `each` with its events and gaps in their order. Lines are read one
/// by one; the other formats, and files that are packed, are read whole.
pub(super) fn each(
    path: &str,
    mut each: impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<Form, Failure> {
    let failed = Failure::of(path);
    let mut file = File::open(path).map_err(&failed)?;
    let length = file.metadata().map_err(&failed)?.len();
    let bar = progress::bar(length, "{msg} {bar:30} {bytes} of {total_bytes} {eta}");
    bar.set_message(path.to_owned());
    // Enough for the first key of an archive, with white space before it.
    let mut start = Vec::new();
    let _ = bar.wrap_read(&mut file).take(1 << 10).read_to_end(&mut start);
    if start.starts_with(DATABASE) {
        drop(file);
        bar.finish_and_clear();
        return database(path, &mut each).map(|()| Form::Database);
    }
    file.rewind().map_err(&failed)?;
    bar.reset();
    let packing = Packing::of(&start)
        .map_err(|what| Failure::Failed(format!("{path}: this is no recording; it is {what}")))?;
    let start = String::from_utf8_lossy(&start);
    let is_lines = packing == Packing::Plain
        && without_callback(&start).len() == start.len()
        && wire::begins_with_event(&start)
        && !har::is_har(&start);
    let form = if is_lines {
        lines(BufReader::new(bar.wrap_read(file)), path, each)?;
        Form::Ndjson
    } else {
        let text = packing.text(bar.wrap_read(file), MAX_BYTES as u64);
        whole(without_callback(&text.map_err(&failed)?), path, each)?
    };
    bar.finish_and_clear();
    Ok(form)
}

/// Reads a recording that is a database. Another process may be writing it.
fn database(
    path: &str,
    each: &mut impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut odd = Odd::default();
    database::each(Path::new(path), |read| match read {
        Ok(recorded) => {
            odd.read += 1;
            each(recorded)
        }
        Err(fault) => {
            odd.note(format!("{path}: {fault}"));
            Ok(())
        }
    })?;
    odd.finish(path)
}

/// Reads a recording that is in memory.
fn whole(
    text: &str,
    path: &str,
    mut each: impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<Form, Failure> {
    let unreadable = |fault: Unreadable| Failure::Failed(format!("{path}: {fault}"));
    if har::is_har(text) {
        let har::Archived { recorded, skipped } = match har::read(text) {
            Ok(archived) => archived,
            Err(har::NotRead::Empty(skipped)) => har::Archived { recorded: Vec::new(), skipped },
            Err(har::NotRead::Unreadable(fault)) => return Err(unreadable(fault)),
        };
        if !recorded.iter().any(is_message) {
            anstream::eprintln!("wstap: {path}: {}", har::NotRead::Empty(skipped));
        }
        if !skipped.is_empty() {
            anstream::eprintln!("wstap: {path}: {skipped} could not be read and are left out");
        }
        recorded.into_iter().try_for_each(each)?;
        return Ok(Form::Har);
    }
    if text.trim_start().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(text)
            .map_err(|fault| Failure::Failed(format!("{path}: this is no recording ({fault})")))?;
        let mut odd = Odd::default();
        for item in list {
            match wire::read(item.get()) {
                Ok(recorded) => {
                    odd.read += 1;
                    each(recorded)?;
                }
                Err(fault) => odd.note(format!("{path}: {fault}")),
            }
        }
        odd.finish(path)?;
        return Ok(Form::Json);
    }
    lines(text.as_bytes(), path, each)?;
    Ok(Form::Ndjson)
}

fn is_message(recorded: &Recorded) -> bool {
    matches!(recorded, Recorded::Event(event) if event.kind() == Kind::Message)
}

fn lines(
    mut file: impl io::BufRead,
    path: &str,
    mut each: impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut line, mut number, mut odd) = (Vec::new(), 0, Odd::default());
    loop {
        line.clear();
        number += 1;
        let read = file.read_until(b'\n', &mut line);
        if read.map_err(Failure::of(path))? == 0 {
            return odd.finish(path);
        }
        let text = String::from_utf8_lossy(&line);
        // An empty line is a heartbeat.
        if text.trim().is_empty() {
            continue;
        }
        match wire::read(text.trim_start_matches('\u{feff}')) {
            Ok(recorded) => {
                odd.read += 1;
                each(recorded)?;
            }
            Err(_) if !line.ends_with(b"\n") && number > 1 => {
                anstream::eprintln!("wstap: {path}: the last line is cut off; it is left out");
                return odd.finish(path);
            }
            Err(fault) => odd.note(format!("{path}, line {number}: {fault}")),
        }
    }
}

/// Events that cannot be read. Some of them do not refuse the recording; a file of nothing else is none.
#[derive(Debug, Default)]
struct Odd {
    /// The number of events that were read.
    read: usize,
    count: usize,
    first: Option<String>,
}

impl Odd {
    fn note(&mut self, fault: String) {
        self.count += 1;
        self.first.get_or_insert(fault);
    }

    /// Reports the events, at the end of the recording.
    fn finish(self, path: &str) -> Result<(), Failure> {
        match self.first {
            None => Ok(()),
            Some(first) if self.read == 0 => Err(Failure::Failed(first)),
            Some(first) => {
                let count = har::Skipped { events: self.count, ..har::Skipped::default() };
                anstream::eprintln!("wstap: {path}: {count} could not be read and are left out");
                anstream::eprintln!("wstap: {first}");
                Ok(())
            }
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Maximum memory of a recording, unless `--history-bytes` allows more.
const MAX_BYTES: usize = 4 << 30;

/// Reads the events of a recording into memory, at most `max_bytes` of them.
pub(super) fn events(path: &str, max_bytes: usize) -> Result<Vec<Event>, Failure> {
    let max_bytes = max_bytes.max(MAX_BYTES);
    let (mut events, mut weight, mut gaps) = (Vec::<Event>::new(), 0, 0);
    each(path, |recorded| {
        match recorded {
            Recorded::Event(event) => {
                weight += event.weight();
                events.push(event);
            }
            Recorded::Gap(_) => gaps += 1,
        }
        if weight > max_bytes {
            return Err(Failure::Failed(format!(
                "{path}: this takes more than {} of memory; --history-bytes allows more",
                bytesize::ByteSize::b(max_bytes as u64)
            )));
        }
        Ok(())
    })?;
    if gaps > 0 {
        anstream::eprintln!("wstap: {path}: the recorder has missed events {gaps} times");
    }
    Ok(events)
}

/// Returns the name of a file without its folders.
pub(super) fn name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Makes a hub of a recording, and returns it with the number of events.
pub(super) fn hub(path: &str, mut settings: Settings) -> Result<(Hub, usize), Failure> {
    let events = events(path, settings.history.bytes)?;
    settings.recording = true;
    settings.history.events = settings.history.events.max(events.len());
    settings.history.bytes = settings.history.bytes.max(MAX_BYTES);
    settings.history.age = None;
    if events.is_empty() {
        anstream::eprintln!("wstap: {path}: the recording is empty; it has no events");
    }
    let (hub, count) = (Hub::new(settings), events.len());
    for event in events {
        hub.restore(event);
    }
    Ok((hub, count))
}

/// Calls `each` with the answer of a hub to `GET /api/events`.
pub(super) async fn ask(
    hub: &Hub,
    query: &str,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let request = Request::get(format!("/api/events?{query}")).header(header::HOST, "localhost");
    let request = request.body(Body::empty()).map_err(|error| Failure::Usage(error.to_string()))?;
    let router = Web::new(hub.clone()).together();
    let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (head, mut body) = answer.into_parts();
    if head.status != StatusCode::OK {
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        return Err(Failure::Usage(detail(head.status, &body)));
    }
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            each(&data).map_err(|error| Failure::output(&error))?;
        }
    }
    Ok(())
}
