//! Replacements in a text, from several searches that may find the same place.

use std::borrow::Cow;
use std::ops::Range;

use super::rules::HIDDEN;

/// A part of a text, and the text in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: Cow<'static, str>,
}

impl Edit {
    /// Replaces a part by the mark.
    pub(super) fn mark(range: Range<usize>) -> Self {
        Self { range, text: Cow::Borrowed(HIDDEN) }
    }

    pub(super) fn new(range: Range<usize>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { range, text: text.into() }
    }
}

/// Applies edits in any order. Edits that overlap or touch become one: two marks side by side would
/// reveal the seam. Of these the one that covers all others says what is written.
pub(super) fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_unstable_by_key(|edit| (edit.range.start, edit.range.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut edits = edits.into_iter().peekable();
    while let Some(mut edit) = edits.next() {
        while let Some(next) = edits.next_if(|next| next.range.start <= edit.range.end) {
            edit = joined(edit, next);
        }
        out.push_str(&text[at..edit.range.start]);
        out.push_str(&edit.text);
        at = edit.range.end;
    }
    out.push_str(&text[at..]);
    out
}

fn joined(first: Edit, second: Edit) -> Edit {
    let range = first.range.start..first.range.end.max(second.range.end);
    match (first.range == range, second.range == range) {
        // The mark with quotes is the longer one, and right within JSON.
        (true, true) if second.text.len() > first.text.len() => second,
        (true, _) => first,
        (false, true) => second,
        (false, false) => Edit::mark(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_edits_become_one() {
        let text = "abcdefgh";
        let apply = |edits: &[(Range<usize>, &'static str)]| {
            applied(text, edits.iter().map(|(r, t)| Edit::new(r.clone(), *t)).collect())
        };
        assert_eq!(apply(&[]), text);
        assert_eq!(apply(&[(4..5, "Y"), (1..2, "X")]), "aXcdYfgh");
        assert_eq!(apply(&[(1..3, "X"), (1..3, "\"X\"")]), "a\"X\"defgh");
        assert_eq!(apply(&[(1..6, "X"), (2..3, "Y")]), "aXgh");
        assert_eq!(apply(&[(1..3, "X"), (3..4, "Y")]), "a[redacted]efgh");
    }
}
