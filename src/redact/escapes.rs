//! Text in which characters are written as escapes, such as `\u0070assword`, with the place of each
//! character. For text that is not JSON as a whole; backslashes may themselves be escaped.

use std::ops::Range;

/// Text without its escapes.
pub(super) struct Plain {
    pub(super) text: String,
    escapes: Vec<Escape>,
}

/// A character that was an escape.
struct Escape {
    /// Where it is in the plain text.
    plain: Range<usize>,
    /// Where it is in the written text.
    written: Range<usize>,
}

impl Plain {
    /// Reads `\uXXXX` (also pairs of surrogates), `\u{X}`, `\xXX` and `\/`. Returns `None` if the text
    /// has none of them.
    pub(super) fn of(written: &str) -> Option<Self> {
        let bytes = written.as_bytes();
        let mut plain = Self { text: String::new(), escapes: Vec::new() };
        let (mut at, mut copied) = (0, 0);
        while let Some(start) = memchr::memchr(b'\\', &bytes[at..]).map(|n| at + n) {
            let run = bytes[start..].iter().take_while(|byte| **byte == b'\\').count();
            at = start + run;
            let Some((char, end)) = escaped(written, at) else { continue };
            plain.text.push_str(&written[copied..start]);
            let begin = plain.text.len();
            plain.text.push(char);
            plain.escapes.push(Escape { plain: begin..plain.text.len(), written: start..end });
            (at, copied) = (end, end);
        }
        plain.text.push_str(&written[copied..]);
        (!plain.escapes.is_empty()).then_some(plain)
    }

    /// Returns where a part of the plain text is in the written text.
    pub(super) fn written(&self, range: &Range<usize>) -> Range<usize> {
        self.place(range.start)..self.place(range.end)
    }

    fn place(&self, at: usize) -> usize {
        let before = self.escapes.partition_point(|escape| escape.plain.end <= at);
        match (self.escapes.get(before), before.checked_sub(1)) {
            (Some(escape), _) if escape.plain.start == at => escape.written.start,
            (_, Some(last)) => {
                let last = &self.escapes[last];
                last.written.end + (at - last.plain.end)
            }
            (_, None) => at,
        }
    }
}

/// Reads what follows backslashes; returns the character and where it ends.
fn escaped(text: &str, at: usize) -> Option<(char, usize)> {
    let hex = |range: Range<usize>| {
        let digits =
            text.get(range).filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let found = |code: u32, end: usize| Some((char::from_u32(code)?, end));
    match text.as_bytes().get(at)? {
        b'/' => Some(('/', at + 1)),
        b'x' => found(hex(at + 1..at + 3)?, at + 3),
        b'u' if text[at + 1..].starts_with('{') => {
            let length = text[at + 2..].bytes().take(8).position(|byte| byte == b'}')?;
            found(hex(at + 2..at + 2 + length)?, at + 3 + length)
        }
        b'u' => {
            let high = hex(at + 1..at + 5)?;
            if !(0xd800..0xe000).contains(&high) {
                return found(high, at + 5);
            }
            let run = text[at + 5..].bytes().take_while(|byte| *byte == b'\\').count();
            let next = at + 5 + run;
            let low = (run > 0 && text[next..].starts_with('u')).then(|| hex(next + 1..next + 5));
            match (high, low.flatten()) {
                (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                    found(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), next + 5)
                }
                _ => Some((char::REPLACEMENT_CHARACTER, at + 5)),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_read_with_their_places() {
        let written = r"a \u0073ec\\u0072et \x41\/\u{1f600}\ud83d\ude00 \ud800 z";
        let plain = Plain::of(written).expect("it has escapes");
        assert_eq!(plain.text, "a secret A/\u{1f600}\u{1f600} \u{fffd} z");
        assert_eq!(&written[plain.written(&(2..8))], r"\u0073ec\\u0072et");
        assert_eq!(&written[plain.written(&(0..2))], "a ");
        let end = plain.text.len();
        assert_eq!(&written[plain.written(&(end - 2..end))], " z");
        for none in ["", "plain", r"\n \q \u12 \xg1 \u{} \", "\\"] {
            assert!(Plain::of(none).is_none(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "[\\\\ux{}0-9a-fé/]{0,40}") {
            if let Some(plain) = Plain::of(&text) {
                for (at, _) in plain.text.char_indices() {
                    prop_assert!(text.get(plain.written(&(at..plain.text.len()))).is_some());
                }
            }
        }
    }
}
