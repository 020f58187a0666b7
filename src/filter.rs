//! Which events a listener wants.
//!
//! Pure: an event in, yes or no out.

use crate::event::{ConnectionId, Direction, Event, Kind};

/// Selects events by their fields. Within a field one of the values has to match, and every field
/// that has values has to; the default selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of these connections.
    pub connections: Vec<ConnectionId>,
    /// Only events of these kinds.
    pub kinds: Vec<Kind>,
    /// Only messages of these directions.
    pub directions: Vec<Direction>,
}

impl Filter {
    /// Returns whether every event is selected, so that nobody needs to look at one.
    #[must_use]
    pub fn selects_all(&self) -> bool {
        self.connections.is_empty() && self.kinds.is_empty() && self.directions.is_empty()
    }

    /// Returns whether an event is selected. What the tap has lost concerns everybody.
    #[must_use]
    pub fn selects(&self, event: &Event) -> bool {
        if event.kind() == Kind::Gap {
            return true;
        }
        (self.kinds.is_empty() || self.kinds.contains(&event.kind()))
            && (self.directions.is_empty()
                || event.direction().is_some_and(|direction| self.directions.contains(&direction)))
            && (self.connections.is_empty() || self.connections.contains(&event.connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Draft, EventId, Message, Opcode, What};

    fn message(connection: &str, direction: Direction) -> Event {
        let body = Body::Binary(Box::default());
        let message = Message::new(direction, Opcode::Binary, 0, body);
        let connection = connection.parse().expect("an id");
        Draft { connection, what: What::Message(message) }.stamp(EventId::default(), 1)
    }

    #[test]
    fn values_of_a_field_are_alternatives_and_fields_are_conditions() {
        let filter = Filter {
            connections: vec!["a".parse().expect("an id"), "b".parse().expect("an id")],
            directions: vec![Direction::In],
            ..Filter::default()
        };
        assert!(filter.selects(&message("a", Direction::In)));
        assert!(filter.selects(&message("b", Direction::In)));
        assert!(!filter.selects(&message("a", Direction::Out)));
        assert!(!filter.selects(&message("c", Direction::In)));
        assert!(!filter.selects_all());
    }

    #[test]
    fn the_default_selects_all() {
        assert!(Filter::default().selects_all());
        assert!(Filter::default().selects(&message("a", Direction::Out)));
    }
}
