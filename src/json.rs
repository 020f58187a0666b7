//! JSON text that is validated once and never rebuilt. The digits of numbers, the order of keys and the
//! escapes in strings stay those of the sender.
//!
//! Every function is safe on any input: none recurses, and text that nests deeper than [`MAX_DEPTH`]
//! does not count as JSON, because parsers of listeners (jq, Python, `serde_json`) would fail on it.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting that counts as JSON: below the 127 of `serde_json` with room for the object
/// around a message, and far below the limits of `jq` (10,000) and Python (1,000).
pub const MAX_DEPTH: usize = 100;

/// One JSON value on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Takes text that is one JSON value; returns `None` for other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The first letter tells most prose from JSON.
        let first = text.trim_start_matches([' ', '\t', '\r', '\n']).bytes().next()?;
        let likely = matches!(first, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n');
        if !likely || too_deep(text) || serde_json::from_str::<IgnoredAny>(text).is_err() {
            return None;
        }
        Some(Self::from_valid(text))
    }

    /// Takes text that a JSON parser has accepted, as it is or as a value of an object; returns `None`
    /// if it nests too deep.
    pub(crate) fn accepted(text: &str) -> Option<Self> {
        (!too_deep(text)).then(|| Self::from_valid(text))
    }

    /// Makes a JSON string of any text.
    #[must_use]
    pub fn string(text: &str) -> Self {
        // Text with nothing to escape is copied whole: ten times as fast for large text.
        let plain = text.as_bytes().chunks(64).all(|chunk| {
            let odd = |byte: &u8| u8::from(*byte < b' ' || *byte == b'"' || *byte == b'\\');
            chunk.iter().map(odd).fold(0, |any, odd| any | odd) == 0
        });
        if plain {
            return Self(["\"", text, "\""].concat().into());
        }
        Self(serde_json::to_string(text).expect("a string is always JSON").into())
    }

    /// Takes text that a JSON parser has accepted. Line breaks, which JSON has between tokens only,
    /// become spaces; white space around the value is dropped.
    fn from_valid(text: &str) -> Self {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
            Self(text.replace(['\r', '\n'], " ").into())
        } else {
            Self(text.into())
        }
    }

    /// Returns the value as JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Error of a text that is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoObject {
    /// It is another JSON value.
    OtherJson(Json),
    /// It is not JSON, or nests too deep.
    NoJson,
}

/// A key of an object, as the sender wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// Returns whether this is `name`, written with or without escapes.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        let inner = &self.0[1..self.0.len() - 1];
        inner == name || inner.contains('\\') && self.unescaped().is_some_and(|key| key == name)
    }

    /// Returns the key as a JSON string.
    #[must_use]
    pub fn as_json(self) -> &'a str {
        self.0
    }

    /// Returns the key as text, if it is text: JSON allows keys such as `"\ud800"`.
    fn unescaped(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }
}

/// Reads a JSON object in one pass: calls `member` for each key and its value, both as they were
/// written. Returns the whole object.
///
/// # Errors
///
/// If the text is another JSON value, or not JSON. `member` may have been called by then.
pub fn object<'a>(
    text: &'a str,
    mut member: impl FnMut(Key<'a>, &'a RawValue),
) -> Result<Json, NoObject> {
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(Json::parse(text).map_or(NoObject::NoJson, NoObject::OtherJson));
    }
    if too_deep(text) {
        return Err(NoObject::NoJson);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let read = parser.deserialize_map(Members(&mut member)).and_then(|()| parser.end());
    match read {
        Ok(()) => Ok(Json::from_valid(text)),
        Err(_) => Err(NoObject::NoJson),
    }
}

/// Returns whether the brackets of a text nest deeper than [`MAX_DEPTH`].
fn too_deep(text: &str) -> bool {
    let opening = memchr::memchr2_iter(b'[', b'{', text.as_bytes());
    // Most messages have too few brackets to be deep.
    if opening.take(MAX_DEPTH + 1).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

struct Members<'f, F>(&'f mut F);

impl<'de, F: FnMut(Key<'de>, &'de RawValue)> Visitor<'de> for Members<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(Key(key.get()), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(text: &str) -> Result<Vec<(String, String)>, NoObject> {
        let mut all = Vec::new();
        object(text, |key, value| {
            all.push((key.as_json().to_owned(), value.get().to_owned()));
        })?;
        Ok(all)
    }

    #[test]
    fn values_come_as_they_were_written() {
        let text = r#"{"a":1.0,"b":12345678901234567890,"c":1e999,"d":"\ud800","\u0061":[ 1 ]}"#;
        let pairs = members(text).expect("an object");
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("\"a\"", "1.0"),
                ("\"b\"", "12345678901234567890"),
                ("\"c\"", "1e999"),
                ("\"d\"", r#""\ud800""#),
                ("\"\\u0061\"", "[ 1 ]")
            ]
        );
    }

    #[test]
    fn a_key_may_be_no_unicode() {
        let mut keys = 0;
        let whole =
            object(r#"{"\ud800":1}"#, |_, _| keys += 1).map(|json| json.as_str().to_owned());
        assert_eq!((whole.as_deref(), keys), (Ok(r#"{"\ud800":1}"#), 1));
    }

    #[test]
    fn other_json_and_no_json_are_told_apart() {
        for text in ["1", "\"{\"", "[{}]", "null", " true "] {
            assert!(matches!(members(text), Err(NoObject::OtherJson(_))), "{text}");
        }
        for text in [
            "",
            "{",
            "{}x",
            "{\"a\"}",
            "{a:1}",
            "hello",
            "{\"a\":1,}",
            "\u{feff}{}",
            "{\"a\":\"\n\"}",
            "{\"a\":01}",
            "NaN",
        ] {
            assert_eq!(members(text), Err(NoObject::NoJson), "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_no_json() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::parse(&nested(MAX_DEPTH)).is_some());
        assert!(Json::parse(&nested(MAX_DEPTH + 1)).is_none());
        assert!(Json::parse(&nested(500_000)).is_none());
        assert_eq!(members(&format!("{{\"a\":{}}}", nested(MAX_DEPTH))), Err(NoObject::NoJson));
        let brackets_in_a_string = format!("\"\\\"{}\"", "[".repeat(1000));
        assert!(Json::parse(&brackets_in_a_string).is_some());
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        let json = Json::parse("\r\n{\"a\":\n\r1}\n").expect("JSON");
        assert_eq!(json.as_str(), "{\"a\":  1}");
    }

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in "[ -~\n\t\\x00é\u{2028}]{0,200}") {
            let written = serde_json::to_string(&text).expect("JSON");
            let own = Json::string(&text);
            prop_assert_eq!(own.as_str(), written);
        }

        #[test]
        fn json_is_always_one_line_and_reads_back(text: String) {
            let json = Json::string(&text);
            prop_assert!(!json.as_str().contains(['\r', '\n']));
            prop_assert_eq!(serde_json::from_str::<String>(json.as_str()).ok(), Some(text));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "[\\[\\]{}\",:0-9a-z\\\\ \n]{0,60}") {
            let valid = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(Json::parse(&text).is_some(), valid || serde_json::from_str::<IgnoredAny>(&text).is_ok());
            let _ = object(&text, |_, _| {});
        }
    }
}
