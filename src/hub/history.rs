//! What is kept of the stream, and in which units it is read.

pub(super) mod memory;
pub(super) mod segment;
pub(super) mod store;
