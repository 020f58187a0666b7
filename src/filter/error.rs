//! What is wrong with an expression.

/// Why a text is no expression: where, what stands there, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {position}: {wrong}, expected {expected}")]
pub struct FilterError {
    /// The character that is wrong, counted from 1; one more than there are for the end.
    pub position: usize,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub expected: String,
}

impl FilterError {
    /// Makes an error of a byte of `source`.
    pub(super) fn at(
        source: &str,
        byte: usize,
        wrong: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let position = source.char_indices().take_while(|(at, _)| *at < byte).count() + 1;
        Self { position, wrong: wrong.into(), expected: expected.into() }
    }
}
