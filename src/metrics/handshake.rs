//! How the TLS handshakes of clients end.

/// The end of a TLS handshake, as `wstap_tls_handshakes_total` labels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The client is connected.
    Completed,
    /// The client or the server has refused the other, or the client has left.
    Failed,
    /// It took too long, or others waited for its place.
    Abandoned,
}

impl Handshake {
    /// All ends, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Abandoned];

    /// Returns the value of the label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}
