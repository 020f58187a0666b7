//! JSON text with some of its values hidden; everything else stays as it was written, byte for
//! byte: digits, order of keys, repeated keys, white space.
//!
//! Nothing is parsed into a tree, and nothing is recursive: one pass over the tokens, with a stack
//! as deep as the nesting.

use std::borrow::Cow;

use super::path::{By, Taken};
use super::search::Search;
use super::{HIDDEN, HIDDEN_JSON};

/// Returns JSON text without what the rules hide, or `None` if they hide nothing of it. `id` is for
/// a client's own object: what is shown for a `connectionId` that holds something to hide.
pub(super) fn rewritten(text: &str, id: Option<&str>, search: &Search) -> Option<String> {
    let mut pass = Pass {
        text,
        search,
        id,
        at: 0,
        copied: 0,
        out: String::new(),
        levels: Vec::new(),
        taken: Vec::new(),
        next: search.readings.iter().map(super::path::Reading::begin).collect(),
        secret: false,
        own_id: false,
    };
    pass.run();
    (pass.copied > 0).then(|| pass.out + &text[pass.copied..])
}

struct Pass<'a> {
    text: &'a str,
    search: &'a Search,
    id: Option<&'a str>,
    at: usize,
    /// How far the text has been taken over into `out`.
    copied: usize,
    out: String,
    /// The objects and arrays around this place.
    levels: Vec<Level>,
    /// For each of them, how far each path has been followed.
    taken: Vec<Taken>,
    /// The same for the value that comes next.
    next: Vec<Taken>,
    /// Whether the key before it says that it is a secret.
    secret: bool,
    /// Whether it is the connection's own id.
    own_id: bool,
}

enum Level {
    Object { key: bool },
    Array { index: usize },
}

impl Pass<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' if matches!(self.levels.last(), Some(Level::Object { key: true })) => {
                    self.key();
                }
                b' ' | b'\t' | b'\r' | b'\n' | b':' => self.at += 1,
                b',' => {
                    match self.levels.last_mut() {
                        Some(Level::Object { key }) => *key = true,
                        Some(Level::Array { index }) => *index += 1,
                        None => {}
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.levels.pop();
                    self.taken.truncate(self.levels.len() * self.search.readings.len());
                    self.at += 1;
                }
                byte => self.value(*byte),
            }
        }
    }

    /// Reads a key, and what it says of the value that comes next.
    fn key(&mut self) {
        let end = end_of_string(self.text, self.at);
        let key = unescaped(&self.text[self.at + 1..end - 1]);
        self.follow(By::Key(&key));
        self.secret = self.search.is_secret(&key);
        self.own_id = self.id.is_some() && self.levels.len() == 1 && key == "connectionId";
        if let Some(Level::Object { key }) = self.levels.last_mut() {
            *key = false;
        }
        self.at = end;
    }

    fn value(&mut self, first: u8) {
        if let Some(Level::Array { index }) = self.levels.last() {
            let index = *index;
            self.secret = false;
            self.own_id = false;
            self.follow(By::Element(index));
        }
        // A client's own object is more than a message: it stays one, with its id.
        let own_object = self.id.is_some() && self.levels.is_empty();
        if self.hides() && !own_object && !self.own_id {
            let end = value_end(self.text, self.at);
            return self.replace(end, HIDDEN_JSON);
        }
        match first {
            b'{' | b'[' => {
                let level = if first == b'{' {
                    Level::Object { key: true }
                } else {
                    Level::Array { index: 0 }
                };
                self.levels.push(level);
                self.taken.extend_from_slice(&self.next);
                self.at += 1;
            }
            b'"' => {
                let end = end_of_string(self.text, self.at);
                let inner = unescaped(&self.text[self.at + 1..end - 1]);
                match self.search.hidden(&inner) {
                    Some(_) if self.own_id => self.replace_by_id(end),
                    Some(text) => self.replace(end, &quoted(&text)),
                    None => self.at = end,
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = value_end(self.text, self.at);
                match self.search.hidden(&self.text[self.at..end]) {
                    Some(_) if self.own_id => self.replace_by_id(end),
                    // Half a number is no number.
                    Some(_) => self.replace(end, HIDDEN_JSON),
                    None => self.at = end,
                }
            }
            _ => self.at = value_end(self.text, self.at),
        }
    }

    /// Takes a step on all paths, from the innermost object or array to a value in it.
    fn follow(&mut self, by: By<'_>) {
        let readings = &self.search.readings;
        let here = &self.taken[self.taken.len() - readings.len()..];
        for ((next, here), reading) in self.next.iter_mut().zip(here).zip(readings) {
            *next = reading.follow(*here, by);
        }
    }

    /// Returns whether a path ends at the value that comes next, or its key is one of the usual
    /// ones. A path that ends at a client's own object ends at each of its members.
    fn hides(&self) -> bool {
        let width = self.search.readings.len();
        let in_own_object = self.id.is_some() && self.levels.len() == 1;
        self.secret
            || self.search.readings.iter().enumerate().any(|(n, reading)| {
                reading.arrived(self.next[n])
                    || in_own_object && reading.arrived(self.taken[self.taken.len() - width + n])
            })
    }

    fn replace_by_id(&mut self, end: usize) {
        let id = quoted(self.id.unwrap_or(HIDDEN));
        self.replace(end, &id);
    }

    /// Puts JSON in the place of everything up to `end`.
    fn replace(&mut self, end: usize, json: &str) {
        self.out.push_str(&self.text[self.copied..self.at]);
        self.out.push_str(json);
        self.copied = end;
        self.at = end;
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

fn end_of_string(text: &str, start: usize) -> usize {
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
