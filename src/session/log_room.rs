//! Waits while the log on disk is behind, so that a client is not read faster than its events are
//! written.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::hub::Hub;

/// A wait for the log, if there is one.
#[derive(Default)]
pub(super) struct LogRoom(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl fmt::Debug for LogRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogRoom").field(&self.0.is_some()).finish()
    }
}

impl LogRoom {
    /// Polls until the log has room for more events.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, hub: &Hub) -> Poll<()> {
        if self.0.is_none() {
            let Some(room) = hub.log_room() else { return Poll::Ready(()) };
            self.0 = Some(Box::pin(room));
        }
        if let Some(room) = &mut self.0 {
            ready!(room.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}
