//! The handshakes of connections whose events are read: of a recording, and as well of a database or
//! another node.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{ConnectionId, EventBody, Handshake};

/// The handshakes of connections whose events are read in order: of a recording, a database, another
/// node. Nothing but the events themselves is needed.
#[derive(Debug, Default)]
pub(in crate::hub) struct Handshakes {
    of: HashMap<ConnectionId, Arc<Handshake>>,
}

impl Handshakes {
    /// Returns the handshake that belongs to an event: its own, or that of the last `connect` of its
    /// connection.
    pub(in crate::hub) fn follow(
        &mut self,
        connection: &ConnectionId,
        body: &EventBody,
    ) -> Option<Arc<Handshake>> {
        match body {
            EventBody::Connect(connect) => {
                let handshake = Arc::new(Handshake::of(connect));
                self.of.insert(connection.clone(), Arc::clone(&handshake));
                Some(handshake)
            }
            EventBody::Close(close) if close.refused.is_some() => {
                close.refused.as_ref().map(|connect| Arc::new(Handshake::of(connect)))
            }
            EventBody::Lost(_) => None,
            _ => self.of.get(connection).cloned(),
        }
    }
}
