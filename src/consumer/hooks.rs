//! The hooks of a connection and their errors.

use std::fmt;

use super::{GroupMessage, Peer, PeerError};
use crate::code::Code;
use crate::event::{Channel, User};
use crate::hub::Ending;
use crate::problem::Problem;

/// The hooks of a connection. Each is optional; the defaults do nothing.
///
/// A hook that fails or panics closes its own connection only, with code 1011 or the code of the
/// [`PeerError`].
pub trait Consumer: Send + 'static {
    /// The connection is open, and messages can be sent to it.
    fn on_connect(&mut self, peer: &Peer) -> impl Future<Output = Result> + Send {
        let _ = peer;
        async { Ok(()) }
    }

    /// The client has sent a text message.
    fn on_text(&mut self, peer: &Peer, text: &str) -> impl Future<Output = Result> + Send {
        let _ = (peer, text);
        async { Ok(()) }
    }

    /// The client has sent a binary message.
    fn on_binary(&mut self, peer: &Peer, bytes: &[u8]) -> impl Future<Output = Result> + Send {
        let _ = (peer, bytes);
        async { Ok(()) }
    }

    /// A message was sent to a group that the connection is in, by itself or another sender, or to its
    /// user.
    fn on_group_message(
        &mut self,
        peer: &Peer,
        message: &GroupMessage,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, message);
        async { Ok(()) }
    }

    /// The first connection of another user has entered a group with presence.
    fn on_join(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// The last connection of another user has left a group with presence.
    fn on_leave(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// The connection has ended. Nothing can be sent to the client; groups can be sent to for two more
    /// seconds.
    fn on_close(&mut self, peer: &Peer, ending: &Ending) -> impl Future<Output = Result> + Send {
        let _ = (peer, ending);
        async { Ok(()) }
    }
}

/// The result of a hook.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// The error of a hook: any error converts by `?`. The connection is closed. For a
/// [`PeerError::NotAllowed`] or [`PeerError::QueueFull`] the close frame has a code and the words of
/// the error; for any other error it has code 1011 and "a hook has failed", and the error is logged.
#[derive(Debug)]
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Failure {
    /// Returns the code and reason of the close frame.
    pub(super) fn problem(&self) -> Problem {
        match self.0.downcast_ref::<PeerError>() {
            Some(PeerError::QueueFull) => Problem::new(Code::SlowDown, self.to_string()),
            Some(PeerError::NotAllowed(not)) => not.clone().into(),
            _ => Problem::new(Code::Internal, "a hook has failed"),
        }
    }
}
