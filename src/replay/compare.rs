//! The equality of messages: JSON by value, text and bytes as they are. Pure.

use std::borrow::Cow;
use std::str::FromStr;

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::scalars::{RECORD_SEPARATOR, prefix};
use super::script::Payload;

/// A path to a value in JSON: `sid`, `data.time`, `items.*.id`, `$.sid`.
///
/// It matches every value whose own path ends with it; a path that begins with `$.` matches from the
/// top only. `*` is any key or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    parts: Vec<String>,
    from_the_top: bool,
}

/// The error of a text that is no [`Path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path is keys joined by dots, such as sid, data.time, items.*.id or $.sid")]
pub struct InvalidPath;

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let (rest, from_the_top) = match text.strip_prefix("$.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let parts: Vec<String> = rest.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return Err(InvalidPath);
        }
        Ok(Self { parts, from_the_top })
    }
}

impl Path {
    fn matches(&self, place: &[String]) -> bool {
        let Some(skip) = place.len().checked_sub(self.parts.len()) else { return false };
        let mut pairs = self.parts.iter().zip(&place[skip..]);
        (skip == 0 || !self.from_the_top) && pairs.all(|(part, key)| part == "*" || part == key)
    }
}

/// A part of texts that is not compared: what a regular expression matches.
#[derive(Debug, Clone)]
pub struct Ignored(Regex);

impl FromStr for Ignored {
    type Err = regex::Error;

    fn from_str(pattern: &str) -> Result<Self, regex::Error> {
        Regex::new(pattern).map(Self)
    }
}

impl Ignored {
    /// Returns the lines of a header, as STOMP has them: `message-id:7`.
    ///
    /// # Panics
    ///
    /// Never: the name is escaped.
    #[must_use]
    pub fn header(name: &str) -> Self {
        let pattern = format!(r"(?mi)^{}[ \t]*:[^\n\x00]*\n?", regex::escape(name));
        Self(Regex::new(&pattern).expect("an escaped name is a pattern"))
    }
}

/// Rules of the comparison.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Values that are not compared.
    pub ignore: Vec<Path>,
    /// Parts of texts that are not compared.
    pub ignored: Vec<Ignored>,
    /// Whether the order of the answers of a connection is ignored.
    pub any_order: bool,
}

impl Rules {
    /// Returns the part of a text that is compared.
    fn compared<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.ignored.iter().fold(Cow::Borrowed(text), |text, ignored| {
            match ignored.0.replace_all(&text, "") {
                Cow::Borrowed(_) => text,
                Cow::Owned(rest) => Cow::Owned(rest),
            }
        })
    }
}

/// The content of a message, without what makes no difference: white space, the order of keys, the
/// notation of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Canonical {
    /// JSON values, each with the text before it, as in `42["hi"]` of Socket.IO.
    Json(Vec<(String, Value)>),
    Text(String),
    Binary(Vec<u8>),
}

impl Canonical {
    pub(super) fn of(payload: &Payload, rules: &Rules) -> Self {
        match payload {
            Payload::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Binary(rules.compared(text).into_owned().into_bytes()),
                Err(_) => Self::Binary(bytes.clone()),
            },
            Payload::Text(text) => match pieces(text) {
                Some(mut pieces) => {
                    for (_, value) in &mut pieces {
                        simplify(value, rules, &mut Vec::new());
                    }
                    Self::Json(pieces)
                }
                None => Self::Text(rules.compared(text).into_owned()),
            },
        }
    }

    /// Describes the first difference between two messages.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let (Self::Json(one), Self::Json(two)) = (self, other) else { return None };
        let mut pairs = one.iter().zip(two);
        pairs.find_map(|((_, one), (_, two))| first(one, two, "$"))
    }
}

fn pieces(text: &str) -> Option<Vec<(String, Value)>> {
    let records = text.trim_end_matches(RECORD_SEPARATOR).split(RECORD_SEPARATOR);
    records.map(prefixed).collect()
}

/// Splits a text into a prefix and a JSON value.
fn prefixed(text: &str) -> Option<(String, Value)> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some((String::new(), value));
    }
    let at = prefix(text)?;
    let value = serde_json::from_str(&text[at..]).ok()?;
    Some((text[..at].to_owned(), value))
}

/// Removes ignored values, and gives equal numbers the same notation.
fn simplify(value: &mut Value, rules: &Rules, place: &mut Vec<String>) {
    let ignored = |place: &[String]| rules.ignore.iter().any(|path| path.matches(place));
    match value {
        Value::Object(members) => {
            let all = std::mem::take(members);
            *members = all
                .into_iter()
                .filter_map(|(key, mut value)| {
                    place.push(key);
                    let kept = !ignored(place);
                    if kept {
                        simplify(&mut value, rules, place);
                    }
                    let key = place.pop().expect("it was pushed above");
                    kept.then_some((key, value))
                })
                .collect::<Map<_, _>>();
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                place.push(n.to_string());
                if ignored(place) {
                    *item = Value::Null;
                } else {
                    simplify(item, rules, place);
                }
                place.pop();
            }
        }
        // A string may hold a frame of another protocol, as in SockJS.
        Value::String(text) if !rules.ignored.is_empty() => {
            *text = rules.compared(text).into_owned();
        }
        Value::Number(number) => {
            // Every whole number below is exact as a double.
            const WHOLE: f64 = 9_007_199_254_740_992.0;
            let whole = number.as_f64().filter(|_| number.is_f64());
            if let Some(whole) = whole.filter(|whole| whole.fract() == 0.0 && whole.abs() < WHOLE) {
                let digits = format!("{whole:.0}");
                *number =
                    Number::from(digits.parse::<i64>().expect("it is whole and not too large"));
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Describes the first difference between two values.
fn first(one: &Value, two: &Value, place: &str) -> Option<String> {
    match (one, two) {
        _ if one == two => None,
        (Value::Object(one), Value::Object(two)) => {
            let missing = one.keys().find(|key| !two.contains_key(*key));
            if let Some(key) = missing {
                return Some(format!("{place}.{key} is missing"));
            }
            if let Some(key) = two.keys().find(|key| !one.contains_key(*key)) {
                return Some(format!("{place}.{key} is new"));
            }
            one.iter().find_map(|(key, value)| first(value, &two[key], &format!("{place}.{key}")))
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            let mut pairs = one.iter().zip(two).enumerate();
            pairs.find_map(|(n, (one, two))| first(one, two, &format!("{place}.{n}")))
        }
        (Value::Array(one), Value::Array(two)) => {
            Some(format!("{place} had {} items and has {}", one.len(), two.len()))
        }
        _ => Some(format!("{place} was {one} and is {two}")),
    }
}

/// Returns the texts and numbers that a path matches, each with its own path.
pub(super) fn values(payload: &Payload, path: &Path) -> Vec<(String, String)> {
    fn walk(
        value: &Value,
        path: &Path,
        place: &mut Vec<String>,
        found: &mut Vec<(String, String)>,
    ) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    place.push(key.clone());
                    walk(value, path, place, found);
                    place.pop();
                }
            }
            Value::Array(items) => {
                for (n, value) in items.iter().enumerate() {
                    place.push(n.to_string());
                    walk(value, path, place, found);
                    place.pop();
                }
            }
            Value::String(text) if path.matches(place) => {
                found.push((place.join("."), text.clone()));
            }
            Value::Number(number) if path.matches(place) => {
                found.push((place.join("."), number.to_string()));
            }
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => {}
        }
    }
    let Payload::Text(text) = payload else { return Vec::new() };
    let mut found = Vec::new();
    for (_, value) in pieces(text).into_iter().flatten() {
        walk(&value, path, &mut Vec::new(), &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meaning(text: &str, ignore: &[&str]) -> Canonical {
        let ignore = ignore.iter().map(|path| path.parse().expect("a path")).collect();
        Canonical::of(&Payload::Text(text.to_owned()), &Rules { ignore, ..Rules::default() })
    }

    #[test]
    fn json_is_compared_by_value() {
        for (one, two) in [
            (r#"{"a":1,"b":[true]}"#, "{ \"b\": [ true ], \"a\": 1.0 }"),
            ("1e2", "100"),
            (r#""\u0041""#, "\"A\""),
            (r#"42["hi",{"n":1}]"#, r#"42["hi", {"n":1.0}]"#),
            (r#"42/chat,7["hi"]"#, r#"42/chat,7[ "hi" ]"#),
            ("{\"a\":1}\u{1e}{\"b\":2}\u{1e}", "{ \"a\":1}\u{1e}{\"b\" :2}\u{1e}"),
        ] {
            assert_eq!(meaning(one, &[]), meaning(two, &[]), "{one}");
        }
        for (one, two) in [
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"42["hi"]"#, r#"43["hi"]"#),
            ("hi", "\"hi\""),
            ("[1,2]", "[2,1]"),
            ("9007199254740993", "9007199254740992"),
            ("2", "3"),
        ] {
            assert_ne!(meaning(one, &[]), meaning(two, &[]), "{one}");
        }
    }

    #[test]
    fn ignored_values_are_those_that_the_path_matches() {
        let open = |sid: &str| format!(r#"0{{"sid":"{sid}","pingInterval":25000}}"#);
        assert_eq!(meaning(&open("a"), &["sid"]), meaning(&open("b"), &["sid"]));
        assert_ne!(meaning(&open("a"), &["side"]), meaning(&open("b"), &["side"]));
        let nested = |id: u32| format!(r#"42["x",{{"items":[{{"id":{id},"n":1}}]}}]"#);
        for path in ["id", "items.*.id", "items.0.id", "1.items.*.id", "$.1.items.0.id"] {
            assert_eq!(meaning(&nested(1), &[path]), meaning(&nested(2), &[path]), "{path}");
        }
        for path in ["$.id", "items.id", "items.1.id", "n", "x.1.items.0.id"] {
            assert_ne!(meaning(&nested(1), &[path]), meaning(&nested(2), &[path]), "{path}");
        }
        assert_eq!(meaning("[1,2]", &["0"]), meaning("[5,2]", &["0"]));
        assert_eq!(meaning(r#"{"a":1,"t":2}"#, &["t"]), meaning(r#"{"a":1}"#, &["t"]));
        for path in ["", ".", "a..b", "$."] {
            assert_eq!(path.parse::<Path>(), Err(InvalidPath), "{path}");
        }
    }

    #[test]
    fn parts_of_texts_are_ignored_by_pattern_and_header() {
        let frame = |id: u32| format!("MESSAGE\nmessage-id:{id}\ndestination:/a\n\nhi\0");
        let ignored = vec![Ignored::header("Message-ID")];
        let rules = Rules { ignored, ..Rules::default() };
        let of = |payload: Payload, rules: &Rules| Canonical::of(&payload, rules);
        let text = |id| Payload::Text(frame(id));
        assert_eq!(of(text(1), &rules), of(text(2), &rules));
        assert_ne!(of(text(1), &Rules::default()), of(text(2), &Rules::default()));
        let bytes = |id| Payload::Binary(frame(id).into_bytes());
        assert_eq!(of(bytes(1), &rules), of(bytes(2), &rules));
        let sockjs = |id| Payload::Text(serde_json::json!([frame(id)]).to_string());
        assert_eq!(of(sockjs(1), &rules), of(sockjs(2), &rules));
        let ignored = vec!["t=[0-9]+".parse().expect("a pattern")];
        let rules = Rules { ignored, ..Rules::default() };
        let tick = |t: u32| Payload::Text(format!("tick t={t}"));
        assert_eq!(of(tick(1), &rules), of(tick(22), &rules));
    }

    #[test]
    fn the_first_difference_is_named() {
        let told = |one, two| meaning(one, &[]).difference(&meaning(two, &[]));
        let is = |words: &str| Some(words.to_owned());
        assert_eq!(
            told(r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,3]}}"#),
            is("$.a.b.1 was 2 and is 3")
        );
        assert_eq!(told(r#"{"a":1}"#, "{}"), is("$.a is missing"));
        assert_eq!(told("{}", r#"{"a":1}"#), is("$.a is new"));
        assert_eq!(told("[1]", "[]"), is("$ had 1 items and has 0"));
        assert_eq!(told("hello", "world"), None);
    }

    #[test]
    fn values_are_found_by_path() {
        let path = "token".parse().expect("a path");
        let said = Payload::Text(r#"43[{"token":"abc","x":{"token":5}}]"#.to_owned());
        let found = values(&said, &path);
        let pair = |place: &str, value: &str| (place.to_owned(), value.to_owned());
        assert_eq!(found, [pair("0.token", "abc"), pair("0.x.token", "5")]);
    }

    proptest! {
        #[test]
        fn every_text_means_the_same_as_itself(text: String) {
            prop_assert_eq!(meaning(&text, &["a"]), meaning(&text, &["a"]));
        }
    }
}
