//! The limits whose refusals are counted.

/// A limit of the server, as `wstap_limited_total` labels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// WebSockets: `--max-connections`.
    Connections,
    /// Listeners: `--max-listeners`.
    Listeners,
    /// TCP connections of the server, or of one address: `--max-per-address`.
    Sockets,
    /// WebSocket handshakes of an address: `--rate-handshakes`.
    Handshakes,
    /// Requests of an address: `--rate-calls`.
    Calls,
    /// Wrong credentials of an address: `--rate-sign-ins`.
    SignIns,
    /// Frames of a WebSocket: `--rate-frames`.
    Frames,
    /// Bytes of a WebSocket: `--rate-bytes`.
    Bytes,
    /// Time for the head of a request: `--head-timeout`.
    Heads,
    /// Time for the body of a request: `--body-timeout`.
    Bodies,
    /// Time in which a peer reads nothing: `--stall-timeout`.
    Stalls,
    /// Memory for requests that are not complete.
    Memory,
}

impl Limit {
    /// All limits, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Connections,
        Self::Listeners,
        Self::Sockets,
        Self::Handshakes,
        Self::Calls,
        Self::SignIns,
        Self::Frames,
        Self::Bytes,
        Self::Heads,
        Self::Bodies,
        Self::Stalls,
        Self::Memory,
    ];

    /// Returns the value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Listeners => "listeners",
            Self::Sockets => "sockets",
            Self::Handshakes => "handshakes",
            Self::Calls => "calls",
            Self::SignIns => "sign_ins",
            Self::Frames => "frames",
            Self::Bytes => "bytes",
            Self::Heads => "heads",
            Self::Bodies => "bodies",
            Self::Stalls => "stalls",
            Self::Memory => "memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place, "{limit:?}");
        }
    }
}
