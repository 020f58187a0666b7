//! The patterns of `matches`: RE2 syntax, as CEL has it, by the crate `regex`, which takes time
//! linear in the text.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

/// The most memory of a compiled pattern. It bounds the time too: to compile it (0.3 ms measured)
/// and to match it (1.5 µs a byte measured with the worst patterns that fit, 1 ns with usual ones).
const SIZE: usize = 32 << 10;

/// Memory of its cache, for each thread that matches at one time.
const CACHE: usize = 64 << 10;

/// Nesting of groups.
const NESTING: u32 = 16;

/// The longest text that is matched; a longer one has no answer. With [`SIZE`] it bounds the time
/// of one match to 0.1 s in the worst case, and to 0.1 ms in the usual.
pub(super) const MAX_TEXT: usize = 64 << 10;

/// Compiles a pattern, or says what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&ascii_classes(pattern))
        .size_limit(SIZE)
        .dfa_size_limit(CACHE)
        .nest_limit(NESTING)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large once compiled".to_owned(),
        other => {
            // The last line says what is wrong; those before draw a picture.
            let words = other.to_string();
            let last = words.lines().last().unwrap_or_default();
            format!("the pattern cannot be read: {}", last.trim_start_matches("error: "))
        }
    })
}

/// Makes `\w`, `\d` and `\s` those of RE2, which are ASCII: small, and what CEL says.
fn ascii_classes(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains('\\') {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 32);
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            // Classes may stand in classes.
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
            Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
            Some('b') => out.push_str("(?-u:\\b)"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_re2() {
        for (pattern, text, matched) in [
            (r"^\w+$", "abc_1", true),
            (r"^\w+$", "ä", false),
            (r"^\W$", "ä", true),
            (r"^[\w.]+@\d\d$", "a.b@12", true),
            (r"^[^\d]+$", "ab", true),
            (r"^[^\d]+$", "a1", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^\\w$", r"\w", true),
            (r"^.$", "ä", true),
            ("(?i)HELLO", "hello", true),
            (r"^\S+\s\D$", "ab c", true),
        ] {
            assert_eq!(
                compile(pattern).map(|regex| regex.is_match(text)),
                Ok(matched),
                "{pattern}"
            );
        }
    }

    #[test]
    fn patterns_that_blow_up_are_refused() {
        for pattern in [
            "(((a{10}){10}){10}){10}",
            "a{4294967295}",
            "(",
            "[z-a]",
            &"(".repeat(500),
            &format!("{}{}", "(".repeat(100), ")".repeat(100)),
            "(?=a)",
            r"\",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
