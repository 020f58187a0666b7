//! The budget of an evaluation.
//!
//! It is counted in steps. A step stands for about a nanosecond of a processor of 3 GHz: all work
//! whose amount depends on the event is charged before it is done, by the constants below, which are
//! measured with the dearest inputs (`cargo bench --bench hot -- dearest` compares them with the
//! clock). Charges depend on the expression and the event only, so that every listener gets the same
//! answer.

use std::cell::Cell;

use super::error::{Answer, EvalError};

/// The most steps of one evaluation: about 10 ms.
pub(super) const BUDGET: u64 = 10_000_000;

/// Evaluating a node of the program.
pub(super) const NODE: usize = 40;

/// Passing over an item of a list or an entry of a map.
pub(super) const ENTRY: usize = 8;

/// Making a value of an item, an entry or a name.
pub(super) const VALUE: usize = 40;

/// Bytes that are compared or copied in a step.
const COPIED: usize = 8;

/// Returns the steps of comparing or copying bytes.
pub(super) fn copy(bytes: usize) -> usize {
    bytes / COPIED
}

/// Returns the steps of looking at each byte: counting characters, parsing a number, writing JSON,
/// searching a text.
pub(super) fn scan(bytes: usize) -> usize {
    bytes
}

/// Returns the steps of sorting texts of `bytes` together.
pub(super) fn sort(count: usize, bytes: usize) -> usize {
    let rounds = count.checked_ilog2().unwrap_or(0) as usize + 1;
    (count * ENTRY + copy(bytes)) * rounds
}

/// Counts the steps of one evaluation.
#[derive(Debug, Default)]
pub(super) struct Meter {
    used: Cell<u64>,
}

impl Meter {
    /// Charges steps for the work that comes next.
    ///
    /// # Errors
    ///
    /// If the budget does not cover them. Every later charge fails too, so that the evaluation ends.
    pub(super) fn charge(&self, steps: usize) -> Answer<()> {
        let used = self.used.get().saturating_add(steps as u64);
        if used <= BUDGET {
            self.used.set(used);
            return Ok(());
        }
        // What was charged last is not done.
        self.used.set(BUDGET.saturating_add(1));
        Err(EvalError)
    }

    /// Returns the steps used.
    pub(super) fn used(&self) -> u64 {
        self.used.get().min(BUDGET)
    }

    /// Returns whether a charge has failed.
    pub(super) fn is_exhausted(&self) -> bool {
        self.used.get() > BUDGET
    }
}
