//! `wstap token new`: makes a token, and the line of a token file for it.

use std::io::Write as _;

use clap::{Args, Subcommand};

use super::failure::{Failure, print};
use crate::auth::token_file::{grants_of, new_token};
use crate::event::User;

/// Make tokens for --token-file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(New),
}

/// Make a token and print it, and then the line for --token-file, which holds its hash
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct New {
    /// Name of the user
    name: User,
    /// What the token grants: observe, connect, control, subscribe=CHANNELS, publish=CHANNELS or
    /// all, with commas between them, or JSON such as {"observe":true,"filter":"channel == \"a\""}
    #[arg(default_value = "observe")]
    grants: String,
    /// Appends the line to this file, which is created for its owner alone, and prints the token only
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  wstap token new ann                             a token that may read
  wstap token new ann observe,control --token-file tokens
                                                  the same with control, and its line in a file
  wstap token new bot 'publish=news/*,subscribe=*'
  wstap --listen 0.0.0.0:8080 --token-file tokens  a server that asks for one";

impl TokenCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Action::New(new) = self.action;
        new.run()
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let name = self.name.as_str();
        if name.contains(char::is_whitespace) || name.starts_with('#') {
            let words = "a name in a token file has no white space and no # at its beginning";
            return Err(Failure::Usage(format!("{name}: {words}")));
        }
        grants_of(self.grants.trim()).map_err(Failure::Usage)?;
        let (token, hash) = new_token().map_err(|fault| Failure::Failed(fault.to_owned()))?;
        let line = format!("{name} {} {hash}\n", self.grants.trim());
        let Some(path) = self.token_file else {
            return print(format!("{token}\n{line}").as_bytes());
        };
        append(&path, &line).map_err(|error| Failure::Failed(format!("{path}: {error}")))?;
        print(format!("{token}\n").as_bytes())
    }
}

/// Appends a line to a file.
fn append(path: &str, line: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let text = std::fs::read_to_string(path)?;
    let begun = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{begun}{line}").as_bytes())
}
