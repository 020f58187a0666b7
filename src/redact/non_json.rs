//! Keys in text that is not JSON as a whole: `42["login",{"password":"x"}]` of Socket.IO, JSON in a
//! JSON string, truncated JSON. Finds `"key":` anywhere, and the value that follows.
//!
//! Quotes may not pair up, so that any of them may begin a key. In doubt more is hidden.

use std::ops::Range;

use super::tokens::{unescaped, value_end};

/// The longest key that is found, as it is written. It bounds the work at each quote.
const MAX_KEY: usize = 256;

/// Appends the spans of the values of secret keys.
pub(super) fn spans(text: &str, secret: impl Fn(&str) -> bool, spans: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &bytes[at..]).map(|n| at + n) {
        at = quote + 1;
        let window = &bytes[at..bytes.len().min(at + MAX_KEY)];
        let Some(end) = memchr::memchr(b'"', window).map(|n| at + n) else { continue };
        let Some(value) = after_colon(bytes, end + 1) else { continue };
        let key = text[at..end].trim_end_matches('\\');
        if !secret(key) && !key.contains('\\') || key.contains('\\') && !secret(&once(key)) {
            continue;
        }
        let span = value_span(text, value);
        at = span.end.max(at);
        if !span.is_empty() {
            spans.push(span);
        }
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

/// Returns the span of the value that begins at `start`; of a string, what its quotes enclose.
fn value_span(text: &str, start: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let escapes = bytes[start..].iter().take_while(|byte| **byte == b'\\').count();
    let first = start + escapes;
    match bytes.get(first) {
        Some(b'"') => first + 1..string_end(bytes, first + 1, escapes),
        Some(b'{' | b'[') => start..value_end(text, start),
        _ => {
            let stops = |byte: &u8| byte.is_ascii_whitespace() || b",}]\"".contains(byte);
            let length = bytes[start..].iter().position(stops);
            start..length.map_or(bytes.len(), |length| start + length)
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

    fn found(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        spans(text, |key| key == "password", &mut all);
        all.into_iter().map(|span| &text[span]).collect()
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

    proptest! {
        #[test]
        fn any_text_is_searched_without_harm(text in "[\"\\\\:{}\\[\\],é a]{0,60}") {
            let mut all = Vec::new();
            spans(&text, |_| true, &mut all);
            for span in all {
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
