//! Listeners: how the stream is read, live and from the store.

pub(super) mod expressions;
pub(super) mod listener;
pub(super) mod pace;
pub(super) mod reading;
pub(super) mod scan;
pub(super) mod seek;
pub(super) mod subscription;
