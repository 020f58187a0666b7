//! What is kept of the stream, and in which units it is read.

#[cfg(feature = "sqlite")]
pub(crate) mod log;
pub(super) mod memory;
pub(super) mod progress;
pub(super) mod segment;
pub(super) mod store;

#[cfg(test)]
mod suite;
