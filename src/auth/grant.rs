//! What a token lets its bearer do with channels, and who decides that.
//!
//! Pure: the time is an argument, so that a test can let a grant run out.

use std::fmt;
use std::str::FromStr;

use crate::event::{Channel, User};

/// Knows what tokens are worth. One is given to a hub with its settings. It is asked each time that a
/// client brings a token to a private channel, and again for a member whose grant has run out, when
/// the next message comes to the channel. A grant without `expires` is never asked for again: what it
/// has opened stays open until its bearer leaves. It must not wait for anything.
///
/// ```
/// use wstap::auth::{Authority, Denied, Grant};
///
/// /// Takes the name of a user for a token: for a demonstration, and for nothing else.
/// #[derive(Debug)]
/// struct Trusting;
///
/// impl Authority for Trusting {
///     fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
///         let user = token.parse().map_err(|_| Denied("a token is the name of a user".into()))?;
///         Ok(Grant::of(user))
///     }
/// }
/// ```
pub trait Authority: Send + Sync + fmt::Debug {
    /// Says what a token grants at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// If it grants nothing: a forged, foreign or outdated token. The words are shown to the
    /// client, and must not hold the token.
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied>;
}

/// What a bearer may do. The default is nobody, who may nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Who it is.
    pub user: Option<User>,
    /// From when on it is worth nothing any more, in seconds since 1970; `None` is never, and then it
    /// cannot be taken back.
    pub expires: Option<u64>,
    /// The private channels that it may enter.
    pub subscribe: Vec<Pattern>,
    /// The private channels that it may publish to.
    pub publish: Vec<Pattern>,
}

impl Grant {
    /// Makes the grant of a user who may enter every channel and publish to none, without end.
    #[must_use]
    pub fn of(user: User) -> Self {
        Self { user: Some(user), subscribe: vec![Pattern::all()], ..Self::default() }
    }

    /// Returns whether it is worth nothing any more at `now`, in seconds since 1970.
    #[must_use]
    pub fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    /// Returns whether it lets its bearer into a channel. When it ends is not looked at.
    #[must_use]
    pub fn may_subscribe(&self, channel: &Channel) -> bool {
        self.subscribe.iter().any(|pattern| pattern.fits(channel))
    }

    /// Returns whether it lets its bearer publish to a channel. When it ends is not looked at.
    #[must_use]
    pub fn may_publish(&self, channel: &Channel) -> bool {
        self.publish.iter().any(|pattern| pattern.fits(channel))
    }
}

/// Why a token grants nothing, in words that its bearer may read: `the token has expired`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// Names of channels: one name, or with a trailing `*` all that begin alike. `news/*` fits
/// `news/sport` and not `news`; `*` fits every one. A `*` elsewhere stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    start: Box<str>,
    open: bool,
}

impl Pattern {
    /// Makes the pattern that fits every channel: `*`.
    #[must_use]
    pub fn all() -> Self {
        Self { start: "".into(), open: true }
    }

    /// Returns the name, if it is the pattern of one channel.
    #[must_use]
    pub fn name(&self) -> Option<Channel> {
        if self.open { None } else { self.start.parse().ok() }
    }

    /// Returns whether a channel is one of them.
    #[must_use]
    pub fn fits(&self, channel: &Channel) -> bool {
        match channel.as_str().strip_prefix(&*self.start) {
            Some(rest) => self.open || rest.is_empty(),
            None => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start)?;
        f.write_str(if self.open { "*" } else { "" })
    }
}

/// What is wrong with a text that should be a pattern of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is the name of a channel, or the beginning of names and a *, such as news/*")]
pub struct InvalidPattern;

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (start, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        // What can begin no name fits nothing, which nobody means.
        if !(open && start.is_empty()) && start.parse::<Channel>().is_err() {
            return Err(InvalidPattern);
        }
        Ok(Self { start: start.into(), open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, channel: &str) -> bool {
        let pattern: Pattern = pattern.parse().expect("a pattern");
        pattern.fits(&channel.parse().expect("a channel"))
    }

    #[test]
    fn a_pattern_is_a_name_or_its_beginning() {
        assert!(fits("news", "news") && !fits("news", "news/sport") && !fits("news", "new"));
        assert!(fits("news/*", "news/sport") && fits("news/*", "news/a/b"));
        assert!(!fits("news/*", "news") && !fits("news/*", "old/news/sport"));
        assert!(fits("*", "news") && fits("news*", "news"));
        assert!(fits("a*b", "a*b") && !fits("a*b", "axb"), "a star within is a character");
        assert!(fits("a**", "a*b") && !fits("a**", "ab"));
        for text in ["", "a\nb", "\0*", &"a".repeat(257)] {
            assert_eq!(text.parse::<Pattern>(), Err(InvalidPattern), "{text:?}");
        }
        for text in ["*", "news", "news/*"] {
            assert_eq!(text.parse::<Pattern>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_user_alone_may_enter_and_not_publish() {
        let grant = Grant::of("ann".parse().expect("a user"));
        let channel = "news".parse().expect("a channel");
        assert!(grant.may_subscribe(&channel) && !grant.may_publish(&channel));
        assert!(!grant.expired(u64::MAX));
        assert!(!Grant::default().may_subscribe(&channel));
    }

    #[test]
    fn a_grant_ends_with_the_second_that_it_names() {
        let grant = Grant { expires: Some(100), ..Grant::default() };
        assert!(!grant.expired(99) && grant.expired(100) && grant.expired(101));
    }
}
