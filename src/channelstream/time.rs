//! Times in the form of Channelstream: UTC without a zone, `2026-11-20T22:39:31.602158`. Pure.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::tz::Offset;
use jiff::{Timestamp, Unit};
use serde::{Serialize, Serializer};

/// A time, with an offset if it was given with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    clock: DateTime,
    offset: Option<Offset>,
}

impl Moment {
    /// Returns the time of this call.
    pub(super) fn now() -> Self {
        Self::of_ms(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0))
    }

    /// Creates a time from milliseconds since 1970.
    pub(super) fn of_ms(ms: u64) -> Self {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Self::of(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
    }

    /// Truncates a time to microseconds.
    fn of(time: Timestamp) -> Self {
        Self { clock: Offset::UTC.to_datetime(time), offset: None }.rounded()
    }

    fn rounded(self) -> Self {
        let round = jiff::civil::DateTimeRound::new()
            .smallest(Unit::Microsecond)
            .mode(jiff::RoundMode::Trunc);
        Self { clock: self.clock.round(round).unwrap_or(self.clock), ..self }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The form of Python: six digits of a fraction, or none.
        let format = if self.clock.subsec_nanosecond() == 0 {
            "%Y-%m-%dT%H:%M:%S"
        } else {
            "%Y-%m-%dT%H:%M:%S.%6f"
        };
        write!(f, "{}", self.clock.strftime(format))?;
        let Some(offset) = self.offset else { return Ok(()) };
        let minutes = offset.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Moment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        let pieces = PARSER.parse_pieces(text.trim()).map_err(|_| ())?;
        let clock = pieces.date().to_datetime(pieces.time().unwrap_or_default());
        let offset = pieces.offset().map(|offset| match offset {
            PiecesOffset::Numeric(offset) => offset.offset(),
            // `Z`, or a kind that a later version of the crate adds.
            _ => Offset::UTC,
        });
        Ok(Self { clock, offset }.rounded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_python_writes_them() {
        assert_eq!(Moment::of_ms(1_763_670_000_123).to_string(), "2025-11-20T20:20:00.123000");
        assert_eq!(Moment::of_ms(1_763_670_000_000).to_string(), "2025-11-20T20:20:00");
        for (given, written) in [
            ("2010-01-01T01:01", "2010-01-01T01:01:00"),
            ("2010-01-01", "2010-01-01T00:00:00"),
            ("2010-01-01 01:01:02.5", "2010-01-01T01:01:02.500000"),
            ("2010-01-01T01:01:02.1234567", "2010-01-01T01:01:02.123456"),
            ("2010-01-01T01:01:02Z", "2010-01-01T01:01:02+00:00"),
            ("2010-01-01T01:01:02+02:00", "2010-01-01T01:01:02+02:00"),
            ("2010-01-01T01:01:02-0330", "2010-01-01T01:01:02-03:30"),
        ] {
            let moment = given.parse::<Moment>().map(|moment| moment.to_string());
            assert_eq!(moment.as_deref(), Ok(written), "{given}");
        }
        for odd in ["", "soon", "2010-13-01T00:00:00", "5"] {
            assert!(odd.parse::<Moment>().is_err(), "{odd}");
        }
    }
}
