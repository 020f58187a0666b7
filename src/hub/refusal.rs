//! How the hub refuses.

use crate::auth::Denied;
use crate::event::Channel;

/// Channels that one connection may be in: more than a client shows on a screen, and a bound for
/// what it can make the server keep.
pub const MAX_SUBSCRIPTIONS: usize = 1000;

/// Why a connection or listener is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The limit is reached.
    #[error("there are as many connections or listeners as this server takes; try again later")]
    Full,
    /// The hub is stopping.
    #[error("this server is stopping; try again in a moment")]
    Stopping,
    /// The id is that of a live connection.
    #[error("another live connection is registered under this connectionId")]
    Taken,
    /// The hub shows a recording.
    #[error("this server shows a recording; it takes no connections and no messages")]
    Recording,
}

/// Why a message was not sent to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// There is no such connection.
    #[error("no connection is registered under this connectionId")]
    NotFound,
    /// Its client reads more slowly than it is sent to.
    #[error("the client does not keep up with what it is sent; try again later")]
    QueueFull,
    /// It is an event stream, which carries nothing but the answer of its server.
    #[error("this connection is an event stream; messages are for WebSockets")]
    EventStream,
    /// It is not relayed to an upstream server.
    #[error("this connection has no upstream server; to=client is right")]
    NoServer,
}

/// The `close` of the connection was published already: it was replaced, or the hub stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this connection has ended")]
pub struct Ended;

/// Why a connection may not enter a channel, or publish to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The channel is private, and no token was shown.
    #[error("the channel {0:?} is private; a token in params.token is right")]
    NoToken(Channel),
    /// The channel is private, and the hub has no authority to verify tokens.
    #[error("the channel {0:?} is private, and this server takes no tokens (--jwt-key)")]
    NoAuthority(Channel),
    /// The token is refused.
    #[error("the token for the channel {channel:?} is refused: {why}")]
    Denied {
        /// The first private channel that it was shown for.
        channel: Channel,
        /// The answer of the authority.
        why: Denied,
    },
    /// The token is valid and does not grant this channel.
    #[error("this token does not let anybody into the channel {0:?}")]
    Foreign(Channel),
    /// Publishing to a private channel takes a member with a token that grants it.
    #[error("the channel {0:?} is private; only who is in it with a token for that may publish")]
    NoPublisher(Channel),
    /// The channel has as many members as its rules allow.
    #[error("the channel {0:?} has as many members as it takes; try again later")]
    Crowded(Channel),
    /// The limit of channels is reached.
    #[error("there are as many channels as this server takes; try again later")]
    Full,
    /// The connection is in as many channels as one may be.
    #[error("a connection is in at most {MAX_SUBSCRIPTIONS} channels; leave some first")]
    TooMany,
    /// The connection has entered and left channels too often lately.
    #[error("too many subscriptions and unsubscriptions; try again in a few seconds")]
    TooFast,
    /// The channel delivers more slowly than is published to it.
    #[error("messages are published faster than they can be delivered; try again later")]
    Busy,
    /// The `close` of the connection was published already.
    #[error("this connection has ended")]
    Ended,
    /// The hub is stopping.
    #[error("this server is stopping; try again in a moment")]
    Stopping,
}
