//! Messages of groups.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::event::{Body, Channel, ConnectionId, EventBody, EventId, Message, Routing, User};
use crate::hub::Delivered;

/// A message to a group, or to the user of a connection. Clones share the message.
#[derive(Debug, Clone)]
pub struct GroupMessage(Arc<Delivered>);

impl GroupMessage {
    /// Converts a delivery, if it is a message.
    pub(super) fn of(delivered: Arc<Delivered>) -> Option<Self> {
        matches!(delivered.body(), EventBody::Message(_)).then_some(Self(delivered))
    }

    /// Returns the group, or `None` for a message to the user of the connection.
    #[must_use]
    pub fn group(&self) -> Option<&Channel> {
        self.routing()?.channel.as_ref()
    }

    /// Returns the user who has sent it, if known.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.routing()?.user.as_ref()
    }

    /// Returns the id of the connection that has sent it, as on the event stream. The id is empty if
    /// the program or an HTTP request has sent it.
    #[must_use]
    pub fn from(&self) -> &ConnectionId {
        &self.0.event.connection
    }

    /// Returns the id of its event.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.0.event.id
    }

    /// Returns a text message, or JSON as it was written. Returns `None` for a binary message.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match &self.message().body {
            Body::Value(json) | Body::Object(json) => {
                let string = serde_json::from_str(json.as_str());
                Some(string.map_or(Cow::Borrowed(json.as_str()), Cow::Owned))
            }
            Body::Binary(_) | Body::Absent => None,
        }
    }

    /// Parses the message as JSON. Text that is not JSON counts as a JSON string.
    ///
    /// # Errors
    ///
    /// If the message is not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.message().body {
            Body::Value(json) | Body::Object(json) => serde_json::from_str(json.as_str()),
            Body::Binary(bytes) => serde_json::from_slice(bytes),
            Body::Absent => serde_json::from_str(""),
        }
    }

    /// Returns the bytes of a binary message.
    #[must_use]
    pub fn binary(&self) -> Option<&[u8]> {
        match &self.message().body {
            Body::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn message(&self) -> &Message {
        match self.0.body() {
            EventBody::Message(message) => message,
            _ => unreachable!("it was made from a message"),
        }
    }

    fn routing(&self) -> Option<&Routing> {
        self.message().routing.as_deref()
    }
}
