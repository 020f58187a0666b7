//! The list of all settings, for help, documentation and the reading of sources.

use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command};

use super::declared;
use super::settings::ServerArgs;

/// A setting: a flag, an environment variable and a key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the flag without its hyphens; also the key in the file.
    pub name: &'static str,
    /// The default, as it is written; empty for none.
    pub default: &'static str,
    /// Whether the setting may be given more than once.
    pub repeatable: bool,
    /// Whether the setting is true or false: its flag has no value.
    pub is_switch: bool,
}

static COMMAND: LazyLock<Command> = LazyLock::new(declared::command::<ServerArgs>);

/// Every setting, in the order of the help.
pub static SETTINGS: LazyLock<Vec<Setting>> =
    LazyLock::new(|| COMMAND.get_arguments().map(Setting::new).collect());

/// Returns the declarations of all settings.
pub(super) fn arguments() -> impl Iterator<Item = &'static Arg> {
    COMMAND.get_arguments()
}

impl Setting {
    fn new(arg: &'static Arg) -> Self {
        let is_switch = declared::is_switch(arg);
        let default = arg.get_default_values().first().and_then(|text| text.to_str());
        Self {
            name: declared::name(arg),
            default: default.unwrap_or(if is_switch { "false" } else { "" }),
            repeatable: matches!(arg.get_action(), ArgAction::Append),
            is_switch,
        }
    }

    /// Returns the name of the environment variable: `WSTAP_MAX_LISTENERS` for `max-listeners`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("WSTAP_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }

    /// Returns the character between two values in the environment variable.
    #[must_use]
    pub fn separator(&self) -> char {
        // Regular expressions contain commas.
        if self.name == "redact-pattern" { '\n' } else { ',' }
    }
}

/// Returns `; did you mean …?` for the name that is most like `text`, or nothing if none is.
pub(crate) fn suggestion(text: &str, names: impl Iterator<Item = String>) -> String {
    let scored = names.map(|name| (strsim::jaro_winkler(text, &name), name));
    let nearest = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.85);
    nearest.map(|(_, name)| format!("; did you mean {name}?")).unwrap_or_default()
}
