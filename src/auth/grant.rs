//! Grants: what the bearer of a token may do, and the trait that decides it.
//!
//! Pure: the time is an argument, so that tests can let a grant expire.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use crate::event::{Channel, User};

/// Turns tokens into grants. The settings of a hub hold one, and an
/// [`Access`](crate::access::Access) several. The hub calls it for each token that a client presents at
/// a private channel, and again for a member whose grant has expired, before the next message is
/// delivered. A grant without `expires` is checked again after a [`change`](Self::change) only. An
/// implementation must not block.
///
/// ```
/// use wstap::auth::{Authority, Denied, Grant};
///
/// /// Accepts the name of a user as a token. For demonstration only.
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
    /// Returns the grant of a token at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// If the token is forged, foreign or expired. The message is sent to the client and must not
    /// contain the token.
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied>;

    /// Returns what to wait for before [`grant`](Self::grant) is called again for a token that it has
    /// refused, such as a key that is being fetched. The default is `None`: the refusal stands.
    fn pending(&self, _token: &str, _now: u64) -> Option<Pending> {
        None
    }

    /// Returns whether it can verify tokens. An authority that fetches keys cannot before it has some:
    /// its refusals then say nothing of a token.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns what ends when tokens that were granted something may be granted less, or nothing: a
    /// hub then asks again for the tokens of all members. The default is `None`: a grant stands until
    /// it expires.
    fn change(&self) -> Option<Pending> {
        None
    }
}

/// Ends when an authority may decide otherwise than before.
pub type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The permissions of a bearer. The default is an unknown user without permissions.
///
/// As a claim of a token, and as a line of a token file:
///
/// ```json
/// {"observe": true, "filter": "channel == \"a\"", "connect": true, "publish": ["news/*"], "subscribe": ["*"], "control": false}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The user.
    pub user: Option<User>,
    /// The time of expiry, in seconds since 1970. A grant without one never expires.
    pub expires: Option<u64>,
    /// The events that the bearer may read.
    pub observe: Observe,
    /// Whether the bearer may open WebSockets.
    pub connect: bool,
    /// The channels that the bearer may join.
    pub subscribe: Vec<Pattern>,
    /// The channels that the bearer may publish to.
    pub publish: Vec<Pattern>,
    /// Whether the bearer may send to connections, close them, and end listeners.
    pub control: bool,
}

/// The events that a bearer may read, on the stream and wherever the stream is read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Observe {
    /// None.
    #[default]
    Nothing,
    /// Those for which a filter expression is true, such as `channel == "news"`.
    Matching(Arc<str>),
    /// All.
    All,
}

impl Grant {
    /// Creates the grant of a user who may join every channel and publish to none. It does not expire.
    #[must_use]
    pub fn of(user: User) -> Self {
        Self { user: Some(user), subscribe: vec![Pattern::all()], ..Self::default() }
    }

    /// Creates the grant of everything. It does not expire.
    #[must_use]
    pub fn all() -> Self {
        Self {
            user: None,
            expires: None,
            observe: Observe::All,
            connect: true,
            subscribe: vec![Pattern::all()],
            publish: vec![Pattern::all()],
            control: true,
        }
    }

    /// Returns whether it has expired at `now`, in seconds since 1970.
    #[must_use]
    pub fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    /// Returns whether the bearer may join a channel. Does not check the expiry.
    #[must_use]
    pub fn may_subscribe(&self, channel: &Channel) -> bool {
        self.subscribe.iter().any(|pattern| pattern.fits(channel))
    }

    /// Returns whether the bearer may publish to a channel. Does not check the expiry.
    #[must_use]
    pub fn may_publish(&self, channel: &Channel) -> bool {
        self.publish.iter().any(|pattern| pattern.fits(channel))
    }
}

/// Why a token is refused, in words for its bearer: `the token has expired`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// A pattern of channel names: one name, or a prefix and a trailing `*`. `news/*` matches `news/sport`
/// and not `news`; `*` matches every name. A `*` in another place is a plain character.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    start: Box<str>,
    open: bool,
}

impl Pattern {
    /// Creates the pattern that matches every channel: `*`.
    #[must_use]
    pub fn all() -> Self {
        Self { start: "".into(), open: true }
    }

    /// Returns the name if the pattern is that of one channel.
    #[must_use]
    pub fn name(&self) -> Option<Channel> {
        if self.open { None } else { self.start.parse().ok() }
    }

    /// Returns whether the pattern matches a channel.
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

/// The error of a text that is not a pattern of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is the name of a channel, or the beginning of names and a *, such as news/*")]
pub struct InvalidPattern;

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (start, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        // A prefix that no name can have would match nothing.
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
