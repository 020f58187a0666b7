//! The command line: what was asked for, and who does it. stdout is data, stderr is words.
//!
//! Exit codes: 0, 1 failure, 2 usage or configuration; a closed pipe is success.

mod client;
mod export;
mod file;
mod inspect;
mod manual;
mod record;
mod replay;
mod selection;
mod serve;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Faults, SETTINGS, Sources};

/// Why a command does not succeed.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// Something failed: exit code 1.
    Failed(String),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Usage(faults.to_string())
    }
}

/// Runs the command that `arguments` name, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help goes to stdout, which may be closed already.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("watch", matches)) => watch::run(matches),
        Some(("export", matches)) => export::run(matches),
        Some(("record", matches)) => record::run(matches),
        Some(("inspect", matches)) => inspect::run(matches),
        Some(("replay", matches)) => replay::run(matches),
        Some(("completions", matches)) => manual::complete(matches),
        Some(("man", matches)) => manual::write(matches),
        Some(("check", matches)) => check(matches),
        _ => serve::run(&matches),
    };
    let (code, words) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(words)) => (2, words),
        Err(Failure::Failed(words)) => (1, words),
    };
    for line in words.lines() {
        anstream::eprintln!("{}wstap:{} {line}", RED.render(), RED.render_reset());
    }
    ExitCode::from(code)
}

/// SIGTERM and Ctrl-C.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

const RED: anstyle::Style = AnsiColor::Red.on_default().bold();

/// Returns the whole command line.
#[must_use]
pub fn command() -> Command {
    let styles = Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default())
        .placeholder(AnsiColor::Cyan.on_default());
    Command::new("wstap")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes WebSocket traffic visible: WebSocket clients in, Server-Sent Events out.")
        .after_help(EXAMPLES)
        .styles(styles)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .args(settings())
        .subcommand(
            Command::new("serve")
                .about("Run the server (what wstap does without a command)")
                .after_help(EXAMPLES)
                .args(settings()),
        )
        .subcommand(watch::command())
        .subcommand(export::command())
        .subcommand(record::command())
        .subcommand(inspect::command())
        .subcommand(replay::command())
        .subcommand(
            Command::new("check")
                .about("Check a configuration and say all that is wrong with it")
                .after_help(CHECK)
                .args(settings()),
        )
        .subcommand(manual::completions())
        .subcommand(manual::man())
}

const EXAMPLES: &str = "\
Every flag is also a variable, --max-listeners as WSTAP_MAX_LISTENERS, and a key of the file that
--config names, as max-listeners = 100. Flags win over variables, variables over the file.

Examples:
  wstap                                        serve on http://localhost:8080
  curl -N localhost:8080/events                see what passes
  wstap watch                                  the same, in colour
  wstap --upstream ws://localhost:9000         see what clients and that server say
  wstap --listen localhost:8080 --tap-listen localhost:8082
                                               observers on a port of their own
  wstap --listen 0.0.0.0:8080 --no-auth        for everybody in reach
  wstap --open traffic.har                     a recording, and no traffic";

const CHECK: &str = "\
Examples:
  wstap check --config wstap.toml
  WSTAP_HEARTBEAT=5s wstap check               variables too";

fn settings() -> Vec<Arg> {
    let mut args: Vec<Arg> = SETTINGS.iter().map(setting_arg).collect();
    args.push(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("Reads settings from a TOML file [variable: WSTAP_CONFIG]")
            .help_heading("Operation"),
    );
    args.push(
        Arg::new("print-config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help("Prints the settings that would hold, and where each comes from")
            .help_heading("Operation"),
    );
    args
}

fn setting_arg(setting: &crate::config::Setting) -> Arg {
    let arg = Arg::new(setting.name).long(setting.name).help_heading(setting.group);
    if setting.value.is_empty() {
        return arg.action(ArgAction::SetTrue).help(setting.help);
    }
    let mut notes = Vec::new();
    if !setting.default.is_empty() {
        notes.push(format!("default: {}", setting.default));
    }
    if setting.repeatable {
        notes.push("repeatable".to_owned());
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join(", ")) };
    // Values are checked with all other sources, so that all faults are told at once.
    arg.action(ArgAction::Append)
        .value_name(setting.value)
        .allow_hyphen_values(true)
        .help(format!("{}{notes}", setting.help))
}

fn sources(matches: &ArgMatches) -> Result<Sources, Faults> {
    let mut flags = BTreeMap::new();
    for setting in SETTINGS {
        if setting.value.is_empty() {
            if matches.get_flag(setting.name) {
                flags.insert(setting.name.to_owned(), vec!["true".to_owned()]);
            }
        } else if let Some(values) = matches.get_many::<String>(setting.name) {
            flags.insert(setting.name.to_owned(), values.cloned().collect());
        }
    }
    Sources::new(flags, matches.get_one::<String>("config").map(String::as_str))
}

fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let sources = sources(matches)?;
    crate::config::Config::load(&sources)?;
    for unknown in sources.unknown_variables() {
        anstream::eprintln!("wstap: {unknown}");
    }
    anstream::eprintln!("the configuration is right");
    Ok(())
}
