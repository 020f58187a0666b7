//! Errors: of an expression that cannot be compiled, and of an evaluation without an answer.

/// Why a text is not an expression: the position, what stands there, and what would be right.
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
    /// Makes an error at a byte of `source`.
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

/// An evaluation without an answer: a field is missing, types do not match, a number overflows, a
/// text is too long, the budget is used up. All of these make a condition false, so that they need
/// no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EvalError;

/// A value, or no answer.
pub(super) type Answer<T> = Result<T, EvalError>;
