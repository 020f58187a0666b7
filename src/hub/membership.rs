//! Coming into channels and leaving them. State and the events that tell of it change together,
//! under the lock of the stream.

use std::sync::Arc;

use super::delivered::Delivered;
use super::queue::Outgoing;
use super::registry::ConnectionHandle;
use super::room::{ChannelAuthorization, ChannelRules, Member, MemberIdentity};
use super::shared::Shared;
use super::stream::{Next, Stream};
use super::{Connection, now_ms};
use crate::auth::Denied;
use crate::event::{Channel, EventBody, EventId, Presence};

/// Channels that one connection may be in: more than anybody shows on a screen, and a bound for
/// what it can make the server remember.
const MAX_SUBSCRIPTIONS: usize = 1000;

/// Kept messages that a command brings at most, so that they fit into the queue of a connection
/// beside what is new: half of it.
const KEPT_MESSAGES: usize = 128;

/// The same in bytes.
const KEPT_BYTES: usize = 2 << 20;

/// What somebody shows at the door of a channel.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing: enough for public channels.
    None,
    /// A token for those that are private. One that comes again with another token has the new one.
    Token(&'a str),
    /// The word of somebody who has been checked already.
    Trusted,
}

/// Why somebody may not enter a channel, or publish to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is private, and nobody has said who it is.
    #[error("the channel {0:?} is private; a token in params.token is right")]
    NoToken(Channel),
    /// It is private, and nobody here can check tokens.
    #[error("the channel {0:?} is private, and this server takes no tokens (--jwt-key)")]
    NoAuthority(Channel),
    /// The token is worth nothing.
    #[error("the token for the channel {channel:?} is refused: {why}")]
    Denied {
        /// The first channel that it was shown for.
        channel: Channel,
        /// What the authority says.
        why: Denied,
    },
    /// The token is good, but not for this.
    #[error("this token does not let anybody into the channel {0:?}")]
    Foreign(Channel),
    /// Only those may publish there who are in it with a token that says so.
    #[error("the channel {0:?} is private; only who is in it with a token for that may publish")]
    NoPublisher(Channel),
    /// As many are in it as may be.
    #[error("the channel {0:?} has as many members as it takes; try again later")]
    Crowded(Channel),
    /// There are as many channels as there may be.
    #[error("there are as many channels as this server takes; try again later")]
    Full,
    /// It is in as many channels as it may be.
    #[error("a connection is in at most {MAX_SUBSCRIPTIONS} channels; leave some first")]
    TooMany,
    /// Its end has been told already.
    #[error("this connection has ended")]
    Ended,
    /// Nobody would hear it any more.
    #[error("this server is stopping; try again in a moment")]
    Stopping,
}

impl Connection {
    /// Enters channels, all or none of them; it is in those already where it is. With `last`, so
    /// many messages that the channels keep come first, at most the newest 128 and 2 MiB of them. Returns the newest event after that.
    ///
    /// # Errors
    ///
    /// If it may not enter one of them.
    pub fn join(
        &self,
        channels: &[Channel],
        credential: Credential<'_>,
        last: usize,
    ) -> Result<EventId, NotAllowed> {
        let (shared, entry) = (&self.shared, &self.entry);
        let pass = shared.pass(channels, credential)?;
        let now = now_ms();
        let mut stream = shared.stream();
        if entry.ended() {
            return Err(NotAllowed::Ended);
        }
        shared.check(&mut stream, entry, channels, pass.as_deref(), credential)?;
        if let Some(user) = pass.as_ref().and_then(|pass| pass.grant.user.clone()) {
            entry.set_user(user);
        }
        let mut next = Next::Nothing;
        let (mut messages, mut bytes) = (last.min(KEPT_MESSAGES), KEPT_BYTES);
        for channel in channels {
            let rules = shared.rules(&stream, channel);
            let private = rules.private;
            let pass = pass.clone().filter(|_| private);
            let room = stream.channels.make(channel, rules);
            if let Some(member) = room.members.get_mut(&entry.id) {
                if pass.is_some() {
                    member.pass.clone_from(&pass);
                    room.note_pass(pass.as_deref());
                }
                continue;
            }
            let user = pass.as_ref().and_then(|pass| pass.grant.user.clone());
            let user = user.or_else(|| entry.user().cloned());
            let who =
                user.map_or_else(|| MemberIdentity::Nobody(entry.id.clone()), MemberIdentity::User);
            let member = Member { entry: Arc::clone(entry), who: who.clone(), pass, private };
            let first = stream.channels.enter(channel, member);
            let Some(room) = stream.channels.room(channel) else { continue };
            for event in room.last(messages, bytes) {
                (messages, bytes) = (messages - 1, bytes - event.weight());
                let delivered = Delivered::new(Arc::clone(event), None, None);
                shared.deliver(entry, &Arc::new(delivered), now);
            }
            if room.rules.presence {
                let users = room.users().into();
                shared.enqueue(entry, Outgoing::Present(channel.clone(), users));
            }
            if first {
                next =
                    next.max(shared.publish_presence(&mut stream, entry, channel, &who, true, now));
            }
        }
        let last = stream.head().id.unwrap_or_default();
        drop(stream);
        shared.announce(next);
        Ok(last)
    }

    /// Leaves channels; where it is not, nothing happens. Returns the newest event after that.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Ended`].
    pub fn leave(&self, channels: &[Channel]) -> Result<EventId, NotAllowed> {
        let (shared, entry) = (&self.shared, &self.entry);
        let mut stream = shared.stream();
        if entry.ended() {
            return Err(NotAllowed::Ended);
        }
        let (mut next, now) = (Next::Nothing, now_ms());
        for channel in channels {
            next = next.max(shared.remove_member(&mut stream, entry, channel, now));
        }
        let last = stream.head().id.unwrap_or_default();
        drop(stream);
        shared.announce(next);
        Ok(last)
    }
}

impl Shared {
    /// Returns the rules that hold for a channel, whether it is there or not.
    pub(super) fn rules(&self, stream: &Stream, channel: &Channel) -> ChannelRules {
        let declared = || self.settings.channels.iter().find(|it| it.name.fits(channel));
        match stream.channels.room(channel) {
            Some(room) => room.rules.clone(),
            None => declared().map(|it| it.rules.clone()).unwrap_or_default(),
        }
    }

    /// Checks whether a connection may enter all of these channels.
    fn check(
        &self,
        stream: &mut Stream,
        entry: &ConnectionHandle,
        channels: &[Channel],
        pass: Option<&ChannelAuthorization>,
        credential: Credential<'_>,
    ) -> Result<(), NotAllowed> {
        let trusted = matches!(credential, Credential::Trusted);
        let (mut new, mut made) = (0, 0);
        for channel in channels {
            let rules = self.rules(stream, channel);
            if rules.private && !trusted {
                match pass {
                    None => return Err(NotAllowed::NoToken(channel.clone())),
                    Some(pass) if !pass.grant.may_subscribe(channel) => {
                        return Err(NotAllowed::Foreign(channel.clone()));
                    }
                    Some(_) => {}
                }
            }
            let room = stream.channels.room(channel);
            if room.is_some_and(|room| room.members.contains_key(&entry.id)) {
                continue;
            }
            let members = room.map_or(0, |room| room.members.len());
            if rules.max_members.is_some_and(|max| members >= max) {
                return Err(NotAllowed::Crowded(channel.clone()));
            }
            new += 1;
            made += usize::from(room.is_none());
        }
        if entry.lock_channels().len() + new > MAX_SUBSCRIPTIONS {
            return Err(NotAllowed::TooMany);
        }
        if made > 0 && !stream.channels.has_room_for(made, self.settings.max_channels) {
            return Err(NotAllowed::Full);
        }
        Ok(())
    }

    /// Takes a connection out of a channel.
    pub(super) fn remove_member(
        &self,
        stream: &mut Stream,
        entry: &Arc<ConnectionHandle>,
        channel: &Channel,
        now: u64,
    ) -> Next {
        let Some((member, last)) = stream.channels.leave(channel, &entry.id) else {
            return Next::Nothing;
        };
        let next = if last {
            self.publish_presence(stream, entry, channel, &member.who, false, now)
        } else {
            Next::Nothing
        };
        stream.channels.tidy(channel);
        next
    }

    /// Takes a connection out of all its channels: before its end is told.
    pub(super) fn leave_all(
        &self,
        stream: &mut Stream,
        entry: &Arc<ConnectionHandle>,
        now: u64,
    ) -> Next {
        let channels = entry.channels();
        let left = channels.iter().map(|channel| self.remove_member(stream, entry, channel, now));
        let next = left.max().unwrap_or(Next::Nothing);
        stream.channels.unindex_user(entry);
        next
    }

    /// Publishes that a user has come or gone, and tells the members of a channel that has presence.
    pub(super) fn publish_presence(
        &self,
        stream: &mut Stream,
        entry: &ConnectionHandle,
        channel: &Channel,
        who: &MemberIdentity,
        joins: bool,
        now: u64,
    ) -> Next {
        let redaction = &self.settings.redaction;
        let what = || {
            let told = Box::new(Presence { channel: channel.clone(), user: who.name() });
            if joins { EventBody::Join(told) } else { EventBody::Leave(told) }
        };
        // Members are told who it is, whatever is hidden of that elsewhere.
        let whole = redaction.is_on().then(what);
        let (event, next) = self.publish(stream, redaction.draft(&entry.id, what()), now);
        // When all have to go, nobody needs to be told of each.
        let room = stream.channels.room(channel).filter(|_| !stream.stopping);
        if let Some(room) = room.filter(|room| room.rules.presence) {
            let delivered = Arc::new(Delivered::new(event, whole, None));
            let good = |member: &&Member| {
                member.pass.as_ref().is_none_or(|pass| !pass.grant.expired(now / 1000))
            };
            for member in room.members.values().filter(|member| member.who != *who).filter(good) {
                self.deliver(&member.entry, &delivered, now);
            }
        }
        next
    }
}
