//! The filter expressions in use, each compiled once. Knows them weakly: one that no listener
//! holds any more is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use crate::filter::{Expression, FilterError};

#[derive(Debug, Default)]
pub(in crate::hub) struct Expressions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_source: HashMap<Box<str>, Weak<Expression>>,
    /// As many as there may be before those that are gone are swept out.
    full: usize,
}

/// Sweeping is not worth it below.
const FEW: usize = 64;

impl Expressions {
    /// Returns the expression of a text: the one that others hold, or a new one.
    pub(in crate::hub) fn get(&self, source: &str) -> Result<Arc<Expression>, FilterError> {
        self.get_or(source, || Expression::parse(source))
    }

    /// Returns the expression that is true where two are.
    pub(in crate::hub) fn both(
        &self,
        one: &Expression,
        other: &Expression,
    ) -> Result<Arc<Expression>, FilterError> {
        let new = one.and(other)?;
        let source = new.source().to_owned();
        self.get_or(&source, || Ok(new))
    }

    fn get_or(
        &self,
        source: &str,
        new: impl FnOnce() -> Result<Expression, FilterError>,
    ) -> Result<Arc<Expression>, FilterError> {
        if let Some(known) = self.lock().by_source.get(source).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(new()?);
        let mut table = self.lock();
        // Somebody else may have been faster.
        if let Some(known) = table.by_source.get(source).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if table.by_source.len() >= table.full.max(FEW) {
            table.by_source.retain(|_, expression| expression.strong_count() > 0);
            table.full = 2 * table.by_source.len();
        }
        table.by_source.insert(source.into(), Arc::downgrade(&new));
        Ok(new)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_expression_as_long_as_somebody_holds_it() {
        let all = Expressions::default();
        let one = all.get("size > 1").expect("right");
        assert!(Arc::ptr_eq(&one, &all.get("size > 1").expect("right")));
        assert!(!Arc::ptr_eq(&one, &all.get("size > 2").expect("right")));
        assert!(all.get("size >").is_err());
        for n in 0..1000 {
            all.get(&format!("size == {n}")).expect("right");
        }
        assert!(all.lock().by_source.len() <= FEW + 1);
        assert!(Arc::ptr_eq(&one, &all.get("size > 1").expect("right")));
    }
}
