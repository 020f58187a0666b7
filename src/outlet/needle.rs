//! Text that is looked for in the JSON of events: what a person types into a search field.

/// A text to look for. Letters of ASCII match in either case; a quote or a backslash matches as
/// JSON writes it too.
#[derive(Debug)]
pub(super) struct Needle {
    plain: Vec<u8>,
    escaped: Option<Vec<u8>>,
}

impl Needle {
    /// Takes a text as it was typed; `None` if it is empty.
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").into_bytes();
        let plain = text.as_bytes().to_vec();
        Some(Self { escaped: (escaped != plain).then_some(escaped), plain })
    }

    /// Returns whether it occurs in the JSON of an event.
    pub(super) fn is_in(&self, json: &[u8]) -> bool {
        occurs(&self.plain, json)
            || self.escaped.as_ref().is_some_and(|escaped| occurs(escaped, json))
    }
}

fn occurs(needle: &[u8], hay: &[u8]) -> bool {
    let Some(last) = hay.len().checked_sub(needle.len()) else {
        return false;
    };
    let (lower, upper) = (needle[0].to_ascii_lowercase(), needle[0].to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, &hay[..=last])
        .any(|at| hay[at..at + needle.len()].eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
