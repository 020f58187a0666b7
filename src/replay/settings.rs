//! The settings of a replay, and the server that it is played to.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::compare::Path;
use super::pace::Speed;
use crate::filter::Expression;
use crate::proxy::Upstream;

/// Settings of playing a recording to a server.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The server.
    pub server: Server,
    /// Speed.
    pub speed: Speed,
    /// Time limit for an answer.
    pub timeout: Duration,
    /// Headers of every handshake. They replace those of the recording.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Values of answers that the client sends again later: the new value of the server is sent in
    /// the place of the recorded one.
    pub carry: Vec<Path>,
    /// Answers for which this is false are ignored, as the scripts do not contain them.
    pub only: Option<Arc<Expression>>,
}

/// A server that a recording is played to.
#[derive(Debug, Clone)]
pub struct Server {
    pub(super) upstream: Upstream,
    /// Path and query that replace the recorded ones.
    pub(super) path: Option<String>,
}

/// The error of a text that is no [`Server`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a server is given by its URL, such as ws://localhost:9000 or wss://api.example; a path in it replaces the recorded paths"
)]
pub struct ServerError;

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let uri: Uri = text.parse().map_err(|_| ServerError)?;
        let (scheme, authority) =
            (uri.scheme_str().ok_or(ServerError)?, uri.authority().ok_or(ServerError)?);
        let upstream = format!("{scheme}://{authority}").parse().map_err(|_| ServerError)?;
        let path = uri.path_and_query().map(|path| path.as_str().to_owned());
        Ok(Self { upstream, path: path.filter(|path| path != "/") })
    }
}

impl Server {
    /// Returns whether the connection uses TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.upstream.tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_with_a_path_or_without() {
        let read = |text: &str| {
            text.parse::<Server>().map(|server| (server.upstream.url.to_string(), server.path))
        };
        assert_eq!(read("ws://a:1"), Ok(("ws://a:1".to_owned(), None)));
        assert_eq!(read("wss://a/"), Ok(("wss://a".to_owned(), None)));
        assert_eq!(read("http://a/x?y=1"), Ok(("http://a".to_owned(), Some("/x?y=1".to_owned()))));
        for text in ["", "a:1", "ftp://a", "ws://", "/x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
