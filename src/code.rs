//! The table of errors: the name, the HTTP status and the WebSocket close code of each.
//!
//! No other file names an error status or a close code that wstap sends.

use std::ops::RangeInclusive;

/// An error, as clients distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A request or frame that cannot be read.
    Malformed,
    /// No token, or an invalid one.
    Unauthorized,
    /// Not allowed; Origin or Host refused.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// Silent for too long.
    Timeout,
    /// The id is taken, or was taken over by a newer connection.
    Replaced,
    /// The path and query of a request are longer than 8 KiB.
    UriTooLong,
    /// Larger than `--max-message-bytes`.
    TooLarge,
    /// Text that is not UTF-8.
    InvalidText,
    /// Against RFC 6455.
    Protocol,
    /// This address speaks WebSocket only.
    UpgradeRequired,
    /// Too fast, or too slow to take what is sent.
    SlowDown,
    /// The limit of connections or listeners is reached.
    Full,
    /// The server is stopping.
    Stopping,
    /// The server that judges credentials does not answer properly.
    AuthUnavailable,
    /// The upstream cannot be reached, or does not answer properly.
    Unavailable,
    /// The upstream did not accept the connection, or did not answer a handshake, in time.
    UpstreamTimeout,
    /// The upstream is wstap itself.
    Loop,
    /// An internal error.
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
    /// Whether a later attempt may succeed.
    pub come_back: bool,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Replaced,
        Self::UriTooLong,
        Self::TooLarge,
        Self::InvalidText,
        Self::Protocol,
        Self::UpgradeRequired,
        Self::SlowDown,
        Self::Full,
        Self::Stopping,
        Self::AuthUnavailable,
        Self::Unavailable,
        Self::UpstreamTimeout,
        Self::Loop,
        Self::Internal,
    ];

    /// Returns the row of the table.
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
            Self::UriTooLong => ("uri_too_long", 414, 4400, "Address too long", false),
            Self::TooLarge => ("too_large", 413, 1009, "Too large", false),
            Self::InvalidText => ("invalid_text", 400, 1007, "Text is no UTF-8", false),
            Self::Protocol => ("protocol", 400, 1002, "Protocol violation", false),
            Self::UpgradeRequired => ("upgrade_required", 426, 4400, "WebSocket only", false),
            Self::SlowDown => ("slow_down", 429, 4429, "Too fast or too slow", true),
            Self::Full => ("full", 503, 1013, "Full", true),
            Self::Stopping => ("stopping", 503, 1001, "Stopping", true),
            Self::AuthUnavailable => {
                ("auth_unavailable", 503, 1013, "Credentials cannot be checked", true)
            }
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

/// Further statuses of the API of Channelstream.
pub mod channelstream {
    /// The body is JSON of another form than the call takes.
    pub const INVALID: u16 = 422;
    /// The call requires TLS.
    pub const NOT_ENCRYPTED: u16 = 406;
}

/// A normal end.
pub const NORMAL: u16 = 1000;

/// The codes of [`may_be_sent`], in words.
pub const SENDABLE: &str = "a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999";

/// The codes of [`may_be_sent`].
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
