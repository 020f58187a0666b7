//! What the shell and `man` want to know of the commands.

use std::io::Write as _;
use std::path::Path;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::Failure;

/// `wstap completions`.
pub(super) fn completions() -> Command {
    Command::new("completions")
        .about("Print what a shell needs to complete commands and flags")
        .after_help(COMPLETIONS)
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("Shell to print it for"),
        )
}

const COMPLETIONS: &str = "\
Examples:
  wstap completions bash > ~/.local/share/bash-completion/completions/wstap
  wstap completions zsh > ~/.zfunc/_wstap
  wstap completions fish > ~/.config/fish/completions/wstap.fish";

/// `wstap man`, for whoever makes packages.
pub(super) fn man() -> Command {
    Command::new("man")
        .about("Write the man pages of all commands into a folder")
        .after_help("Examples:\n  wstap man /usr/local/share/man/man1")
        .hide(true)
        .arg(Arg::new("folder").value_name("DIR").required(true).help("Folder to write them into"))
}

pub(super) fn complete(matches: &ArgMatches) -> Result<(), Failure> {
    let shell = *matches.get_one::<Shell>("shell").expect("it is required");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "wstap", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn write(matches: &ArgMatches) -> Result<(), Failure> {
    let folder = matches.get_one::<String>("folder").expect("it is required");
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::command(), Path::new(folder)));
    written.map_err(|error| Failure::Failed(format!("{folder}: {error}")))
}
