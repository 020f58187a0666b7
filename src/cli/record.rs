//! `wstap record`: follows a server into a file, an event a line.
//!
//! Lines are written whole, as they come, so that a kill leaves at most the end of a line behind.
//! The next run takes that away, and goes on after the last event that the file has.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use form_urlencoded::Serializer;
use indicatif::ProgressBar;

use super::client::{Client, Problem, Target};
use super::watch::line;
use super::{Ending, Failure, file, selection};
use crate::event::EventId;
use crate::wire::sse::Message;
use crate::wire::{self, Recorded};

pub(super) fn command() -> Command {
    Command::new("record")
        .about("Follow a server into a file, and go on where it ends")
        .after_help(EXAMPLES)
        .arg(Arg::new("url").value_name("URL").required(true).help("Server to follow"))
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .help("File to append to: NDJSON, a full event a line"),
        )
        .args(selection::flags())
}

const EXAMPLES: &str = "\
A new file begins with what happens from now on; --last and --since begin earlier. A file that has
events already is gone on with, after the last of them. What was missed stands in the file as a line
of kind gap, and is told. Ctrl-C ends it.

Examples:
  wstap record http://localhost:8080 day.ndjson
  wstap record http://localhost:8082 room.ndjson --connection room-7 --last 1000
  tail -f day.ndjson | jq -c 'select(.kind == \"close\") | .close'
  wstap inspect day.ndjson";

/// The longest wait between two attempts to come back.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let url = matches.get_one::<String>("url").expect("it is required");
    let path = matches.get_one::<String>("file").expect("it is required");
    let mut query = Serializer::new(String::new());
    query.append_pair("format", "full");
    selection::query(matches, &mut query);
    let target = Target::parse(url, &query.finish()).map_err(Failure::Usage)?;
    let failed = |error: io::Error| Failure::Failed(format!("{path}: {error}"));
    let mut recording = Recording::open(path).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(async {
        let mut ending = Ending::new()
            .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
        tokio::select! {
            problem = follow(target, &mut recording) => Err(match problem {
                Problem::Output(error) => failed(error),
                Problem::Refused(words) | Problem::Lost(words) => Failure::Failed(words),
            }),
            () = ending.next() => Ok(()),
        }
    });
    recording.bar.finish_and_clear();
    recording.file.sync_data().map_err(failed)?;
    let (events, gaps) = (recording.events, recording.gaps);
    let gaps = if gaps > 0 { format!("; {gaps} times some were missed") } else { String::new() };
    anstream::eprintln!("wstap: {events} events more in {path}{gaps}");
    ended
}

/// Follows for ever. A server that was never there is a failure; one that goes is waited for.
async fn follow(target: Target, recording: &mut Recording) -> Problem {
    let mut client = Client::new(target);
    if let Some(id) = recording.last {
        client.resume(id);
    }
    let mut wait = Duration::ZERO;
    loop {
        let before = recording.events;
        match client.stream(|message| recording.write(&message)).await {
            Ok(()) => {}
            Err(Problem::Lost(words)) if client.was_connected() => recording.say(&words),
            Err(problem) => return problem,
        }
        // The server says when to come back; while it is not there at all, ever more slowly.
        let came = recording.events > before;
        wait = if came { Duration::ZERO } else { (wait * 2).min(MAX_WAIT) }.max(client.retry());
        recording.say(&format!("the stream ended; back in {:.1} s", wait.as_secs_f64()));
        tokio::time::sleep(wait).await;
    }
}

/// The file, and what this run has put into it.
struct Recording {
    file: File,
    /// The last event that stands in it.
    last: Option<EventId>,
    events: u64,
    gaps: u64,
    bar: ProgressBar,
}

impl Recording {
    /// Opens a file to append to, takes the end of a line that was cut off away, and finds the last
    /// event.
    fn open(path: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (end, last) = last_event(&mut file)?;
        let cut = file.metadata()?.len() - end;
        if cut > 0 {
            file.set_len(end)?;
            anstream::eprintln!(
                "wstap: {path}: the last line was cut off; its {cut} bytes are gone"
            );
        }
        match last {
            Some(id) => anstream::eprintln!("wstap: {path} goes on after {id}"),
            None if end > 0 => {
                let other = "this is no recording of lines; another file is right";
                return Err(io::Error::new(io::ErrorKind::InvalidData, other));
            }
            None => {}
        }
        let bar = file::spinner("{spinner} {pos} events  {msg}");
        Ok(Self { file, last, events: 0, gaps: 0, bar })
    }

    fn write(&mut self, message: &Message) -> io::Result<()> {
        let Some(mut line) = line::json(message) else { return Ok(()) };
        if message.name == "gap" {
            self.gap(&line);
        }
        self.bar.set_message(format!("the last has {} B", line.len()));
        line.push('\n');
        self.events += 1;
        self.bar.inc(1);
        // One write a line: whatever ends us leaves lines whole but the last.
        self.file.write_all(line.as_bytes())
    }

    /// Says what was missed.
    fn gap(&mut self, line: &str) {
        let missed = match wire::read(line) {
            Ok(Recorded::Gap(gap)) => gap.missed,
            Ok(Recorded::Event(_)) | Err(_) => None,
        };
        self.gaps += 1;
        let missed = missed.map_or("an unknown number of".to_owned(), |missed| missed.to_string());
        self.say(&format!("missed {missed} events here; nobody has them any more"));
    }

    fn say(&self, words: &str) {
        self.bar.suspend(|| anstream::eprintln!("wstap: {words}"));
    }
}

/// Returns where the last whole line ends, and the last id that stands in a line.
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
        // The first piece of what is read may be half of a line.
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
