//! Entering channels and leaving them.

use super::kept::{Kept, KeptWish};
use super::member::MemberIdentity;
use crate::event::{Channel, EventId, Presence};
use crate::hub::clock::now_ms;
use crate::hub::connections::connection::Connection;
use crate::hub::refusal::NotAllowed;
use crate::hub::sequence::decide::{self, AT_ONCE, Join};
use crate::hub::sequence::record::Record;
use crate::hub::sequence::state::State;

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
        let settings = shared.settings();
        let redaction = &settings.redaction;
        let presence = |channel: &Channel| {
            let presence = Presence { channel: channel.clone(), user: identity.name() };
            (channel.clone(), redaction.presence(presence))
        };
        let mut wished: Vec<_> = channels.iter().map(presence).collect();
        let mut kept = KeptWish::new(kept.into());
        let decided = |state: &State, channels, kept: &mut KeptWish| {
            let join = Join {
                handle,
                channels,
                identity: identity.clone(),
                authorization: authorization.clone(),
                trusted: matches!(credential, Credential::Trusted),
                lent: matches!(credential, Credential::Lent(_)),
                kept,
            };
            decide::join(state, &settings, join)
        };
        let take_moves = |records: &[Record]| {
            let moves = records.iter().filter(|it| matches!(it, Record::Entered(_))).count();
            if handle.take_moves(moves, now) { Ok(()) } else { Err(NotAllowed::TooFast) }
        };
        if wished.len() <= AT_ONCE {
            return shared.submit(|state| {
                let records = decided(state, wished, &mut kept)?;
                take_moves(&records).map(|()| records)
            });
        }
        // All of them are decided at once, and entered in pieces.
        take_moves(&decided(&shared.sequence().state, wished.clone(), &mut kept.clone())?)?;
        let mut entered: Vec<Channel> = Vec::with_capacity(wished.len());
        loop {
            let piece: Vec<_> = wished.drain(..AT_ONCE.min(wished.len())).collect();
            let mut new = Vec::with_capacity(AT_ONCE);
            let joined = shared.submit(|state| {
                let records = decided(state, piece, &mut kept)?;
                new.extend(records.iter().filter_map(Record::entered).cloned());
                Ok(records)
            });
            entered.append(&mut new);
            match joined {
                // A channel has been filled or made private since they were all decided.
                Err(refused) => {
                    let _ = self.leave_in_pieces(&entered);
                    return Err(refused);
                }
                Ok(id) if wished.is_empty() => return Ok(id),
                Ok(_) => {}
            }
        }
    }

    /// Leaves channels. Those that it is not in are ignored. Returns the newest event after that.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Ended`] or [`NotAllowed::TooFast`].
    pub fn leave(&self, channels: &[Channel]) -> Result<EventId, NotAllowed> {
        let own = self.handle.lock_channels();
        let moves = channels.iter().filter(|channel| own.contains(*channel)).count();
        drop(own);
        if !self.handle.take_moves(moves, now_ms()) {
            return Err(NotAllowed::TooFast);
        }
        self.leave_in_pieces(channels)
    }

    fn leave_in_pieces(&self, channels: &[Channel]) -> Result<EventId, NotAllowed> {
        let mut pieces = channels.chunks(AT_ONCE);
        let mut piece = pieces.next().unwrap_or_default();
        loop {
            let left = self.shared.submit(|_| decide::leave(&self.handle, piece))?;
            match pieces.next() {
                Some(next) => piece = next,
                None => return Ok(left),
            }
        }
    }
}
