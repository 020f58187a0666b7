//! Settings that can be replaced while the hub runs.
//!
//! Until they are replaced for the first time, a reading is one load of an atomic. After that it is one
//! of [`ArcSwapOption`]: no lock, and no count that is shared. A reading keeps its value until it is
//! dropped.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use arc_swap::{ArcSwapOption, Guard};

use crate::hub::settings::Settings;

/// Settings, and those that have replaced them.
#[derive(Debug)]
pub(in crate::hub) struct Live {
    first: Settings,
    is_replaced: AtomicBool,
    newest: ArcSwapOption<Settings>,
}

/// The settings of a hub at the time of a reading.
#[derive(Debug)]
pub struct CurrentSettings<'a> {
    first: &'a Settings,
    later: Option<Guard<Option<Arc<Settings>>>>,
}

impl Live {
    pub(in crate::hub) fn new(first: Settings) -> Self {
        Self { first, is_replaced: AtomicBool::new(false), newest: ArcSwapOption::empty() }
    }

    pub(in crate::hub) fn get(&self) -> CurrentSettings<'_> {
        let is_replaced = self.is_replaced.load(Acquire);
        let later = is_replaced.then(|| self.newest.load());
        CurrentSettings { first: &self.first, later }
    }

    pub(in crate::hub) fn replace(&self, settings: Settings) {
        self.newest.store(Some(Arc::new(settings)));
        self.is_replaced.store(true, Release);
    }
}

impl Deref for CurrentSettings<'_> {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        self.later.as_ref().and_then(|later| later.as_deref()).unwrap_or(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_keeps_its_value_and_the_next_one_has_the_newest() {
        let of = |max_listeners| Settings { max_listeners, ..Settings::default() };
        let live = Live::new(of(1));
        let first = live.get();
        live.replace(of(2));
        let second = live.get();
        live.replace(of(3));
        let all = [first.max_listeners, second.max_listeners, live.get().max_listeners];
        assert_eq!(all, [1, 2, 3]);
    }
}
