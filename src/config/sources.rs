//! The sources of settings, and which of them counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::file::File;
use super::setting::{SETTINGS, Setting, suggestion};
use super::source::{Faults, Given, Source, shown};
use super::tables::TABLES;

/// The variable that names the file, as `--config` does.
const FILE_VARIABLE: &str = "WSTAP_CONFIG";

/// The variable with the token of commands that read a server, as `--token` has it.
const TOKEN_VARIABLE: &str = "WSTAP_TOKEN";

/// Returns the token that the environment has for commands that read a server.
#[must_use]
pub fn token_variable() -> Option<String> {
    std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty())
}

/// The sources of settings: flags win over variables, variables over the file, the file over the
/// defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The flags that are set: names without hyphens, and their values.
    pub flags: BTreeMap<String, Vec<String>>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Name and text of the file.
    pub file: Option<(String, String)>,
}

impl Sources {
    /// Returns the flags, the environment variables of this process, and the file that `--config`
    /// or `WSTAP_CONFIG` names.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn new(flags: BTreeMap<String, Vec<String>>, file: Option<&str>) -> Result<Self, Faults> {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let env = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        let mut sources = Self { flags, env: env.collect(), file: None };
        if let Some(name) = file.map(str::to_owned).or_else(|| sources.variable(FILE_VARIABLE)) {
            let text = std::fs::read_to_string(&name);
            let text = text.map_err(|error| Faults(vec![format!("{name}: {error}")]))?;
            sources.file = Some((name, text));
        }
        Ok(sources)
    }

    /// Returns the value of an environment variable; an empty one counts as not set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns a warning for each environment variable that begins with `WSTAP_` and is no setting.
    /// It may belong to another program, so it is not a fault.
    #[must_use]
    pub fn unknown_variables(&self) -> Vec<String> {
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let ours = self.env.keys().filter(|name| {
            name.starts_with("WSTAP_") && ![FILE_VARIABLE, TOKEN_VARIABLE].contains(&name.as_str())
        });
        let warning = |name: &String| {
            let hint = suggestion(name, known.iter().cloned());
            format!("{name}: there is no such setting{hint}")
        };
        ours.filter(|name| !known.contains(name)).map(warning).collect()
    }

    /// Writes the configuration that these sources make as a file, with the source of each value
    /// as a comment. The values are not checked. Secrets are hidden.
    #[must_use]
    pub fn print(&self) -> String {
        let file = self.read_file();
        let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
        let mut out = String::new();
        for setting in SETTINGS.iter() {
            let Given { mut values, source } = self.given(setting, &file);
            for value in &mut values {
                *value = shown(setting.name, value);
            }
            let value = match values.as_slice() {
                [] => continue,
                [value] if setting.is_switch => value.clone(),
                [value] if !setting.repeatable => quoted(value),
                all => format!("[{}]", all.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            };
            let comment = match source {
                Source::Default => String::new(),
                source => format!(" # {source}"),
            };
            writeln!(out, "{} = {value}{comment}", setting.name).expect("a String takes all");
        }
        for table in &file.tables {
            writeln!(out, "\n[[{}]] # {}", table.name, table.source).expect("a String takes all");
            for (key, given) in &table.keys {
                let value = given.values.last().map(|value| quoted(&shown(key, value)));
                let value = value.unwrap_or_default();
                writeln!(out, "{key} = {value}").expect("a String takes all");
            }
        }
        out
    }

    /// Reads the file.
    pub(super) fn read_file(&self) -> File {
        let text = self.file.as_ref();
        text.map_or_else(File::default, |(name, text)| File::read(name, text, &TABLES))
    }

    /// Returns the values of all settings that flags, variables or the file set.
    pub(super) fn all_given(&self, file: &File) -> BTreeMap<String, Given> {
        let all =
            SETTINGS.iter().map(|setting| (setting.name.to_owned(), self.given(setting, file)));
        all.filter(|(_, given)| given.source != Source::Default).collect()
    }

    /// Returns the values of a setting from the source that counts.
    pub(super) fn given(&self, setting: &Setting, file: &File) -> Given {
        if let Some(values) = self.flags.get(setting.name) {
            let source = Source::Flag(setting.name.to_owned());
            return Given { values: values.clone(), source };
        }
        let variable = setting.variable();
        if let Some(value) = self.variable(&variable) {
            let values = if setting.repeatable {
                value.split(setting.separator()).map(|item| item.trim().to_owned()).collect()
            } else {
                vec![value]
            };
            return Given { values, source: Source::Variable(variable) };
        }
        file.settings.get(setting.name).cloned().unwrap_or_else(|| {
            let default = Some(setting.default.to_owned()).filter(|text| !text.is_empty());
            Given { values: default.into_iter().collect(), source: Source::Default }
        })
    }
}
