//! Publishing to channels and users: one event on the stream, and a delivery for each recipient.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use super::fanout::Audience;
use super::rules::{ChannelInside, ChannelRules, ChannelSeen};
use crate::event::{
    Body, Channel, ConnectionId, Direction, Event, EventBody, EventId, Message, Opcode, Routing,
    User,
};
use crate::hub::Hub;
use crate::hub::clock::now_ms;
use crate::hub::connections::connection::Connection;
use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::pieces::in_pieces;
use crate::hub::refusal::NotAllowed;
use crate::hub::runtime::shared::Shared;
use crate::hub::sequence::decide;
use crate::hub::sequence::record::{Record, Routed};

/// A message to publish to a channel, or to users.
#[derive(Debug)]
pub struct Publication {
    /// The channel whose members it is for.
    pub channel: Option<Channel>,
    /// Only these users of them. Without a channel: these users, whatever channels they are in.
    pub to: Vec<User>,
    /// Not these users.
    pub except: Vec<User>,
    /// The publisher, if it is another user than that of the connection.
    pub user: Option<User>,
    /// Text or binary.
    pub opcode: Opcode,
    /// Bytes of the payload.
    pub size: usize,
    /// The payload.
    pub body: Body,
    /// The message in the dialect of the publisher, for members that speak it.
    pub words: Option<Arc<str>>,
    /// Whether the channel may keep it. A message for some users is never kept.
    pub keep: bool,
}

impl Publication {
    /// Makes a message to all members of a channel.
    #[must_use]
    pub fn new(channel: Channel, opcode: Opcode, size: usize, body: Body) -> Self {
        let (to, except) = (Vec::new(), Vec::new());
        let channel = Some(channel);
        Self { channel, to, except, user: None, opcode, size, body, words: None, keep: true }
    }
}

impl Connection {
    /// Publishes a message of this connection to a channel or to users, and returns its id.
    ///
    /// # Errors
    ///
    /// If the channel is private and the connection may not publish to it, or if messages are
    /// published faster than they can be delivered ([`NotAllowed::Busy`]).
    pub fn publish_to(&self, publication: Publication) -> Result<EventId, NotAllowed> {
        let size = publication.size as u64;
        let id = self.shared.publish_to(Some(&self.handle), publication)?;
        self.handle.count(Direction::In, 1, size, now_ms());
        self.shared.metrics.received_bytes.inc_by(size);
        Ok(id)
    }

    /// Notes that the client has no room for what was delivered to it. With
    /// [`SlowClient::Close`](crate::hub::SlowClient) the connection is closed.
    pub fn mark_slow(&self) {
        self.shared.metrics.queue_refusals.inc();
        self.shared.slow.note(&self.handle);
        self.shared.lanes_wake.notify_one();
    }
}

impl Hub {
    /// Publishes a message of no connection to a channel or to users, and returns its id. Private
    /// channels ask for nothing.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Stopping`] or [`NotAllowed::Busy`].
    pub fn publish(&self, publication: Publication) -> Result<EventId, NotAllowed> {
        self.shared.publish_to(None, publication)
    }

    /// Returns whether so much waits to be delivered to a channel that its publishers should wait.
    #[must_use]
    pub fn is_behind(&self, channel: &Channel) -> bool {
        let sequence = self.shared.sequence();
        let room = sequence.state.channels.room(channel);
        room.and_then(|room| room.outbox.as_ref()).is_some_and(|outbox| outbox.is_behind())
    }

    /// Waits until what was published to a channel is nearly delivered, and the log on disk is not
    /// behind, so that the next message does not add to a backlog. Cancel safe.
    pub async fn room_in(&self, channel: &Channel) {
        self.room_in_log().await;
        let outbox = {
            let sequence = self.shared.sequence();
            sequence.state.channels.room(channel).and_then(|room| room.outbox.clone())
        };
        if let Some(outbox) = outbox {
            outbox.room().await;
        }
    }

    /// Returns all channels in the order of their names: those with members, kept messages or rules of
    /// their own.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelSeen> {
        self.channels_after(None, usize::MAX)
    }

    /// Returns up to `limit` channels with names after `after`, in order.
    #[must_use]
    pub fn channels_after(&self, after: Option<&Channel>, limit: usize) -> Vec<ChannelSeen> {
        in_pieces(limit, |last: Option<&ChannelSeen>, wanted| {
            let after = last.map(|seen| &seen.channel).or(after);
            self.shared.sequence().state.channels.seen(after, wanted)
        })
    }

    /// Returns a channel as it is in the list of all; `None` if it is empty.
    #[must_use]
    pub fn channel_seen(&self, channel: &Channel) -> Option<ChannelSeen> {
        Some(self.shared.sequence().state.channels.room(channel)?.seen(channel))
    }

    /// Returns the content of a channel; `None` if it is empty.
    #[must_use]
    pub fn channel(&self, channel: &Channel) -> Option<ChannelInside> {
        let seen = self.channel_seen(channel)?;
        let members =
            in_pieces(usize::MAX, |last, wanted| self.members_after(channel, last, wanted));
        let users = in_pieces(usize::MAX, |last, wanted| self.users_after(channel, last, wanted));
        let kept = self.shared.sequence().state.channels.room(channel).map(|it| it.history.clone());
        let history = kept.unwrap_or_default().into();
        Some(ChannelInside { seen, members, users, history })
    }

    /// Returns up to `limit` connections in a channel with ids after `after`, in order.
    #[must_use]
    pub fn members_after(
        &self,
        channel: &Channel,
        after: Option<&ConnectionId>,
        limit: usize,
    ) -> Vec<ConnectionId> {
        let sequence = self.shared.sequence();
        let Some(room) = sequence.state.channels.room(channel) else { return Vec::new() };
        let after = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        room.members.range::<ConnectionId, _>(after).take(limit).map(|(id, _)| id.clone()).collect()
    }

    /// Returns up to `limit` users of the connections in a channel with names after `after`, in order.
    /// A connection without a user stands under its id.
    #[must_use]
    pub fn users_after(&self, channel: &Channel, after: Option<&User>, limit: usize) -> Vec<User> {
        let sequence = self.shared.sequence();
        let Some(room) = sequence.state.channels.room(channel) else { return Vec::new() };
        room.users_after(after, limit)
    }

    /// Returns up to `limit` messages that a channel keeps, those after `after`, the oldest first.
    #[must_use]
    pub fn kept_after(
        &self,
        channel: &Channel,
        after: Option<EventId>,
        limit: usize,
    ) -> Vec<Arc<Event>> {
        let sequence = self.shared.sequence();
        let Some(room) = sequence.state.channels.room(channel) else { return Vec::new() };
        let next = room.history.partition_point(|event| Some(event.id) <= after);
        room.history.iter().skip(next).take(limit).cloned().collect()
    }

    /// Returns how many connections are in a channel, in constant time.
    #[must_use]
    pub fn members(&self, channel: &Channel) -> usize {
        self.shared.sequence().state.channels.room(channel).map_or(0, |room| room.members.len())
    }

    /// Returns the rules of a channel, whether it is there or not.
    #[must_use]
    pub fn rules(&self, channel: &Channel) -> ChannelRules {
        self.shared.sequence().state.rules(&self.shared.settings().channels, channel)
    }

    /// Sets the rules of a channel, which then stays also when it is empty. Members stay.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Full`].
    pub fn configure(&self, channel: &Channel, rules: ChannelRules) -> Result<(), NotAllowed> {
        let max = self.shared.settings().max_channels;
        let mut dropped = Vec::new();
        let mut sequence = self.shared.sequence();
        let channels = &mut sequence.state.channels;
        if channels.room(channel).is_none() {
            if !channels.has_room_for(1, max) {
                return Err(NotAllowed::Full);
            }
            channels.make_room_for(1, max, &mut dropped);
        }
        channels.set(channel, rules);
        drop(sequence);
        drop(dropped);
        Ok(())
    }

    /// Lets a channel that was configured go once it is empty.
    pub fn release(&self, channel: &Channel) {
        let mut dropped = Vec::new();
        self.shared.sequence().state.channels.unset(channel, &mut dropped);
    }
}

impl Shared {
    fn publish_to(
        &self,
        from: Option<&Arc<ConnectionHandle>>,
        publication: Publication,
    ) -> Result<EventId, NotAllowed> {
        let Publication { channel, to, except, user, opcode, size, body, words, keep } =
            publication;
        let now = now_ms();
        let keep = keep && to.is_empty() && except.is_empty();
        let direction = if from.is_some() { Direction::In } else { Direction::Out };
        let user = user.or_else(|| self.publisher(from?, channel.as_ref(), now));
        let to = once(to);
        let excluded: HashSet<User> = except.iter().cloned().collect();
        let (audience, users) = if channel.is_some() {
            let only = (!to.is_empty()).then(|| to.iter().cloned().collect());
            (Audience { only, except: excluded }, Vec::new())
        } else {
            let users = to.iter().filter(|user| !excluded.contains(*user)).cloned().collect();
            (Audience::default(), users)
        };
        let routing = Routing { channel: channel.clone(), user, to, except };
        let mut message = Message::new(direction, opcode, size, body);
        let settings = self.settings();
        let redaction = &settings.redaction;
        // Members get the message as it was sent, whatever redaction changes in the event.
        let whole = redaction.is_on().then(|| {
            let routing = Some(Box::new(routing.clone()));
            EventBody::Message(Message { routing, ..message.copied() })
        });
        message.routing = Some(Box::new(routing));
        let id = from.map_or_else(ConnectionId::nobody, |handle| handle.id.clone());
        let mut draft = redaction.draft(&id, EventBody::Message(message));
        if let Some(handle) = from {
            draft = draft.after(Arc::clone(&handle.handshake));
        }
        if let (Some(handle), Some(channel)) = (from, &channel) {
            self.renew_own(handle, channel);
        }
        self.submit(|state| {
            if from.is_none() && state.stopping {
                return Err(NotAllowed::Stopping);
            }
            if let Some(handle) = from {
                if handle.ended() {
                    return Err(NotAllowed::Ended);
                }
                if let Some(channel) = &channel {
                    decide::publish(state, &settings, handle, channel, now)?;
                }
            }
            let room = channel.as_ref().and_then(|channel| state.channels.room(channel));
            let full = match (&channel, room) {
                (None, _) => state.users.is_full(),
                (_, room) => room.and_then(|it| it.outbox.as_ref()).is_some_and(|it| it.is_full()),
            };
            if full {
                return Err(NotAllowed::Busy);
            }
            let channel = channel.map(|channel| {
                let rules = state.rules(&settings.channels, &channel);
                (channel, rules)
            });
            let routed = Routed { draft, channel, audience, users, whole, words, keep };
            Ok([Record::Routed(Box::new(routed))])
        })
    }

    /// Returns the user that a connection publishes as: in a channel that it is in, the user that it
    /// has entered as.
    fn publisher(
        &self,
        handle: &ConnectionHandle,
        channel: Option<&Channel>,
        now: u64,
    ) -> Option<User> {
        let own = handle.user_at(now);
        let Some(channel) = channel else { return own };
        let member = self.member(handle, channel);
        member.filter(|it| it.private && !it.expired(now)).and_then(|it| it.user()).or(own)
    }
}

/// Returns the users, each once, in their order.
fn once(users: Vec<User>) -> Vec<User> {
    let mut seen = HashSet::new();
    users.into_iter().filter(|user| seen.insert(user.clone())).collect()
}
