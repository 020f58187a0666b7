//! The texts, numbers and other scalars in a message, each with its place. Pure.
//!
//! A message is JSON, JSON after a prefix (`42["hi"]` of Socket.IO), or several of these, separated as
//! `SignalR` separates them. A string that holds JSON is looked into, as `SockJS` needs it. A message is
//! never rebuilt: replaced scalars are written into its text, and the rest stays as it was.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;

use serde_json::value::RawValue;

use crate::json;

/// The end of each message of `SignalR`.
pub(super) const RECORD_SEPARATOR: char = '\u{1e}';

/// Longer than the prefix of any protocol: Socket.IO has a namespace and a number.
const LONGEST_PREFIX: usize = 256;

/// The key of a prefix.
const PREFIX: &str = "(prefix)";

/// The key of the number at the end of a prefix.
pub(super) const NUMBER: &str = "(number)";

/// Messages of more bytes are not looked into: what carries ids is short.
const MAX_BYTES: usize = 1 << 20;

/// A scalar of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    /// Its path from the top, such as `payload.items.0.id`.
    pub(super) place: String,
    /// The end of its path, from the last name on: `id`, `items.0`; in lists of lists the whole path.
    pub(super) key: String,
    /// Its JSON text; strings without needless escapes.
    pub(super) json: String,
}

/// Returns where the JSON of a text begins, after a prefix.
pub(super) fn prefix(text: &str) -> Option<usize> {
    text.find(['{', '[', '"']).filter(|at| (1..=LONGEST_PREFIX).contains(at))
}

/// Returns the scalars of a text; `None` if it is no JSON.
pub(super) fn scalars(text: &str) -> Option<Vec<Scalar>> {
    let mut all = Vec::new();
    replace(text, &mut |scalar| {
        all.push(scalar.clone());
        None
    })?;
    Some(all)
}

/// Returns a number that is the same for messages of the same form: the same places, with scalars of
/// the same types, and the same prefix.
pub(super) fn form(scalars: &[Scalar]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for scalar in scalars {
        scalar.place.hash(&mut hasher);
        if scalar.key == PREFIX {
            scalar.json.hash(&mut hasher);
        }
        match scalar.json.as_bytes().first() {
            // An optional text may be null.
            Some(b'"' | b'n') => 's',
            Some(b't' | b'f') => 'b',
            _ => 'n',
        }
        .hash(&mut hasher);
    }
    hasher.finish()
}

/// Replaces those scalars of a text for which `new` returns other JSON. Returns `None` if the text is
/// no JSON.
pub(super) fn replace(
    text: &str,
    new: &mut dyn FnMut(&Scalar) -> Option<String>,
) -> Option<String> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut edits = Vec::new();
    let records = text.trim_end_matches(RECORD_SEPARATOR);
    for record in records.split(RECORD_SEPARATOR) {
        let mut walk = Walk { text, place: Vec::new(), edits: &mut edits, new: &mut *new };
        walk.record(record)?;
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (range, json) in edits {
        out.push_str(&text[from..range.start]);
        out.push_str(&json);
        from = range.end;
    }
    out.push_str(&text[from..]);
    Some(out)
}

/// A part of a path.
enum Part {
    Name(String),
    Index(usize),
}

/// Walks over the scalars of a text in their order.
struct Walk<'w, 't> {
    text: &'t str,
    place: Vec<Part>,
    edits: &'w mut Vec<(Range<usize>, String)>,
    new: &'w mut dyn FnMut(&Scalar) -> Option<String>,
}

impl<'t> Walk<'_, 't> {
    fn record(&mut self, record: &'t str) -> Option<()> {
        if let Ok(value) = serde_json::from_str::<&RawValue>(record) {
            return self.value(value.get());
        }
        let at = prefix(record)?;
        let value: &RawValue = serde_json::from_str(&record[at..]).ok()?;
        self.prefix(&record[..at]);
        self.value(value.get())
    }

    /// Looks at a prefix, and at the number at its end: in `421["add",2,3]` the acknowledgement is 1,
    /// after the types of Engine.IO and Socket.IO.
    fn prefix(&mut self, prefix: &'t str) {
        let digits =
            prefix.len() - prefix.trim_end_matches(|char: char| char.is_ascii_digit()).len();
        let start = prefix.len() - digits;
        let start = if start == 0 { 2.min(prefix.len()) } else { start };
        for (name, part) in [(PREFIX, &prefix[..start]), (NUMBER, &prefix[start..])] {
            if !part.is_empty() {
                self.place.push(Part::Name(name.to_owned()));
                self.scalar(part, part.to_owned());
                self.place.pop();
            }
        }
    }

    fn value(&mut self, json: &'t str) -> Option<()> {
        match json.as_bytes().first()? {
            b'{' => {
                let mut members = Vec::new();
                let read = json::object(json, |key, value| members.push((key.as_json(), value)));
                read.ok()?;
                for (key, value) in members {
                    let name = serde_json::from_str(key).unwrap_or_else(|_| key.to_owned());
                    self.within(Part::Name(name), value)?;
                }
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                for (n, item) in items.into_iter().enumerate() {
                    self.within(Part::Index(n), item)?;
                }
            }
            b'"' => self.string(json),
            _ => self.scalar(json, json.to_owned()),
        }
        Some(())
    }

    fn within(&mut self, part: Part, value: &'t RawValue) -> Option<()> {
        self.place.push(part);
        let read = self.value(value.get());
        self.place.pop();
        read
    }

    fn string(&mut self, json: &'t str) {
        let Ok(text) = serde_json::from_str::<String>(json) else {
            return self.scalar(json, json.to_owned());
        };
        if text.starts_with(['{', '[']) {
            let (mut edits, parts) = (Vec::new(), std::mem::take(&mut self.place));
            let mut inner =
                Walk { text: &text, place: parts, edits: &mut edits, new: &mut *self.new };
            let read = serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get);
            let read = read.and_then(|value| inner.value(value));
            self.place = inner.place;
            if read.is_some() {
                if !edits.is_empty() {
                    let mut new = text.clone();
                    for (range, json) in edits.into_iter().rev() {
                        new.replace_range(range, &json);
                    }
                    self.edit(json, string(&new));
                }
                return;
            }
        }
        self.scalar(json, string(&text));
    }

    /// Hands one scalar on, which stands as `source` in the text.
    fn scalar(&mut self, source: &'t str, json: String) {
        let name = self.place.iter().rposition(|part| matches!(part, Part::Name(_)));
        let scalar =
            Scalar { place: path(&self.place), key: path(&self.place[name.unwrap_or(0)..]), json };
        if let Some(new) = (self.new)(&scalar) {
            self.edit(source, new);
        }
    }

    fn edit(&mut self, source: &'t str, new: String) {
        let start = source.as_ptr() as usize - self.text.as_ptr() as usize;
        self.edits.push((start..start + source.len(), new));
    }
}

fn path(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Name(name) => name.clone(),
        Part::Index(n) => n.to_string(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(".")
}

fn string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(text: &str) -> Vec<(String, String)> {
        let all = scalars(text).unwrap_or_default();
        all.into_iter().map(|scalar| (scalar.place, scalar.json)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(place, json)| ((*place).to_owned(), (*json).to_owned())).collect()
    }

    #[test]
    fn scalars_have_their_places() {
        for (text, expected) in [
            (
                r#"{"id":1,"a":{"b":[true,null]}}"#,
                &[("id", "1"), ("a.b.0", "true"), ("a.b.1", "null")][..],
            ),
            (r#"["1","\u0032",{"x":"y"}]"#, &[("0", "\"1\""), ("1", "\"2\""), ("2.x", "\"y\"")]),
            (
                r#"4217["add",2]"#,
                &[("(prefix)", "42"), ("(number)", "17"), ("0", "\"add\""), ("1", "2")],
            ),
            (r#"42["add"]"#, &[("(prefix)", "42"), ("0", "\"add\"")]),
            (
                r#"42/room,9["add"]"#,
                &[("(prefix)", "42/room,"), ("(number)", "9"), ("0", "\"add\"")],
            ),
            (r#"a["{\"id\":7}"]"#, &[("(prefix)", "a"), ("0.id", "7")]),
            ("{\"id\":1}\u{1e}{\"id\":2}\u{1e}", &[("id", "1"), ("id", "2")]),
            ("hello", &[]),
            ("[1", &[]),
        ] {
            assert_eq!(places(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn replaced_scalars_leave_the_rest_as_it_was() {
        let replaced = |text: &str| {
            replace(text, &mut |scalar| (scalar.json == "1").then(|| "\"x\"".to_owned()))
        };
        for (text, expected) in [
            (r#"{ "id" : 1, "price": 1.50 }"#, r#"{ "id" : "x", "price": 1.50 }"#),
            (r#"421["add",1]"#, r#"42"x"["add","x"]"#),
            (r#"["{\"id\": 1, \"n\":10}"]"#, r#"["{\"id\": \"x\", \"n\":10}"]"#),
            ("{\"id\":1}\u{1e}{\"a\":1}\u{1e}", "{\"id\":\"x\"}\u{1e}{\"a\":\"x\"}\u{1e}"),
        ] {
            assert_eq!(replaced(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(replaced("no JSON"), None);
    }

    proptest! {
        #[test]
        fn text_without_replacements_stays_the_same(text: String) {
            let same = replace(&text, &mut |_| None);
            prop_assert!(same.is_none_or(|same| same == text));
        }
    }
}
