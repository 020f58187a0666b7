//! Facts about the server, which its start fixes.

use std::time::Instant;

use crate::session::Limits;

/// The part of `/api/info` that is no state of the hub.
#[derive(Debug)]
pub(crate) struct Info {
    /// When the server started.
    pub(crate) started: Instant,
    /// URLs for WebSocket clients, without path.
    pub(crate) websocket: Vec<String>,
    /// URLs of the observers' side, without path.
    pub(crate) observers: Vec<String>,
    /// Whether the two have different addresses.
    pub(crate) apart: bool,
    /// Name of the file of a recording.
    pub(crate) recording: Option<String>,
    /// URLs of the upstreams in proxy mode.
    pub(crate) upstreams: Vec<String>,
    /// Limits of sessions.
    pub(crate) limits: Limits,
}
