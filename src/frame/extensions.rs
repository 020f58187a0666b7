//! What the two ends agreed on: the response header `Sec-WebSocket-Extensions` (RFC 6455 section
//! 9.1, RFC 7692 section 7.1).

/// The extensions of a connection.
///
/// ```
/// use wstap::frame::{Deflate, Extensions};
///
/// let header = "permessage-deflate; server_max_window_bits=12";
/// let deflate = Deflate { server_max_window_bits: 12, ..Deflate::default() };
/// assert_eq!(Extensions::negotiated(header), Extensions::Deflate(deflate));
/// assert_eq!(Extensions::negotiated(""), Extensions::None);
/// assert_eq!(Extensions::negotiated("x-webkit-deflate-frame"), Extensions::Unknown);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extensions {
    /// None: reserved bits are violations.
    #[default]
    None,
    /// permessage-deflate and nothing else.
    Deflate(Deflate),
    /// Something that is not known here, or permessage-deflate with parameters that it does not
    /// have. What has reserved bits set is not understood; what has none is read as ever.
    Unknown,
}

/// The parameters of permessage-deflate (RFC 7692 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// Each message of the client is compressed on its own.
    pub client_no_context_takeover: bool,
    /// Each message of the server is compressed on its own.
    pub server_no_context_takeover: bool,
    /// The client looks back no further than two to the power of this; 8 to 15, 15 unless said.
    pub client_max_window_bits: u8,
    /// The same of the server.
    pub server_max_window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            client_no_context_takeover: false,
            server_no_context_takeover: false,
            client_max_window_bits: 15,
            server_max_window_bits: 15,
        }
    }
}

impl Extensions {
    /// Reads the header of a response; where there are several, joined by commas.
    #[must_use]
    pub fn negotiated(header: &str) -> Self {
        let mut found = Self::None;
        for extension in split(header, b',').filter(|extension| !extension.is_empty()) {
            found = match (found, Deflate::read(extension)) {
                (Self::None, Some(deflate)) => Self::Deflate(deflate),
                _ => return Self::Unknown,
            };
        }
        found
    }
}

impl Deflate {
    /// Reads one extension with its parameters. `None` if it is another one.
    fn read(extension: &str) -> Option<Self> {
        let mut parts = split(extension, b';');
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut deflate = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            let bits =
                || value?.trim_matches('"').parse().ok().filter(|bits| (8..=15).contains(bits));
            match (name.to_ascii_lowercase().as_str(), value) {
                ("client_no_context_takeover", None) => deflate.client_no_context_takeover = true,
                ("server_no_context_takeover", None) => deflate.server_no_context_takeover = true,
                ("client_max_window_bits", _) => deflate.client_max_window_bits = bits()?,
                ("server_max_window_bits", _) => deflate.server_max_window_bits = bits()?,
                _ => return None,
            }
        }
        Some(deflate)
    }
}

/// Cuts a header value at a separator that stands outside of quotes, and trims the parts.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        !quoted && c == char::from(separator)
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_deflate_are_read() {
        let all = "permessage-deflate; client_no_context_takeover;server_no_context_takeover ; \
                   client_max_window_bits=9; server_max_window_bits = \"10\"";
        let read = Deflate {
            client_no_context_takeover: true,
            server_no_context_takeover: true,
            client_max_window_bits: 9,
            server_max_window_bits: 10,
        };
        assert_eq!(Extensions::negotiated(all), Extensions::Deflate(read));
        assert_eq!(
            Extensions::negotiated(" Permessage-Deflate ,"),
            Extensions::Deflate(Deflate::default())
        );
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        for header in [
            "foo",
            "permessage-deflate, foo",
            "foo, permessage-deflate",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate; new_parameter",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "foo; bar=\"a, permessage-deflate\"",
        ] {
            assert_eq!(Extensions::negotiated(header), Extensions::Unknown, "{header}");
        }
        for header in ["", " ", ","] {
            assert_eq!(Extensions::negotiated(header), Extensions::None, "{header}");
        }
    }
}
