//! The configuration file: TOML with a key for each setting, and tables of upstreams and channels.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::setting::{SETTINGS, suggestion};
use super::source::{Faults, Given, Source};

/// The settings of a file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The values of settings, by name.
    pub(super) settings: BTreeMap<String, Given>,
    /// The tables of arrays of tables, in their order.
    pub(super) tables: Vec<Table>,
    /// The faults of the file.
    pub(super) faults: Faults,
}

/// A table of an array of tables, such as `[[upstream]]`.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its keys with hyphens, and their values.
    pub(super) keys: BTreeMap<String, Given>,
    pub(super) source: Source,
}

impl File {
    /// Reads the text of a file. `tables` are the names of its arrays of tables.
    pub(super) fn read(name: &str, text: &str, tables: &[&str]) -> Self {
        let mut file = Self::default();
        let source = |at: usize| {
            let before = &text.as_bytes()[..at.min(text.len())];
            Source::File(name.to_owned(), memchr::memchr_iter(b'\n', before).count() + 1)
        };
        let parsed = match DeTable::parse(text) {
            Ok(parsed) => parsed.into_inner(),
            Err(fault) => {
                let at = source(fault.span().map_or(0, |span| span.start));
                file.faults.add(format!("{at}: {}", fault.message()));
                return file;
            }
        };
        for (key, value) in &parsed {
            let known = key.get_ref().replace('_', "-");
            if tables.contains(&known.as_str())
                && let Some(list) = array_of_tables(value)
            {
                file.tables.extend(list.into_iter().map(|(at, table)| Table {
                    name: known.clone(),
                    keys: keys(table, source),
                    source: source(at),
                }));
            } else {
                file.take(key.get_ref(), known, value, source(key.span().start));
            }
        }
        file
    }

    fn take(&mut self, key: &str, known: String, value: &Spanned<DeValue<'_>>, source: Source) {
        if !SETTINGS.iter().any(|setting| setting.name == known) {
            let hint = suggestion(&known, SETTINGS.iter().map(|setting| setting.name.to_owned()));
            return self.faults.add(format!("{source}: there is no setting {key:?}{hint}"));
        }
        match texts(value) {
            Some(values) => {
                self.settings.insert(known, Given { values, source });
            }
            None => self.faults.add(format!(
                "{source}: {known} is a text, a number, true or false, or a list of these"
            )),
        }
    }
}

/// Returns the tables of an array of tables, and where each begins; `None` for other values.
fn array_of_tables<'a, 'b>(
    value: &'a Spanned<DeValue<'b>>,
) -> Option<Vec<(usize, &'a DeTable<'b>)>> {
    let list = value.get_ref().as_array().filter(|list| !list.is_empty())?;
    let mut items = list.iter();
    items.try_fold(Vec::new(), |mut tables, item| {
        tables.push((item.span().start, item.get_ref().as_table()?));
        Some(tables)
    })
}

/// Returns the keys of a table. A value that has no text is an empty one.
fn keys(table: &DeTable<'_>, source: impl Fn(usize) -> Source) -> BTreeMap<String, Given> {
    let key = |(key, value): (&Spanned<DeString<'_>>, _)| {
        let values = texts(value).unwrap_or_else(|| vec![String::new()]);
        let given = Given { values, source: source(key.span().start) };
        (key.get_ref().replace('_', "-"), given)
    };
    table.iter().map(key).collect()
}

/// Returns a value as the texts that flags would have.
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
