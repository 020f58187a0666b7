//! The client of a consumer's connection, and its groups.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use serde::Serialize;

use crate::code;
use crate::event::{
    Body, Channel, ConnectionId, Direction, EventId, InvalidChannel, Message, Opcode, User,
};
use crate::hub::{
    CloseRequest, Connection, Credential, Hub, NotAllowed, Outgoing, Publication, Undelivered,
};
use crate::json::Json;

/// A handle to the client of a connection: sends to it, closes it, and sends to groups. Clones refer
/// to the same connection, can be moved to other tasks, and do not keep the connection open.
#[derive(Debug, Clone)]
pub struct Peer {
    connection: Weak<Connection>,
    hub: Hub,
    id: ConnectionId,
    user: Option<User>,
}

/// Why an operation on a [`Peer`] fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The connection has ended.
    #[error("this connection has ended")]
    Ended,
    /// The queue to the client is full: it reads slower than it is sent to.
    #[error("the client does not keep up with what it is sent")]
    QueueFull,
    /// The group is full, there are too many groups, or the group is private.
    #[error(transparent)]
    NotAllowed(NotAllowed),
    /// The name is not a valid group.
    #[error(transparent)]
    Name(#[from] InvalidChannel),
    /// The value cannot be serialized as JSON.
    #[error("JSON cannot hold that: {0}")]
    NoJson(String),
    /// A close frame may not carry the code.
    #[error("{right}, and not {0}", right = code::SENDABLE)]
    CloseCode(u16),
}

impl From<NotAllowed> for PeerError {
    fn from(not: NotAllowed) -> Self {
        match not {
            NotAllowed::Ended => Self::Ended,
            not => Self::NotAllowed(not),
        }
    }
}

impl Peer {
    pub(super) fn new(connection: &Arc<Connection>, hub: Hub, user: Option<User>) -> Self {
        let id = connection.id().clone();
        Self { connection: Arc::downgrade(connection), hub, id, user }
    }

    /// Returns the id of the connection, as on the event stream.
    #[must_use]
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// Returns the user of the connection, if the program has named one.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Returns the hub of the connection.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Sends text to the client, and returns the id of its event. Waits while the queue to the client
    /// is full (256 messages or 4 MiB). Cancel safe: the message is queued and published, or neither.
    ///
    /// # Errors
    ///
    /// [`PeerError::Ended`].
    pub async fn send(&self, text: impl Into<String>) -> Result<EventId, PeerError> {
        self.put(Content::Text(text.into())).await
    }

    /// Sends bytes to the client, as [`Peer::send`] sends text.
    ///
    /// # Errors
    ///
    /// As [`Peer::send`].
    pub async fn send_binary(&self, bytes: impl Into<Bytes>) -> Result<EventId, PeerError> {
        self.put(Content::Binary(bytes.into())).await
    }

    /// Sends a value to the client as JSON in a text frame, as [`Peer::send`] sends text.
    ///
    /// # Errors
    ///
    /// As [`Peer::send`], and [`PeerError::NoJson`].
    pub async fn send_json<T>(&self, value: &T) -> Result<EventId, PeerError>
    where
        T: Serialize + Sync + ?Sized,
    {
        self.put(Content::Text(json(value)?)).await
    }

    /// Sends text to the client without waiting.
    ///
    /// # Errors
    ///
    /// [`PeerError::Ended`] or [`PeerError::QueueFull`].
    pub fn try_send(&self, text: impl Into<String>) -> Result<EventId, PeerError> {
        self.try_put(&Content::Text(text.into()))
    }

    /// Sends bytes to the client without waiting.
    ///
    /// # Errors
    ///
    /// As [`Peer::try_send`].
    pub fn try_send_binary(&self, bytes: impl Into<Bytes>) -> Result<EventId, PeerError> {
        self.try_put(&Content::Binary(bytes.into()))
    }

    async fn put(&self, content: Content) -> Result<EventId, PeerError> {
        loop {
            match self.try_put(&content) {
                // Another sender may take the room first; then this waits again.
                Err(PeerError::QueueFull) => {
                    self.connection()?.room().await.map_err(|_| PeerError::Ended)?;
                }
                outcome => return outcome,
            }
        }
    }

    fn try_put(&self, content: &Content) -> Result<EventId, PeerError> {
        let connection = self.connection()?;
        let (opcode, size, body, outgoing) = match content {
            Content::Text(text) => {
                let json = Json::parse(text).unwrap_or_else(|| Json::string(text));
                (Opcode::Text, text.len(), Body::Value(json), Outgoing::Text(text.clone()))
            }
            Content::Binary(bytes) => {
                let body = Body::Binary(bytes.as_ref().into());
                (Opcode::Binary, bytes.len(), body, Outgoing::Binary(bytes.clone()))
            }
        };
        let message = Message::new(Direction::Out, opcode, size, body);
        connection.send(outgoing, message).map_err(|undelivered| match undelivered {
            Undelivered::QueueFull => PeerError::QueueFull,
            _ => PeerError::Ended,
        })
    }

    /// Closes the connection, ahead of messages that wait. Code 1000 is a normal end. At most 123 bytes
    /// of the reason are sent.
    ///
    /// # Errors
    ///
    /// [`PeerError::CloseCode`] or [`PeerError::Ended`].
    pub fn close(&self, code: u16, reason: &str) -> Result<(), PeerError> {
        if !code::may_be_sent(code) {
            return Err(PeerError::CloseCode(code));
        }
        let order = CloseRequest { code, reason: reason.to_owned() };
        self.connection()?.close(order).map_err(|_| PeerError::Ended)
    }

    /// Adds the connection to a group. Has no effect if it is in the group. A private channel needs no
    /// token here: the program has authorized the connection.
    ///
    /// # Errors
    ///
    /// [`PeerError::Name`], [`PeerError::NotAllowed`] or [`PeerError::Ended`].
    pub fn join(&self, group: &str) -> Result<(), PeerError> {
        self.join_with_last(group, 0)
    }

    /// Adds the connection to a group as [`Peer::join`] does, and first delivers the last messages that
    /// the group keeps, at most `last` of them ([`ChannelRules::history`](crate::hub::ChannelRules)).
    ///
    /// # Errors
    ///
    /// As [`Peer::join`].
    pub fn join_with_last(&self, group: &str, last: usize) -> Result<(), PeerError> {
        self.connection()?.join(&[group.parse()?], Credential::Trusted, last)?;
        Ok(())
    }

    /// Removes the connection from a group. Has no effect if it is not in the group. A connection that
    /// ends leaves all its groups.
    ///
    /// # Errors
    ///
    /// [`PeerError::Name`] or [`PeerError::Ended`].
    pub fn leave(&self, group: &str) -> Result<(), PeerError> {
        self.connection()?.leave(&[group.parse()?])?;
        Ok(())
    }

    /// Sends text to all members of a group, itself included if it is a member. Only a private group
    /// requires the sender to be a member.
    ///
    /// # Errors
    ///
    /// [`PeerError::Name`], [`PeerError::NotAllowed`] or [`PeerError::Ended`]. A member that is too slow
    /// is not an error of the sender.
    pub fn group_send(&self, group: &str, text: &str) -> Result<EventId, PeerError> {
        self.publish(group, Opcode::Text, text.len(), Body::Value(Json::string(text)))
    }

    /// Sends bytes to a group.
    ///
    /// # Errors
    ///
    /// As [`Peer::group_send`].
    pub fn group_send_binary(&self, group: &str, bytes: &[u8]) -> Result<EventId, PeerError> {
        self.publish(group, Opcode::Binary, bytes.len(), Body::Binary(bytes.into()))
    }

    /// Sends a value to a group, as JSON.
    ///
    /// # Errors
    ///
    /// As [`Peer::group_send`], and [`PeerError::NoJson`].
    pub fn group_send_json(
        &self,
        group: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<EventId, PeerError> {
        let text = json(value)?;
        let deep = || PeerError::NoJson("it is nested too deep".to_owned());
        let value = Json::parse(&text).ok_or_else(deep)?;
        self.publish(group, Opcode::Text, text.len(), Body::Value(value))
    }

    fn publish(
        &self,
        group: &str,
        opcode: Opcode,
        size: usize,
        body: Body,
    ) -> Result<EventId, PeerError> {
        let publication = Publication::new(group.parse::<Channel>()?, opcode, size, body);
        Ok(self.connection()?.publish_to(publication)?)
    }

    /// Returns the users in a group, in order. A connection without a user counts as a user with the
    /// name of its id.
    ///
    /// # Errors
    ///
    /// [`PeerError::Name`].
    pub fn users(&self, group: &str) -> Result<Vec<User>, PeerError> {
        Ok(self.hub.channel(&group.parse()?).map(|inside| inside.users).unwrap_or_default())
    }

    fn connection(&self) -> Result<Arc<Connection>, PeerError> {
        self.connection.upgrade().ok_or(PeerError::Ended)
    }
}

/// A message to the client.
enum Content {
    Text(String),
    Binary(Bytes),
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, PeerError> {
    serde_json::to_string(value).map_err(|fault| PeerError::NoJson(fault.to_string()))
}
