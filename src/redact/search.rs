//! The rules, compiled: which keys, parameters and header fields are secret, and the spans of a text
//! that are hidden.

use std::hash::{BuildHasher as _, RandomState};

use regex::{Regex, RegexSet, RegexSetBuilder};

use super::builtin;
use super::builtin::Secret;
use super::path::{Path, PathReader};
use super::rules::{Binary, HIDDEN, Rules};
use crate::event::ConnectionId;

/// The memory that all patterns together may take when they are looked for at once.
const PROBE_SIZE: usize = 16 << 20;

pub(super) struct Search {
    pub(super) readers: Vec<PathReader>,
    /// The keys that paths end with, for text that is not JSON.
    pub(super) keys: Vec<String>,
    pub(super) patterns: Vec<Regex>,
    /// Whether a pattern may match a string or number by its ends.
    pub(super) anchored: bool,
    pub(super) usual: bool,
    headers: Vec<String>,
    query: Vec<String>,
    binary: Binary,
    /// Matches every JSON without escapes that holds something to hide. `None` if no pattern can.
    probe: Option<RegexSet>,
    /// Makes names for connections whose id is hidden.
    names: RandomState,
}

impl Search {
    pub(super) fn new(rules: Rules) -> Self {
        let readers: Vec<_> = rules.paths.iter().flat_map(Path::readers).collect();
        let probe = probe(&readers, &rules);
        let mut keys: Vec<_> =
            readers.iter().filter_map(PathReader::last_key).map(str::to_owned).collect();
        keys.sort();
        keys.dedup();
        let anchored = rules.patterns.iter().any(|pattern| is_anchored(pattern.0.as_str()));
        Self {
            readers,
            keys,
            anchored,
            patterns: rules.patterns.into_iter().map(|pattern| pattern.0).collect(),
            usual: rules.defaults,
            headers: rules.headers,
            query: rules.query,
            binary: rules.binary,
            probe,
            names: RandomState::new(),
        }
    }

    /// Returns what becomes of binary messages.
    pub(super) fn binary(&self) -> Binary {
        self.binary
    }

    /// Returns whether JSON text holds nothing to hide, as far as that is found in one search.
    pub(super) fn is_clean(&self, json: &str) -> bool {
        self.probe.as_ref().is_some_and(|probe| {
            memchr::memchr(b'\\', json.as_bytes()).is_none() && !probe.is_match(json)
        })
    }

    /// Returns the id that is shown for one that holds something to hide: the rest of it, and a suffix
    /// that is the same as long as the server runs and reveals nothing of the hidden part.
    pub(super) fn id(&self, id: &ConnectionId) -> Option<ConnectionId> {
        let shown = self.hidden(id.as_str())?;
        let shown: String = shown.chars().take(ConnectionId::MAX_CHARS).collect();
        let hash = self.names.hash_one(id.as_str());
        let shown: ConnectionId = shown.parse().expect("it is short, and part of an id");
        Some(shown.another(&ConnectionId::made(hash >> 10, hash)))
    }

    /// Returns the same for a channel or a user.
    pub(super) fn name(&self, name: &str) -> Option<String> {
        let shown = self.hidden(name)?;
        let hash = self.names.hash_one(name);
        Some(format!("{shown}~{}", ConnectionId::made(hash >> 10, hash)))
    }

    /// Returns the value that is shown of a header field, or `None` if nothing of it is hidden.
    pub(super) fn header(&self, name: &str, value: &str) -> Option<String> {
        let named = |names: &[String]| names.iter().any(|header| header.eq_ignore_ascii_case(name));
        if named(&self.headers) || self.usual && builtin::HEADERS.contains(&name) {
            return Some(HIDDEN.to_owned());
        }
        let listed = if self.usual && name == "sec-websocket-protocol" {
            builtin::subprotocols(value)
        } else {
            None
        };
        self.hidden(listed.as_deref().unwrap_or(value)).or(listed)
    }

    /// Returns whether the values of a query parameter are hidden.
    pub(super) fn is_parameter(&self, name: &str) -> bool {
        self.query.iter().any(|query| query == name)
            || self.usual && builtin::is_secret_parameter(name)
    }

    /// Returns a list of offered subprotocols with what is hidden of it, or `None` if that is nothing.
    pub(super) fn offered(&self, list: &str, agreed: Option<&str>) -> Option<String> {
        let shown = self.header("sec-websocket-protocol", list);
        if !self.usual {
            return shown;
        }
        let shown = shown.unwrap_or_else(|| list.to_owned());
        let shown = builtin::offered_subprotocols(&shown, agreed).unwrap_or(shown);
        (shown != list).then_some(shown)
    }

    /// Returns what a key says of its value, wherever it is.
    pub(super) fn secret(&self, key: &str) -> Secret {
        if self.usual { builtin::secret(key) } else { Secret::No }
    }

    /// Returns the same where no path can be followed: the last key of each is a secret.
    pub(super) fn named(&self, key: &str) -> Secret {
        if self.keys.iter().any(|k| k == key) { Secret::Always } else { self.secret(key) }
    }

    /// Returns whether there are rules for messages.
    pub(super) fn searches(&self) -> bool {
        self.matches_text() || !self.readers.is_empty()
    }

    /// Returns whether a rule looks at text, and not only at the keys around it.
    pub(super) fn matches_text(&self) -> bool {
        self.usual || !self.patterns.is_empty()
    }

    /// Returns whether a path has no key, so that it cannot be looked for in text that is not JSON.
    pub(super) fn has_path_without_key(&self) -> bool {
        self.readers.iter().any(|reader| reader.last_key().is_none())
    }

    /// Returns whether one of the patterns fits a text.
    pub(super) fn by_pattern(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(text))
    }
}

fn is_anchored(pattern: &str) -> bool {
    let inner = pattern.replace("[^", "[");
    inner.contains(['^', '$']) || inner.contains("\\A") || inner.contains("\\z")
}

/// Makes the patterns of a first search, if there is one for everything that may be hidden.
fn probe(readers: &[PathReader], rules: &Rules) -> Option<RegexSet> {
    let keys = readers.iter().map(|reader| reader.last_key().map(regex::escape));
    let mut all = keys.collect::<Option<Vec<_>>>()?;
    for pattern in &rules.patterns {
        // A text begins and ends within the JSON around it.
        if is_anchored(pattern.0.as_str()) {
            return None;
        }
        all.push(pattern.0.as_str().to_owned());
    }
    all.extend(rules.defaults.then(|| builtin::PROBE.clone()));
    RegexSetBuilder::new(all).size_limit(PROBE_SIZE).build().ok()
}
