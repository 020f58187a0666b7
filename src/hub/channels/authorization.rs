//! Tokens for private channels: verified when they are shown, and again when they have expired. The
//! authority is called without any lock: it is another's code and may take its time.

use std::ops::Bound;
use std::sync::Arc;

use super::fanout::{Lane, Members};
use super::member::Membership;
use super::membership::Credential;
use super::outbox::Outbox;
use crate::auth::Denied;
use crate::event::{Channel, ConnectionId};
use crate::hub::clock::now_ms;
use crate::hub::connections::handle::{ChannelAuthorization, ConnectionHandle};
use crate::hub::pieces::in_pieces;
use crate::hub::refusal::NotAllowed;
use crate::hub::runtime::shared::Shared;
use crate::hub::sequence::record::Record;
use crate::hub::sequence::state::State;

/// Tokens that are verified before other tasks have a turn.
const VERIFIED: usize = 8;

impl Shared {
    /// Verifies a token, if one of the channels asks for it.
    pub(in crate::hub) fn authorize(
        &self,
        channels: &[Channel],
        credential: Credential<'_>,
    ) -> Result<Option<Arc<ChannelAuthorization>>, NotAllowed> {
        let (token, lent) = match credential {
            Credential::Token(token) => (token, false),
            Credential::Lent(token) => (token, true),
            Credential::None | Credential::Trusted => return Ok(None),
        };
        let settings = self.settings();
        let asking = {
            let sequence = self.sequence();
            let rules = |it: &Channel| sequence.state.rules(&settings.channels, it);
            channels.iter().find(|it| lent || rules(it).private).cloned()
        };
        let Some(channel) = asking else { return Ok(None) };
        let Some(authority) = &settings.authority else {
            return Err(NotAllowed::NoAuthority(channel));
        };
        let now = now_ms() / 1000;
        match authority.grant(token, now) {
            Ok(grant) if grant.expired(now) => {
                let why = Denied("it has expired".to_owned());
                Err(NotAllowed::Denied { channel, why })
            }
            Ok(grant) => Ok(Some(Arc::new(ChannelAuthorization { token: token.into(), grant }))),
            Err(why) => Err(NotAllowed::Denied { channel, why }),
        }
    }

    /// Returns the membership of a connection in a channel. Without an authority there are no tokens,
    /// and it is not looked for.
    pub(in crate::hub) fn member(
        &self,
        handle: &ConnectionHandle,
        channel: &Channel,
    ) -> Option<Arc<Membership>> {
        self.settings().authority.as_ref()?;
        let sequence = self.sequence();
        sequence.state.channels.room(channel)?.members.get(&handle.id).cloned()
    }

    /// Asks again for the token of one member, if it has expired. A publisher verifies its own
    /// token only.
    pub(in crate::hub) fn renew_own(&self, handle: &ConnectionHandle, channel: &Channel) {
        let now = now_ms();
        let member = self.member(handle, channel);
        if let Some(member) = member.filter(|member| member.bound && member.expired(now)) {
            self.renew_member(&member, now);
        }
    }

    /// Asks again for the tokens of a channel that have expired. Members whose tokens are refused
    /// leave it.
    pub(in crate::hub) async fn renew(&self, outbox: &Outbox<Members>) {
        let now = now_ms();
        let expired = outbox.expired(now);
        for (n, member) in expired.iter().enumerate() {
            if n % VERIFIED == VERIFIED - 1 {
                tokio::task::yield_now().await;
            }
            self.renew_member(member, now);
        }
        outbox.find_soonest(now);
    }

    fn renew_member(&self, member: &Arc<Membership>, now: u64) {
        let Some(old) = member.authorization() else { return };
        let channel = &member.channel;
        let settings = self.settings();
        let authority = settings.authority.as_ref();
        let grant = authority.and_then(|it| it.grant(&old.token, now / 1000).ok());
        let valid = grant.filter(|it| !it.expired(now / 1000) && it.may_subscribe(channel));
        if valid.as_ref() == Some(&old.grant) {
            return;
        }
        let new = valid.map(|grant| ChannelAuthorization { token: old.token.clone(), grant });
        // It may have left, or shown a better token, meanwhile.
        let current = |state: &State| {
            let room = state.channels.room(channel);
            let held = room.and_then(|room| room.members.get(&member.handle.id));
            held.is_some_and(|held| Arc::ptr_eq(held, member))
                && member.authorization().is_some_and(|held| Arc::ptr_eq(&held, &old))
        };
        let record = if let Some(new) = new {
            Record::Shown(Arc::clone(member), Arc::new(new))
        } else {
            let handle = Arc::clone(&member.handle);
            handle.withdraw(&old.token);
            Record::Left { handle, channel: channel.clone(), expelled: true }
        };
        let decided: Result<_, std::convert::Infallible> =
            self.submit(|state| Ok(Some(record).filter(|_| current(state))));
        let Ok(_) = decided;
    }

    /// Asks again for the tokens of all members, whether or not they have expired: they may have been
    /// withdrawn.
    pub(in crate::hub) async fn renew_all(&self) {
        let channels = in_pieces(usize::MAX, |last: Option<&Channel>, wanted| {
            self.sequence().state.channels.names(last, wanted)
        });
        let now = now_ms();
        for channel in channels {
            let members = self.members(&channel);
            for (n, member) in members.iter().filter(|it| it.bound).enumerate() {
                if n % VERIFIED == VERIFIED - 1 {
                    tokio::task::yield_now().await;
                }
                self.renew_member(member, now);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Returns the members of a channel.
    fn members(&self, channel: &Channel) -> Vec<Arc<Membership>> {
        in_pieces(usize::MAX, |last: Option<&Arc<Membership>>, wanted| {
            let sequence = self.sequence();
            let Some(room) = sequence.state.channels.room(channel) else { return Vec::new() };
            let after = last.map_or(Bound::Unbounded, |last| Bound::Excluded(&last.handle.id));
            let after = room.members.range::<ConnectionId, _>((after, Bound::Unbounded));
            after.take(wanted).map(|(_, member)| Arc::clone(member)).collect()
        })
    }

    /// Has the channels looked after in which tokens have expired, and notes when the next token of
    /// each expires.
    pub(in crate::hub) async fn renew_due(&self) {
        let now = now_ms() / 1000;
        let due = self.sequence().state.channels.take_due(now);
        for channel in due {
            let members = self.members(&channel);
            let next = members.iter().filter_map(|it| it.expires()).filter(|end| *end > now).min();
            let outbox = {
                let channels = &mut self.sequence().state.channels;
                // Tokens that were shown meanwhile are noted already.
                next.inspect(|end| channels.note_expiry(&channel, *end));
                channels.room(&channel).and_then(|room| room.outbox.clone())
            };
            if let Some(outbox) = outbox {
                outbox.note_expiry(now);
                self.schedule(Lane::Channel(outbox));
            }
            tokio::task::yield_now().await;
        }
    }
}
