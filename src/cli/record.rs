//! `wstap record`: follows a server into a file, one event on each line, or into a database.
//!
//! Each line is written whole by one write, so that a kill leaves at most one cut line at the end.
//! The next run removes that line, and resumes after the last event of the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use clap::Args;
use form_urlencoded::Serializer;
use indicatif::ProgressBar;

use super::bearer::Bearer;
use super::client::{Client, Problem, Target};
use super::failure::Failure;
use super::find;
use super::progress;
use super::reach::Reach;
use super::running::{Ending, block_on};
use super::selection::Selection;
use super::watch::line;
use crate::database;
use crate::event::EventId;
use crate::wire::sse::Message;
use crate::wire::{self, Recorded};

/// Follow a server into a file, and resume where the file ends
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_missing_positional = true)]
pub(super) struct Record {
    /// Server to follow. Without it, the tap that answers at localhost:8080 or localhost:8082
    url: Option<String>,
    /// File to append to: NDJSON, one full event on each line, or for a name that ends in .db a
    /// database of SQLite
    #[arg(required = true)]
    file: String,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    bearer: Bearer,
}

const EXAMPLES: &str = "\
A new file begins with the next event; --last and --since begin earlier. A file that has events is
continued after the last of them. Missed events are a line of kind gap in the file, and a message on
stderr. Ctrl-C ends the recording.

Examples:
  wstap record day.ndjson
  wstap record day.db                            for questions in SQL
  wstap record http://localhost:8082 room.ndjson --connection room-7 --last 1000
  tail -f day.ndjson | jq -c 'select(.kind == \"close\") | .close'
  wstap inspect day.ndjson";

impl Record {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut query = Serializer::new(String::new());
        query.append_pair("format", "full");
        self.selection.query(&mut query);
        let query = query.finish();
        let token = self.bearer.token()?;
        let parse = |url: &str| {
            let target = Target::parse(url, &query, &self.reach)?;
            Ok::<_, Failure>(target.showing(token.clone()))
        };
        let path = self.file;
        // A wrong address is reported before anything is asked.
        self.url.as_deref().map(parse).transpose()?;
        let url = block_on(find::server(self.url.as_deref()))?;
        let target = parse(&url)?;
        let failed = Failure::of(&path);
        let mut recording = Recording::open(&path).map_err(&failed)?;
        let mut client = Client::new(target);
        if let Some(id) = recording.last {
            client.resume(id);
        }
        let bar = recording.bar.clone();
        let ended = block_on(async {
            let mut ending = Ending::new()?;
            let write = |message| recording.write(&message);
            tokio::select! {
                problem = client.follow(write, |words| say(&bar, words)) => Err(match problem {
                    Problem::Output(error) => failed(error),
                    problem => find::explain(problem, &url).await,
                }),
                _ = ending.next() => Ok(()),
            }
        });
        recording.bar.finish_and_clear();
        let (events, gaps) = (recording.events, recording.gaps);
        recording.finish().map_err(&failed)?;
        let gaps =
            if gaps > 0 { format!("; events were missed {gaps} times") } else { String::new() };
        anstream::eprintln!("wstap: {events} events more in {path}{gaps}");
        ended
    }
}

/// Returns whether a file is to be a database, by its name.
pub(super) fn is_database(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "db")
}

fn say(bar: &ProgressBar, words: &str) {
    bar.suspend(|| anstream::eprintln!("wstap: {words}"));
}

/// What is written: lines, or a database.
enum Output {
    Lines(File),
    Database(Box<database::Recording>, Vec<Recorded>),
}

/// The file, and counts of what this run has added to it.
struct Recording {
    output: Output,
    /// The last event in the file.
    last: Option<EventId>,
    events: u64,
    gaps: u64,
    bar: ProgressBar,
}

impl Recording {
    /// Opens a file to append to, and finds its last event.
    fn open(path: &str) -> io::Result<Self> {
        let (output, last) =
            if is_database(path) { Self::database(path) } else { Self::lines(path) }?;
        if let Some(id) = last {
            anstream::eprintln!("wstap: {path} goes on after {id}");
        }
        let bar = progress::spinner("{spinner} {pos} events  {msg}");
        Ok(Self { output, last, events: 0, gaps: 0, bar })
    }

    fn database(path: &str) -> io::Result<(Output, Option<EventId>)> {
        let recording = database::Recording::open(Path::new(path));
        let recording = recording.map_err(|error| io::Error::other(error.fault))?;
        let last = recording.last();
        Ok((Output::Database(Box::new(recording), Vec::new()), last))
    }

    /// Opens a file of lines, and removes a cut line at its end.
    fn lines(path: &str) -> io::Result<(Output, Option<EventId>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (end, last) = last_event(&mut file)?;
        let cut = file.metadata()?.len() - end;
        if cut > 0 {
            file.set_len(end)?;
            anstream::eprintln!(
                "wstap: {path}: the last line was cut off; its {cut} bytes are gone"
            );
        }
        if last.is_none() && end > 0 {
            let other = "this is no recording of lines; choose another file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, other));
        }
        Ok((Output::Lines(file), last))
    }

    fn write(&mut self, message: &Message) -> io::Result<()> {
        let Some(mut line) = line::json(message) else { return Ok(()) };
        if message.name == "gap" {
            self.gap(&line);
        }
        self.bar.set_message(format!("the last has {} B", line.len()));
        self.events += 1;
        self.bar.inc(1);
        match &mut self.output {
            Output::Lines(file) => {
                line.push('\n');
                // One write for a line: a kill leaves all lines whole but the last.
                file.write_all(line.as_bytes())
            }
            Output::Database(recording, one) => {
                one.clear();
                one.push(wire::read(&line).map_err(io::Error::other)?);
                recording.append(one).map_err(io::Error::other)
            }
        }
    }

    /// Makes what was written durable, and completes the file.
    fn finish(self) -> io::Result<()> {
        match self.output {
            Output::Lines(file) => file.sync_data(),
            Output::Database(recording, _) => {
                recording.finish().map_err(|error| io::Error::other(error.fault))
            }
        }
    }

    /// Prints how many events were missed.
    fn gap(&mut self, line: &str) {
        let missed = match wire::read(line) {
            Ok(Recorded::Gap(gap)) => gap.missed,
            Ok(Recorded::Event(_)) | Err(_) => None,
        };
        self.gaps += 1;
        let missed = missed.map_or("an unknown number of".to_owned(), |missed| missed.to_string());
        say(&self.bar, &format!("missed {missed} events here; the server no longer has them"));
    }
}

/// Returns the end of the last whole line, and the last event id in a whole line.
fn last_event(file: &mut File) -> io::Result<(u64, Option<EventId>)> {
    const BLOCK: u64 = 64 << 10;
    let mut start = file.seek(SeekFrom::End(0))?;
    let (mut tail, mut end) = (Vec::new(), None);
    loop {
        let length = start.min(BLOCK);
        start -= length;
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; usize::try_from(length).expect("a block is small")];
        file.read_exact(&mut block)?;
        block.extend_from_slice(&tail);
        tail = block;
        if end.is_none() {
            end = memchr::memrchr(b'\n', &tail).map(|at| start + at as u64 + 1);
        }
        // The block may begin within a line.
        let whole = if start == 0 {
            0
        } else {
            memchr::memchr(b'\n', &tail).map_or(tail.len(), |at| at + 1)
        };
        let to =
            end.map_or(0, |end| usize::try_from(end - start).unwrap_or(usize::MAX).min(tail.len()));
        let lines = tail.get(whole..to).unwrap_or_default();
        let id = |line: &[u8]| match wire::read(std::str::from_utf8(line).ok()?).ok()? {
            Recorded::Event(event) => Some(event.id),
            Recorded::Gap(gap) => gap.before.or(gap.after),
        };
        let last = lines.split(|byte| *byte == b'\n').rev().find_map(id);
        if last.is_some() || start == 0 {
            return Ok((end.unwrap_or(0), last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(text: &str) -> (u64, Option<EventId>) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        last_event(&mut file).expect("read")
    }

    #[test]
    fn the_last_whole_line_with_an_id_is_found() {
        let line = |ms: u64, filler: usize| {
            let filler = "x".repeat(filler);
            format!(
                "{{\"id\":\"{ms}-0\",\"kind\":\"message\",\"connectionId\":\"a\",\"direction\":\"in\",\"message\":\"{filler}\"}}\n"
            )
        };
        let id = |ms| Some(EventId { ms, seq: 0 });
        assert_eq!(last(""), (0, None));
        assert_eq!(last("{\"id\":\"1-0\",\"kin"), (0, None));
        let one = line(1, 0);
        assert_eq!(last(&one), (one.len() as u64, id(1)));
        let cut = format!("{one}{{\"id\":\"2-");
        assert_eq!(last(&cut), (one.len() as u64, id(1)));
        let large = format!("{one}{}", line(2, 300_000));
        assert_eq!(last(&large), (large.len() as u64, id(2)));
        let large_and_cut = format!("{large}{}", "y".repeat(200_000));
        assert_eq!(last(&large_and_cut), (large.len() as u64, id(2)));
        let gap = "{\"kind\":\"gap\",\"missed\":null,\"after\":null,\"before\":null}\n";
        let behind = format!("{one}{gap}\n");
        assert_eq!(last(&behind), (behind.len() as u64, id(1)));
        assert_eq!(last("hello\nworld\n"), (12, None));
    }
}
