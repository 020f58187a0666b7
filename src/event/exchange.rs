//! Plain requests of proxy mode, and their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Flow, shorten};

/// A request and its answer, without their bodies.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The remote address of the client.
    pub remote: SocketAddr,
    /// Method, at most 1 KiB.
    pub method: String,
    /// Path and query, at most 8 KiB.
    pub path: String,
    /// URL of the upstream; `None` if no upstream takes the request.
    pub upstream: Option<Arc<str>>,
    /// HTTP status of the answer.
    pub status: u16,
    /// From the request to the head of the answer.
    pub time: Duration,
    /// From the request to the end of the answer.
    pub duration: Duration,
    /// Bytes of both bodies.
    pub bytes: Flow,
    /// Why it failed, if that is not the answer of the upstream.
    pub note: Option<Box<str>>,
}

impl Exchange {
    /// Cuts texts that are longer than an event keeps; an ellipsis marks the cut.
    pub(crate) fn shorten(&mut self) {
        shorten(&mut self.path, 8 << 10);
        shorten(&mut self.method, 1 << 10);
    }

    pub(super) fn weight(&self) -> usize {
        let note = self.note.as_ref().map_or(0, |note| note.len());
        size_of::<Self>() + self.method.len() + self.path.len() + note
    }
}
