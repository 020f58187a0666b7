//! Connections: their handshakes and ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::routing::User;

/// The handshake of a connection.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The remote address of its TCP connection.
    pub remote: SocketAddr,
    /// Path and query of the request, at most 8 KiB.
    pub path: String,
    /// Selected request headers of at most 1 KiB each, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The answer of the upstream, in proxy mode.
    pub answer: Option<Box<Answer>>,
    /// The user of the connection, if a credential names one.
    pub user: Option<User>,
}

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A WebSocket.
    #[default]
    WebSocket,
    /// An event stream: the answer to a request whose `Content-Type` is `text/event-stream`. Messages
    /// are its events, from the server to the client.
    Sse,
}

/// What only event streams have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventStream {
    /// Method of the request, at most 1 KiB.
    pub method: String,
    /// `Content-Encoding` of the answer.
    pub encoding: Option<String>,
    /// Why its events are not messages, or not sent to all listeners.
    pub note: Option<Box<str>>,
    /// Whether it is the stream of another wstap. Not part of its JSON.
    pub of_wstap: bool,
}

/// The answer of the upstream to a handshake.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// URL of the upstream.
    pub upstream: Arc<str>,
    /// HTTP status; 101 where the connection became a WebSocket.
    pub status: u16,
    /// From the request to the answer.
    pub time: Duration,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
    /// `Sec-WebSocket-Extensions`.
    pub extensions: Option<String>,
    /// The first 2 KiB of the body of a refusal, as text.
    pub body: Option<String>,
    /// What would help against a refusal.
    pub hint: Option<String>,
    /// Present if the answer is an event stream, and not a WebSocket.
    pub event_stream: Option<Box<EventStream>>,
}

/// The end of a connection.
#[derive(Debug, Clone)]
pub struct Close {
    /// Close code as RFC 6455 section 7.4 has it; 1005 where the frame had none, 1006 where there
    /// was no close frame. An event stream has no codes: 1005 where its answer was complete or its
    /// client left, 1006 where it broke off.
    pub code: u16,
    /// Reason of the close frame, or of the tap.
    pub reason: String,
    /// True if both sides exchanged close frames, or an event stream did not break off.
    pub clean: bool,
    /// The side that ended it.
    pub by: ClosedBy,
    /// From registration to end.
    pub duration: Duration,
    /// Messages in and out.
    pub messages: Flow,
    /// Payload bytes in and out.
    pub bytes: Flow,
    /// Statistics of the wire, in proxy mode.
    pub wire: Option<TransportStats>,
    /// The handshake, if the upstream refused it. Then there was no `connect`.
    pub refused: Option<Box<Connect>>,
}

/// Bytes on the wire of a connection, and the silence before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportStats {
    /// Bytes each way, from the end of the handshake.
    pub bytes: Flow,
    /// From the last byte of the client to the end.
    pub client_silence: Duration,
    /// From the last byte of the server to the end.
    pub server_silence: Duration,
    /// An anomaly of the close frame that began the end, or the reason why the events of an event
    /// stream are not messages.
    pub note: Option<Box<str>>,
    /// Comments of an event stream, which servers send as heartbeats.
    pub comments: Option<u64>,
}

/// A number for each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// Client to server.
    pub inward: u64,
    /// Server to client.
    pub outward: u64,
}

/// The side that ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The client.
    Client,
    /// The upstream.
    Server,
    /// wstap itself: an order, a rule, a shutdown.
    Tap,
    /// Neither side: a reset, a vanished peer.
    Network,
}

impl Connect {
    /// Returns the protocol of the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match &self.answer {
            Some(answer) if answer.event_stream.is_some() => Transport::Sse,
            _ => Transport::WebSocket,
        }
    }

    /// Returns the subprotocol that was agreed on: the one of the upstream's answer, and in hub mode,
    /// where no upstream answers, the first one offered.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        if let Some(answer) = &self.answer {
            return answer.subprotocol.as_deref();
        }
        let name = "sec-websocket-protocol";
        let offered = self.headers.iter().find(|(field, _)| *field == name)?;
        offered.1.split(',').next().map(str::trim).filter(|first| !first.is_empty())
    }

    /// The most bytes that are kept of the path and query.
    const MAX_PATH: usize = 8 << 10;

    /// The most bytes that are kept of a header field and of a part of the answer.
    const MAX_FIELD: usize = 1 << 10;

    /// The most bytes that are kept of the body of a refusal. Text that was no UTF-8 has up to three
    /// times the 2 KiB that are read.
    const MAX_BODY: usize = 6 << 10;

    /// Cuts texts that are longer than an event keeps; an ellipsis marks the cut.
    pub(crate) fn shorten(&mut self) {
        shorten(&mut self.path, Self::MAX_PATH);
        for (_, value) in &mut self.headers {
            shorten(value, Self::MAX_FIELD);
        }
        if let Some(answer) = &mut self.answer {
            let parts = [&mut answer.subprotocol, &mut answer.extensions];
            for part in parts.into_iter().flatten() {
                shorten(part, Self::MAX_FIELD);
            }
            for text in [&mut answer.body, &mut answer.hint].into_iter().flatten() {
                shorten(text, Self::MAX_BODY);
            }
            if let Some(stream) = &mut answer.event_stream {
                shorten(&mut stream.method, Self::MAX_FIELD);
                stream.encoding.iter_mut().for_each(|text| shorten(text, Self::MAX_FIELD));
            }
        }
    }

    pub(super) fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(_, value)| value.len() + 40);
        let answer = self.answer.as_ref().map_or(0, |answer| {
            let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let all = [&answer.subprotocol, &answer.extensions, &answer.body, &answer.hint];
            let stream = answer.event_stream.as_ref().map_or(0, |stream| {
                let note = stream.note.as_ref().map_or(0, |note| note.len());
                size_of::<EventStream>() + stream.method.len() + text(&stream.encoding) + note
            });
            size_of::<Answer>() + all.into_iter().map(text).sum::<usize>() + stream
        });
        let user = self.user.as_ref().map_or(0, |user| user.as_str().len());
        size_of::<Self>() + self.path.len() + headers.sum::<usize>() + answer + user
    }
}

pub(super) fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
        text.shrink_to_fit();
    }
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::Sse];

    /// Returns the name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }
}

impl ClosedBy {
    /// Returns the name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Tap => "tap",
            Self::Network => "network",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_of_a_handshake_are_cut() {
        let mut connect = Connect {
            remote: ([127, 0, 0, 1], 1).into(),
            path: format!("/{}", "ä".repeat(30_000)),
            headers: vec![("user-agent", "x".repeat(60_000)), ("origin", "null".to_owned())],
            answer: None,
            user: None,
        };
        connect.shorten();
        assert!(connect.path.len() <= 8 * 1024 + 3 && connect.path.ends_with("ä…"));
        assert_eq!(connect.headers[0].1, "x".repeat(1024) + "…");
        assert_eq!(connect.headers[1].1, "null");
    }
}
