//! What is declared of channels, and what is shown of them.

use std::sync::Arc;

use crate::auth::Pattern;
use crate::event::{Channel, ConnectionId, Event, User};

/// The rules of a channel. The default holds for a channel that is not declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRules {
    /// Entering and publishing takes a token that grants it.
    pub private: bool,
    /// Members are told of users who come and go.
    pub presence: bool,
    /// So many of the last messages are kept for later members.
    pub history: usize,
    /// At most this many connections.
    pub max_members: Option<usize>,
}

/// Channels that are declared in the configuration, and their rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The names.
    pub name: Pattern,
    /// The rules of these channels.
    pub rules: ChannelRules,
}

impl Declared {
    /// Returns the rules that are declared of a channel: those of the first name that fits.
    pub(in crate::hub) fn rules<'a>(
        all: &'a [Self],
        channel: &Channel,
    ) -> Option<&'a ChannelRules> {
        all.iter().find(|it| it.name.fits(channel)).map(|it| &it.rules)
    }
}

/// A channel in a list.
#[derive(Debug, Clone)]
pub struct ChannelSeen {
    /// Its name.
    pub channel: Channel,
    /// Its rules.
    pub rules: ChannelRules,
    /// Number of messages that were published to it.
    pub messages: u64,
    /// Number of connections in it.
    pub members: usize,
    /// Number of users that they belong to.
    pub users: usize,
}

/// The content of a channel.
#[derive(Debug, Clone)]
pub struct ChannelInside {
    /// The channel.
    pub seen: ChannelSeen,
    /// The connections in it, in order.
    pub members: Vec<ConnectionId>,
    /// Their users, in order.
    pub users: Vec<User>,
    /// The kept messages, the oldest first, after redaction.
    pub history: Vec<Arc<Event>>,
}
