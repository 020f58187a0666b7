//! Places, of which a limited number is taken at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// Counts places that are taken. Unlike the permits of a semaphore their maximum may change: it is an
/// argument of each attempt to take one.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: AtomicUsize,
}

/// A place. It is given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
}

impl Places {
    /// Takes a place, unless `max` or more are taken.
    pub(crate) fn take(self: &Arc<Self>, max: usize) -> Option<Place> {
        let more = |taken| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(AcqRel, Relaxed, more).ok()?;
        Some(Place { places: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maximum_may_rise_and_fall_while_places_are_taken() {
        let places = Arc::new(Places::default());
        let first = places.take(1);
        assert!(first.is_some() && places.take(1).is_none());
        let second = places.take(2);
        assert!(second.is_some());
        drop(first);
        assert!(places.take(1).is_none(), "one is still taken");
        drop(second);
        assert!(places.take(1).is_some());
        assert!(places.take(0).is_none());
    }
}
