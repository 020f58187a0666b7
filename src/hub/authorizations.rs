//! What members of private channels have come in with, and how long it is good. The authority is
//! asked without the lock of the stream: it is not ours, and may take its time.

use std::sync::Arc;

use super::membership::{Credential, NotAllowed};
use super::now_ms;
use super::queue::Outgoing;
use super::registry::ConnectionHandle;
use super::room::{ChannelAuthorization, Member, Room};
use super::shared::Shared;
use super::stream::{Next, Stream};
use crate::auth::{Denied, Grant};
use crate::event::Channel;

impl Shared {
    /// Asks what a token is worth, if one of the channels asks for it.
    pub(super) fn pass(
        &self,
        channels: &[Channel],
        credential: Credential<'_>,
    ) -> Result<Option<Arc<ChannelAuthorization>>, NotAllowed> {
        let Credential::Token(token) = credential else { return Ok(None) };
        let private = {
            let stream = self.stream();
            channels.iter().find(|channel| self.rules(&stream, channel).private).cloned()
        };
        let Some(channel) = private else { return Ok(None) };
        let Some(authority) = &self.settings.authority else {
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

    /// Checks whether a connection may publish to a channel.
    pub(super) fn may_publish(
        &self,
        stream: &Stream,
        entry: &ConnectionHandle,
        channel: &Channel,
    ) -> Result<(), NotAllowed> {
        if !self.rules(stream, channel).private {
            return Ok(());
        }
        let room = stream.channels.room(channel);
        let member = room.and_then(|room| room.members.get(&entry.id));
        match member.map(|member| member.pass.as_deref()) {
            // Whoever let it in without a token answers for it.
            Some(None) => Ok(()),
            Some(Some(pass)) if pass.grant.may_publish(channel) => Ok(()),
            _ => Err(NotAllowed::NoPublisher(channel.clone())),
        }
    }

    /// Does that for all channels in which a pass has run out.
    pub(super) fn renew_all_passes(&self) {
        let due = self.stream().channels.due(now_ms() / 1000);
        for channel in due {
            self.renew_passes(&channel);
        }
    }

    /// Asks again for those whose passes have run out; who is denied is in the channel no more.
    pub(super) fn renew_passes(&self, channel: &Channel) {
        let now = now_ms();
        let due = |room: &&Room| room.soonest.is_some_and(|end| end <= now / 1000);
        let expired: Vec<_> = {
            let stream = self.stream();
            let Some(room) = stream.channels.room(channel).filter(due) else { return };
            let members = room.members.values();
            let passes = members.filter_map(|it| Some((Arc::clone(&it.entry), it.pass.clone()?)));
            passes.filter(|(_, pass)| pass.grant.expired(now / 1000)).collect()
        };
        let renewed = |pass: &ChannelAuthorization| -> Option<Grant> {
            let grant = self.settings.authority.as_ref()?.grant(&pass.token, now / 1000).ok()?;
            let good = !grant.expired(now / 1000) && grant.may_subscribe(channel);
            good.then_some(grant)
        };
        let renewed: Vec<_> = expired
            .into_iter()
            .map(|(entry, old)| {
                let grant = renewed(&old);
                let new = grant.map(|grant| {
                    Arc::new(ChannelAuthorization { token: old.token.clone(), grant })
                });
                (entry, old, new)
            })
            .collect();
        let mut stream = self.stream();
        let (mut next, mut gone) = (Next::Nothing, Vec::new());
        for (entry, old, new) in renewed {
            let room = stream.channels.room_mut(channel);
            let member = room.and_then(|room| room.members.get_mut(&entry.id));
            // It may have shown a better one meanwhile.
            let same =
                |held: &Member| held.pass.as_ref().is_some_and(|pass| Arc::ptr_eq(pass, &old));
            let Some(member) = member.filter(|member| same(member)) else { continue };
            if new.is_some() {
                member.pass = new;
            } else if let Some((member, true)) = stream.channels.leave(channel, &entry.id) {
                gone.push(member);
                self.enqueue(&entry, Outgoing::Expelled(channel.clone()));
            } else {
                self.enqueue(&entry, Outgoing::Expelled(channel.clone()));
            }
        }
        // All are out before those who stay are told of each.
        for member in gone {
            next = next.max(self.publish_presence(
                &mut stream,
                &member.entry,
                channel,
                &member.who,
                false,
                now,
            ));
        }
        if let Some(room) = stream.channels.room_mut(channel) {
            let ends =
                room.members.values().filter_map(|member| member.pass.as_ref()?.grant.expires);
            room.soonest = ends.min();
        }
        stream.channels.tidy(channel);
        drop(stream);
        self.announce(next);
    }
}
