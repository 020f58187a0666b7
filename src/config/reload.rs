//! A configuration that is read again while the server runs: what has changed, and what of it applies
//! at once.

use std::collections::BTreeMap;

use super::setting::SETTINGS;
use super::source::Faults;
use super::sources::Sources;

/// Settings that a running server can change. All others apply after a restart.
const LIVE: [&str; 19] = [
    "max-message-bytes",
    "max-connections",
    "max-listeners",
    "max-per-address",
    "max-channels",
    "rate-handshakes",
    "rate-calls",
    "rate-sign-ins",
    "rate-frames",
    "rate-bytes",
    "duplicate-id",
    "slow-client",
    "redact",
    "redact-header",
    "redact-pattern",
    "redact-query",
    "redact-defaults",
    "redact-binary",
    "log-level",
];

/// The table of channels, as a change of it is named.
const CHANNELS: &str = "[[channel]]";

/// The differences between two configurations, by the names of settings and tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that a running server can take over.
    pub live: Vec<String>,
    /// Those that apply after a restart.
    pub later: Vec<String>,
}

impl Sources {
    /// Returns these sources with the present content of the file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn reread(&self) -> Result<Self, Faults> {
        let mut new = self.clone();
        if let Some((name, text)) = &mut new.file {
            let read = std::fs::read_to_string(&*name);
            *text = read.map_err(|error| Faults(vec![format!("{name}: {error}")]))?;
        }
        Ok(new)
    }

    /// Compares the values of all settings and tables with those of `new`.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Changes {
        let (old, new) = (self.values(), new.values());
        let mut changes = Changes::default();
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names.filter(|name| old.get(*name) != new.get(*name)) {
            let is_live = name == CHANNELS || LIVE.contains(&name.as_str());
            if is_live { &mut changes.live } else { &mut changes.later }.push(name.clone());
        }
        changes
    }

    /// Returns the values of every setting and of every kind of table, by their names.
    fn values(&self) -> BTreeMap<String, Vec<String>> {
        let file = self.read_file();
        let settings = SETTINGS.iter().map(|setting| {
            let given = self.given(setting, &file);
            (setting.name.to_owned(), given.values)
        });
        let mut all: BTreeMap<_, _> = settings.collect();
        for table in &file.tables {
            let values = all.entry(format!("[[{}]]", table.name)).or_default();
            for (key, given) in &table.keys {
                values.push(format!("{key} = {:?}", given.values));
            }
            values.push("end of table".to_owned());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Sources {
        Sources { file: Some(("wstap.toml".to_owned(), text.to_owned())), ..Sources::default() }
    }

    #[test]
    fn changes_are_named_by_setting_and_table() {
        let old = of("max-listeners = 1\nheartbeat = \"1s\"\n[[channel]]\nname = \"a\"\n");
        let new = of("heartbeat = \"2s\"\nredact = [\"a\"]\n[[channel]]\nname = \"b\"\n");
        let changes = old.changes(&new);
        assert_eq!(changes.live, ["[[channel]]", "max-listeners", "redact"]);
        assert_eq!(changes.later, ["heartbeat"]);
        assert_eq!(old.changes(&old), Changes::default());
    }

    #[test]
    fn comments_and_the_order_of_keys_are_no_changes() {
        let old = of("max-listeners = 1\nheartbeat = \"1s\"\n");
        let new = of("# changed\nheartbeat = \"1s\"\nmax_listeners = \"1\"\n");
        assert_eq!(old.changes(&new), Changes::default());
    }

    #[test]
    fn every_live_setting_exists() {
        for live in LIVE {
            assert!(SETTINGS.iter().any(|setting| setting.name == live), "{live}");
        }
    }
}
