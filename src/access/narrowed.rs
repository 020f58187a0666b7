//! What a caller may see of connections, channels and listeners: what it would see of them on the
//! stream. A connection is visible if its `connect` event is, a member of a channel if its `join` is.

use std::sync::Arc;

use super::Caller;
use crate::event::{
    Channel, Connect, ConnectionId, Event, EventBody, EventId, Gap, Presence, User,
};
use crate::filter::{Expression, Filter};
use crate::hub::{ConnectionHandle, Hub, RecordedConnection};
use crate::request::Faults;

/// What a caller sees.
#[derive(Debug, Clone)]
pub(crate) struct Narrowed {
    by: Option<Arc<Expression>>,
}

impl Narrowed {
    pub(super) fn new(caller: &Caller) -> Self {
        Self { by: caller.filter().cloned() }
    }

    /// Returns whether the caller sees everything.
    pub(crate) fn sees_all(&self) -> bool {
        self.by.is_none()
    }

    /// Returns the expression that is true of what the caller sees.
    pub(crate) fn expression(&self) -> Option<Arc<Expression>> {
        self.by.clone()
    }

    /// Returns whether the caller sees an event.
    pub(crate) fn event(&self, event: &Event) -> bool {
        self.by.as_ref().is_none_or(|by| by.holds(event))
    }

    /// Returns whether the caller sees a connection.
    pub(crate) fn connection(&self, entry: &ConnectionHandle) -> bool {
        self.by.is_none() || {
            let body = EventBody::Connect(Box::new(entry.connect.clone().into_inner()));
            self.event(&Event {
                id: EventId { ms: entry.since_ms, seq: 0 },
                connection: entry.id.clone(),
                handshake: Some(Arc::clone(&entry.handshake)),
                body,
            })
        }
    }

    /// Returns whether the caller sees a connection of a recording.
    pub(crate) fn recorded(&self, entry: &RecordedConnection) -> bool {
        self.by.is_none() || {
            let handshake = entry.handshake.as_ref();
            let connect = Connect {
                remote: handshake.map_or(([0, 0, 0, 0], 0).into(), |it| it.remote),
                path: handshake.map_or_else(String::new, |it| it.path.to_string()),
                headers: Vec::new(),
                answer: None,
                user: handshake.and_then(|it| it.user.clone()),
            };
            self.event(&Event {
                id: EventId { ms: entry.since_ms, seq: 0 },
                connection: entry.id.clone(),
                handshake: entry.handshake.clone(),
                body: EventBody::Connect(Box::new(connect)),
            })
        }
    }

    /// Returns whether the caller sees a channel, under the name that it is shown with.
    pub(crate) fn channel(&self, shown: &Channel) -> bool {
        self.member(shown, None, None)
    }

    /// Returns whether the caller sees a user or a connection in a channel, under the names that they
    /// are shown with.
    pub(crate) fn member(
        &self,
        channel: &Channel,
        user: Option<&User>,
        entry: Option<&ConnectionHandle>,
    ) -> bool {
        self.by.is_none() || {
            let nobody = || User::shown(String::new());
            let presence =
                Presence { channel: channel.clone(), user: user.cloned().unwrap_or_else(nobody) };
            self.event(&Event {
                id: EventId::default(),
                connection: entry.map_or_else(ConnectionId::nobody, |entry| entry.id.clone()),
                handshake: entry.map(|entry| Arc::clone(&entry.handshake)),
                body: EventBody::Join(Box::new(presence)),
            })
        }
    }

    /// Returns a gap without its number of events, if not all of them may be known of.
    pub(crate) fn gap(&self, gap: Gap) -> Gap {
        if self.sees_all() { gap } else { Gap { missed: None, ..gap } }
    }

    /// Narrows a filter of a request.
    pub(crate) async fn filter(
        &self,
        hub: &Hub,
        mut filter: Filter,
        faults: &mut Faults,
    ) -> Filter {
        let Some(by) = &self.by else { return filter };
        // Compiling takes as long as for a filter of a request.
        let turn = hub.turn().await;
        filter.expression = match filter.expression.take() {
            None => Some(Arc::clone(by)),
            Some(own) => hub
                .both(by, &own)
                .map_err(|_| faults.add("filter: too deep or dear beside that of the credential"))
                .ok()
                .or_else(|| Some(Arc::clone(by))),
        };
        drop(turn);
        filter
    }
}
