//! The rules of a redaction.

use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::path::Path;

/// The mark in place of a hidden value.
pub const HIDDEN: &str = "[redacted]";

/// The mark as JSON.
pub(super) const HIDDEN_JSON: &str = "\"[redacted]\"";

/// The rules of a redaction.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Values in messages, and in clients' own objects.
    pub paths: Vec<Path>,
    /// Header fields, in any case.
    pub headers: Vec<String>,
    /// Matches in texts, strings, numbers, header fields, paths and close reasons.
    pub patterns: Vec<Pattern>,
    /// Query parameters.
    pub query: Vec<String>,
    /// Common secrets, by their key or form.
    pub defaults: bool,
    /// The treatment of binary messages, which cannot be searched.
    pub binary: Binary,
}

/// The treatment of a binary message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Binary {
    /// It is hidden whole if there is any rule.
    #[default]
    Hide,
    /// It is shown.
    Keep,
}

/// A regular expression of the crate `regex`: a search takes time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern(pub(super) Regex);

/// Error of a text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// The syntax is wrong.
    #[error("no regular expression ({0}); something like secret-[0-9a-f]+ is right")]
    Syntax(String),
    /// It matches the empty text, and so between any two characters.
    #[error(
        "a pattern that fits the empty text hides nothing; one that needs a character is right"
    )]
    Empty,
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        /// Memory of one compiled pattern: enough for classes of letters, not for `\w{5000}`.
        const SIZE: usize = 1 << 20;
        let compiled = RegexBuilder::new(text).size_limit(SIZE).build().map_err(|fault| {
            // The last line says what is wrong; those before it draw a picture.
            let fault = fault.to_string();
            let last = fault.lines().last().unwrap_or_default();
            InvalidPattern::Syntax(last.trim_start_matches("error: ").to_owned())
        })?;
        if compiled.is_match("") { Err(InvalidPattern::Empty) } else { Ok(Self(compiled)) }
    }
}
