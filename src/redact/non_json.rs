//! Keys in text that is no JSON as a whole: Socket.IO's `42["login",{"password":"x"}]`, JSON in a
//! string of JSON, JSON cut short. It finds `"key":` wherever that stands, and what follows it.
//!
//! Where quotes do not pair up, nobody can tell what is a key; so each quote may begin one, and in
//! doubt more is hidden.

use std::ops::Range;

use super::json::unescaped;

/// The longest key that is looked at, as it is written. A bound to the work at each quote.
const MAX_KEY: usize = 256;

/// Adds where the values of secret keys stand.
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

/// Returns a key without its escapes, however often they were escaped themselves.
fn once(key: &str) -> String {
    let mut key = key.to_owned();
    while key.contains("\\\\") {
        key = key.replace("\\\\", "\\");
    }
    unescaped(&key).into_owned()
}

/// Returns where the value begins, if a colon comes next.
fn after_colon(bytes: &[u8], start: usize) -> Option<usize> {
    let blank = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let colon = blank(start);
    (bytes.get(colon) == Some(&b':')).then(|| blank(colon + 1))
}

/// Returns what the value that begins at `start` takes: of a string what is between its quotes.
fn value_span(text: &str, start: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let escapes = bytes[start..].iter().take_while(|byte| **byte == b'\\').count();
    let first = start + escapes;
    match bytes.get(first) {
        Some(b'"') => first + 1..string_end(bytes, first + 1, escapes),
        Some(b'{' | b'[') => start..super::json::value_end(text, start),
        _ => {
            let stops = |byte: &u8| byte.is_ascii_whitespace() || b",}]\"".contains(byte);
            let length = bytes[start..].iter().position(stops);
            start..length.map_or(bytes.len(), |length| start + length)
        }
    }
}

/// Returns where a string ends whose quotes stand behind so many backslashes.
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
