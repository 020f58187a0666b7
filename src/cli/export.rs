//! `wstap export`: writes what a server or a recording holds, as an archive or as lines of JSON.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use form_urlencoded::Serializer;

use super::client::{self, Problem, Target};
use super::{Failure, file, selection};
use crate::hub::Settings;

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write what a server has kept, or a recording, as HAR or NDJSON")
        .after_help(EXAMPLES)
        .arg(selection::server().value_name("URL|FILE").help("Server, or recording, to write out"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(["har", "ndjson"]))
                .help("har opens in the network panel of a browser; ndjson is the full events, one a line. Without it, har for a file that ends in .har, and ndjson"),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("FILE")
                .help("File to write; without it, stdout"),
        )
        .args(selection::flags())
        .arg(
            Arg::new("until")
                .long("until")
                .value_name("TIME")
                .help("Only what is not younger")
                .help_heading("Selection"),
        )
}

const EXAMPLES: &str = "\
Sockets that are still open are in it too. In a HAR every connection has its handshake and its end,
also where only some of its messages are selected.

Examples:
  wstap export -o traffic.har                          for the network panel of a browser
  wstap export --since 5m --connection room-7 -o room-7.har
  wstap export http://localhost:8082 --kind message | jq -c .message
  wstap export day.ndjson --format har -o day.har      a recording in the other form";

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let source = matches.get_one::<String>("url").expect("it has a default");
    let output = matches.get_one::<String>("output").map(Path::new);
    let har = output.is_some_and(|path| path.extension().is_some_and(|ending| ending == "har"));
    let format = matches.get_one::<String>("format").map(String::as_str);
    let format = format.unwrap_or(if har { "har" } else { "ndjson" });
    let mut query = Serializer::new(String::new());
    query.append_pair("format", format).append_pair("limit", "all");
    selection::query(matches, &mut query);
    if let Some(until) = matches.get_one::<String>("until") {
        query.append_pair("until", until);
    }
    let query = query.finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let read = |out: &mut dyn Write| {
        let bar = file::spinner("{spinner} {bytes} written");
        let mut out = bar.wrap_write(out);
        let each = |data: &[u8]| out.write_all(data);
        let read = runtime.block_on(async {
            if Path::new(source).is_file() {
                let (hub, _) = file::hub(source, Settings::default())?;
                file::ask(&hub, &query, each).await
            } else {
                let target = Target::of(source, "/api/events", &query).map_err(Failure::Usage)?;
                client::get(&target, each).await.map_err(failure)
            }
        });
        bar.finish_and_clear();
        read
    };
    let written = if let Some(path) = output {
        whole(path, read)
    } else {
        let mut out = BufWriter::new(io::stdout());
        let written = read(&mut out);
        written.and_then(|()| out.flush().map_err(|error| failure(Problem::Output(error))))
    };
    written.or_else(|failure| match failure {
        // Who reads us has seen enough.
        Failure::Failed(words) if words.is_empty() => Ok(()),
        failure => Err(failure),
    })
}

/// Writes a file whole or not at all.
fn whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    let written = write(&mut out).and_then(|()| out.flush().map_err(failed));
    let done = written.and_then(|()| fs::rename(&part, path).map_err(failed));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// Returns what a problem is to the shell; a closed pipe has no words.
pub(super) fn failure(problem: Problem) -> Failure {
    match problem {
        Problem::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::Failed(String::new())
        }
        Problem::Output(error) => Failure::Failed(format!("cannot write: {error}")),
        Problem::Refused(words) | Problem::Lost(words) => Failure::Failed(words),
    }
}
