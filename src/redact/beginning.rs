//! Hides the secrets of text that is the beginning of a longer one. Parts that a rule cannot judge
//! without the rest are hidden.
//!
//! JSON is completed at the cut, so that the rules apply to it as to whole JSON. The token that the
//! cut has split, such as half a string, is hidden if a pattern may match the whole of it. Text that
//! has no JSON at the cut is hidden whole if there are patterns: any of them may match across the cut.

use super::edit::{Edit, applied};
use super::islands::may_begin;
use super::rules::HIDDEN;
use super::search::Search;
use super::tokens::{string_end, value_end};
use super::{json, non_json};
use crate::json::Json;

/// The most brackets that are tried as the begin of JSON that the cut has split, and are not. Each costs
/// a pass over the text.
const TRIES: usize = 4;

/// Completions of JSON behind its last whole token, in front of the brackets that end it. The first
/// that makes JSON of it counts: a value, a member, a value of a key, nothing.
const COMPLETIONS: [&str; 4] = ["\"x\"", "\"x\":\"x\"", ":\"x\"", ""];

/// JSON that the cut has split.
struct Split {
    /// Where it begins.
    start: usize,
    /// The end of its last whole token.
    whole: usize,
    /// The JSON up to there, completed.
    completed: String,
}

impl Search {
    /// Returns the beginning of a text with its secrets hidden, or `None` if it has none.
    pub(super) fn hidden_in_beginning(&self, text: &str) -> Option<String> {
        let everything = || Some(HIDDEN.to_owned());
        if !self.searches() {
            return None;
        }
        let Some(split) = Split::find(text) else {
            if self.matches_text() || self.has_path_without_key() {
                return everything();
            }
            let mut edits = Vec::new();
            non_json::edits(text, |key| self.named(key), &mut edits);
            return (!edits.is_empty()).then(|| applied(text, edits));
        };
        if self.has_path_without_key() && split.start > 0 {
            return everything();
        }
        let shown = self.split_json(text, &split);
        if split.start == 0 {
            return shown;
        }
        // The text before the JSON, with a name in front of it: `password={"a":1`.
        let whole = shown.as_deref().unwrap_or(text);
        self.hidden(whole).or(shown)
    }

    /// Hides the secrets of JSON that the cut has split, and of its last token.
    fn split_json(&self, text: &str, split: &Split) -> Option<String> {
        let Split { start, whole, completed } = split;
        let found = if *start == 0 {
            json::edits(completed, self)
        } else {
            json::edits_of_part(completed, self)
        };
        let mut edits = Vec::new();
        let mut hides_tail = self.matches_text();
        for Edit { range, text: mark } in found {
            let (from, to) = (start + range.start, start + range.end);
            if from >= *whole {
                // It is the completion that is hidden: a path ends there.
                hides_tail = true;
            } else if to > *whole {
                edits.push(Edit::new(from..text.len(), mark));
                hides_tail = false;
                break;
            } else {
                edits.push(Edit::new(from..to, mark));
            }
        }
        let quote = usize::from(text[*whole..].starts_with('"'));
        if hides_tail && whole + quote < text.len() {
            edits.push(Edit::mark(whole + quote..text.len()));
        }
        (!edits.is_empty()).then(|| applied(text, edits))
    }
}

impl Split {
    /// Finds JSON that begins in a text and does not end in it.
    fn find(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let blank = text.len() - text.trim_start().len();
        let (mut at, mut tries) = (blank, TRIES);
        while tries > 0 {
            let start = memchr::memchr2(b'{', b'[', bytes.get(at..)?).map(|n| at + n)?;
            at = start + 1;
            // Nothing of it may have come.
            if !may_begin(bytes, start) && !text[at..].trim_start().is_empty() {
                continue;
            }
            let end = value_end(text, start);
            if end < text.len() || is_whole(&text[start..]) {
                if Json::parse(&text[start..end]).is_some() {
                    at = end;
                } else {
                    tries -= 1;
                }
                continue;
            }
            tries -= 1;
            if let Some((whole, completed)) = complete(&text[start..]) {
                // Space in front of JSON belongs to it.
                let start = if start == blank { 0 } else { start };
                let (whole, completed) = if start == 0 {
                    (whole + blank, format!("{}{completed}", &text[..blank]))
                } else {
                    (whole + start, completed)
                };
                return Some(Self { start, whole, completed });
            }
        }
        None
    }
}

fn is_whole(text: &str) -> bool {
    text.ends_with(['}', ']']) && Json::parse(text).is_some()
}

/// Returns the end of the last whole token of JSON that is cut, and the JSON up to there, completed.
fn complete(text: &str) -> Option<(usize, String)> {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (0, Vec::new());
    let whole = loop {
        let Some(byte) = bytes.get(at) else {
            // A number or a word may go on.
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            break at - bytes.iter().rev().take_while(|byte| word(byte)).count();
        };
        match byte {
            b'"' => match string_end(bytes, at) {
                Some(end) => at = end,
                None => break at,
            },
            b'{' | b'[' => {
                open.push(if *byte == b'{' { '}' } else { ']' });
                at += 1;
            }
            b'}' | b']' => {
                open.pop()?;
                at += 1;
            }
            _ => at += 1,
        }
    };
    let end: String = open.iter().rev().collect();
    COMPLETIONS.into_iter().find_map(|completion| {
        let completed = format!("{}{completion}{end}", &text[..whole]);
        Json::parse(&completed).is_some().then_some((whole, completed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::rules::Rules;
    use proptest::prelude::*;

    fn search(paths: &[&str], patterns: &[&str], defaults: bool) -> Search {
        Search::new(Rules {
            paths: paths.iter().map(|path| path.parse().expect("a path")).collect(),
            patterns: patterns.iter().map(|text| text.parse().expect("a pattern")).collect(),
            defaults,
            ..Rules::default()
        })
    }

    fn shown(search: &Search, text: &str) -> String {
        search.hidden_in_beginning(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn path_is_followed_up_to_the_cut() {
        let search = search(&["message.login.pin", "users[*].token"], &[], false);
        for (text, right) in [
            (r#"{"login":{"pin":"12"},"x":"hel"#, r#"{"login":{"pin":"[redacted]"},"x":"hel"#),
            (r#"{"login":{"pin":"12"#, r#"{"login":{"pin":"[redacted]"#),
            (r#"{"login":{"pin":12"#, r#"{"login":{"pin":[redacted]"#),
            (r#"{"login":{"pin":{"a":["b"#, r#"{"login":{"pin":"[redacted]""#),
            (r#" {"login":{"pi"#, r#" {"login":{"pi"#),
            (r#"{"pin":"12","x":"#, r#"{"pin":"12","x":"#),
            (
                r#"{"users":[{"token":"a"},{"token":"b\"#,
                r#"{"users":[{"token":"[redacted]"},{"token":"[redacted]"#,
            ),
            (r#"42["login",{"pin":"12"},"hel"#, r#"42["login",{"pin":"[redacted]"},"hel"#),
            (r#"42["login",{"pin":"12"#, r#"42["login",{"pin":"[redacted]"#),
            ("no JSON at all", "no JSON at all"),
            (r#"{"pin":12, NaN, "a"#, r#"{"pin":"[redacted]", NaN, "a"#),
        ] {
            assert_eq!(shown(&search, text), right, "{text}");
        }
    }

    #[test]
    fn token_that_the_cut_has_split_is_hidden_where_a_pattern_may_match_it() {
        let pattern = search(&[], &["sk-[0-9a-f]{32}"], false);
        for (text, right) in [
            (r#"{"a":"sk-01234567"#, r#"{"a":"[redacted]"#),
            (r#"{"a":["b",41111111"#, r#"{"a":["b",[redacted]"#),
            (r#"{"a":"b","#, r#"{"a":"b","#),
            (
                r#"{"a":"sk-0123456789abcdef0123456789abcdef","b"#,
                r#"{"a":"[redacted]","[redacted]"#,
            ),
            (r#"42["a","sk-0123"#, r#"42["a","[redacted]"#),
            ("[1]\n[2]\n[3]\n[4]\n[5]\n[6,\"sk-0123", "[1]\n[2]\n[3]\n[4]\n[5]\n[6,\"[redacted]"),
            ("the key is sk-0123", "[redacted]"),
            ("{", "{"),
        ] {
            assert_eq!(shown(&pattern, text), right, "{text}");
        }
        let defaults = search(&[], &[], true);
        let text = r#"{"password":"hunter2","card":"4111 1111"#;
        assert_eq!(shown(&defaults, text), r#"{"password":"[redacted]","card":"[redacted]"#);
        assert_eq!(shown(&search(&["*"], &[], false), "plain text"), "[redacted]");
    }

    proptest! {
        /// The text is that of a login, cut anywhere; no part of the secret of four or more bytes is
        /// left, whatever the cut.
        #[test]
        fn no_secret_survives_a_cut(at in 0_usize..400, before in "[a-z\\\\\"]{0,20}", spaced: bool) {
            const SECRET: &str = "sk-0123456789abcdef0123456789abcdef";
            let value = serde_json::json!({
                "note": before, "auth": {"password": SECRET, "list": [SECRET, 1.5, null]},
                "text": format!("{before} {SECRET}"), "n": [[], {}, true, {"pin": 123_456_789}],
            });
            let whole = if spaced { format!("{value:#}") } else { value.to_string() };
            let cut = whole.floor_char_boundary(at.min(whole.len().saturating_sub(1)));
            let search = search(&["**.pin"], &["sk-[0-9a-f]{32}"], false);
            let shown = shown(&search, &whole[..cut]);
            prop_assert!(!shown.contains("0123"), "{shown}");
            prop_assert!(!shown.contains("1234"), "{shown}");
        }

        #[test]
        fn any_text_is_searched_without_harm(text in "[\"\\\\:{}\\[\\],é1 tx-]{0,60}") {
            for search in [search(&["a"], &[], false), search(&["x"], &["1"], true)] {
                let _ = search.hidden_in_beginning(&text);
            }
        }
    }
}
