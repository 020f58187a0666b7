//! The clients of a recording, against a server.

use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message as Frame};

use super::compare::values;
use super::handshake::open;
use super::pace::{Speed, until};
use super::played::{Ended, Played};
use super::script::{Payload, Script, Step};
use super::settings::ReplaySettings;
use crate::code;
use crate::event::{
    Body, ClosedBy, ConnectionId, Direction, Draft, Event, EventBody, EventId, Message, Opcode,
};
use crate::json::Json;
use crate::proxy::{Dialer, Io};

/// Plays all scripts, each from its start time, and returns their results, in the order of the
/// scripts. `tell` is called after each message, and when a server is silent.
pub async fn play(
    scripts: &[Script],
    settings: &ReplaySettings,
    dialer: &Dialer,
    tell: impl Fn(Progress<'_>),
) -> Vec<Played> {
    let begin = Instant::now();
    let mut running: FuturesUnordered<_> = scripts
        .iter()
        .enumerate()
        .map(|(n, script)| {
            let tell = &tell;
            async move {
                until(begin + settings.speed.scale(script.start)).await;
                (n, Player::play(script, settings, dialer, tell).await)
            }
        })
        .collect();
    let mut all: Vec<Option<Played>> = scripts.iter().map(|_| None).collect();
    while let Some((n, played)) = running.next().await {
        all[n] = Some(played);
    }
    all.into_iter().flatten().collect()
}

/// The progress of a recording that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A message was sent.
    Sent,
    /// The server has not answered anything on this connection for a while, and is waited for.
    Silent(&'a ConnectionId),
}

/// Silence of a server that is worth a notice.
const SILENCE: Duration = Duration::from_secs(1);

/// The least time for an answer, once another one has not come within the time limit.
const LEAST: Duration = Duration::from_millis(20);

/// One connection that is played.
struct Player<'a> {
    script: &'a Script,
    settings: &'a ReplaySettings,
    socket: WebSocketStream<Io>,
    begin: Instant,
    answers: Vec<Payload>,
    /// When each answer came.
    came: Vec<Instant>,
    /// Answers that did not come within the time limit.
    missing: usize,
    /// How long an answer is waited for: the time limit, until one has not come. After that twice the
    /// longest time that one took, so that the connection is held up by the limit once.
    patience: Duration,
    longest: Duration,
    /// Whether the silence of the server was reported.
    told: bool,
    /// Recorded values, and the new ones that replace them.
    carried: Vec<(String, String)>,
    ended: Option<Ended>,
    late: Vec<Duration>,
}

impl<'a> Player<'a> {
    async fn play(
        script: &'a Script,
        settings: &'a ReplaySettings,
        dialer: &Dialer,
        tell: &impl Fn(Progress<'_>),
    ) -> Played {
        let ended = match timeout(settings.timeout, open(script, settings, dialer)).await {
            Ok(Ok(socket)) => {
                let player = Self {
                    script,
                    settings,
                    socket,
                    begin: Instant::now(),
                    answers: Vec::new(),
                    came: Vec::new(),
                    missing: 0,
                    patience: settings.timeout,
                    longest: Duration::ZERO,
                    told: false,
                    carried: Vec::new(),
                    ended: None,
                    late: Vec::new(),
                };
                return player.run(tell).await;
            }
            Ok(Err(ended)) => ended,
            Err(_) => Ended::Failed("the handshake is not answered".to_owned()),
        };
        Played { answers: Vec::new(), ended, sent: 0, late: Vec::new() }
    }

    async fn run(mut self, tell: &impl Fn(Progress<'_>)) -> Played {
        let script = self.script;
        let mut before = 0;
        for step in &script.steps {
            if step.direction == Direction::Out {
                before += usize::from(step.is_answer());
                continue;
            }
            self.wait_for(before, tell).await;
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
            tell(Progress::Sent);
        }
        self.wait_for(before, tell).await;
        self.end(before).await;
        let ended = self.ended.unwrap_or(Ended::ByClient);
        Played { answers: self.answers, ended, sent: self.late.len(), late: self.late }
    }

    /// Waits for the first `count` answers, less those that did not come before.
    async fn wait_for(&mut self, count: usize, tell: &impl Fn(Progress<'_>)) {
        let mut begin = Instant::now();
        while self.ended.is_none() && self.answers.len() + self.missing < count {
            let had = self.answers.len();
            let may_tell = !self.told && had == 0 && self.patience > SILENCE;
            tokio::select! {
                biased;
                frame = self.socket.next() => self.receive(frame),
                () = sleep_until(begin + SILENCE), if may_tell => {
                    self.told = true;
                    tell(Progress::Silent(&self.script.connection));
                }
                () = sleep_until(begin + self.patience) => {
                    self.missing = count - self.answers.len();
                    let least = LEAST.min(self.settings.timeout);
                    self.patience = (2 * self.longest).clamp(least, self.settings.timeout);
                }
            }
            if self.answers.len() > had {
                self.longest = self.longest.max(begin.elapsed());
                begin = Instant::now();
            }
        }
    }

    /// Returns when an action is due that was recorded at `at`, after `before` answers.
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
                frame = self.socket.next() => self.receive(frame),
            }
        }
    }

    fn receive(&mut self, frame: Option<Result<Frame, Error>>) {
        let payload = match frame {
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
        if self.settings.only.as_ref().is_some_and(|only| !only.holds(&self.event(&payload))) {
            return;
        }
        if let Some(then) = self.script.answers().nth(self.answers.len()) {
            for path in &self.settings.carry {
                let now = values(&payload, path);
                for (place, old) in values(&then.payload, path) {
                    let new = now.iter().find(|(there, _)| *there == place);
                    self.carried.extend(new.map(|(_, new)| (old, new.clone())));
                }
            }
        }
        self.answers.push(payload);
        self.came.push(Instant::now());
    }

    /// Returns the event of an answer, for a filter.
    fn event(&self, payload: &Payload) -> Event {
        let message = match payload {
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
        Draft::new(connection, EventBody::Message(message)).stamp(EventId::default())
    }

    fn fail(&mut self, error: &Error) {
        let ended = match error {
            Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => Ended::Failed(format!(
                "the server sent something that is no WebSocket message: {error}"
            )),
            _ => Ended::ByServer(code::absent::ABNORMAL),
        };
        self.ended.get_or_insert(ended);
    }

    fn message(&self, step: &Step) -> Frame {
        match &step.payload {
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

    /// Ends the connection as recorded: closes it, or waits for the server to close it.
    async fn end(&mut self, before: usize) {
        let Some(end) = &self.script.end else { return self.close(code::NORMAL).await };
        match end.by {
            ClosedBy::Server => {
                let limit = self.due(end.at, before) + self.patience;
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
        let _ = timeout(self.settings.timeout, closing).await;
    }
}
