//! Entering channels and leaving them.

use std::sync::Arc;

use super::kept::{Kept, KeptWish};
use super::member::MemberIdentity;
use crate::event::{Channel, EventId, Presence};
use crate::hub::clock::now_ms;
use crate::hub::connections::connection::Connection;
use crate::hub::refusal::NotAllowed;
use crate::hub::sequence::decide::{self, Join};
use crate::hub::sequence::record::Record;

/// What a connection shows to enter a channel.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing: enough for public channels.
    None,
    /// A token for private channels. Shown again, it replaces the one before.
    Token(&'a str),
    /// A token that the connection has no right to enter without, whatever the channels ask for. It
    /// leaves them when the token ends.
    Lent(&'a str),
    /// The word of a trusted party: no channel asks for a token.
    Trusted,
}

impl Connection {
    /// Enters channels, all or none of them. Those that it is in already are unchanged. Kept messages
    /// come first: with [`Kept::Last`] at most the newest 128 and 2 MiB of them as deliveries, with
    /// [`Kept::After`] those after an event as one [`Outgoing::Resumed`](crate::hub::Outgoing) for each
    /// channel, at most the newest 4,096 and 2 MiB. Returns the newest event after that.
    ///
    /// # Errors
    ///
    /// If it may not enter one of them.
    pub fn join(
        &self,
        channels: &[Channel],
        credential: Credential<'_>,
        kept: impl Into<Kept>,
    ) -> Result<EventId, NotAllowed> {
        let (shared, handle, now) = (&self.shared, &self.handle, now_ms());
        let authorization = shared.authorize(channels, credential)?;
        let named = authorization.as_ref().and_then(|token| token.grant.user.clone());
        let user = named.or_else(|| handle.user_at(now));
        let identity =
            user.map_or_else(|| MemberIdentity::Nobody(handle.id.clone()), MemberIdentity::User);
        // Redaction takes its time, and is done before the lock is taken.
        let redaction = &shared.settings.redaction;
        let wish = |channel: &Channel| {
            let presence = Presence { channel: channel.clone(), user: identity.name() };
            (channel.clone(), redaction.presence(presence))
        };
        let join = Join {
            handle,
            channels: channels.iter().map(wish).collect(),
            identity,
            authorization,
            trusted: matches!(credential, Credential::Trusted),
            lent: matches!(credential, Credential::Lent(_)),
            kept: KeptWish::new(kept.into()),
        };
        shared.submit(|state| {
            let records = decide::join(state, &shared.settings, join)?;
            let moves = records.iter().filter(|it| matches!(it, Record::Entered(_))).count();
            if handle.take_moves(moves, now) { Ok(records) } else { Err(NotAllowed::TooFast) }
        })
    }

    /// Leaves channels. Those that it is not in are ignored. Returns the newest event after that.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Ended`] or [`NotAllowed::TooFast`].
    pub fn leave(&self, channels: &[Channel]) -> Result<EventId, NotAllowed> {
        let handle = Arc::clone(&self.handle);
        let now = now_ms();
        self.shared.submit(|_| {
            let records = decide::leave(&handle, channels)?;
            if handle.take_moves(records.len(), now) {
                Ok(records)
            } else {
                Err(NotAllowed::TooFast)
            }
        })
    }
}
