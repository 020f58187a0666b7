//! Decides commands on the state, and changes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::record::{Entered, Record};
use super::state::State;
use crate::event::{Channel, ConnectionId, Presence};
use crate::hub::channels::kept::KeptWish;
use crate::hub::channels::member::{MemberIdentity, Membership};
use crate::hub::connections::handle::{ChannelAuthorization, ConnectionHandle};
use crate::hub::refusal::{MAX_SUBSCRIPTIONS, NotAllowed, Refused};
use crate::hub::settings::{DuplicateId, Settings};
use crate::redact::Redacted;

/// Channels that are entered or left under one hold of the lock of the sequence.
pub(in crate::hub) const AT_ONCE: usize = 32;

/// Decides whether a connection may register. Returns the one that it replaces.
pub(in crate::hub) fn connect(
    state: &State,
    settings: &Settings,
    new: &ConnectionHandle,
) -> Result<Option<Arc<ConnectionHandle>>, Refused> {
    let held = state.connection(&new.id);
    if held.is_some_and(|held| held.has_client_of(new)) && !settings.recording && !state.stopping {
        return Ok(held.cloned());
    }
    may_connect(state, settings, &new.id)?;
    Ok(held.cloned())
}

/// Decides whether a connection without a secret may register under an id.
pub(in crate::hub) fn may_connect(
    state: &State,
    settings: &Settings,
    id: &ConnectionId,
) -> Result<(), Refused> {
    if settings.recording {
        Err(Refused::Recording)
    } else if state.stopping {
        Err(Refused::Stopping)
    } else if settings.duplicate_id == DuplicateId::Reject && state.connection(id).is_some() {
        Err(Refused::Taken)
    } else {
        Ok(())
    }
}

/// A command of a connection to enter channels.
pub(in crate::hub) struct Join<'a> {
    pub(in crate::hub) handle: &'a Arc<ConnectionHandle>,
    /// The channels, and what the stream says of each entering.
    pub(in crate::hub) channels: Vec<(Channel, Redacted<Presence>)>,
    /// As whom it enters.
    pub(in crate::hub) identity: MemberIdentity,
    /// The token that was shown, verified.
    pub(in crate::hub) authorization: Option<Arc<ChannelAuthorization>>,
    /// Whether private channels ask for no token.
    pub(in crate::hub) trusted: bool,
    /// Whether public channels depend on the token too.
    pub(in crate::hub) lent: bool,
    /// The kept messages that are sent first, from all channels together. What they take is taken off.
    pub(in crate::hub) kept: &'a mut KeptWish,
}

/// Decides whether a connection may enter channels: all or none of them.
pub(in crate::hub) fn join(
    state: &State,
    settings: &Settings,
    join: Join<'_>,
) -> Result<Vec<Record>, NotAllowed> {
    let Join { handle, channels, identity, authorization, trusted, lent, kept } = join;
    if handle.ended() {
        return Err(NotAllowed::Ended);
    }
    let (mut records, mut made, mut new) = (Vec::with_capacity(channels.len()), 0, 0);
    if let Some(token) = authorization.as_ref().filter(|token| token.grant.user.is_some()) {
        records.push(Record::Identified(Arc::clone(handle), Arc::clone(token)));
    }
    let mut seen = HashSet::with_capacity(channels.len());
    for (channel, presence) in channels {
        let rules = state.rules(&settings.channels, &channel);
        if rules.private && !trusted {
            match &authorization {
                None => return Err(NotAllowed::NoToken(channel)),
                Some(token) if !token.grant.may_subscribe(&channel) => {
                    return Err(NotAllowed::Foreign(channel));
                }
                Some(_) => {}
            }
        }
        let token = authorization.clone().filter(|_| rules.private || lent);
        let room = state.channels.room(&channel);
        if let Some(member) = room.and_then(|room| room.members.get(&handle.id)) {
            records.extend(token.map(|token| Record::Shown(Arc::clone(member), token)));
            continue;
        }
        if !seen.insert(channel.clone()) {
            continue;
        }
        if rules.max_members.is_some_and(|max| room.map_or(0, |it| it.members.len()) >= max) {
            return Err(NotAllowed::Crowded(channel));
        }
        new += 1;
        made += usize::from(room.is_none());
        // What each of several channels keeps counts towards one bound.
        let (count, weight) = room.map_or((0, 0), |room| {
            room.kept(*kept).fold((0, 0), |(n, sum), it| (n + 1, sum + it.weight()))
        });
        let private = rules.private;
        let member = Membership::new(
            Arc::clone(handle),
            channel,
            identity.clone(),
            presence,
            private,
            token,
        );
        let member = Arc::new(member);
        records.push(Record::Entered(Box::new(Entered { member, rules, kept: *kept })));
        (kept.messages, kept.bytes) = (kept.messages - count, kept.bytes - weight);
    }
    if handle.lock_channels().len() + new > MAX_SUBSCRIPTIONS {
        return Err(NotAllowed::TooMany);
    }
    if made > 0 && !state.channels.has_room_for(made, settings.max_channels) {
        return Err(NotAllowed::Full);
    }
    Ok(records)
}

/// Decides which of some channels a connection leaves: those that it is in.
pub(in crate::hub) fn leave(
    handle: &Arc<ConnectionHandle>,
    channels: &[Channel],
) -> Result<Vec<Record>, NotAllowed> {
    if handle.ended() {
        return Err(NotAllowed::Ended);
    }
    let mut own = handle.lock_channels().clone();
    let left = channels.iter().filter(|channel| own.remove(*channel));
    let record = |channel: &Channel| Record::Left {
        handle: Arc::clone(handle),
        channel: channel.clone(),
        expelled: false,
    };
    Ok(left.map(record).collect())
}

/// Decides whether a connection may publish to a channel.
pub(in crate::hub) fn publish(
    state: &State,
    settings: &Settings,
    handle: &ConnectionHandle,
    channel: &Channel,
    now: u64,
) -> Result<(), NotAllowed> {
    if !state.rules(&settings.channels, channel).private {
        return Ok(());
    }
    let member = state.channels.room(channel).and_then(|room| room.members.get(&handle.id));
    match member.map(|member| member.authorization()) {
        // The trusted party that has let it in without a token answers for it.
        Some(None) => Ok(()),
        Some(Some(token)) if !token.grant.expired(now / 1000) => {
            if token.grant.may_publish(channel) {
                Ok(())
            } else {
                Err(NotAllowed::NoPublisher(channel.clone()))
            }
        }
        _ => Err(NotAllowed::NoPublisher(channel.clone())),
    }
}
