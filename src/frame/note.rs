//! Faults and anomalies of messages, in words.

use std::fmt;

/// A violation of the protocol, or the reason why a payload is absent or cut.
///
/// A message has one note: its first violation, or else the reason why its payload is absent or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A frame of a client that is not masked (RFC 6455 section 5.1).
    Unmasked,
    /// A frame of a server that is masked (section 5.1).
    Masked,
    /// Reserved bits without an extension that gives them a meaning (section 5.2).
    ReservedBits,
    /// One of the opcodes 3 to 7 and 11 to 15 (section 5.2).
    ReservedOpcode(u8),
    /// A length in eight bytes where two would do, or in two where none (section 5.2).
    LongLength,
    /// A length with the top bit set (section 5.2). The start of the next frame is unknown.
    ImpossibleLength,
    /// A control frame that is not the last of its message (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    LargeControl,
    /// A continuation without a start (section 5.4). It is read as a binary message.
    NoStart,
    /// A message that another one begins within (section 5.4). The note is that of the first one.
    CutOff,
    /// A data frame after the close frame (section 5.5.1).
    AfterClose,
    /// Text that is not UTF-8 (section 8.1). Its payload is bytes.
    InvalidText,
    /// A close frame of one byte (section 5.5.1).
    ShortClose,
    /// A close code that no frame may carry (section 7.4).
    CloseCode(u16),
    /// A close reason that is not UTF-8 (section 5.5.1).
    InvalidReason,
    /// Compressed data that cannot be inflated (RFC 7692 section 7.2.2).
    InvalidDeflate,
    /// The context that the message needs is lost: part of it was skimmed, broken or far too large.
    NotDecoded,
    /// Reserved bits belong to an extension that is not known here.
    UnknownExtension,
    /// Larger than this many bytes, after which its payload is cut.
    TooLarge(usize),
    /// Its start was skimmed.
    Skimmed,
    /// There is no memory for it.
    NoRoom,
}

impl Note {
    /// Returns whether the peer violated the protocol; other notes are about the tap.
    #[must_use]
    pub fn violation(self) -> bool {
        !matches!(
            self,
            Self::NotDecoded
                | Self::UnknownExtension
                | Self::TooLarge(_)
                | Self::Skimmed
                | Self::NoRoom
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.violation() {
            f.write_str("protocol violation: ")?;
        }
        f.write_str(match self {
            Self::Unmasked => "a client frame that is not masked",
            Self::Masked => "a server frame that is masked",
            Self::ReservedBits => "reserved bits that no extension explains",
            Self::ReservedOpcode(opcode) => return write!(f, "the reserved opcode {opcode}"),
            Self::LongLength => "a length in more bytes than it needs",
            Self::ImpossibleLength => "a length of 2^63 or more; nothing after it can be read",
            Self::FragmentedControl => "a control frame in fragments",
            Self::LargeControl => "a control frame of more than 125 bytes",
            Self::NoStart => "a continuation of nothing",
            Self::CutOff => "a message cut off by the next one",
            Self::AfterClose => "a message after the close frame",
            Self::InvalidText => "text that is not UTF-8",
            Self::ShortClose => "a close frame of one byte",
            Self::CloseCode(code) => return write!(f, "the close code {code} in a frame"),
            Self::InvalidReason => "a close reason that is not UTF-8",
            Self::InvalidDeflate => "compressed data that cannot be inflated",
            Self::NotDecoded => "compressed, not decoded",
            Self::UnknownExtension => "an extension that is not known, not decoded",
            Self::TooLarge(limit) => {
                return write!(f, "larger than the limit of {limit} bytes, cut there");
            }
            Self::Skimmed => "began before anybody listened, not kept",
            Self::NoRoom => "no memory for it, not kept",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_tells_violations_from_limits_of_the_tap() {
        assert_eq!(
            Note::Unmasked.to_string(),
            "protocol violation: a client frame that is not masked"
        );
        assert_eq!(
            Note::ReservedOpcode(3).to_string(),
            "protocol violation: the reserved opcode 3"
        );
        assert_eq!(
            Note::CloseCode(1005).to_string(),
            "protocol violation: the close code 1005 in a frame"
        );
        assert_eq!(Note::NotDecoded.to_string(), "compressed, not decoded");
        assert_eq!(
            Note::TooLarge(1_048_576).to_string(),
            "larger than the limit of 1048576 bytes, cut there"
        );
    }
}
