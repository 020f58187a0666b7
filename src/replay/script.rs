//! The messages of one recorded connection, and their times. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::event::{
    Close, ClosedBy, Connect, ConnectionId, Direction, Event, EventBody, Message, Opcode, Transport,
};
use crate::wire::{self, payload};

/// A recorded connection.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name in the recording.
    pub connection: ConnectionId,
    /// Path and query of its handshake.
    pub path: String,
    /// Known headers of its handshake, except those that wstap adds.
    pub headers: Vec<(&'static str, String)>,
    /// The server of the recording, such as `ws://localhost:9000`, if it is known.
    pub upstream: Option<String>,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// Time from the beginning of the recording to the handshake.
    pub start: Duration,
    /// Its messages.
    pub steps: Vec<Step>,
    /// Its end; `None` if it was still open.
    pub end: Option<End>,
    /// Status of the response, if the server refused the handshake.
    pub refused: Option<u16>,
    /// Messages without content in the recording, or with its beginning only, which are not in the
    /// steps.
    pub left_out: usize,
}

/// A message of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Time from the beginning of the connection.
    pub at: Duration,
    /// Direction.
    pub direction: Direction,
    /// Content.
    pub payload: Payload,
    /// Whether wstap sent it, and not the client or the server.
    pub synthetic: bool,
}

/// The payload of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Time from the beginning of the connection.
    pub at: Duration,
    /// Close code.
    pub code: u16,
    /// The side that closed.
    pub by: ClosedBy,
}

/// Builds scripts from events.
#[derive(Debug, Default)]
pub struct Scripts {
    all: Vec<(u64, Script)>,
    open: HashMap<ConnectionId, usize>,
    first_ms: Option<u64>,
    event_streams: usize,
}

impl Scripts {
    /// Takes the next event of a recording. Connections without handshake are left out: they cannot
    /// be played.
    pub fn take(&mut self, event: &Event) {
        let ms = event.id.ms;
        let first = *self.first_ms.get_or_insert(ms);
        match &event.body {
            EventBody::Connect(connect) if connect.transport() == Transport::Sse => {
                self.open.remove(&event.connection);
                self.event_streams += 1;
            }
            EventBody::Connect(connect) => {
                let script = Script::new(&event.connection, connect, ms.saturating_sub(first));
                self.open.insert(event.connection.clone(), self.all.len());
                self.all.push((ms, script));
            }
            EventBody::Message(message) => {
                if let Some((began, script)) = self.script(&event.connection) {
                    script.message(message, Duration::from_millis(ms.saturating_sub(*began)));
                }
            }
            EventBody::Close(close) => {
                if let Some(refused) = &close.refused {
                    let mut script =
                        Script::new(&event.connection, refused, ms.saturating_sub(first));
                    script.refused = refused.answer.as_ref().map(|answer| answer.status);
                    script.steps.clear();
                    self.all.push((ms, script));
                } else if let Some((began, script)) = self.script(&event.connection) {
                    script.close(close, Duration::from_millis(ms.saturating_sub(*began)));
                    self.open.remove(&event.connection);
                }
            }
            EventBody::Join(_)
            | EventBody::Leave(_)
            | EventBody::Request(_)
            | EventBody::Lost(_) => {}
        }
    }

    /// Returns the number of event streams, which are left out: their requests are not recorded whole.
    #[must_use]
    pub fn event_streams(&self) -> usize {
        self.event_streams
    }

    /// Returns the scripts in the order of their handshakes.
    #[must_use]
    pub fn finish(self) -> Vec<Script> {
        self.all.into_iter().map(|(_, script)| script).collect()
    }

    fn script(&mut self, connection: &ConnectionId) -> Option<&mut (u64, Script)> {
        let place = *self.open.get(connection)?;
        self.all.get_mut(place)
    }
}

impl Script {
    fn new(connection: &ConnectionId, connect: &Connect, start_ms: u64) -> Self {
        let own = ["x-forwarded-for", "traceparent"];
        let headers = connect.headers.iter().filter(|(name, _)| !own.contains(name));
        let subprotocol = connect.answer.as_ref().and_then(|answer| answer.subprotocol.clone());
        // In hub mode the first message of a client is its connection id, which is no event.
        let sends_id = connect.answer.is_none() && !connect.path.contains("connectionId=");
        let first = sends_id.then(|| Step {
            at: Duration::ZERO,
            direction: Direction::In,
            payload: Payload::Text(
                serde_json::json!({"connectionId": connection.as_str()}).to_string(),
            ),
            synthetic: false,
        });
        Self {
            connection: connection.clone(),
            path: connect.path.clone(),
            headers: headers.cloned().collect(),
            upstream: connect.answer.as_ref().map(|answer| answer.upstream.to_string()),
            subprotocol,
            start: Duration::from_millis(start_ms),
            steps: first.into_iter().collect(),
            end: None,
            refused: None,
            left_out: 0,
        }
    }

    fn message(&mut self, message: &Message, at: Duration) {
        // The WebSocket library answers pings.
        if !matches!(message.opcode, Some(Opcode::Text | Opcode::Binary)) {
            return;
        }
        // A beginning is neither sent nor compared.
        let payload = match payload(message).filter(|_| !message.is_truncated()) {
            Some(wire::Payload::Text(text)) => Payload::Text(text.into_owned()),
            Some(wire::Payload::Binary(bytes)) => Payload::Binary(bytes.to_vec()),
            None => {
                self.left_out += 1;
                return;
            }
        };
        let (direction, synthetic) = (message.direction, message.synthetic);
        self.steps.push(Step { at, direction, payload, synthetic });
    }

    fn close(&mut self, close: &Close, at: Duration) {
        self.end = Some(End { at, code: close.code, by: close.by });
    }

    /// Returns the messages of the server, without those of wstap.
    pub fn answers(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.is_answer())
    }

    /// Returns the time from the beginning of the recording to the end of this connection.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let last = self.steps.last().map_or(Duration::ZERO, |step| step.at);
        self.start + self.end.as_ref().map_or(last, |end| end.at.max(last))
    }

    /// Returns the number of messages of the client.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.steps.iter().filter(|step| step.direction == Direction::In).count()
    }
}

impl Step {
    /// Returns whether the client sent it.
    #[must_use]
    pub fn is_question(&self) -> bool {
        self.direction == Direction::In && !self.synthetic
    }

    /// Returns whether the server sent it.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.direction == Direction::Out && !self.synthetic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Recorded, read};

    #[test]
    fn a_connection_becomes_a_script() {
        let lines = [
            r#"{"id":"1000-0","kind":"connect","connectionId":"a","path":"/x","headers":{"origin":"o","traceparent":"t"},"upstream":"ws://u","status":101,"subprotocol":"v2"}"#,
            r#"{"id":"1001-0","kind":"connect","connectionId":"h","path":"/ws"}"#,
            r#"{"id":"1005-0","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":2,"message":"hi","wire":8}"#,
            r#"{"id":"1006-0","kind":"message","connectionId":"a","direction":"out","opcode":"ping","size":0,"message":"","encoding":"base64","wire":2}"#,
            r#"{"id":"1007-0","kind":"message","connectionId":"a","direction":"out","opcode":"binary","size":1,"message":"/w==","encoding":"base64","wire":3}"#,
            r#"{"id":"1008-0","kind":"message","connectionId":"a","direction":"out","opcode":"text","size":9,"message":null,"wire":9,"note":"larger"}"#,
            r#"{"id":"1009-0","kind":"message","connectionId":"unseen","direction":"in","opcode":"text","size":2,"message":"hi","wire":8}"#,
            r#"{"id":"1010-0","kind":"close","connectionId":"a","close":{"code":1001,"reason":"","clean":true,"by":"server"}}"#,
            r#"{"id":"1011-0","kind":"close","connectionId":"r","close":{"code":1006,"reason":"","clean":false,"by":"server"},"path":"/no","upstream":"ws://u","status":401}"#,
        ];
        let mut scripts = Scripts::default();
        for line in lines {
            let Ok(Recorded::Event(event)) = read(line) else { panic!("{line}") };
            scripts.take(&event);
        }
        let scripts = scripts.finish();
        let ids: Vec<_> = scripts.iter().map(|script| script.connection.as_str()).collect();
        assert_eq!(ids, ["a", "h", "r"]);
        let script = &scripts[0];
        assert_eq!((script.path.as_str(), script.subprotocol.as_deref()), ("/x", Some("v2")));
        assert_eq!(script.headers, [("origin", "o".to_owned())]);
        let steps: Vec<_> = script
            .steps
            .iter()
            .map(|step| (step.at.as_millis(), step.direction, step.payload.clone()))
            .collect();
        let text = Payload::Text("hi".to_owned());
        assert_eq!(
            steps,
            [(5, Direction::In, text), (7, Direction::Out, Payload::Binary(vec![255]))]
        );
        assert_eq!(script.left_out, 1);
        let end = End { at: Duration::from_millis(10), code: 1001, by: ClosedBy::Server };
        assert_eq!(script.end, Some(end));
        assert_eq!(
            scripts[1].steps[0].payload,
            Payload::Text("{\"connectionId\":\"h\"}".to_owned())
        );
        assert_eq!((scripts[2].refused, scripts[2].start.as_millis()), (Some(401), 11));
    }
}
