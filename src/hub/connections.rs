//! Connections: what is known of each, and the mailbox of those that live on this node.

pub(super) mod connection;
pub(super) mod delivered;
pub(super) mod handle;
pub(super) mod own_drafts;
pub(super) mod queue;
pub(super) mod recorded;
pub(super) mod registering;
