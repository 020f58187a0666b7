//! What a member of a group is given.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::event::{Body, Channel, ConnectionId, EventBody, EventId, Message, Routing, User};
use crate::hub::Delivered;

/// A message to a group, or to the user of a connection. Cheap to clone: members share it.
#[derive(Debug, Clone)]
pub struct GroupMessage(Arc<Delivered>);

impl GroupMessage {
    /// Takes what was delivered, if it is a message.
    pub(super) fn of(delivered: Arc<Delivered>) -> Option<Self> {
        matches!(delivered.body(), EventBody::Message(_)).then_some(Self(delivered))
    }

    /// Returns the group; `None` is a message that was sent to the user of this connection.
    #[must_use]
    pub fn group(&self) -> Option<&Channel> {
        self.routing()?.channel.as_ref()
    }

    /// Returns the user who has sent it, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.routing()?.user.as_ref()
    }

    /// Returns the connection that has sent it, as the event stream has it; nobody's is empty: it
    /// came from the program or over HTTP.
    #[must_use]
    pub fn from(&self) -> &ConnectionId {
        &self.0.event.connection
    }

    /// Returns the id of its event.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.0.event.id
    }

    /// Returns it as text: what was sent as text, or JSON as it was written. `None` if it is bytes.
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

    /// Reads it as JSON. Text that is no JSON was sent as a string.
    ///
    /// # Errors
    ///
    /// If it is bytes, or another value than `T`.
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
            _ => unreachable!("it was made of a message"),
        }
    }

    fn routing(&self) -> Option<&Routing> {
        self.message().routing.as_deref()
    }
}
