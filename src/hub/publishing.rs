//! Publishing to channels and users: one event for those who listen, and one delivery for each
//! who is meant, in one order for all.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};

use super::delivered::Delivered;
use super::membership::NotAllowed;
use super::queue::Outgoing;
use super::registry::{CloseRequest, ConnectionHandle, Ending};
use super::room::{ChannelInside, ChannelRules, ChannelSeen, Users};
use super::shared::Shared;
use super::stream::{Next, Stream};
use super::{Connection, Hub, SlowClient, now_ms};
use crate::code::Code;
use crate::event::{
    Body, Channel, ClosedBy, ConnectionId, Direction, Event, EventBody, EventId, Message, Opcode,
    Routing, User,
};

/// Something to publish to a channel, or to users.
#[derive(Debug)]
pub struct Publication {
    /// To whom: the members of this channel.
    pub channel: Option<Channel>,
    /// Only to these of them. Without a channel: to these users, wherever they are.
    pub to: Vec<User>,
    /// Not to these.
    pub except: Vec<User>,
    /// Who publishes it, if it is somebody else's than the connection's.
    pub user: Option<User>,
    /// Text or binary.
    pub opcode: Opcode,
    /// Bytes of the payload.
    pub size: usize,
    /// The payload.
    pub body: Body,
    /// The same as members of the publisher's own dialect are told it.
    pub words: Option<Arc<str>>,
    /// Whether the channel may keep it. What is only for some is never kept.
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
    /// If the channel is private and it may not.
    pub fn publish_to(&self, publication: Publication) -> Result<EventId, NotAllowed> {
        self.shared.publish_to(Some(&self.entry), publication)
    }

    /// Notes that whoever attends it has no room for what was delivered; it may be closed for that,
    /// as a client that does not keep up.
    pub fn mark_slow(&self) {
        let shared = &self.shared;
        shared.metrics.queue_refusals.inc();
        if shared.settings.slow_client == SlowClient::Close {
            shared.slow.push(&self.entry);
            shared.announce(Next::Nothing);
        }
    }
}

impl Hub {
    /// Publishes a message of no connection to a channel or to users, and returns its id.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Stopping`]. Whoever has the hub in the hand may publish to every channel.
    pub fn publish(&self, publication: Publication) -> Result<EventId, NotAllowed> {
        self.shared.publish_to(None, publication)
    }

    /// Returns the channels in which somebody or something is.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelSeen> {
        let mut all = self.shared.stream().channels.seen();
        all.sort_by(|a, b| a.channel.cmp(&b.channel));
        all
    }

    /// Returns what is in a channel; nothing for one that is empty.
    #[must_use]
    pub fn channel(&self, channel: &Channel) -> Option<ChannelInside> {
        self.shared.stream().channels.inside(channel)
    }

    /// Returns the rules that hold for a channel, whether it is there or not.
    #[must_use]
    pub fn rules(&self, channel: &Channel) -> ChannelRules {
        self.shared.rules(&self.shared.stream(), channel)
    }

    /// Sets the rules of a channel, which then stays also when nobody is in it. Members stay.
    ///
    /// # Errors
    ///
    /// [`NotAllowed::Full`].
    pub fn configure(&self, channel: &Channel, rules: ChannelRules) -> Result<(), NotAllowed> {
        let max = self.shared.settings.max_channels;
        let channels = &mut self.shared.stream().channels;
        if channels.room(channel).is_none() && !channels.has_room_for(1, max) {
            return Err(NotAllowed::Full);
        }
        channels.set(channel, rules);
        Ok(())
    }

    /// Lets a channel that was configured go once nobody is in it.
    pub fn release(&self, channel: &Channel) {
        self.shared.stream().channels.unset(channel);
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
        let keep = keep && to.is_empty() && except.is_empty();
        let direction = if from.is_some() { Direction::In } else { Direction::Out };
        let user = user.or_else(|| from.and_then(|entry| entry.user().cloned()));
        let to = once(to);
        let routing = Routing { channel: channel.clone(), user, to, except };
        let mut message = Message::new(direction, opcode, size, body);
        let redaction = &self.settings.redaction;
        // Members get it as it was sent, and hear of no change that redaction makes.
        let whole = redaction
            .is_on()
            .then(|| Message { routing: Some(Box::new(routing.clone())), ..message.copied() });
        message.routing = Some(Box::new(routing.clone()));
        let id = from.map_or_else(ConnectionId::nobody, |entry| entry.id.clone());
        let draft = redaction.draft(&id, EventBody::Message(message));
        if let Some(channel) = &channel {
            self.renew_passes(channel);
        }
        let now = now_ms();
        let mut stream = self.stream();
        if from.is_none() && stream.stopping {
            return Err(NotAllowed::Stopping);
        }
        if let Some(entry) = from {
            if entry.ended() {
                return Err(NotAllowed::Ended);
            }
            if let Some(channel) = &channel {
                self.may_publish(&stream, entry, channel)?;
            }
        }
        let (event, next) = self.publish(&mut stream, draft, now);
        let id = event.id;
        if let Some(channel) = &channel {
            self.keep(&mut stream, channel, &event, keep);
        }
        let delivered = Arc::new(Delivered::new(event, whole.map(EventBody::Message), words));
        self.fan_out(&stream, &routing, &delivered, now);
        drop(stream);
        self.announce(next);
        if let Some(entry) = from {
            entry.count(Direction::In, 1, size as u64, now);
            self.metrics.received_bytes.inc_by(size as u64);
        }
        Ok(id)
    }

    fn keep(&self, stream: &mut Stream, channel: &Channel, event: &Arc<Event>, keep: bool) {
        let rules = self.rules(stream, channel);
        let (known, max) = (stream.channels.room(channel).is_some(), self.settings.max_channels);
        if known || keep && rules.history > 0 && stream.channels.has_room_for(1, max) {
            stream.channels.make(channel, rules);
            stream.channels.keep(channel, event, keep, self.settings.history.bytes);
        }
    }

    /// Hands a message to all whom it is for. Under the lock of the stream, so that all of them get
    /// everything in one order.
    fn fan_out(&self, stream: &Stream, routing: &Routing, delivered: &Arc<Delivered>, now: u64) {
        let (to, except) = (Users::new(&routing.to), Users::new(&routing.except));
        if let Some(channel) = &routing.channel {
            let members = stream.channels.room(channel).map(|room| room.members.values());
            for member in members.into_iter().flatten() {
                let meant = routing.to.is_empty() || member.who.is_among(&to);
                if meant && !member.who.is_among(&except) {
                    self.deliver(&member.entry, delivered, now);
                }
            }
        } else {
            for user in routing.to.iter().filter(|user| !routing.except.contains(user)) {
                for entry in stream.channels.connections_of(user) {
                    self.deliver(entry, delivered, now);
                }
            }
        }
    }

    /// Puts what has happened in a channel into a member's queue.
    pub(super) fn deliver(
        &self,
        entry: &Arc<ConnectionHandle>,
        delivered: &Arc<Delivered>,
        now: u64,
    ) {
        if self.enqueue(entry, Outgoing::Delivered(Arc::clone(delivered))) {
            let size = delivered.size();
            entry.count(Direction::Out, 1, size, now);
            self.metrics.sent_bytes.inc_by(size);
            self.metrics.deliveries.inc();
        }
    }

    /// Puts something into a member's queue. One that is full concerns that member alone: what does
    /// not fit is counted, and the member closed where that is asked for, as soon as the lock of the
    /// stream is free. Returns whether there was room.
    pub(super) fn enqueue(&self, entry: &Arc<ConnectionHandle>, outgoing: Outgoing) -> bool {
        if entry.put(Direction::Out, outgoing) {
            return true;
        }
        // One that is on its way out is not slow.
        if !entry.is_unread() {
            self.metrics.queue_refusals.inc();
            if self.settings.slow_client == SlowClient::Close {
                self.slow.push(entry);
            }
        }
        false
    }

    /// Closes the clients that do not keep up. Their ends are told now: while one reads nothing, its
    /// session may hang in a write. Called without the lock of the stream.
    pub(super) fn close_slow(&self) -> Next {
        let mut next = Next::Nothing;
        loop {
            let slow = self.slow.take();
            if slow.is_empty() {
                return next;
            }
            let mut stream = self.stream();
            for entry in slow {
                let code = Code::SlowDown.close();
                let reason = "it does not keep up with its channels".to_owned();
                entry.request_close(CloseRequest { code, reason: reason.clone() });
                let ending = Ending { code, reason, clean: false, by: ClosedBy::Tap, wire: None };
                next = next.max(self.end(&mut stream, &entry, ending, now_ms()));
            }
        }
    }
}

/// Clients that did not keep up and are to be closed. The lock is a leaf: under it nothing is asked
/// of anybody.
#[derive(Debug, Default)]
pub(super) struct Slow {
    any: AtomicBool,
    entries: Mutex<Vec<Arc<ConnectionHandle>>>,
}

impl Slow {
    fn push(&self, entry: &Arc<ConnectionHandle>) {
        self.lock().push(Arc::clone(entry));
        self.any.store(true, Release);
    }

    fn take(&self) -> Vec<Arc<ConnectionHandle>> {
        // Almost always there is none, and this is asked after every publication.
        if !self.any.load(Acquire) || !self.any.swap(false, AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ConnectionHandle>>> {
        self.entries.lock().expect("nothing panics while it holds this lock")
    }
}

/// Returns the users, each once, in their order.
fn once(users: Vec<User>) -> Vec<User> {
    let mut seen = HashSet::new();
    users.into_iter().filter(|user| seen.insert(user.clone())).collect()
}
