//! Hides the secrets of a text, in JSON or not. JSON within the text stays JSON.

use std::ops::Range;

use super::edit::{Edit, applied};
use super::escapes::Plain;
use super::islands::islands;
use super::rules::{HIDDEN, HIDDEN_JSON};
use super::search::Search;
use super::{builtin, json, non_json};

/// The most matches that are hidden one by one; a text with more of them is hidden whole. Finding
/// each may take time linear in the text, so that this bounds the work.
const MAX_MATCHES: usize = 256;

impl Search {
    /// Returns a text with its secrets hidden, or `None` if it has none. JSON within the text stays
    /// JSON.
    pub(super) fn hidden(&self, text: &str) -> Option<String> {
        let mut matches: Vec<Range<usize>> = Vec::new();
        let mut looks = Vec::new();
        self.spans(text, &mut matches, &mut looks);
        let mut edits: Vec<_> = looks.into_iter().map(|span| in_json(text, span)).collect();
        if self.usual || !self.keys.is_empty() {
            non_json::edits(text, |key| self.named(key), &mut edits);
        }
        let escaped = memchr::memchr(b'\\', text.as_bytes()).is_some();
        if escaped && let Some(plain) = Plain::of(text) {
            let (mut more, mut looks) = (Vec::new(), Vec::new());
            self.spans(&plain.text, &mut more, &mut looks);
            matches.extend(more.iter().map(|span| plain.written(span)));
            edits.extend(looks.iter().map(|span| Edit::mark(plain.written(span))));
        }
        // What is found in strings and numbers of JSON is found in the text around them too, but for
        // escapes and anchors.
        if escaped || self.anchored || !(matches.is_empty() && edits.is_empty()) {
            for island in islands(text) {
                edits.retain_mut(|edit| outside(&mut edit.range, &island));
                for span in &mut matches {
                    whole_escape(text, span, &island);
                }
                let inner = json::edits_of_part(&text[island.clone()], self);
                edits.extend(inner.into_iter().map(|Edit { range, text }| Edit {
                    range: range.start + island.start..range.end + island.start,
                    text,
                }));
            }
        }
        edits.extend(matches.into_iter().map(|span| in_json(text, span)));
        match edits.len() {
            0 => None,
            1..=MAX_MATCHES => Some(applied(text, edits)),
            _ => Some(HIDDEN.to_owned()),
        }
    }

    /// Appends the matches of the patterns, and the spans of what looks like a common secret.
    fn spans(&self, text: &str, matches: &mut Vec<Range<usize>>, looks: &mut Vec<Range<usize>>) {
        for pattern in &self.patterns {
            let found = pattern.find_iter(text).take(MAX_MATCHES + 1);
            matches.extend(found.filter(|found| !found.is_empty()).map(|found| found.range()));
        }
        if self.usual {
            builtin::spans(text, looks);
        }
    }
}

/// Returns whether an edit counts that was found in the text around JSON. One that begins with the
/// JSON hides all of it: `password={"a":1}`.
fn outside(edit: &mut Range<usize>, json: &Range<usize>) -> bool {
    if edit.start <= json.start && edit.end > json.start {
        edit.end = edit.end.max(json.end);
    }
    edit.start <= json.start || edit.start >= json.end
}

/// Keeps a match in a string of JSON from beginning within an escape.
fn whole_escape(text: &str, span: &mut Range<usize>, json: &Range<usize>) {
    if json.contains(&span.start) {
        let before = text[json.start..span.start].bytes().rev();
        span.start -= before.take_while(|byte| *byte == b'\\').count() % 2;
    }
}

/// Makes an edit of a number of truncated JSON a string of JSON: `["a",4111111111111111,"b`.
fn in_json(text: &str, span: Range<usize>) -> Edit {
    let (before, after) = (text[..span.start].trim_end(), text[span.end..].trim_start());
    let number =
        text[span.clone()].bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let json = number
        && before.ends_with([':', ',', '['])
        && after.starts_with([',', ']', '}'])
        && ["[\"", "{\""].iter().any(|start| before.contains(start))
        && before.bytes().filter(|byte| *byte == b'"').count() % 2 == 0;
    if json { Edit::new(span, HIDDEN_JSON) } else { Edit::mark(span) }
}
