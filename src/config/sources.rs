//! Where settings come from, and which source of a setting counts.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{SETTINGS, Setting};
use super::tables::{TABLES, Table};
use crate::redact::HIDDEN;

/// The variable that names the file, as `--config` does.
const FILE_VARIABLE: &str = "WSTAP_CONFIG";

/// Everything that may say something.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Flags that were given: names without hyphens, and their values.
    pub flags: BTreeMap<String, Vec<String>>,
    /// Variables of the environment.
    pub env: BTreeMap<String, String>,
    /// Name and text of the file.
    pub file: Option<(String, String)>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(String),
    /// A variable.
    Variable(String),
    /// A line of the file.
    File(String, usize),
    /// Nobody said anything.
    Default,
}

/// All that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl Sources {
    /// Takes the flags, the variables of this process, and the file that `--config` or
    /// `WSTAP_CONFIG` names.
    ///
    /// # Errors
    ///
    /// If that file cannot be read.
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

    /// Returns the value of a variable that is no setting.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns what looks like a setting in the environment and is none. It may be somebody
    /// else's, so this is no fault.
    #[must_use]
    pub fn unknown_variables(&self) -> Vec<String> {
        let ours =
            self.env.keys().filter(|name| name.starts_with("WSTAP_") && *name != FILE_VARIABLE);
        let unknown =
            ours.filter(|name| !SETTINGS.iter().any(|setting| setting.variable() == **name));
        let told = |name: &String| {
            let like = nearest(name, SETTINGS.iter().map(Setting::variable));
            let hint = like.map(|it| format!("; did you mean {it}?")).unwrap_or_default();
            format!("{name}: there is no such setting{hint}")
        };
        unknown.map(told).collect()
    }

    /// Writes the configuration that these sources make, as a file that says where each value
    /// comes from. The values are not checked.
    #[must_use]
    pub fn print(&self) -> String {
        let reader = Reader::new(self);
        let mut out = String::new();
        for setting in SETTINGS {
            let (mut values, source) = reader.raw(setting);
            if setting.name.ends_with("-secret") && !values.is_empty() {
                values = vec![HIDDEN.to_owned()];
            }
            let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
            let value = match (setting.value, values.as_slice()) {
                ("", [value]) => value.clone(),
                (_, []) => continue,
                (_, [value]) if !setting.repeatable => quoted(value),
                (_, all) => format!("[{}]", all.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            };
            let comment = match source {
                Source::Default => String::new(),
                source => format!(" # {source}"),
            };
            writeln!(out, "{} = {value}{comment}", setting.name).expect("a String takes all");
        }
        for table in &reader.tables {
            writeln!(out, "\n[[{}]] # {}", table.name, table.source).expect("a String takes all");
            for (key, (value, _)) in &table.keys {
                let value = toml::Value::String(value.clone());
                writeln!(out, "{key} = {value}").expect("a String takes all");
            }
        }
        out
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(name, line) => write!(f, "{name}, line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Takes setting after setting and gathers what is wrong.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    file: BTreeMap<&'static str, (Vec<String>, Source)>,
    pub(super) tables: Vec<Table>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        let mut reader =
            Self { sources, file: BTreeMap::new(), tables: Vec::new(), faults: Vec::new() };
        if let Some((name, text)) = &sources.file {
            reader.read_file(name, text);
        }
        reader
    }

    /// Takes a setting that has a default.
    pub(super) fn one<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> T {
        let setting = setting(name);
        let given = self.maybe(name, &read);
        given.unwrap_or_else(|| match read(setting.default) {
            Ok(value) => value,
            Err(fault) => unreachable!("the default of {name} is right: {fault}"),
        })
    }

    /// Takes a setting that may have no value.
    pub(super) fn maybe<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.all(name, read).pop()
    }

    /// Takes all values of a setting.
    pub(super) fn all<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let setting = setting(name);
        let (values, source) = self.raw(setting);
        if values.len() > 1 && !setting.repeatable {
            self.faults.push(format!("{source}: {name} has one value, and not {}", values.len()));
        }
        let mut all = Vec::new();
        for value in values {
            match read(&value) {
                Ok(value) => all.push(value),
                Err(right) => {
                    let name = if matches!(source, Source::File(..)) {
                        format!(": {name}")
                    } else {
                        String::new()
                    };
                    self.faults.push(format!("{source}{name} = {value:?}: {right}"));
                }
            }
        }
        all
    }

    /// Notes a fault that lies in several settings together.
    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    pub(super) fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }

    /// Returns the values of a setting as they were written, and who wrote them.
    fn raw(&self, setting: &Setting) -> (Vec<String>, Source) {
        if let Some(values) = self.sources.flags.get(setting.name) {
            return (values.clone(), Source::Flag(setting.name.to_owned()));
        }
        let variable = setting.variable();
        if let Some(value) = self.sources.variable(&variable) {
            let values = if setting.repeatable {
                value.split(setting.separator()).map(|item| item.trim().to_owned()).collect()
            } else {
                vec![value]
            };
            return (values, Source::Variable(variable));
        }
        if let Some(found) = self.file.get(setting.name) {
            return found.clone();
        }
        let default = Some(setting.default).filter(|text| !text.is_empty());
        (default.map(str::to_owned).into_iter().collect(), Source::Default)
    }

    fn read_file(&mut self, name: &str, text: &str) {
        let line = |at: usize| {
            memchr::memchr_iter(b'\n', &text.as_bytes()[..at.min(text.len())]).count() + 1
        };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(fault) => {
                let at = fault.span().map_or(0, |span| span.start);
                self.faults.push(format!("{name}, line {}: {}", line(at), fault.message()));
                return;
            }
        };
        for (key, value) in &table {
            let source = Source::File(name.to_owned(), line(key.span().start));
            let known = key.get_ref().replace('_', "-");
            let table = TABLES.into_iter().find(|table| *table == known);
            if let (Some(table), Some(tables)) = (table, tables(value)) {
                for (at, keys) in tables {
                    let source = |at| Source::File(name.to_owned(), line(at));
                    let keys = keys.into_iter().map(|(key, at, value)| (key, (value, source(at))));
                    self.tables.push(Table {
                        name: table,
                        keys: keys.collect(),
                        source: source(at),
                    });
                }
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == known) else {
                let hint = nearest(&known, SETTINGS.iter().map(|setting| setting.name.to_owned()));
                let hint = hint.map(|it| format!("; did you mean {it}?")).unwrap_or_default();
                self.faults
                    .push(format!("{source}: there is no setting {:?}{hint}", key.get_ref()));
                continue;
            };
            match texts(value) {
                Some(values) => {
                    self.file.insert(setting.name, (values, source));
                }
                None => self.faults.push(format!(
                    "{source}: {} is a text, a number, true or false, or a list of these",
                    setting.name
                )),
            }
        }
    }
}

/// Keys of a table, where they are, and their values as texts; what is no text, number or switch is
/// an empty one.
type Keys = Vec<(String, usize, String)>;

/// Returns the tables of an array of tables, and where each begins.
fn tables(value: &Spanned<DeValue<'_>>) -> Option<Vec<(usize, Keys)>> {
    let DeValue::Array(list) = value.get_ref() else { return None };
    let table = |item: &Spanned<DeValue<'_>>| {
        let DeValue::Table(table) = item.get_ref() else { return None };
        let keys = table.iter().map(|(key, value)| {
            let text = texts(value).and_then(|mut texts| texts.pop()).unwrap_or_default();
            (key.get_ref().to_string(), key.span().start, text)
        });
        Some((item.span().start, keys.collect()))
    };
    (!list.is_empty()).then(|| list.iter().map(table).collect()).flatten()
}

/// Returns a value of the file as the texts that a flag would have.
fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) => Some(vec![number.to_string()]),
        DeValue::Boolean(flag) => Some(vec![flag.to_string()]),
        DeValue::Array(list) => {
            let nested = list.iter().map(|item| match item.get_ref() {
                DeValue::Array(_) => None,
                _ => texts(item),
            });
            Some(nested.collect::<Option<Vec<_>>>()?.concat())
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn setting(name: &str) -> &'static Setting {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.expect("every setting that is read is in the list")
}

/// Returns the name that somebody who wrote `text` may have meant.
fn nearest(text: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let scored = names.map(|name| (strsim::jaro_winkler(text, &name), name));
    scored
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.85)
        .map(|(_, name)| name)
}
