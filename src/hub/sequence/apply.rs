//! Changes the state by a record: the only code that does.

use std::sync::Arc;

use super::order::{Order, PumpAction};
use super::record::{Entered, Record, Routed};
use super::state::State;
use crate::event::{Channel, Draft, Event, EventBody, EventId, Presence};
use crate::hub::channels::fanout::{ChannelTask, Lane, Lanes, Past, UserTask};
use crate::hub::channels::kept::Resumption;
use crate::hub::channels::member::Membership;
use crate::hub::channels::rooms::Dropped;
use crate::hub::connections::delivered::Delivered;
use crate::hub::connections::handle::ConnectionHandle;
use crate::metrics::Metrics;
use crate::redact::Redacted;

/// What applying needs to know beside the record.
#[derive(Debug, Clone, Copy)]
pub(in crate::hub) struct Context<'a> {
    pub(in crate::hub) metrics: &'a Metrics,
    /// Whether redaction is on, so that members need the message as it was sent.
    pub(in crate::hub) redacts: bool,
    /// At most this many channels.
    pub(in crate::hub) max_channels: usize,
    /// At most so many bytes of messages are kept by all channels together.
    pub(in crate::hub) max_kept_bytes: usize,
    /// Milliseconds since 1970.
    pub(in crate::hub) now: u64,
}

/// What is left to do once the lock is released.
#[derive(Debug, Default)]
pub(in crate::hub) struct Applied {
    /// The last event.
    pub(in crate::hub) id: Option<EventId>,
    pub(in crate::hub) action: PumpAction,
    /// Outboxes that were pushed into.
    pub(in crate::hub) lanes: Lanes,
    /// Freed without the lock.
    pub(in crate::hub) dropped: Dropped,
}

impl Applied {
    fn publish(
        &mut self,
        order: &mut Order,
        cx: &Context<'_>,
        draft: Redacted<Draft>,
    ) -> Arc<Event> {
        let (event, action) = order.publish(draft, cx.now);
        cx.metrics.events(event.kind()).inc();
        self.action = self.action.max(action);
        self.id = Some(event.id);
        event
    }
}

pub(in crate::hub) fn apply(
    state: &mut State,
    order: &mut Order,
    cx: &Context<'_>,
    record: Record,
    applied: &mut Applied,
) {
    match record {
        Record::Event(draft) => {
            applied.publish(order, cx, draft);
        }
        Record::Opened(handle, draft) => {
            state.insert(&handle);
            if let Some(user) = handle.named() {
                state.users.push(UserTask::Index(user, handle));
                applied.lanes.add(Lane::Users(Arc::clone(&state.users)));
            }
            applied.publish(order, cx, draft);
        }
        Record::Closed(handle, close) => {
            for channel in handle.channels() {
                leave(state, order, cx, &handle, &channel, false, applied);
            }
            handle.set_ended();
            state.remove(&handle);
            if let Some(user) = handle.named() {
                state.users.push(UserTask::Unindex(user, Arc::clone(&handle)));
                applied.lanes.add(Lane::Users(Arc::clone(&state.users)));
            }
            let draft = close.draft(&handle.id, handle.age(), handle.messages(), handle.bytes());
            applied.publish(order, cx, draft.after(Arc::clone(&handle.handshake)));
        }
        Record::Identified(handle, token) => {
            let (before, user) = handle.set_granted(token);
            if before != user {
                let before = before.map(|user| UserTask::Unindex(user, Arc::clone(&handle)));
                let after = user.map(|user| UserTask::Index(user, Arc::clone(&handle)));
                before.into_iter().chain(after).for_each(|task| state.users.push(task));
                applied.lanes.add(Lane::Users(Arc::clone(&state.users)));
            }
        }
        Record::Entered(entered) => enter(state, order, cx, *entered, applied),
        Record::Shown(member, token) => {
            if let Some(end) = token.grant.expires {
                state.channels.note_expiry(&member.channel, end);
                let room = state.channels.room(&member.channel);
                if let Some(outbox) = room.and_then(|room| room.outbox.as_ref()) {
                    outbox.note_expiry(end);
                }
            }
            member.set_authorization(token);
        }
        Record::Left { handle, channel, expelled } => {
            leave(state, order, cx, &handle, &channel, expelled, applied);
        }
        Record::Routed(routed) => route(state, order, cx, *routed, applied),
    }
}

fn enter(
    state: &mut State,
    order: &mut Order,
    cx: &Context<'_>,
    entered: Entered,
    applied: &mut Applied,
) {
    let Entered { member, rules, kept: wish } = entered;
    let channel = &member.channel;
    if state.channels.room(channel).is_none() {
        state.channels.make_room_for(1, cx.max_channels, &mut applied.dropped);
    }
    let (first, outbox) = state.channels.enter(&member, &rules);
    let room = state.channels.room(channel).expect("it was entered");
    let messages: Vec<_> = room.kept(wish).cloned().collect();
    let kept = match wish.after {
        None => Past::Deliveries(messages),
        Some(after) => {
            // An event that is yet to come is none of this stream.
            let known = order.head().1.is_some_and(|newest| after <= newest);
            let complete = known && room.is_complete(after, messages.len());
            Past::Resumed(Arc::new(Resumption { messages, complete }))
        }
    };
    let lists_users = room.rules.presence;
    outbox.push(ChannelTask::Enter { member: Arc::clone(&member), kept, lists_users });
    if first {
        let event = applied.publish(order, cx, member.draft(true));
        if lists_users && !state.stopping {
            let delivered = Arc::new(Delivered::new(event, whole(cx, &member, true), None));
            outbox.push(ChannelTask::Presence(delivered, member.identity.clone()));
        }
    }
    applied.lanes.add(Lane::Channel(outbox));
}

fn leave(
    state: &mut State,
    order: &mut Order,
    cx: &Context<'_>,
    handle: &Arc<ConnectionHandle>,
    channel: &Channel,
    expelled: bool,
    applied: &mut Applied,
) {
    let presence = state.channels.room(channel).is_some_and(|room| room.rules.presence);
    let left = state.channels.leave(channel, &handle.id, &mut applied.dropped);
    let Some((member, last, outbox)) = left else { return };
    outbox.push(ChannelTask::Leave { member: Arc::clone(&member), expelled });
    if last {
        let event = applied.publish(order, cx, member.draft(false));
        // When all have to go, none is told of each.
        if presence && !state.stopping {
            let delivered = Arc::new(Delivered::new(event, whole(cx, &member, false), None));
            outbox.push(ChannelTask::Presence(delivered, member.identity.clone()));
        }
    }
    applied.lanes.add(Lane::Channel(outbox));
}

/// Returns what members are told of one that comes or goes, where the event hides part of it.
fn whole(cx: &Context<'_>, member: &Membership, joins: bool) -> Option<EventBody> {
    cx.redacts.then(|| {
        let user = member.identity.name();
        let presence = Box::new(Presence { channel: member.channel.clone(), user });
        if joins { EventBody::Join(presence) } else { EventBody::Leave(presence) }
    })
}

fn route(
    state: &mut State,
    order: &mut Order,
    cx: &Context<'_>,
    routed: Routed,
    applied: &mut Applied,
) {
    let Routed { draft, channel, audience, users, whole, words, keep } = routed;
    let event = applied.publish(order, cx, draft);
    let delivered = Arc::new(Delivered::new(Arc::clone(&event), whole, words));
    let Some((channel, rules)) = channel else {
        state.users.push(UserTask::Message(delivered, users));
        applied.lanes.add(Lane::Users(Arc::clone(&state.users)));
        return;
    };
    let outbox = state.channels.room(&channel).and_then(|room| room.outbox.clone());
    let dropped = &mut applied.dropped;
    let known = outbox.is_some() || state.channels.room(&channel).is_some();
    let makes = !known && keep && rules.history > 0;
    if makes {
        state.channels.make_room_for(1, cx.max_channels, dropped);
    }
    let keep = keep && (known || makes && state.channels.has_room_for(1, cx.max_channels));
    state.channels.message(&channel, &event, keep, &rules, cx.max_kept_bytes, dropped);
    if let Some(outbox) = outbox {
        outbox.push(ChannelTask::Message(delivered, audience));
        applied.lanes.add(Lane::Channel(outbox));
    }
}
