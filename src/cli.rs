//! The command line: parses the arguments and runs the command. stdout is data, stderr is messages.
//!
//! Exit codes: 0 success, 1 failure, 2 usage or configuration. A closed pipe is success.

mod again;
mod audit;
mod bearer;
mod client;
mod credentials;
mod escape;
mod export;
mod failure;
mod file;
mod find;
mod inspect;
mod manual;
mod progress;
mod reach;
mod record;
mod replay;
mod running;
mod selection;
mod serve;
mod service;
mod token;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory as _, Parser, Subcommand};

/// Makes WebSocket traffic visible: WebSocket clients in, Server-Sent Events out.
#[derive(Debug, Parser)]
#[command(
    name = "wstap",
    version,
    after_help = serve::FIRST_EXAMPLES,
    after_long_help = serve::EXAMPLES,
    styles = STYLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(flatten)]
    serve: serve::Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Watch(watch::Watch),
    Export(export::Export),
    Record(record::Record),
    Inspect(inspect::Inspect),
    Replay(replay::Replay),
    Check(serve::Check),
    Token(token::TokenCommand),
    Completions(manual::Completions),
    Man(manual::Man),
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Runs the command that the arguments name. The first argument is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout, which may be closed already.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match arguments.command {
        None => arguments.serve.run(),
        Some(Command::Serve(serve)) => serve.run(),
        Some(Command::Watch(watch)) => watch.run(),
        Some(Command::Export(export)) => export.run(),
        Some(Command::Record(record)) => record.run(),
        Some(Command::Inspect(inspect)) => inspect.run(),
        Some(Command::Replay(replay)) => replay.run(),
        Some(Command::Check(check)) => check.run(),
        Some(Command::Token(token)) => token.run(),
        Some(Command::Completions(completions)) => completions.run(command()),
        Some(Command::Man(man)) => man.run(command()),
    };
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// Returns the whole command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggested_commands_are_those_that_exist() {
        let command = command();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let names: Vec<_> = shown.map(clap::Command::get_name).collect();
        assert_eq!(names, serve::COMMANDS);
    }
}
