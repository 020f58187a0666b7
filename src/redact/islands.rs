//! JSON within text that is not JSON as a whole: `42["login",{"password":"x"}]` of Socket.IO, a log
//! line with an object, records one after another.

use std::ops::Range;

use super::tokens::value_end;
use crate::json::Json;

/// The bytes that are read in search of JSON for each byte of the text. Text with many brackets that
/// end nowhere would be read once for each of them.
const READINGS: usize = 4;

/// Returns the spans of the outermost objects and arrays, in order.
pub(super) fn islands(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut left = READINGS * text.len();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = memchr::memchr2(b'{', b'[', &bytes[at..]).map(|n| at + n) {
        at = start + 1;
        if !may_begin(bytes, start) {
            continue;
        }
        let end = value_end(text, start);
        let Some(rest) = left.checked_sub(end - start) else { break };
        left = rest;
        if Json::parse(&text[start..end]).is_some() {
            found.push(start..end);
            at = end;
        }
    }
    found
}

/// Returns whether what follows a bracket may be JSON.
pub(super) fn may_begin(bytes: &[u8], start: usize) -> bool {
    let next = bytes[start + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
    match (bytes[start], next) {
        (b'{', Some(b'"' | b'}')) => true,
        (b'[', Some(next)) => {
            matches!(next, b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_is_found_within_text() {
        let found = |text: &'static str| {
            islands(text).into_iter().map(|island| &text[island]).collect::<Vec<_>>()
        };
        assert_eq!(found(r#"42["a",{"b":1}]"#), [r#"["a",{"b":1}]"#]);
        assert_eq!(found("{\"a\":1}\u{1e}{\"b\":2}\u{1e}"), [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(found(r#"say [x] {y} {"a":NaN,"b":[1]} {"#), ["[1]"]);
        assert!(found("plain").is_empty() && found(r#"{"a":1"#).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_harm(text in "[\"\\\\:{}\\[\\],é1 ]{0,60}") {
            for island in islands(&text) {
                prop_assert!(Json::parse(&text[island]).is_some());
            }
        }
    }
}
