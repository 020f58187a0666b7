//! The tokens of JSON text: where strings and values end, and what escapes stand for. Everything here
//! reads any text without harm, JSON or not.

use std::borrow::Cow;

/// Returns the end of the string that begins at `start`; that of the text, if the string does not end.
pub(super) fn end_of_string(text: &str, start: usize) -> usize {
    string_end(text.as_bytes(), start).unwrap_or(text.len())
}

/// Returns where the string that begins at `start` has ended: behind its closing quote.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns where the value that begins at `start` has ended.
pub(super) fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Returns what stands between the quotes of a JSON string as text. Half a surrogate pair, which
/// is no text, becomes U+FFFD.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let mut out = String::with_capacity(raw.len());
    let (mut rest, mut at) = (raw, first);
    loop {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let (char, length) = match escape {
            b'n' => ('\n', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'u' => code_point(&rest[at..]),
            b'"' | b'/' | b'\\' => (char::from(escape), 2),
            // No JSON: the backslash is taken for itself.
            _ => ('\\', 1),
        };
        out.push(char);
        rest = rest.get(at + length..).unwrap_or_default();
        match memchr::memchr(b'\\', rest.as_bytes()) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads `\u0077`, or a surrogate pair of two of them; returns how long that is.
fn code_point(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..).filter(|rest| rest.starts_with("\\u"))?.get(2..6)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(high) = unit(0) else { return ('\\', 1) };
    if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (high, unit(6)) {
        let pair = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_value_is_found() {
        for (text, end) in [
            ("1,2", 1),
            ("{\"a}\":[1,{}]} ,", 13),
            ("\"a\\\"b\",", 6),
            ("[[\"]\"],1]]", 9),
            ("true}", 4),
        ] {
            assert_eq!(value_end(text, 0), end, "{text}");
        }
    }

    #[test]
    fn escapes_are_read_as_json_reads_them() {
        assert_eq!(unescaped(r"pass\u0077ord\/\n"), "password/\n");
        assert_eq!(unescaped(r"\ud83d\ude00 \ud800 \udc00x"), "\u{1f600} \u{fffd} \u{fffd}x");
        for odd in ["\\", "a\\u12", "\\x", "\\u00é0", "\\u+123"] {
            let _ = unescaped(odd);
        }
    }

    proptest! {
        #[test]
        fn any_string_is_unescaped_as_serde_json_does(text: String) {
            let json = serde_json::to_string(&text).expect("JSON");
            prop_assert_eq!(unescaped(&json[1..json.len() - 1]), text);
        }

        #[test]
        fn any_escapes_are_read_without_harm(text in "[\\\\\"ud0189abfnrté ]{0,40}") {
            let _ = unescaped(&text);
            let _ = value_end(&text, 0);
        }
    }
}
