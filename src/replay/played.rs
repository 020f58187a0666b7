//! The results of a replay.

use std::fmt;
use std::time::Duration;

use super::script::Payload;

/// The result of one connection.
#[derive(Debug)]
pub struct Played {
    /// Answers of the server, in their order.
    pub answers: Vec<Payload>,
    /// How it ended.
    pub ended: Ended,
    /// Messages that were sent.
    pub sent: usize,
    /// Delay of each message after its time.
    pub late: Vec<Duration>,
}

/// The end of a connection that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The server refused the handshake with this status.
    Refused(u16),
    /// The connection failed; a description.
    Failed(String),
    /// The server closed, with this code.
    ByServer(u16),
    /// The client closed after its last message.
    ByClient,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "refused with status {status}"),
            Self::Failed(why) => f.write_str(why),
            Self::ByServer(code) => write!(f, "closed {code} by the server"),
            Self::ByClient => f.write_str("closed by the client"),
        }
    }
}
