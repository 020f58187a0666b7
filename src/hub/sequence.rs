//! The one order of all events, and the state that changes with them.
//!
//! A command is looked at by `decide`, which reads the [`State`] and returns a [`Record`] or a
//! refusal; it changes nothing. `apply` is the only code that changes state: it gives the events of
//! a record their places in the [`Order`], changes the state, and pushes into the outboxes what
//! members are to get. Both run under one std mutex, which is never held across an await; the time
//! that it is held grows neither with listeners nor with members, channels or history.

pub(super) mod apply;
pub(super) mod decide;
mod handshakes;
pub(super) mod order;
pub(super) mod record;
pub(super) mod state;

use apply::{Applied, Context};
use order::Order;
use record::Record;
use state::State;

use super::clock::now_ms;
use crate::event::EventId;

/// Order and state, under one lock.
#[derive(Debug)]
pub(in crate::hub) struct Sequence {
    pub(super) order: Order,
    pub(super) state: State,
}

impl Sequence {
    pub(in crate::hub) fn new(order: Order, max_connections: usize, max_channels: usize) -> Self {
        let since = EventId { ms: now_ms(), seq: 0 };
        Self { order, state: State::new(max_connections, max_channels, since) }
    }

    /// Gives a record its place and changes the state by it.
    pub(in crate::hub) fn apply(
        &mut self,
        cx: &Context<'_>,
        record: Record,
        applied: &mut Applied,
    ) {
        apply::apply(&mut self.state, &mut self.order, cx, record, applied);
    }
}
