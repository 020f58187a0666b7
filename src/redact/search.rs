//! The rules, made ready to search with.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use regex::{Regex, RegexSet, RegexSetBuilder};

use super::path::Reading;
use super::{Binary, HIDDEN, Rules, address, builtin, json, non_json};
use crate::event::{Body, ConnectionId};
use crate::json::Json;

/// The most bytes of a message that are searched; a larger one is hidden whole. It is what a
/// message may have by default, and a bound to what a slow pattern can cost.
const MAX_SEARCHED: usize = 1 << 20;

/// The most matches that are hidden one by one; a text with more of them is hidden whole. Finding
/// each may take as long as the text is long, so this is the other bound.
const MAX_MATCHES: usize = 256;

/// The memory that all patterns together may take when they are looked for at once.
const PROBE_SIZE: usize = 16 << 20;

pub(super) struct Search {
    pub(super) readings: Vec<Reading>,
    /// The keys that paths end with, for text that is no JSON.
    keys: Vec<String>,
    patterns: Vec<Regex>,
    usual: bool,
    headers: Vec<String>,
    query: Vec<String>,
    binary: Binary,
    /// Fits every JSON without escapes that has something to hide in it. `None`: nobody can say.
    probe: Option<RegexSet>,
    /// Makes names for connections whose id cannot be shown.
    names: RandomState,
}

impl Search {
    pub(super) fn new(rules: Rules) -> Self {
        let readings: Vec<_> = rules.paths.iter().flat_map(super::Path::readings).collect();
        let probe = probe(&readings, &rules);
        let mut keys: Vec<_> =
            readings.iter().filter_map(Reading::last_key).map(str::to_owned).collect();
        keys.sort();
        keys.dedup();
        Self {
            readings,
            keys,
            patterns: rules.patterns.into_iter().map(|pattern| pattern.0).collect(),
            usual: rules.defaults,
            headers: rules.headers,
            query: rules.query,
            binary: rules.binary,
            probe,
            names: RandomState::new(),
        }
    }

    /// Returns what is shown of the body of a message of the connection that is shown as `id`.
    pub(super) fn body(&self, body: Body, id: &ConnectionId) -> Body {
        let whole = || Body::Value(Json::string(HIDDEN));
        match body {
            Body::Absent => Body::Absent,
            Body::Binary(bytes) if self.binary == Binary::Keep || bytes.is_empty() => {
                Body::Binary(bytes)
            }
            Body::Binary(_) => whole(),
            Body::Object(json) | Body::Value(json) if json.as_str().len() > MAX_SEARCHED => whole(),
            Body::Object(json) => match self.json(&json, Some(id.as_str())) {
                None => Body::Object(json),
                Some(text) => Json::parse(&text).map_or_else(whole, Body::Object),
            },
            Body::Value(json) => match self.json(&json, None) {
                None => Body::Value(json),
                Some(text) => Json::parse(&text).map_or_else(whole, Body::Value),
            },
        }
    }

    pub(super) fn json(&self, json: &Json, id: Option<&str>) -> Option<String> {
        let text = json.as_str();
        let clean = self.probe.as_ref().is_some_and(|probe| {
            memchr::memchr(b'\\', text.as_bytes()).is_none() && !probe.is_match(text)
        });
        if clean { None } else { json::rewritten(text, id, self) }
    }

    /// Returns the id that is shown for one that holds something to hide: what is left of it, and a
    /// name that is the same as long as the server runs and tells nothing of the rest.
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

    /// Returns what is shown of a header field, or `None` if that is all of it.
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

    /// Returns what is shown of a path and its query, or `None` if that is all of it.
    pub(super) fn address(&self, address: &str) -> Option<String> {
        address::hidden(address, self)
    }

    /// Returns whether the values of a query parameter are hidden.
    pub(super) fn is_parameter(&self, name: &str) -> bool {
        self.query.iter().any(|query| query == name)
            || self.usual && builtin::is_secret_parameter(name)
    }

    /// Returns whether a value is hidden because of its key, wherever it stands.
    pub(super) fn is_secret(&self, key: &str) -> bool {
        self.usual && builtin::is_secret_key(key)
    }

    /// Returns whether one of the patterns fits a text.
    pub(super) fn by_pattern(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(text))
    }

    /// Returns a text without what is to be hidden of it, or `None` if that is nothing.
    pub(super) fn hidden(&self, text: &str) -> Option<String> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        for pattern in &self.patterns {
            let found = pattern.find_iter(text).take(MAX_MATCHES + 1);
            spans.extend(found.filter(|found| !found.is_empty()).map(|found| found.range()));
        }
        if self.usual {
            builtin::spans(text, &mut spans);
        }
        if self.usual || !self.keys.is_empty() {
            let secret = |key: &str| self.keys.iter().any(|k| k == key) || self.is_secret(key);
            non_json::spans(text, secret, &mut spans);
        }
        if spans.is_empty() {
            return None;
        }
        if spans.len() > MAX_MATCHES {
            return Some(HIDDEN.to_owned());
        }
        spans.sort_unstable_by_key(|span| (span.start, span.end));
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let mut spans = spans.into_iter().peekable();
        while let Some(mut span) = spans.next() {
            // What touches is one: were it two, the seam would tell of it.
            while let Some(next) = spans.next_if(|next| next.start <= span.end) {
                span.end = span.end.max(next.end);
            }
            out.push_str(&text[at..span.start]);
            out.push_str(HIDDEN);
            at = span.end;
        }
        out.push_str(&text[at..]);
        Some(out)
    }
}

/// Makes what is looked for first, if there is a pattern for everything that may be hidden.
fn probe(readings: &[Reading], rules: &Rules) -> Option<RegexSet> {
    let keys = readings.iter().map(|reading| reading.last_key().map(regex::escape));
    let mut all = keys.collect::<Option<Vec<_>>>()?;
    for pattern in &rules.patterns {
        // Where a text begins and ends cannot be told from the JSON around it.
        let inner = pattern.0.as_str().replace("[^", "[");
        if inner.contains(['^', '$']) || inner.contains("\\A") || inner.contains("\\z") {
            return None;
        }
        all.push(pattern.0.as_str().to_owned());
    }
    all.extend(rules.defaults.then(|| builtin::PROBE.to_owned()));
    RegexSetBuilder::new(all).size_limit(PROBE_SIZE).build().ok()
}
