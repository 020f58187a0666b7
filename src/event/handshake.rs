//! What every event of a connection knows of its handshake, so that each can be selected by it.

use std::net::SocketAddr;

use super::{Connect, Transport, User};

/// The part of a handshake that events are selected by, after redaction. Shared by all events of a
/// connection: an event holds a reference, and writes none of it but in its `connect`.
///
/// Memory: [`Event::weight`](super::Event::weight) counts it once, with the `connect` event. It stays
/// in memory after that event is gone only for connections that were open at that time: at most as
/// many as the server has TCP connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The remote address.
    pub remote: SocketAddr,
    /// Path and query.
    pub path: Box<str>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<Box<str>>,
    /// The user, if a credential names one.
    pub user: Option<User>,
    /// The protocol of the connection.
    pub transport: Transport,
    /// Whether the connection is an event stream of another wstap.
    pub of_wstap: bool,
}

impl Handshake {
    /// Takes the part of a handshake that events are selected by.
    #[must_use]
    pub fn of(connect: &Connect) -> Self {
        Self {
            remote: connect.remote,
            path: connect.path.as_str().into(),
            subprotocol: connect.subprotocol().map(Into::into),
            user: connect.user.clone(),
            transport: connect.transport(),
            of_wstap: connect.answer.as_ref().is_some_and(|answer| {
                answer.event_stream.as_ref().is_some_and(|stream| stream.of_wstap)
            }),
        }
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.path.len() + self.subprotocol.as_ref().map_or(0, |it| it.len())
    }
}
