//! `wstap completions` and `wstap man`: what shells and `man` read about the commands.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::failure::{Failure, print};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct Completions {
    /// Shell to print it for
    shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  wstap completions bash > ~/.local/share/bash-completion/completions/wstap
  wstap completions zsh > ~/.zfunc/_wstap
  wstap completions fish > ~/.config/fish/completions/wstap.fish";

impl Completions {
    pub(super) fn run(&self, mut commands: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut commands, "wstap", &mut script);
        print(&script)
    }
}

/// Write the man pages of all commands into a folder
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Examples:\n  wstap man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Folder to write them into
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self, commands: clap::Command) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(commands, &self.folder))
            .map_err(Failure::of(&self.folder.display().to_string()))
    }
}
