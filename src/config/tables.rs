//! The tables that a file may have several of: servers behind, and channels.

use std::collections::BTreeMap;
use std::fmt;

use super::sources::{Reader, Source};
use super::values;
use crate::hub::{ChannelRules, Declared};
use crate::proxy::Route;

/// Their names.
pub(super) const TABLES: [&str; 2] = ["upstream", "channel"];

/// One of them.
#[derive(Debug)]
pub(super) struct Table {
    /// Which.
    pub(super) name: &'static str,
    /// Its keys and their values, each with its line.
    pub(super) keys: BTreeMap<String, (String, Source)>,
    /// Where it begins.
    pub(super) source: Source,
}

impl Reader<'_> {
    /// Takes the routes of the file.
    pub(super) fn routes(&mut self) -> Vec<Route> {
        let tables = self.take("upstream", &["path", "host", "url"]);
        tables.iter().filter_map(|table| self.route(table)).collect()
    }

    fn route(&mut self, table: &Table) -> Option<Route> {
        self.need(table, "url", "url = \"ws://localhost:9000\"");
        let path = self.value(table, "path", values::path);
        let host = self.value(table, "host", values::host);
        let upstream = self.value(table, "url", values::upstream)?;
        Some(Route {
            path: path.unwrap_or_else(|| "/".to_owned()),
            host: host.map(|host| host.to_ascii_lowercase()),
            upstream,
        })
    }

    /// Takes the channels of the file.
    pub(super) fn channels(&mut self) -> Vec<Declared> {
        let known = ["name", "private", "presence", "history", "max-members"];
        let tables = self.take("channel", &known);
        tables.iter().filter_map(|table| self.channel(table)).collect()
    }

    fn channel(&mut self, table: &Table) -> Option<Declared> {
        self.need(table, "name", "name = \"news\" or name = \"news/*\"");
        let rules = ChannelRules {
            private: self.value(table, "private", values::switch).unwrap_or_default(),
            presence: self.value(table, "presence", values::switch).unwrap_or_default(),
            history: self.value(table, "history", values::count).unwrap_or_default(),
            max_members: self.value(table, "max-members", values::count),
        };
        let name = self.value(table, "name", str::parse)?;
        Some(Declared { name, rules })
    }

    /// Takes the tables of a name, and notes keys that they do not have.
    fn take(&mut self, name: &str, known: &[&str]) -> Vec<Table> {
        let tables = std::mem::take(&mut self.tables);
        let (tables, rest) = tables.into_iter().partition::<Vec<_>, _>(|table| table.name == name);
        self.tables = rest;
        for (key, (_, line)) in tables.iter().flat_map(|table| &table.keys) {
            if !known.contains(&key.replace('_', "-").as_str()) {
                let (last, others) = known.split_last().expect("a table has keys");
                let right = format!("{} and {last}", others.join(", "));
                self.fault(format!(
                    "{line}: there is no key {key:?} in [[{name}]]; there are {right}"
                ));
            }
        }
        tables
    }

    fn need(&mut self, table: &Table, key: &str, such_as: &str) {
        if !table.keys.contains_key(key) {
            let Table { name, source, .. } = table;
            self.fault(format!("{source}: [[{name}]] needs a {key}, such as {such_as}"));
        }
    }

    fn value<T, E: fmt::Display>(
        &mut self,
        table: &Table,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let given = table.keys.get(key).or_else(|| table.keys.get(&key.replace('-', "_")));
        let (value, line) = given?;
        let fault = |right| self.fault(format!("{line}: {key} = {value:?}: {right}"));
        read(value).map_err(fault).ok()
    }
}
