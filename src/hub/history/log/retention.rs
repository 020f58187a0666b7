//! What the log keeps: the oldest events are deleted in small transactions.

use std::time::Duration;

use super::Inner;
use crate::database::{Fault, Writer};

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
    /// Returns how many bytes the write-ahead log may take: what is left to the database is 4 % less
    /// than the limit of both.
    pub(super) fn wal_bytes(self) -> u64 {
        const MOST: u64 = 64 << 20;
        self.bytes.map_or(MOST, |bytes| (bytes / 32).clamp(1 << 20, MOST))
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
            let allowed = bytes.saturating_sub(self.wal_bytes());
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
