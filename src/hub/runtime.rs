//! What runs behind a hub: the shared state, the tasks, and the inbox of relays.

pub(super) mod inbox;
pub(super) mod live;
pub(super) mod places;
pub(super) mod recorded;
mod relayed;
mod reload;
pub(super) mod shared;
pub(super) mod shutdown;
pub(super) mod slow;
pub(super) mod tasks;
pub(super) mod turns;
pub(super) mod window;
