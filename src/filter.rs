//! Selection of events by their fields and by an expression.
//!
//! The language is a subset of CEL (`docs/filters.md`) for input that is not
//! trusted. Length, depth and cost of an expression are bounded before it is evaluated, recursion
//! on input is bounded by that depth, and the work of an evaluation has a budget. A condition
//! without an answer is false. Pure: no state, no I/O, no clock.

mod cost;
mod error;
mod eval;
mod expression;
mod lexer;
mod parser;
mod pattern;
mod program;
mod reading;
mod set;
pub mod shorthand;
mod value;
mod variable;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::event::{Channel, ConnectionId, Direction, Event, Kind};
pub use error::FilterError;
pub use expression::{Evaluation, Expression};
pub use reading::Reading;
pub use set::{Member, Set};

/// Selects events by their fields and by an expression. An event matches a field if it has one of the
/// values, and is selected if it matches every field that has values. The default selects all.
///
/// The work for an event does not depend on the number of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of these connections.
    pub connections: HashSet<ConnectionId>,
    /// Only events of these kinds.
    pub kinds: Set<Kind>,
    /// Only messages of these directions.
    pub directions: Set<Direction>,
    /// Only events of these channels.
    pub channels: HashSet<Channel>,
    /// Only events for which this is true. Expressions from
    /// [`Hub::expression`](crate::Hub::expression) are evaluated once for all listeners that share
    /// them.
    pub expression: Option<Arc<Expression>>,
    /// No events of connections that are event streams of another wstap.
    pub without_observers: bool,
}

impl Filter {
    /// Returns whether every event is selected.
    #[must_use]
    pub fn selects_all(&self) -> bool {
        self.connections.is_empty()
            && self.kinds.is_empty()
            && self.directions.is_empty()
            && self.channels.is_empty()
            && self.expression.is_none()
            && !self.without_observers
    }

    /// Returns whether an event is selected. A gap of the tap is selected by every filter.
    #[must_use]
    pub fn selects(&self, event: &Event) -> bool {
        self.selects_fields(event)
            && self.expression.as_ref().is_none_or(|expression| expression.holds(event))
    }

    /// Returns whether the fields of an event match, so that the expression decides.
    #[must_use]
    pub fn selects_fields(&self, event: &Event) -> bool {
        if event.kind() == Kind::Gap {
            return true;
        }
        let is_observer = || event.handshake.as_ref().is_some_and(|it| it.of_wstap);
        !(self.without_observers && is_observer())
            && (self.kinds.is_empty() || self.kinds.contains(event.kind()))
            && (self.directions.is_empty()
                || event.direction().is_some_and(|direction| self.directions.contains(direction)))
            && (self.connections.is_empty() || has(&self.connections, &event.connection))
            && (self.channels.is_empty()
                || event.channel().is_some_and(|channel| has(&self.channels, channel)))
    }
}

/// Returns whether a set has a name. Most filters name one connection or channel, which is compared
/// without hashing.
fn has<T: Eq + Hash>(set: &HashSet<T>, name: &T) -> bool {
    if set.len() == 1 { set.iter().next() == Some(name) } else { set.contains(name) }
}

#[cfg(test)]
mod tests;
