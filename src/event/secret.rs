//! The secret by which a client proves that two connections are its own.

use std::fmt;
use std::str::FromStr;

/// A secret that a client has chosen for the connections that it makes: 16 to 128 characters. It is
/// compared and never shown: it has no `Display`, and its `Debug` hides it.
#[derive(Clone)]
pub struct ClientSecret(Box<str>);

impl ClientSecret {
    /// The fewest characters: 64 bits in hexadecimal digits.
    pub const MIN_CHARS: usize = 16;

    /// The most characters.
    pub const MAX_CHARS: usize = 128;

    /// Returns whether two secrets are equal. The time depends on their lengths only, so that a client
    /// cannot guess the secret of another one piece by piece.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (own, other) = (self.0.as_bytes(), other.0.as_bytes());
        let pairs = own.iter().zip(other);
        let differences = pairs.fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        own.len() == other.len() && differences == 0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// Error of a text that is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is a random string of 16 to 128 characters")]
pub struct InvalidClientSecret;

impl FromStr for ClientSecret {
    type Err = InvalidClientSecret;

    fn from_str(text: &str) -> Result<Self, InvalidClientSecret> {
        let length = text.chars().count();
        let fits = (Self::MIN_CHARS..=Self::MAX_CHARS).contains(&length);
        if fits { Ok(Self(text.into())) } else { Err(InvalidClientSecret) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_match_if_every_character_is_equal() {
        let secret = |text: &str| text.parse::<ClientSecret>().expect("a secret");
        let own = secret("0123456789abcdef");
        assert!(own.matches(&secret("0123456789abcdef")));
        for other in ["0123456789abcdeF", "0123456789abcdef0", "x123456789abcdef"] {
            assert!(!own.matches(&secret(other)), "{other}");
        }
    }

    #[test]
    fn a_secret_has_16_to_128_characters_and_is_not_shown() {
        for text in ["", "0123456789abcde", &"x".repeat(129)] {
            assert_eq!(text.parse::<ClientSecret>().err(), Some(InvalidClientSecret));
        }
        let longest = "ö".repeat(128).parse::<ClientSecret>().expect("a secret");
        assert_eq!(format!("{longest:?}"), "ClientSecret");
    }
}
