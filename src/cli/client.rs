//! A client of the HTTP side of a server: HTTP/1.1 by hyper, Server-Sent Events by `wire::sse`.

use std::io;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use super::bearer::Token;
use super::failure::Failure;
use super::reach::Reach;
use crate::code::Code;
use crate::event::EventId;
use crate::proxy::{ConnectError, Dialer};
use crate::request::MAX_FIELDS;
use crate::wire::sse::{self, Message, Parser};

/// Time limit for connecting, and for the head of a response.
const ANSWER: Duration = Duration::from_secs(10);

/// A stream that is silent for this long counts as broken: three heartbeats of a server with
/// defaults.
const SILENCE: Duration = Duration::from_secs(45);

/// Time before reconnecting, unless the server sets another.
const RETRY: Duration = Duration::from_secs(2);

/// Maximum time between two attempts to reconnect.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A resource of a server.
#[derive(Debug)]
pub(super) struct Target {
    authority: String,
    /// URL of the server.
    url: Uri,
    path: String,
    dialer: Dialer,
    token: Token,
}

/// The error of a request.
#[derive(Debug)]
pub(super) enum Problem {
    /// wstap refuses the request.
    Refused(String),
    /// The server asks for a token, or for another one.
    Unauthorized(String),
    /// The answer is not one of the tap of wstap.
    Foreign(String),
    /// The server cannot be reached, or the connection broke.
    Lost(String),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Output(error) => Self::output(&error),
            Problem::Unauthorized(words) => Self::Failed(format!(
                "{words}\n--token @FILE or the variable WSTAP_TOKEN is the token of these commands"
            )),
            Problem::Refused(words) | Problem::Foreign(words) | Problem::Lost(words) => {
                Self::Failed(words)
            }
        }
    }
}

impl Target {
    /// Parses the URL of a server or of its stream, and returns the stream.
    pub(super) fn parse(url: &str, query: &str, reach: &Reach) -> Result<Self, Failure> {
        Self::of(url, "/events", query, reach)
    }

    /// Parses the URL of a server or of its stream, and returns the resource at `address` there. A
    /// path that does not end in `events` is a prefix.
    pub(super) fn of(
        url: &str,
        address: &str,
        query: &str,
        reach: &Reach,
    ) -> Result<Self, Failure> {
        let wrong = || {
            let right = "a server is given as http://HOST:PORT or https://HOST:PORT, such as http://localhost:8080";
            Failure::Usage(format!("{url}: {right}"))
        };
        let with_scheme =
            if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme().filter(|it| [Scheme::HTTP, Scheme::HTTPS].contains(it));
        let scheme = scheme.ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            let right = "a server is given without a password, which is not used";
            return Err(Failure::Usage(right.to_owned()));
        }
        let server = format!("{scheme}://{authority}").parse().map_err(|_| wrong())?;
        let prefix = uri.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix("/events").unwrap_or(prefix);
        let prefix = prefix.strip_suffix("/api").unwrap_or(prefix);
        let path = format!("{prefix}{address}");
        Ok(Self {
            authority: authority.to_string(),
            url: server,
            path: format!("{path}?{query}"),
            dialer: reach.dialer(*scheme == Scheme::HTTPS, ANSWER)?,
            token: Token::None,
        })
    }

    /// Shows a token to the server.
    pub(super) fn showing(self, token: Token) -> Self {
        Self { token, ..self }
    }
}

/// A reader of one stream, over as many connections as it takes.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    parser: Parser,
    was_connected: bool,
    /// The token that was shown last.
    used: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(target: Target) -> Self {
        Self { target, parser: Parser::default(), was_connected: false, used: None }
    }

    /// Reads the stream until something fails that reconnecting does not mend: the server was never
    /// reached, it refuses the request, or `each` fails. `say` is called with the reason of each
    /// reconnect.
    pub(super) async fn follow(
        mut self,
        mut each: impl FnMut(Message) -> io::Result<()>,
        say: impl Fn(&str),
    ) -> Problem {
        let mut wait = Duration::ZERO;
        loop {
            let mut received = false;
            let mut refused = None;
            let ended = self.stream(|message| {
                received = true;
                each(message)
            });
            match ended.await {
                Ok(()) => {}
                Err(Problem::Lost(words)) if self.was_connected => say(&words),
                Err(Problem::Unauthorized(words))
                    if self.was_connected && self.target.token.is_renewed() =>
                {
                    say(&words);
                    refused = self.used.clone();
                }
                Err(problem) => return problem,
            }
            // The server sets the time to wait; while it cannot be reached, the time doubles.
            wait = if received { Duration::ZERO } else { (wait * 2).min(MAX_WAIT) };
            wait = wait.max(self.parser.retry().unwrap_or(RETRY));
            say(&format!("the stream ended; reconnecting in {:.1} s", wait.as_secs_f64()));
            match &refused {
                Some(_) => self.target.token.renewed(refused.as_ref(), wait).await,
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Lets the stream begin after an event.
    pub(super) fn resume(&mut self, id: EventId) {
        let mut known = Vec::new();
        sse::id(id, &mut known);
        sse::end(&mut known);
        self.parser.feed(&known, |_| {});
    }

    /// Reads the stream over one connection, from the last event of the one before.
    async fn stream(
        &mut self,
        mut each: impl FnMut(Message) -> io::Result<()>,
    ) -> Result<(), Problem> {
        self.parser.reconnect();
        let last_event_id = self.parser.last_event_id().map(str::to_owned);
        let (target, parser, connected) = (&self.target, &mut self.parser, &mut self.was_connected);
        let token = target.token.field().map_err(Problem::Refused)?;
        self.used.clone_from(&token);
        let want = Want::Stream(last_event_id.as_deref());
        fetch(target, token, want, |data| {
            *connected = true;
            let mut written = Ok(());
            parser.feed(data, |message| {
                if written.is_ok() {
                    written = each(message);
                }
            });
            written
        })
        .await
    }
}

/// Reads a response to its end.
pub(super) async fn get(
    target: &Target,
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Problem> {
    let token = target.token.field().map_err(Problem::Refused)?;
    fetch(target, token, Want::Answer, each).await
}

/// The kind of a request.
enum Want<'a> {
    /// A response that ends.
    Answer,
    /// A stream that begins after the event with this id.
    Stream(Option<&'a str>),
}

/// Reads a response piece by piece, as it arrives.
async fn fetch(
    target: &Target,
    token: Option<HeaderValue>,
    want: Want<'_>,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Problem> {
    let at = &target.authority;
    let lost = |what: &dyn std::fmt::Display| Problem::Lost(format!("{at}: {what}"));
    let io = target.dialer.dial(&target.url).await.map_err(|error| match error {
        ConnectError::Slow(_) => lost(&"no answer"),
        ConnectError::Failed(why) => lost(&format!("{why}; is wstap running there?")),
        error => lost(&error),
    })?;
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| lost(&error))?;
    let mut request = Request::get(&target.path)
        .header(header::HOST, at)
        .header(header::USER_AGENT, concat!("wstap/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    let is_stream = matches!(want, Want::Stream(_));
    if let Want::Stream(last_event_id) = want {
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Problem::Refused(error.to_string()))?;
    let reading = async {
        let response = timeout(ANSWER, sender.send_request(request)).await;
        let response = response.map_err(|_| lost(&"no answer"))?.map_err(|error| lost(&error))?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = Limited::new(response.into_body(), 64 << 10).collect().await;
            let body = body.map(Collected::to_bytes).unwrap_or_default();
            let words = format!("{at}: {}", detail(status, &body));
            return Err(match is_of_tap(status, &body) {
                true if status == StatusCode::UNAUTHORIZED => Problem::Unauthorized(words),
                true => Problem::Refused(words),
                false => Problem::Foreign(words),
            });
        }
        let streams = media_type(&response).is_some_and(|it| it.starts_with("text/event-stream"));
        if is_stream && !streams {
            return Err(Problem::Foreign(format!("{at}: answers no event stream")));
        }
        let mut body = response.into_body();
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| lost(&"silent for too long"))?;
            let Some(frame) = frame else { return Ok(()) };
            let Ok(data) = frame.map_err(|error| lost(&error))?.into_data() else { continue };
            each(&data).map_err(Problem::Output)?;
        }
    };
    // The connection is a future of its own, which has to be polled beside the reading.
    let mut connection = std::pin::pin!(connection);
    let mut reading = std::pin::pin!(reading);
    tokio::select! {
        biased;
        read = reading.as_mut() => read,
        ended = connection.as_mut() => match ended {
            Ok(()) => reading.await,
            Err(error) => Err(Problem::Lost(format!("{at}: {error}"))),
        },
    }
}

fn media_type<B>(response: &http::Response<B>) -> Option<&str> {
    response.headers().get(header::CONTENT_TYPE)?.to_str().ok()
}

/// The body of an error of wstap.
#[derive(Deserialize)]
struct Described {
    code: String,
    detail: String,
}

/// Returns the description of a response that is an error.
pub(super) fn detail(status: StatusCode, body: &[u8]) -> String {
    let described = serde_json::from_slice::<Described>(body);
    described.map_or_else(|_| format!("answers {status}; is that wstap?"), |it| it.detail)
}

/// Returns whether an error is one of the tap. The address for clients of proxy mode answers with
/// the other errors of wstap while the upstream is not there.
fn is_of_tap(status: StatusCode, body: &[u8]) -> bool {
    let of_upstream = [Code::Unavailable, Code::UpstreamTimeout, Code::Loop];
    !of_upstream.iter().any(|code| code.row().status == status.as_u16())
        && serde_json::from_slice::<Described>(body)
            .is_ok_and(|it| Code::ALL.iter().any(|code| code.row().name == it.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_path_of_the_same_server_is_found() {
        for url in ["http://a/x", "http://a/x/", "http://a/x/events", "http://a/x/api/events"] {
            let target = Target::of(url, "/api/events", "q=1", &Reach::default());
            assert_eq!(target.expect("right").path, "/x/api/events?q=1", "{url}");
        }
    }

    #[test]
    fn a_server_is_given_by_url_prefix_or_stream() {
        let insecure = Reach { insecure: true, ..Reach::default() };
        for (url, server, path) in [
            ("http://localhost:8080", "http://localhost:8080/", "/events?q=1"),
            ("localhost:8080/", "http://localhost:8080/", "/events?q=1"),
            ("http://[::1]/tap/", "http://[::1]/", "/tap/events?q=1"),
            ("http://a.example/x/events", "http://a.example/", "/x/events?q=1"),
            ("https://a.example/x/events", "https://a.example/", "/x/events?q=1"),
        ] {
            let target = Target::parse(url, "q=1", &insecure).expect("right");
            assert_eq!((target.url.to_string().as_str(), target.path.as_str()), (server, path));
        }
        for url in ["", "ws://localhost", "ftp://localhost", "http://", "http://a:secret@b"] {
            assert!(Target::parse(url, "", &insecure).is_err(), "{url}");
        }
    }
}
