//! Where a message goes beside the event stream, and who is where: channels and users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Declares a name: text of some length without control characters, cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $invalid:ident, $words:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters that one has.
            pub const MAX_CHARS: usize = $max;

            /// Returns it as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[doc = concat!("What is wrong with a text that should be a [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error($words)]
        pub struct $invalid;

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                let fits = !text.is_empty() && text.chars().nth(Self::MAX_CHARS).is_none();
                if fits && !text.chars().any(char::is_control) {
                    Ok(Self(text.into()))
                } else {
                    Err($invalid)
                }
            }
        }
    };
}

name!(
    /// Names a channel: 1 to 256 characters without control characters.
    Channel,
    256,
    InvalidChannel,
    "a channel is a string of 1 to 256 characters without control characters"
);

name!(
    /// Names a user, who may have several connections: 1 to 512 characters without control
    /// characters.
    User,
    512,
    InvalidUser,
    "a user is a string of 1 to 512 characters without control characters"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_1_to_256_characters_and_a_user_up_to_512() {
        let longest = "ä".repeat(256);
        for text in ["a", "news/sport", "a b", longest.as_str()] {
            assert_eq!(text.parse::<Channel>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a\n", "\0", "\u{85}", "a".repeat(257).as_str()] {
            assert_eq!(text.parse::<Channel>(), Err(InvalidChannel), "{text:?}");
        }
        assert!("a".repeat(512).parse::<User>().is_ok());
        assert_eq!("a".repeat(513).parse::<User>(), Err(InvalidUser));
    }
}
