//! Channels: their rules and members, what is delivered to members, and what is kept.

pub(super) mod authorization;
pub(super) mod fanout;
pub(super) mod kept;
pub(super) mod member;
pub(super) mod membership;
pub(super) mod outbox;
pub(super) mod publishing;
pub(super) mod room;
pub(super) mod rooms;
pub(super) mod rules;
