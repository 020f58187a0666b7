//! A connection in a channel, and as whom it is there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::event::{Channel, ConnectionId, Draft, Presence, User};
use crate::hub::connections::handle::{ChannelAuthorization, ConnectionHandle};
use crate::redact::Redacted;

/// As whom a connection is in a channel. A client chooses its own connection id, so a message for the
/// user `ann` must not reach a connection that merely has that id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::hub) enum MemberIdentity {
    /// A user, named by a trusted party or a token.
    User(User),
    /// A connection without a user.
    Nobody(ConnectionId),
}

impl MemberIdentity {
    /// Returns the name that others see.
    pub(in crate::hub) fn name(&self) -> User {
        match self {
            Self::User(user) => user.clone(),
            Self::Nobody(id) => User::shown(id.as_str().to_owned()),
        }
    }
}

/// The membership of a connection in a channel: known to the state, and to the fan-out of the
/// channel.
#[derive(Debug)]
pub(in crate::hub) struct Membership {
    pub(in crate::hub) handle: Arc<ConnectionHandle>,
    pub(in crate::hub) channel: Channel,
    pub(in crate::hub) identity: MemberIdentity,
    /// What the stream says of its coming and going.
    pub(in crate::hub) presence: Redacted<Presence>,
    /// Whether the channel was private when it entered.
    pub(in crate::hub) private: bool,
    /// Whether it depends on its token.
    pub(in crate::hub) bound: bool,
    /// The token that it entered with, if it needed one.
    authorization: Mutex<Option<Arc<ChannelAuthorization>>>,
}

impl Membership {
    pub(in crate::hub) fn new(
        handle: Arc<ConnectionHandle>,
        channel: Channel,
        identity: MemberIdentity,
        presence: Redacted<Presence>,
        private: bool,
        authorization: Option<Arc<ChannelAuthorization>>,
    ) -> Self {
        let bound = private || authorization.is_some();
        let authorization = Mutex::new(authorization);
        Self { handle, channel, identity, presence, private, bound, authorization }
    }

    /// Returns the token that it entered with, or has shown since.
    pub(in crate::hub) fn authorization(&self) -> Option<Arc<ChannelAuthorization>> {
        self.lock().clone()
    }

    pub(in crate::hub) fn set_authorization(&self, new: Arc<ChannelAuthorization>) {
        *self.lock() = Some(new);
    }

    /// Returns the user that it has entered as, if one was named.
    pub(in crate::hub) fn user(&self) -> Option<User> {
        match &self.identity {
            MemberIdentity::User(user) => Some(user.clone()),
            MemberIdentity::Nobody(_) => None,
        }
    }

    /// Returns the draft that tells that it has come, or gone.
    pub(in crate::hub) fn draft(&self, joins: bool) -> Redacted<Draft> {
        let draft = self.presence.clone().draft(&self.handle.id, joins);
        draft.after(Arc::clone(&self.handle.handshake))
    }

    /// Returns when its token expires, in seconds since 1970.
    pub(in crate::hub) fn expires(&self) -> Option<u64> {
        self.lock().as_ref()?.grant.expires
    }

    /// Returns whether its token has expired at `now_ms`.
    pub(in crate::hub) fn expired(&self, now_ms: u64) -> bool {
        self.expires().is_some_and(|end| now_ms / 1000 >= end)
    }

    /// Returns whether it stands for one of these users at `now_ms`: a user that a token has named
    /// counts as long as the token is valid.
    pub(in crate::hub) fn is_one_of(&self, users: &HashSet<User>, now_ms: u64) -> bool {
        let MemberIdentity::User(user) = &self.identity else { return false };
        users.contains(user)
            && (self.lock().is_some() || self.handle.user_at(now_ms).as_ref() == Some(user))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<ChannelAuthorization>>> {
        self.authorization.lock().expect("nothing panics while it holds this lock")
    }
}
