//! The settings as flags of a command line. The values stay text: they are checked together with
//! those of the environment and the file.

use std::collections::BTreeMap;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::declared::is_switch;
use super::setting::{SETTINGS, Setting, arguments};

/// The settings that a command line sets, by name.
#[derive(Debug, Clone, Default)]
pub struct Flags(pub BTreeMap<String, Vec<String>>);

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(arguments().map(as_text))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The settings that `-h` lists, with their descriptions there, so that it fits a screen of 30 lines.
/// `--help` lists all. They stand among the options without a heading.
const FIRST: [(&str, &str); 2] = [
    ("listen", "Address to serve at"),
    ("open", "Shows a recording instead of traffic: NDJSON or HAR"),
];

fn as_text(arg: &Arg) -> Arg {
    let text = text(arg);
    let short = FIRST.iter().find(|(name, _)| arg.get_long() == Some(*name));
    let Some((_, short)) = short else { return text.hide_short_help(true) };
    let long = text.get_help().map(ToString::to_string).unwrap_or_default();
    text.help(*short).long_help(long).help_heading(None::<&str>)
}

fn text(arg: &Arg) -> Arg {
    let text = arg.clone();
    if is_switch(arg) {
        return text;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let repeatable = matches!(arg.get_action(), ArgAction::Append);
    text.help(if repeatable { format!("{help} [repeatable]") } else { help })
        .value_parser(ValueParser::string())
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let values = |(setting, arg): (&Setting, &Arg)| {
            let id = arg.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                return None;
            }
            let values = if setting.is_switch {
                vec!["true".to_owned()]
            } else {
                matches.get_many::<String>(id)?.cloned().collect()
            };
            Some((setting.name.to_owned(), values))
        };
        Ok(Self(SETTINGS.iter().zip(arguments()).filter_map(values).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}
