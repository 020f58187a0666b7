//! What was decided: a draft of the event, and what applying it changes.

use std::sync::Arc;

use crate::event::{Channel, Close, Draft, EventBody, User};
use crate::hub::channels::fanout::Audience;
use crate::hub::channels::kept::KeptWish;
use crate::hub::channels::member::Membership;
use crate::hub::channels::rules::ChannelRules;
use crate::hub::connections::handle::{ChannelAuthorization, ConnectionHandle};
use crate::redact::Redacted;

/// A change of the state that was decided and is not applied yet.
#[derive(Debug)]
pub(in crate::hub) enum Record {
    /// An event that changes nothing.
    Event(Redacted<Draft>),
    /// A connection registers.
    Opened(Arc<ConnectionHandle>, Redacted<Draft>),
    /// A connection ends. Its duration and counts are those of when it is applied.
    Closed(Arc<ConnectionHandle>, Redacted<Close>),
    /// A connection shows a token that names its user.
    Identified(Arc<ConnectionHandle>, Arc<ChannelAuthorization>),
    /// A connection enters a channel.
    Entered(Box<Entered>),
    /// A member of a channel shows another token.
    Shown(Arc<Membership>, Arc<ChannelAuthorization>),
    /// A connection leaves a channel; with `expelled` since its token has expired.
    Left {
        /// The connection.
        handle: Arc<ConnectionHandle>,
        /// The channel.
        channel: Channel,
        /// Whether it is told that it may not stay.
        expelled: bool,
    },
    /// A message is published to a channel or to users.
    Routed(Box<Routed>),
}

impl Record {
    /// Returns the channel that a connection enters.
    pub(in crate::hub) fn entered(&self) -> Option<&Channel> {
        match self {
            Self::Entered(entered) => Some(&entered.member.channel),
            _ => None,
        }
    }
}

/// A connection enters a channel.
#[derive(Debug)]
pub(in crate::hub) struct Entered {
    pub(in crate::hub) member: Arc<Membership>,
    /// The rules of the channel, should it have to be made.
    pub(in crate::hub) rules: ChannelRules,
    /// The kept messages that it is sent first.
    pub(in crate::hub) kept: KeptWish,
}

/// A message to a channel or to users.
#[derive(Debug)]
pub(in crate::hub) struct Routed {
    pub(in crate::hub) draft: Redacted<Draft>,
    /// The channel, and its rules, should it have to be made.
    pub(in crate::hub) channel: Option<(Channel, ChannelRules)>,
    /// Members that it is for.
    pub(in crate::hub) audience: Audience,
    /// Without a channel: the users that it is for.
    pub(in crate::hub) users: Vec<User>,
    /// The message before redaction, if redaction is on.
    pub(in crate::hub) whole: Option<EventBody>,
    /// The message in the dialect of its publisher.
    pub(in crate::hub) words: Option<Arc<str>>,
    /// Whether the channel may keep it.
    pub(in crate::hub) keep: bool,
}
