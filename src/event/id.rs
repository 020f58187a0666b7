//! The ids of events and connections. A value that exists is valid.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The id of an event: milliseconds since 1970 and a sequence number within the millisecond, written
/// `1763670000123-0`. The form of a Redis stream id: one cursor that carries the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// Milliseconds since 1970-01-01 UTC.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

impl EventId {
    /// Returns the id of an event at `now` (milliseconds since 1970) that comes after `self`, also
    /// when the clock has stood still or gone back.
    #[must_use]
    pub fn next(self, now: u64) -> Self {
        if now > self.ms {
            return Self { ms: now, seq: 0 };
        }
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Error of a text that is not an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is two numbers joined by a hyphen, such as 1700000000000-0")]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or(InvalidEventId)
        };
        let (ms, seq) = text.split_once('-').ok_or(InvalidEventId)?;
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

/// The id of a connection: 1 to 128 characters without control characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(Arc<str>);

impl ConnectionId {
    /// The most characters of an id.
    pub const MAX_CHARS: usize = 128;

    /// Makes an id for a connection that named none: four characters of the time `ms`, in milliseconds
    /// since 1970, which change every nine hours, and 35 bits of `random`.
    ///
    /// ```
    /// # use wstap::event::ConnectionId;
    /// assert_eq!(ConnectionId::made(1_763_670_000_123, 5).as_str(), "1kah0000005");
    /// ```
    #[must_use]
    pub fn made(ms: u64, random: u64) -> Self {
        // Crockford's alphabet: digits and letters that are not mixed up, in the order of ASCII.
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let digit = |number: u64, place: u32| {
            let digit = (number >> (5 * place)) % 32;
            char::from(DIGITS[usize::try_from(digit).expect("it is below 32")])
        };
        let time = (5..9).rev().map(|place| digit(ms, place));
        let id: String = time.chain((0..7).rev().map(|place| digit(random, place))).collect();
        Self(id.into())
    }

    /// Makes an id for a connection whose own is in use: this one with a suffix.
    #[must_use]
    pub(crate) fn another(&self, made: &Self) -> Self {
        let keep = self.0.char_indices().nth(Self::MAX_CHARS - made.0.len() - 1);
        let kept = &self.0[..keep.map_or(self.0.len(), |(at, _)| at)];
        Self(format!("{kept}~{}", made.0).into())
    }

    /// Returns the id that no connection has: the empty one.
    #[must_use]
    pub fn nobody() -> Self {
        Self("".into())
    }

    /// Returns whether no connection has this id.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Error of a text that is not a connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connectionId is a string of 1 to 128 characters without control characters")]
pub struct InvalidConnectionId;

impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(text: &str) -> Result<Self, InvalidConnectionId> {
        let fits =
            !text.is_empty() && text.chars().take(Self::MAX_CHARS + 1).count() <= Self::MAX_CHARS;
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidConnectionId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_after_another_is_greater_even_if_the_clock_goes_back() {
        let first = EventId::default().next(1000);
        let second = first.next(1000);
        let third = second.next(900);
        let fourth = third.next(1001);
        assert_eq!(
            [first, second, third, fourth].map(|id| id.to_string()),
            ["1000-0", "1000-1", "1000-2", "1001-0"]
        );
        assert!(first < second && second < third && third < fourth);
    }

    #[test]
    fn what_is_no_event_id_is_refused() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-0",
            "1-+0",
            "1-0 ",
            " 1-0",
            "a-0",
            "1-0-0",
            "99999999999999999999-0",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn a_connection_id_has_1_to_128_characters_and_no_control_characters() {
        let longest = "ä".repeat(128);
        for text in ["a", "1700000000000", "a b/c", "日本\u{2028}", longest.as_str()] {
            assert_eq!(text.parse::<ConnectionId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let too_long = "a".repeat(129);
        for text in ["", "a\n", "\0", "\u{7f}", "\u{85}", too_long.as_str()] {
            assert_eq!(text.parse::<ConnectionId>(), Err(InvalidConnectionId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_event_id_reads_back_as_it_was_written(ms: u64, seq: u64) {
            let id = EventId { ms, seq };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
