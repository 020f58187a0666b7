//! The one table of what can go wrong: its name, its HTTP status, its WebSocket close code.
//!
//! No other file names an error status or a close code of ours.

use std::ops::RangeInclusive;

/// What went wrong, in the words that clients branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A request or frame that cannot be read.
    Malformed,
    /// No token, or one that is worth nothing.
    Unauthorized,
    /// Not allowed; Origin or Host refused.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// Silent for too long.
    Timeout,
    /// The id is taken, or was taken over by a newer connection.
    Replaced,
    /// Larger than `--max-message-bytes`.
    TooLarge,
    /// Text that is no UTF-8.
    InvalidText,
    /// Against RFC 6455.
    Protocol,
    /// This address speaks WebSocket only.
    UpgradeRequired,
    /// Too fast, or too slow to take what is sent.
    SlowDown,
    /// As many connections or listeners as there may be.
    Full,
    /// The server is stopping.
    Stopping,
    /// The server behind cannot be reached, or does not answer properly.
    Unavailable,
    /// The upstream did not accept the connection, or did not answer a handshake, in time.
    UpstreamTimeout,
    /// The server behind is wstap itself.
    Loop,
    /// Our fault.
    Internal,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name in JSON.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The WebSocket close code.
    pub close: u16,
    /// A short name for people.
    pub title: &'static str,
    /// Whether trying again later may help.
    pub come_back: bool,
}

impl Code {
    /// Every code there is.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Replaced,
        Self::TooLarge,
        Self::InvalidText,
        Self::Protocol,
        Self::UpgradeRequired,
        Self::SlowDown,
        Self::Full,
        Self::Stopping,
        Self::Unavailable,
        Self::UpstreamTimeout,
        Self::Loop,
        Self::Internal,
    ];

    /// Returns what the table says of it.
    #[must_use]
    pub const fn row(self) -> Row {
        let (name, status, close, title, come_back) = match self {
            Self::Malformed => ("malformed", 400, 4400, "Malformed", false),
            Self::Unauthorized => ("unauthorized", 401, 4401, "No or bad credential", false),
            Self::Forbidden => ("forbidden", 403, 4403, "Not allowed", false),
            Self::NotFound => ("not_found", 404, 4404, "Not found", false),
            Self::MethodNotAllowed => {
                ("method_not_allowed", 405, 4400, "Method not allowed", false)
            }
            Self::Timeout => ("timeout", 408, 4408, "Silent too long", true),
            Self::Replaced => ("replaced", 409, 4409, "Taken", false),
            Self::TooLarge => ("too_large", 413, 1009, "Too large", false),
            Self::InvalidText => ("invalid_text", 400, 1007, "Text is no UTF-8", false),
            Self::Protocol => ("protocol", 400, 1002, "Protocol violation", false),
            Self::UpgradeRequired => ("upgrade_required", 426, 4400, "WebSocket only", false),
            Self::SlowDown => ("slow_down", 429, 4429, "Too fast or too slow", true),
            Self::Full => ("full", 503, 1013, "Full", true),
            Self::Stopping => ("stopping", 503, 1001, "Stopping", true),
            Self::Unavailable => ("unavailable", 502, 1014, "Upstream not there", true),
            Self::UpstreamTimeout => ("upstream_timeout", 504, 1014, "Upstream too slow", true),
            Self::Loop => ("loop", 508, 1014, "Loop", false),
            Self::Internal => ("internal", 500, 1011, "Our fault", true),
        };
        Row { name, status, close, title, come_back }
    }

    /// Returns the WebSocket close code.
    #[must_use]
    pub const fn close(self) -> u16 {
        self.row().close
    }
}

/// Close codes that are reported and never sent (RFC 6455 section 7.4.1).
pub mod absent {
    /// The close frame had no code.
    pub const NO_STATUS: u16 = 1005;
    /// There was no close frame.
    pub const ABNORMAL: u16 = 1006;
}

/// Statuses that the API of Channelstream has beside ours.
pub mod channelstream {
    /// A body that is JSON, and not what the call takes.
    pub const INVALID: u16 = 422;
    /// A call that has to come over TLS, and did not.
    pub const NOT_ENCRYPTED: u16 = 406;
}

/// The end that nothing is wrong with.
pub const NORMAL: u16 = 1000;

/// What [`may_be_sent`] says, for people.
pub const SENDABLE: &str = "a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999";

/// What [`may_be_sent`] says, for programs.
pub const SENDABLE_RANGES: [RangeInclusive<u16>; 3] = [1000..=1003, 1007..=1014, 3000..=4999];

/// Returns whether a close frame may carry this code (RFC 6455 section 7.4 and the IANA registry).
#[must_use]
pub fn may_be_sent(code: u16) -> bool {
    SENDABLE_RANGES.iter().any(|range| range.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_and_may_be_sent() {
        let names: std::collections::HashSet<_> =
            Code::ALL.iter().map(|code| code.row().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(may_be_sent(code.close()), "{code:?}");
            assert!((400..600).contains(&code.row().status), "{code:?}");
        }
    }
}
