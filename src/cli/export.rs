//! `wstap export`: writes the events of a server or of a recording as an archive or as lines of JSON.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use form_urlencoded::Serializer;

use super::client::{self, Target};
use super::failure::Failure;
use super::reach::Reach;
use super::running::block_on;
use super::selection::Selection;
use super::{file, find, progress};
use crate::hub::Settings;

/// Write the events of a server, or a recording, as HAR or NDJSON
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Export {
    /// Server or recording to read. Without it, the tap that answers at localhost:8080 or
    /// localhost:8082
    #[arg(value_name = "URL|FILE")]
    source: Option<String>,
    /// har opens in the network panel of a browser; ndjson has the full events, one on each line.
    /// Without it, har for a file that ends in .har, otherwise ndjson
    #[arg(long)]
    format: Option<Format>,
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
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Har,
    Ndjson,
}

const EXAMPLES: &str = "\
Sockets that are still open are included. In a HAR every connection has its handshake and its end,
even if only some of its messages are selected.

Examples:
  wstap export -o traffic.har                          for the network panel of a browser
  wstap export --since 5m --connection room-7 -o room-7.har
  wstap export http://localhost:8082 --kind message | jq -c .message
  wstap export day.ndjson --format har -o day.har      a recording in the other form";

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let query = self.query();
        let read = |out: &mut dyn Write| {
            let bar = progress::spinner("{spinner} {bytes} written");
            let mut out = bar.wrap_write(out);
            let each = |data: &[u8]| out.write_all(data);
            let read = block_on(read(self.source.as_deref(), &query, &self.reach, each));
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

    fn query(&self) -> String {
        let har = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "har");
        let format = match self.format {
            Some(Format::Har) => "har",
            None if self.output.as_ref().is_some_and(har) => "har",
            Some(Format::Ndjson) | None => "ndjson",
        };
        let mut query = Serializer::new(String::new());
        query.append_pair("format", format).append_pair("limit", "all");
        self.selection.query(&mut query);
        query.extend_pairs(self.until.iter().map(|until| ("until", until)));
        query.finish()
    }
}

/// Reads the answer of a server, or of a hub that is made of a recording.
async fn read(
    source: Option<&str>,
    query: &str,
    reach: &Reach,
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    if let Some(source) = source
        && Path::new(source).is_file()
    {
        let (hub, _) = file::hub(source, Settings::default())?;
        return file::ask(&hub, query, each).await;
    }
    let of = |url: &str| Target::of(url, "/api/events", query, reach);
    source.map(of).transpose()?;
    let url = find::server(source).await?;
    find::refuse_other(&url, reach).await?;
    match client::get(&of(&url)?, each).await {
        Ok(()) => Ok(()),
        Err(problem) => Err(find::explain(problem, &url).await),
    }
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
