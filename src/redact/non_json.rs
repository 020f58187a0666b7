//! Keys in text that is not JSON, not even in part: truncated JSON, JSON with `NaN`, JSON in a JSON
//! string. Finds `"key":` anywhere, and the value that follows.
//!
//! Quotes may not pair up, so that any of them may begin a key. In doubt more is hidden.

use std::ops::Range;

use super::builtin::Secret;
use super::edit::Edit;
use super::rules::HIDDEN;
use super::tokens::{unescaped, value_end};

/// The longest key that is found, as it is written. It bounds the work at each quote.
const MAX_KEY: usize = 256;

/// Appends edits that hide the values of secret keys. A string keeps its quotes; anything else becomes
/// a string with the quotes of its key.
pub(super) fn edits(text: &str, secret: impl Fn(&str) -> Secret, edits: &mut Vec<Edit>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &bytes[at..]).map(|n| at + n) {
        at = quote + 1;
        let window = &bytes[at..bytes.len().min(at + MAX_KEY)];
        let Some(end) = memchr::memchr(b'"', window).map(|n| at + n) else { continue };
        let Some(value) = after_colon(bytes, end + 1) else { continue };
        let key = text[at..end].trim_end_matches('\\');
        let secret = if key.contains('\\') { secret(&once(key)) } else { secret(key) };
        if secret == Secret::No {
            continue;
        }
        let (span, quoted) = value_span(text, value);
        let written = if quoted { value..span.end + 1 } else { span.clone() };
        if span.is_empty() || !secret.hides(text.get(written).unwrap_or(&text[value..])) {
            continue;
        }
        at = span.end.max(at);
        edits.push(if quoted {
            Edit::mark(span)
        } else {
            let escapes = "\\".repeat(end - quote - 1 - key.len());
            Edit::new(span, format!("{escapes}\"{HIDDEN}{escapes}\""))
        });
    }
}

/// Returns a key without its escapes, which may themselves be escaped any number of times.
fn once(key: &str) -> String {
    let mut key = key.to_owned();
    while key.contains("\\\\") {
        key = key.replace("\\\\", "\\");
    }
    unescaped(&key).into_owned()
}

/// Returns the start of the value, if a colon comes next.
fn after_colon(bytes: &[u8], start: usize) -> Option<usize> {
    let blank = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let colon = blank(start);
    (bytes.get(colon) == Some(&b':')).then(|| blank(colon + 1))
}

/// Returns the span of the value that begins at `start`, and whether it is a string; of a string, the
/// span of what its quotes enclose.
fn value_span(text: &str, start: usize) -> (Range<usize>, bool) {
    let bytes = text.as_bytes();
    let escapes = bytes[start..].iter().take_while(|byte| **byte == b'\\').count();
    let first = start + escapes;
    match bytes.get(first) {
        Some(b'"') => (first + 1..string_end(bytes, first + 1, escapes), true),
        Some(b'{' | b'[') => (start..value_end(text, start), false),
        _ => {
            let stops = |byte: &u8| byte.is_ascii_whitespace() || b",}]\"\\".contains(byte);
            let length = bytes[start..].iter().position(stops);
            (start..length.map_or(bytes.len(), |length| start + length), false)
        }
    }
}

/// Returns the end of a string whose quotes follow so many backslashes.
fn string_end(bytes: &[u8], start: usize, escapes: usize) -> usize {
    let mut at = start;
    while let Some(quote) = memchr::memchr(b'"', &bytes[at..]).map(|n| at + n) {
        let before = bytes[at..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if before <= escapes {
            return quote - before;
        }
        at = quote + 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn password(key: &str) -> Secret {
        if key == "password" { Secret::Always } else { Secret::No }
    }

    fn found(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        edits(text, password, &mut all);
        all.into_iter().map(|edit| &text[edit.range]).collect()
    }

    #[test]
    fn values_are_found_in_what_is_almost_json() {
        for (text, value) in [
            (r#"42["login",{"password":"x y"}]"#, "x y"),
            (r#"{"password" : "cut shor"#, "cut shor"),
            (r#"say "hi: {"password":"x"}"#, "x"),
            (r#"{"password":{"a":["}"]}} {"b":1}"#, r#"{"a":["}"]}"#),
            (r#"{"password":12345}"#, "12345"),
            (r#"{"password":"a\"b"}"#, r#"a\"b"#),
            (r#""{\"password\":\"x\\\"y\"}""#, r#"x\\\"y"#),
            (r#"{"pass\u0077ord":"x"}"#, "x"),
            (r#"\"pass\\u0077ord\":\"x\""#, "x"),
        ] {
            assert_eq!(found(text), [value], "{text}");
        }
        for text in [r#""password""#, r#""password": "#, "password: x", r#"{"passwords":1}"#, "\""]
        {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_mark_is_a_string_where_a_value_was() {
        for (text, shown) in [
            (r#"{"password":12345,"x":"#, r#"{"password":"[redacted]","x":"#),
            (r#"{"password":{"a":1},"x":"#, r#"{"password":"[redacted]","x":"#),
            (r#"{\"password\":12345\"#, r#"{\"password\":\"[redacted]\"\"#),
            (r#"{"password":"a\"b"#, r#"{"password":"[redacted]"#),
        ] {
            let mut all = Vec::new();
            edits(text, password, &mut all);
            assert_eq!(super::super::edit::applied(text, all), shown, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_harm(text in "[\"\\\\:{}\\[\\],é a]{0,60}") {
            let mut all = Vec::new();
            edits(&text, |_| Secret::Always, &mut all);
            for edit in all {
                prop_assert!(text.get(edit.range).is_some());
            }
        }
    }
}
