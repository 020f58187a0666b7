//! The queue of a single owner.

use std::collections::VecDeque;

/// An empty queue with a larger allocation than this gives the allocation back.
const IDLE_CAPACITY: usize = 64;

/// The most that waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Number of items.
    pub items: usize,
    /// Sum of the weights of the items.
    pub bytes: usize,
}

/// An item with a size.
pub trait Weigh {
    /// Returns roughly how many bytes the item keeps allocated while it waits.
    fn weight(&self) -> usize;
}

/// Items that wait, the oldest first, and the sum of their weights.
#[derive(Debug)]
pub struct Backlog<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    bound: Bound,
}

impl<T: Weigh> Backlog<T> {
    /// Creates an empty queue.
    #[must_use]
    pub const fn new(bound: Bound) -> Self {
        Self { items: VecDeque::new(), bytes: 0, bound }
    }

    /// Returns the bound.
    #[must_use]
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether no item waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the sum of the weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether another item may be added.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.items.len() < self.bound.items && self.bytes < self.bound.bytes
    }

    /// Adds the newest item, whether there is room or not.
    pub fn push(&mut self, item: T) {
        self.push_weighed(item.weight(), item);
    }

    pub(super) fn push_weighed(&mut self, weight: usize, item: T) {
        self.bytes += weight;
        self.items.push_back((weight, item));
    }

    /// Adds an item in front of all others, whether there is room or not.
    pub fn push_front(&mut self, item: T) {
        let weight = item.weight();
        self.bytes += weight;
        self.items.push_front((weight, item));
    }

    /// Removes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let (weight, item) = self.items.pop_front()?;
        self.bytes -= weight;
        if self.items.is_empty() && self.items.capacity() > IDLE_CAPACITY {
            self.items = VecDeque::new();
        }
        Some(item)
    }

    /// Removes the oldest items until the rest is within the bound, and returns how many were
    /// removed. The newest item stays, however large it is.
    pub fn trim(&mut self) -> u64 {
        let mut removed = 0;
        while let Some((oldest, _)) = self.items.front() {
            // An item is superfluous if the others reach the bound without it.
            let crosses = self.bytes - oldest >= self.bound.bytes;
            if self.items.len() <= self.bound.items && !crosses {
                break;
            }
            self.pop();
            removed += 1;
        }
        removed
    }

    /// Changes the items, and removes those for which `keep` returns `false`. Weights are taken
    /// anew.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let bytes = &mut self.bytes;
        self.items.retain_mut(|(weight, item)| {
            *bytes -= *weight;
            let stays = keep(item);
            if stays {
                *weight = item.weight();
                *bytes += *weight;
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    const BOUND: Bound = Bound { items: 4, bytes: 100 };

    proptest! {
        #[test]
        fn bytes_are_the_sum_of_the_weights(steps in proptest::collection::vec(0..200_usize, 0..50)) {
            let mut backlog = Backlog::new(BOUND);
            for step in steps {
                match step % 4 {
                    0 => { backlog.pop(); }
                    1 => backlog.push_front(step),
                    2 => backlog.retain_mut(|item| { *item /= 2; *item % 3 != 0 }),
                    _ => {
                        backlog.push(step);
                        backlog.trim();
                        prop_assert!(backlog.len() <= BOUND.items);
                        let oldest = backlog.items.front().map_or(0, |(weight, _)| *weight);
                        prop_assert!(backlog.bytes() - oldest < BOUND.bytes);
                    }
                }
                let sum: usize = backlog.items.iter().map(|(_, item)| item).sum();
                prop_assert_eq!(backlog.bytes(), sum);
            }
        }
    }
}
