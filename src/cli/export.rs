//! `wstap export`: writes the events of a server or of a recording as an archive, as lines of JSON or
//! as a database.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use form_urlencoded::Serializer;

use super::bearer::{Bearer, Token};
use super::client::{self, Target};
use super::failure::Failure;
use super::reach::Reach;
use super::running::block_on;
use super::selection::Selection;
use super::{file, find, progress};
use crate::database;
use crate::hub::Settings;
use crate::wire;

/// Write events of a server or a file as HAR, NDJSON or SQLite
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    /// Server or recording to read. Without it, the tap that answers at localhost:8080 or
    /// localhost:8082
    #[arg(value_name = "URL|FILE")]
    source: Option<String>,
    /// har opens in the network panel of a browser; ndjson has the full events, one on each line.
    /// db is a database of SQLite. Without it, har for a file that ends in .har, db for one that ends
    /// in .db, otherwise ndjson
    #[arg(long)]
    format: Option<Format>,
    /// Reads the log in the directory of a server (--data-dir), which may be running
    #[arg(long, value_name = "DIR", conflicts_with = "source")]
    data_dir: Option<PathBuf>,
    /// File to write; without it, stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    selection: Selection,
    /// Only events until a time
    #[arg(long, value_name = "TIME", help_heading = "Selection")]
    until: Option<String>,
    #[command(flatten)]
    bearer: Bearer,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Har,
    Ndjson,
    Db,
}

const EXAMPLES: &str = "\
Sockets that are still open are included. In a HAR every connection has its handshake and its end,
even if only some of its messages are selected.

Examples:
  wstap export -o traffic.har                          for the network panel of a browser
  wstap export --since 5m --connection room-7 -o room-7.har
  wstap export http://localhost:8082 --kind message | jq -c .message
  wstap export --data-dir /var/lib/wstap -o log.db     the log of a server that is running
  wstap export day.ndjson --format har -o day.har      a recording in the other form";

impl Export {
    pub(super) fn run(mut self) -> Result<(), Failure> {
        if let Some(directory) = &self.data_dir {
            let log = directory.join(database::FILE);
            if !log.is_file() {
                let words = format!("{}: there is no log in this directory", directory.display());
                return Err(Failure::Failed(words));
            }
            self.source = Some(log.to_string_lossy().into_owned());
        }
        let (format, query) = self.query();
        let token = self.bearer.token()?;
        if let Format::Db = format {
            let Some(path) = &self.output else {
                let words = "a database is a file; --output says which";
                return Err(Failure::Usage(words.to_owned()));
            };
            return whole_database(path, |each| {
                block_on(read(self.source.as_deref(), &query, (&self.reach, &token), each))
            });
        }
        let read = |out: &mut dyn Write| {
            let bar = progress::spinner("{spinner} {bytes} written");
            let mut out = bar.wrap_write(out);
            let each = |data: &[u8]| out.write_all(data);
            let read = block_on(read(self.source.as_deref(), &query, (&self.reach, &token), each));
            bar.finish_and_clear();
            read
        };
        if let Some(path) = &self.output {
            return whole(path, read);
        }
        let mut out = BufWriter::new(io::stdout());
        read(&mut out)?;
        out.flush().map_err(|error| Failure::output(&error))
    }

    fn query(&self) -> (Format, String) {
        let ending = self.output.as_ref().and_then(|path| path.extension());
        let by_name = match ending.and_then(std::ffi::OsStr::to_str) {
            Some("har") => Format::Har,
            Some("db") => Format::Db,
            _ => Format::Ndjson,
        };
        let written = self.format.unwrap_or(by_name);
        let format = if let Format::Har = written { "har" } else { "ndjson" };
        let mut query = Serializer::new(String::new());
        query.append_pair("format", format).append_pair("limit", "all");
        self.selection.query(&mut query);
        query.extend_pairs(self.until.iter().map(|until| ("until", until)));
        (written, query.finish())
    }
}

/// Reads the answer of a server, or of a hub that is made of a recording.
async fn read(
    source: Option<&str>,
    query: &str,
    (reach, token): (&Reach, &Token),
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    if let Some(source) = source
        && Path::new(source).is_file()
    {
        let (hub, _) = file::hub(source, Settings::default())?;
        return file::ask(&hub, query, each).await;
    }
    let of = |url: &str| {
        let target = Target::of(url, "/api/events", query, reach)?;
        Ok::<_, Failure>(target.showing(token.clone()))
    };
    source.map(of).transpose()?;
    let url = find::server(source).await?;
    find::refuse_other(&url, reach).await?;
    match client::get(&of(&url)?, each).await {
        Ok(()) => Ok(()),
        Err(problem) => Err(find::explain(problem, &url).await),
    }
}

/// Writes a database whole or not at all, of lines that come in pieces.
fn whole_database(
    path: &Path,
    write: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = path.display().to_string();
    let failed = Failure::of(&name);
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let _ = fs::remove_file(part);
    let mut recording = database::Recording::open(part)?;
    let mut rest = Vec::new();
    let mut each = |data: &[u8]| {
        rest.extend_from_slice(data);
        let end = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
        let lines: Vec<u8> = rest.drain(..end).collect();
        let lines = std::str::from_utf8(&lines).map_err(io::Error::other)?.lines();
        let lines = lines.filter(|line| !line.trim().is_empty()).map(wire::read);
        let recorded: Vec<_> = lines.collect::<Result<_, _>>().map_err(io::Error::other)?;
        recording.append(&recorded).map_err(io::Error::other)
    };
    let written = write(&mut each);
    let finished = recording.finish().map_err(Failure::from);
    let done = written.and(finished).and_then(|()| fs::rename(part, path).map_err(&failed));
    if done.is_err() {
        let _ = fs::remove_file(part);
    }
    done
}

/// Writes a file whole or not at all: under another name first, which is then changed.
fn whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = path.display().to_string();
    let failed = Failure::of(&name);
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut out = BufWriter::new(File::create(&part).map_err(&failed)?);
    let written = write(&mut out).and_then(|()| out.flush().map_err(&failed));
    let done = written.and_then(|()| fs::rename(&part, path).map_err(&failed));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}
