//! What the log keeps: the oldest events are deleted in small transactions.

use std::time::Duration;

use super::inner::Inner;
use crate::database::{Fault, Writer};

/// Returns the time in milliseconds since 1970.
pub(in crate::hub) type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Bounds of the log. All hold at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeps {
    pub(super) bytes: Option<u64>,
    pub(super) age: Option<Duration>,
    pub(super) events: Option<u64>,
}

/// Events that one transaction deletes at most: it takes some milliseconds.
const PIECE: u64 = 1024;

impl Keeps {
    /// Returns how many bytes of the limit the database leaves to the write-ahead log: a quarter more
    /// than after a checkpoint, and a transaction.
    fn reserve(bytes: u64) -> u64 {
        (bytes / 16).clamp(4 << 20, 80 << 20).min(bytes / 2)
    }

    /// Returns how many bytes the write-ahead log takes before it is emptied.
    pub(super) fn wal_bytes(self) -> u64 {
        self.bytes
            .map_or(64 << 20, |bytes| Self::reserve(bytes) * 3 / 4)
            .saturating_sub(2 << 20)
            .max(256 << 10)
    }

    /// Deletes a piece of what is over a bound, and returns whether there may be more. `now` is in
    /// milliseconds since 1970.
    pub(super) fn apply(self, inner: &Inner, writer: &mut Writer, now: u64) -> Result<bool, Fault> {
        let floor = inner.edge().floor;
        let head = inner.progress.position();
        if head <= floor {
            return Ok(false);
        }
        let mut until = floor;
        if let Some(events) = self.events {
            until = until.max(head.saturating_sub(events));
        }
        if let Some(bytes) = self.bytes {
            let allowed = bytes.saturating_sub(Self::reserve(bytes));
            let used = writer.used_bytes()?;
            if used > allowed {
                // As many events as take this much, by their mean.
                let over = (used - allowed) * (head - floor) / used;
                until = until.max((floor + over.max(1)).min(head));
            }
        }
        if let Some(age) = self.age {
            let oldest = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let piece = (floor + PIECE).min(head);
            until = until.max(writer.last_before(oldest, floor, piece)?);
        }
        let piece = until.min(floor + PIECE);
        if piece <= floor {
            return Ok(false);
        }
        let (evicted, oldest) = writer.delete(piece)?;
        let mut edge = inner.edge();
        edge.floor = piece;
        edge.evicted = evicted.or(edge.evicted);
        edge.oldest = oldest;
        Ok(until > piece || self.age.is_some() && piece == floor + PIECE)
    }
}
