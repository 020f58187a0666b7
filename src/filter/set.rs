//! Sets of kinds and directions.

use std::marker::PhantomData;

use crate::event::{Direction, Kind};

/// A set of the few values that a type has, as a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<T> {
    bits: u8,
    of: PhantomData<T>,
}

/// The members of a [`Set`].
pub trait Member: Copy {
    /// Returns the bit that stands for this value.
    fn bit(self) -> u8;
}

impl Member for Kind {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Member for Direction {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl<T: Member> Set<T> {
    /// Returns whether the set has no member.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Returns whether the set has a member.
    #[must_use]
    pub fn contains(self, member: T) -> bool {
        self.bits & member.bit() != 0
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { bits: 0, of: PhantomData }
    }
}

impl<T: Member> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let bits = members.into_iter().fold(0, |bits, member| bits | member.bit());
        Self { bits, of: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_members_that_it_was_made_of() {
        let set: Set<Kind> = [Kind::Close, Kind::Gap, Kind::Close].into_iter().collect();
        let has = Kind::ALL.map(|kind| set.contains(kind));
        assert_eq!(has, [false, false, true, false, false, false, true]);
        assert!(Set::<Direction>::default().is_empty() && !set.is_empty());
    }
}
