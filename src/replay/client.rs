//! The clients of a recording, against a server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Uri};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::{WebSocketStream, client_async};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message as Frame};

use super::compare::{Path, values};
use super::pace::{Speed, until};
use super::script::{Payload, Script, Step};
use crate::code;
use crate::event::{Body, ClosedBy, Direction, Draft, Event, EventBody, EventId, Message, Opcode};
use crate::filter::Expression;
use crate::json::Json;
use crate::proxy::{Dialer, Io, Upstream};

/// How a recording is played to a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server.
    pub server: Server,
    /// How fast.
    pub speed: Speed,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// Headers of every handshake, beside those of the recording and before them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Values of answers that later messages say again: what the server says now goes in the place
    /// of what it said then.
    pub carry: Vec<Path>,
    /// Answers of which this is not true are not heard, as they are not in the scripts.
    pub only: Option<Arc<Expression>>,
}

/// Where a recording is played.
#[derive(Debug, Clone)]
pub struct Server {
    upstream: Upstream,
    /// Path and query to ask for, in the place of those of the recording.
    path: Option<String>,
}

/// What is wrong with a text that should be a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a server is given by its URL, such as ws://localhost:9000 or wss://api.example; with a path, that is asked for instead of those that were recorded"
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
    /// Returns whether it is spoken to by TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.upstream.tls
    }
}

/// What came of one connection.
#[derive(Debug)]
pub struct Played {
    /// What the server said, in its order.
    pub answers: Vec<Payload>,
    /// How it ended.
    pub ended: Ended,
    /// Messages that were sent.
    pub sent: usize,
    /// By how much each was sent after its time.
    pub late: Vec<Duration>,
}

/// How a connection ended that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The handshake was answered with this status.
    Refused(u16),
    /// It did not come to a handshake, or something else failed.
    Failed(String),
    /// By the server, with this code.
    ByServer(u16),
    /// By us, since all was said.
    ByClient,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "refused with status {status}"),
            Self::Failed(why) => f.write_str(why),
            Self::ByServer(code) => write!(f, "closed {code} by the server"),
            Self::ByClient => f.write_str("closed by the client"),
        }
    }
}

/// Plays all scripts, each beginning at its time, and returns what came of each, in their order.
/// `sent` is called after each message.
pub async fn play(
    scripts: &[Script],
    settings: &Settings,
    dialer: &Dialer,
    sent: impl Fn(),
) -> Vec<Played> {
    let begin = Instant::now();
    let mut running: FuturesUnordered<_> = scripts
        .iter()
        .enumerate()
        .map(|(n, script)| {
            let sent = &sent;
            async move {
                until(begin + settings.speed.scale(script.start)).await;
                (n, Player::play(script, settings, dialer, sent).await)
            }
        })
        .collect();
    let mut all: Vec<Option<Played>> = scripts.iter().map(|_| None).collect();
    while let Some((n, played)) = running.next().await {
        all[n] = Some(played);
    }
    all.into_iter().flatten().collect()
}

/// One connection that is played.
struct Player<'a> {
    script: &'a Script,
    settings: &'a Settings,
    socket: WebSocketStream<Io>,
    begin: Instant,
    answers: Vec<Payload>,
    /// When each came.
    came: Vec<Instant>,
    /// Answers that were waited for in vain.
    missing: usize,
    /// What the server said then, and what it says now in its place.
    carried: Vec<(String, String)>,
    ended: Option<Ended>,
    late: Vec<Duration>,
}

impl<'a> Player<'a> {
    async fn play(
        script: &'a Script,
        settings: &'a Settings,
        dialer: &Dialer,
        sent: &impl Fn(),
    ) -> Played {
        let ended = match timeout(settings.patience, open(script, settings, dialer)).await {
            Ok(Ok(socket)) => {
                let player = Self {
                    script,
                    settings,
                    socket,
                    begin: Instant::now(),
                    answers: Vec::new(),
                    came: Vec::new(),
                    missing: 0,
                    carried: Vec::new(),
                    ended: None,
                    late: Vec::new(),
                };
                return player.run(sent).await;
            }
            Ok(Err(ended)) => ended,
            Err(_) => Ended::Failed("the handshake is not answered".to_owned()),
        };
        Played { answers: Vec::new(), ended, sent: 0, late: Vec::new() }
    }

    async fn run(mut self, sent: &impl Fn()) -> Played {
        let script = self.script;
        let mut before = 0;
        for step in &script.steps {
            if step.direction == Direction::Out {
                before += usize::from(step.is_answer());
                continue;
            }
            self.wait_for(before).await;
            let due = self.due(step.at, before);
            self.listen_until(due).await;
            if self.ended.is_some() {
                break;
            }
            let message = self.message(step);
            self.late.push(due.elapsed());
            if let Err(error) = self.socket.send(message).await {
                self.fail(&error);
                break;
            }
            sent();
        }
        self.wait_for(before).await;
        self.end(before).await;
        let ended = self.ended.unwrap_or(Ended::ByClient);
        Played { answers: self.answers, ended, sent: self.late.len(), late: self.late }
    }

    /// Waits for the first so many answers, but for those that did not come before.
    async fn wait_for(&mut self, count: usize) {
        let patience = self.settings.patience;
        let mut limit = Instant::now() + patience;
        while self.ended.is_none() && self.answers.len() + self.missing < count {
            let had = self.answers.len();
            tokio::select! {
                frame = self.socket.next() => self.hear(frame),
                () = sleep_until(limit) => self.missing = count - self.answers.len(),
            }
            if self.answers.len() > had {
                limit = Instant::now() + patience;
            }
        }
    }

    /// Returns when something is due that came at `at`, after so many answers.
    fn due(&self, at: Duration, before: usize) -> Instant {
        let speed = self.settings.speed;
        if speed == Speed::Max {
            return Instant::now();
        }
        let by_the_clock = self.begin + speed.scale(at);
        let answer = self.script.answers().take(before).last();
        let came = before.checked_sub(self.missing + 1).and_then(|n| self.came.get(n));
        match (answer, came) {
            (Some(answer), Some(came)) => {
                by_the_clock.max(*came + speed.scale(at.saturating_sub(answer.at)))
            }
            _ => by_the_clock,
        }
    }

    /// Listens until a point in time.
    async fn listen_until(&mut self, due: Instant) {
        let mut waiting = std::pin::pin!(until(due));
        while self.ended.is_none() {
            tokio::select! {
                biased;
                () = waiting.as_mut() => return,
                frame = self.socket.next() => self.hear(frame),
            }
        }
    }

    fn hear(&mut self, frame: Option<Result<Frame, Error>>) {
        let said = match frame {
            Some(Ok(Frame::Text(text))) => Payload::Text(text.to_string()),
            Some(Ok(Frame::Binary(bytes))) => Payload::Binary(bytes.to_vec()),
            Some(Ok(Frame::Close(frame))) => {
                let code = frame.map_or(code::absent::NO_STATUS, |frame| frame.code.into());
                self.ended.get_or_insert(Ended::ByServer(code));
                return;
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => return,
            Some(Err(error)) => return self.fail(&error),
            None => {
                self.ended.get_or_insert(Ended::ByServer(code::absent::ABNORMAL));
                return;
            }
        };
        if self.settings.only.as_ref().is_some_and(|only| !only.holds(&self.event(&said))) {
            return;
        }
        if let Some(then) = self.script.answers().nth(self.answers.len()) {
            for path in &self.settings.carry {
                let now = values(&said, path);
                for (place, old) in values(&then.said, path) {
                    let new = now.iter().find(|(there, _)| *there == place);
                    self.carried.extend(new.map(|(_, new)| (old, new.clone())));
                }
            }
        }
        self.answers.push(said);
        self.came.push(Instant::now());
    }

    /// Returns the event that an answer would be.
    fn event(&self, said: &Payload) -> Event {
        let message = match said {
            Payload::Text(text) => {
                let json = Json::parse(text).unwrap_or_else(|| Json::string(text));
                Message::new(Direction::Out, Opcode::Text, text.len(), Body::Value(json))
            }
            Payload::Binary(bytes) => {
                let body = Body::Binary(bytes.as_slice().into());
                Message::new(Direction::Out, Opcode::Binary, bytes.len(), body)
            }
        };
        let connection = self.script.connection.clone();
        Draft { connection, body: EventBody::Message(message) }.stamp(EventId::default(), 0)
    }

    fn fail(&mut self, error: &Error) {
        let ended = match error {
            Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => {
                Ended::Failed(format!("what the server says cannot be read: {error}"))
            }
            _ => Ended::ByServer(code::absent::ABNORMAL),
        };
        self.ended.get_or_insert(ended);
    }

    fn message(&self, step: &Step) -> Frame {
        match &step.said {
            Payload::Text(text) => {
                let mut text = text.clone();
                for (then, now) in &self.carried {
                    text = text.replace(then, now);
                }
                Frame::text(text)
            }
            Payload::Binary(bytes) => Frame::binary(bytes.clone()),
        }
    }

    /// Ends the connection as it was ended then, or waits for the server to do so.
    async fn end(&mut self, before: usize) {
        let Some(end) = &self.script.end else { return self.close(code::NORMAL).await };
        match end.by {
            ClosedBy::Server => {
                let limit = self.due(end.at, before) + self.settings.patience;
                self.listen_until(limit).await;
                self.close(code::NORMAL).await;
            }
            ClosedBy::Client | ClosedBy::Tap | ClosedBy::Network => {
                let due = self.due(end.at, before);
                self.listen_until(due).await;
                let sendable = code::may_be_sent(end.code);
                self.close(if sendable { end.code } else { code::NORMAL }).await;
            }
        }
    }

    async fn close(&mut self, code: u16) {
        if self.ended.is_some() {
            return;
        }
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(self.settings.patience, closing).await;
    }
}

/// Opens a connection with the handshake of a script.
async fn open(
    script: &Script,
    settings: &Settings,
    dialer: &Dialer,
) -> Result<WebSocketStream<Io>, Ended> {
    let failed = |error: &dyn fmt::Display| Ended::Failed(error.to_string());
    let request = request(script, settings).map_err(|error| failed(&error))?;
    let server = &settings.server.upstream;
    let scheme = if server.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}", server.authority);
    let uri: Uri = uri.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
    let io = dialer
        .dial(&uri)
        .await
        .map_err(|error| Ended::Failed(format!("{}: {error}", server.url)))?;
    match client_async(request, io).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(Ended::Refused(answer.status().as_u16())),
        Err(error) => Err(Ended::Failed(format!("{}: {error}", server.url))),
    }
}

fn request(script: &Script, settings: &Settings) -> Result<Request<()>, Error> {
    let server = &settings.server.upstream;
    let path = settings.server.path.as_deref().unwrap_or(&script.path);
    let scheme = if server.tls { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{}{path}", server.authority).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(HOST, server.host.clone());
    let offered = script.headers.iter().any(|(name, _)| *name == SEC_WEBSOCKET_PROTOCOL.as_str());
    for (name, value) in &script.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            let name = HeaderName::from_static(name);
            debug_assert!([ORIGIN, USER_AGENT, SEC_WEBSOCKET_PROTOCOL].contains(&name));
            headers.insert(name, value);
        }
    }
    // What the client offered may not be known, but what was taken is.
    if let Some(protocol) = script.subprotocol.as_deref().filter(|_| !offered) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol)?);
    }
    for (name, value) in &settings.headers {
        headers.insert(name, value.clone());
    }
    Ok(request)
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
