//! Text search in the JSON of events: `text=`, as a person types it into a search field.

use memchr::memmem::Finder;

/// A text to search for. ASCII letters match in either case; a quote or a backslash also matches
/// its JSON escape.
#[derive(Debug)]
pub(crate) struct Needle {
    plain: Finder<'static>,
    escaped: Option<Finder<'static>>,
}

/// The JSON is folded to lower case in pieces of this size, so that a large event needs no copy.
const PIECE: usize = 8 << 10;

impl Needle {
    /// The longest text, in bytes.
    pub(super) const MAX_LENGTH: usize = 1024;

    /// Takes a text as it was typed. Returns `None` if it is empty or longer than
    /// [`MAX_LENGTH`](Self::MAX_LENGTH).
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH {
            return None;
        }
        let plain = text.to_ascii_lowercase();
        let escaped = plain.replace('\\', "\\\\").replace('"', "\\\"");
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        Some(Self { escaped: (escaped != plain).then(|| finder(&escaped)), plain: finder(&plain) })
    }

    /// Returns whether the text occurs in the JSON of an event. Takes time linear in the JSON,
    /// whatever the text is.
    pub(super) fn is_in(&self, json: &[u8]) -> bool {
        let longest = self.escaped.as_ref().unwrap_or(&self.plain).needle().len();
        let mut buffer = [0; PIECE];
        let mut rest = json;
        loop {
            let piece = &rest[..rest.len().min(PIECE)];
            let folded = &mut buffer[..piece.len()];
            folded.copy_from_slice(piece);
            folded.make_ascii_lowercase();
            let occurs = |finder: &Finder<'_>| finder.find(folded).is_some();
            if occurs(&self.plain) || self.escaped.as_ref().is_some_and(occurs) {
                return true;
            }
            if piece.len() == rest.len() {
                return false;
            }
            // The end of a piece may hold the beginning of an occurrence.
            rest = &rest[PIECE - (longest - 1)..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_occurs_in_either_case_and_as_json_writes_it() {
        let is_in =
            |text: &str, json: &str| Needle::new(text).expect("a text").is_in(json.as_bytes());
        assert!(is_in("apple", r#"{"message":"Apples"}"#));
        assert!(is_in("SAYS \"hi\"", r#"{"message":"says \"hi\""}"#));
        assert!(is_in("\"message\":", r#"{"message":"x"}"#));
        assert!(is_in("}", "{}"));
        assert!(!is_in("apples", r#"{"message":"apple"}"#));
        assert!(!is_in("longer than all", "{}"));
        assert!(Needle::new("").is_none());
        assert!(Needle::new(&"a".repeat(1024)).is_some());
        assert!(Needle::new(&"a".repeat(1025)).is_none());
    }

    #[test]
    fn occurrences_across_pieces_are_found() {
        let needle = Needle::new("\"Needle\"").expect("a text");
        for at in [0, 1, PIECE - 9, PIECE - 8, PIECE - 1, PIECE, 3 * PIECE - 4, 70_000] {
            let before = "x".repeat(at);
            assert!(needle.is_in(format!("{before}\"needle\"").as_bytes()), "{at}");
            assert!(needle.is_in(format!("{before}\\\"NEEDLE\\\"y").as_bytes()), "{at}");
            assert!(!needle.is_in(format!("{before}\"needl").as_bytes()), "{at}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_found_where_a_naive_search_finds_it(
            text in "[aAb\"\\\\]{1,4}", json in "[aAb\"\\\\é]{0,40}", before in 0_usize..2
        ) {
            let json = "é".repeat(before * (PIECE / 2 - 3)) + &json;
            let folded = json.to_ascii_lowercase();
            let plain = text.to_ascii_lowercase();
            let escaped = plain.replace('\\', "\\\\").replace('"', "\\\"");
            let naive = folded.contains(&plain) || folded.contains(&escaped);
            prop_assert_eq!(Needle::new(&text).expect("a text").is_in(json.as_bytes()), naive);
        }
    }
}
