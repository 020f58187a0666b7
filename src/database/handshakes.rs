//! The handshakes of the connections whose events are read from a database.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::Fault;
use crate::event::{ConnectionId, EventBody, Handshake};
use crate::wire::{self, Recorded};

/// Handshakes that were read last.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// By the position of the `connect` event.
    read: HashMap<u64, Option<Arc<Handshake>>>,
    /// Bytes of them.
    bytes: usize,
}

/// Bytes of handshakes that are held at most: those of some 10,000 connections.
const MAX: usize = 2 << 20;

/// What an entry takes beside its handshake.
const ENTRY: usize = 64;

impl Handshakes {
    /// Returns the handshake of a connection at a position: that of its last `connect` event before.
    /// `None` if that was deleted.
    pub(super) fn at(
        &mut self,
        connection: &Connection,
        id: &ConnectionId,
        position: u64,
    ) -> Result<Option<Arc<Handshake>>, Fault> {
        if id.is_nobody() {
            return Ok(None);
        }
        let sql = "SELECT id FROM events WHERE kind = 'connect' AND connection = ?1 AND id <= ?2 \
                   ORDER BY id DESC LIMIT 1";
        let at: Option<i64> = connection
            .prepare_cached(sql)?
            .query_row((id.as_str(), position.cast_signed()), |row| row.get(0))
            .optional()?;
        let Some(at) = at else { return Ok(None) };
        if let Some(known) = self.read.get(&at.cast_unsigned()) {
            return Ok(known.clone());
        }
        let text: Option<String> = connection
            .prepare_cached("SELECT event FROM events WHERE id = ?1")?
            .query_row([at], |row| row.get(0))
            .optional()?;
        let handshake = match text.map(|text| wire::read(&text)) {
            Some(Ok(Recorded::Event(event))) => match &event.body {
                EventBody::Connect(connect) => Some(Arc::new(Handshake::of(connect))),
                _ => None,
            },
            _ => None,
        };
        let weight = ENTRY + handshake.as_ref().map_or(0, |handshake| handshake.weight());
        if self.bytes + weight > MAX {
            (self.read, self.bytes) = (HashMap::new(), 0);
        }
        self.bytes += weight;
        self.read.insert(at.cast_unsigned(), handshake.clone());
        Ok(handshake)
    }
}
