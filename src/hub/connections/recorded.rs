//! The connections of a recording, derived from its events in their order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::event::{
    Channel, Close, ClosedBy, ConnectionId, Direction, EventBody, Flow, Handshake, Presence,
};

/// A connection of a recording.
#[derive(Debug, Clone)]
pub struct RecordedConnection {
    /// Its id. Several connections of a recording may have the same one after another.
    pub id: ConnectionId,
    /// Counts the connections of the recording from 1, in the order of their first events.
    pub number: u64,
    /// Its handshake, if that is recorded.
    pub handshake: Option<Arc<Handshake>>,
    /// URL of its upstream, in a recording of proxy mode.
    pub upstream: Option<Arc<str>>,
    /// Time of its first event, in milliseconds since 1970.
    pub since_ms: u64,
    /// Time of its last event, in milliseconds since 1970.
    pub last_ms: u64,
    /// Messages in each direction.
    pub messages: Flow,
    /// Payload bytes in each direction.
    pub bytes: Flow,
    /// The channels that it was in at the end.
    pub channels: BTreeSet<Channel>,
    /// Its end; `None` if it was open when the recording ended.
    pub end: Option<RecordedEnd>,
}

/// The end of a connection of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEnd {
    /// Its time, in milliseconds since 1970.
    pub ms: u64,
    /// Close code.
    pub code: u16,
    /// Reason.
    pub reason: String,
    /// Whether both sides sent a close frame.
    pub clean: bool,
    /// The side that ended it.
    pub by: ClosedBy,
    /// Status of the answer, if the handshake was refused; 0 if it was not answered.
    pub status: Option<u16>,
}

/// All connections of a recording.
#[derive(Debug, Default)]
pub(in crate::hub) struct RecordedConnections {
    all: Vec<Arc<RecordedConnection>>,
    /// The newest connection of each id.
    newest: HashMap<ConnectionId, usize>,
}

impl RecordedConnections {
    /// Takes the next event of the recording, after redaction.
    pub(in crate::hub) fn follow(
        &mut self,
        ms: u64,
        id: &ConnectionId,
        handshake: Option<&Arc<Handshake>>,
        body: &EventBody,
    ) {
        if id.is_nobody() {
            return;
        }
        match body {
            EventBody::Connect(connect) => {
                let added = self.add(ms, id);
                added.handshake = handshake.cloned();
                added.upstream = connect.answer.as_ref().map(|answer| Arc::clone(&answer.upstream));
            }
            EventBody::Message(message) => {
                let connection = self.open(ms, id);
                let (messages, bytes) = (&mut connection.messages, &mut connection.bytes);
                let (messages, bytes) = match message.direction {
                    Direction::In => (&mut messages.inward, &mut bytes.inward),
                    Direction::Out => (&mut messages.outward, &mut bytes.outward),
                };
                *messages += 1;
                *bytes += message.size;
                connection.last_ms = connection.last_ms.max(ms);
            }
            EventBody::Close(close) => self.close(ms, id, handshake, close),
            EventBody::Join(presence) => self.presence(ms, id, presence, true),
            EventBody::Leave(presence) => self.presence(ms, id, presence, false),
            EventBody::Request(_) | EventBody::Lost(_) => {}
        }
    }

    fn close(
        &mut self,
        ms: u64,
        id: &ConnectionId,
        handshake: Option<&Arc<Handshake>>,
        close: &Close,
    ) {
        let answer = close.refused.as_ref().map(|refused| refused.answer.as_ref());
        let connection = match answer {
            Some(answer) => {
                let added = self.add(ms, id);
                added.handshake = handshake.cloned();
                added.upstream = answer.map(|answer| Arc::clone(&answer.upstream));
                added
            }
            None => self.open(ms, id),
        };
        if connection.messages == Flow::default() && connection.handshake.is_none() {
            // The recording began after the connection.
            let lasted = u64::try_from(close.duration.as_millis()).unwrap_or(0);
            connection.since_ms = connection.since_ms.min(ms.saturating_sub(lasted));
        }
        // A recording may have a part of the messages only; the close counts all of them.
        let all = |counted: Flow, told: Flow| Flow {
            inward: counted.inward.max(told.inward),
            outward: counted.outward.max(told.outward),
        };
        connection.messages = all(connection.messages, close.messages);
        connection.bytes = all(connection.bytes, close.bytes);
        connection.last_ms = connection.last_ms.max(ms);
        connection.end = Some(RecordedEnd {
            ms,
            code: close.code,
            reason: close.reason.clone(),
            clean: close.clean,
            by: close.by,
            status: answer.map(|answer| answer.map_or(0, |answer| answer.status)),
        });
    }

    fn presence(&mut self, ms: u64, id: &ConnectionId, presence: &Presence, joins: bool) {
        let is_open = self.newest(id).is_some_and(|connection| connection.end.is_none());
        if joins {
            self.open(ms, id).channels.insert(presence.channel.clone());
        } else if is_open {
            self.open(ms, id).channels.remove(&presence.channel);
        }
    }

    /// Returns the open connection of an id. If there is none, its handshake is not recorded, and one
    /// is added.
    fn open(&mut self, ms: u64, id: &ConnectionId) -> &mut RecordedConnection {
        match self.newest.get(id) {
            Some(place) if self.all[*place].end.is_none() => Arc::make_mut(&mut self.all[*place]),
            _ => self.add(ms, id),
        }
    }

    fn add(&mut self, ms: u64, id: &ConnectionId) -> &mut RecordedConnection {
        let place = self.all.len();
        self.newest.insert(id.clone(), place);
        self.all.push(Arc::new(RecordedConnection {
            id: id.clone(),
            number: place as u64 + 1,
            handshake: None,
            upstream: None,
            since_ms: ms,
            last_ms: ms,
            messages: Flow::default(),
            bytes: Flow::default(),
            channels: BTreeSet::new(),
            end: None,
        }));
        Arc::make_mut(&mut self.all[place])
    }

    /// Returns up to `limit` connections whose numbers are greater than `after`, in their order.
    pub(in crate::hub) fn after(&self, after: u64, limit: usize) -> Vec<Arc<RecordedConnection>> {
        let first = usize::try_from(after).unwrap_or(usize::MAX);
        self.all.iter().skip(first).take(limit).cloned().collect()
    }

    /// Returns the newest connection of an id.
    pub(in crate::hub) fn newest(&self, id: &ConnectionId) -> Option<&Arc<RecordedConnection>> {
        self.newest.get(id).map(|place| &self.all[*place])
    }

    /// Returns the number of connections.
    pub(in crate::hub) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Recorded, read};

    #[test]
    fn connections_have_counts_and_ends_of_their_events() {
        let lines = [
            r#"{"id":"1000-0","kind":"connect","connectionId":"a","path":"/x","upstream":"ws://u","status":101,"subprotocol":"v2"}"#,
            r#"{"id":"1001-0","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":2,"message":"hi"}"#,
            r#"{"id":"1002-0","kind":"message","connectionId":"unseen","direction":"out","opcode":"text","size":3,"message":"you"}"#,
            r#"{"id":"1003-0","kind":"close","connectionId":"a","close":{"code":1001,"reason":"bye","clean":true,"by":"server"}}"#,
            r#"{"id":"1004-0","kind":"connect","connectionId":"a","path":"/y"}"#,
            r#"{"id":"1005-0","kind":"join","connectionId":"a","channel":"news","user":"ann"}"#,
            r#"{"id":"1006-0","kind":"close","connectionId":"r","close":{"code":1006,"reason":"","clean":false,"by":"server"},"path":"/no","upstream":"ws://u","status":401}"#,
            r#"{"id":"9000-0","kind":"close","connectionId":"late","close":{"code":1000,"reason":"","clean":true,"by":"client"},"duration":7.5,"messages":{"in":4,"out":5},"bytes":{"in":6,"out":7}}"#,
        ];
        let mut connections = RecordedConnections::default();
        for line in lines {
            let Ok(Recorded::Event(event)) = read(line) else { panic!("{line}") };
            let handshake = match &event.body {
                EventBody::Connect(connect) => Some(Arc::new(Handshake::of(connect))),
                _ => None,
            };
            connections.follow(event.id.ms, &event.connection, handshake.as_ref(), &event.body);
        }
        let flow = |inward, outward| Flow { inward, outward };
        let all = connections.after(0, 100);
        let found: Vec<_> = all
            .iter()
            .map(|it| {
                let end = it.end.as_ref().map(|end| (end.code, end.status));
                (it.number, it.id.as_str(), it.since_ms, it.messages, end)
            })
            .collect();
        assert_eq!(
            found,
            [
                (1, "a", 1000, flow(1, 0), Some((1001, None))),
                (2, "unseen", 1002, flow(0, 1), None),
                (3, "a", 1004, flow(0, 0), None),
                (4, "r", 1006, flow(0, 0), Some((1006, Some(401)))),
                (5, "late", 1500, flow(4, 5), Some((1000, None))),
            ]
        );
        assert_eq!(all[0].handshake.as_ref().map(|it| &*it.path), Some("/x"));
        assert_eq!(all[2].channels.len(), 1);
        let newest = connections.newest(&"a".parse().expect("an id"));
        assert_eq!(newest.map(|it| it.number), Some(3));
        assert_eq!(connections.after(3, 1).first().map(|it| it.number), Some(4));
        assert_eq!(connections.len(), 5);
    }
}
