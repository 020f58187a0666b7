//! Channels and users: the recipients of messages, and presence.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Declares a name: text of some length without control characters, cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $invalid:ident, $words:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters of a name.
            pub const MAX_CHARS: usize = $max;

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes the shown form of a name that holds something to hide.
            pub(crate) fn shown(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        #[doc = concat!("Error of a text that is not a [`", stringify!($name), "`].")]
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
    /// The name of a channel: 1 to 256 characters without control characters.
    Channel,
    256,
    InvalidChannel,
    "a channel is a string of 1 to 256 characters without control characters"
);

name!(
    /// The name of a user, who may have several connections: 1 to 512 characters without control
    /// characters.
    User,
    512,
    InvalidUser,
    "a user is a string of 1 to 512 characters without control characters"
);

/// The recipients of a message, beside the listeners of the event stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The channel that it was published to; without one it is for users.
    pub channel: Option<Channel>,
    /// The user that published it, if there is one.
    pub user: Option<User>,
    /// Only for these users; empty is for all in the channel.
    pub to: Vec<User>,
    /// All but these users.
    pub except: Vec<User>,
}

impl Routing {
    pub(super) fn weight(&self) -> usize {
        let users = self.user.iter().chain(&self.to).chain(&self.except);
        let names = users.map(|user| user.as_str().len() + size_of::<User>()).sum::<usize>();
        size_of::<Self>() + names + self.channel.as_ref().map_or(0, |name| name.as_str().len())
    }
}

/// A user that joined a channel with a first connection, or left it with the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The channel.
    pub channel: Channel,
    /// The user; a connection without one counts as the user of its id.
    pub user: User,
}

impl Presence {
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.channel.as_str().len() + self.user.as_str().len()
    }
}

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
