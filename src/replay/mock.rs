//! The server of a recording, for clients.
//!
//! A client gets the script of a recorded connection with the same path; clients with the same path
//! get their scripts in turn. A message of the client is answered with the recorded answers to the
//! same message, or, if it was not recorded, with those to the next message that is not answered. A
//! message is the same if it differs in ids only (`correlate`), and its answers get the ids of the
//! client. An answer that has the id of another request waits for that request.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::time::Duration;

use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use super::compare::{Canonical, Rules};
use super::correlate::{Correlation, Parts, Substitutes};
use super::head::{Asking, accept};
use super::pace::{Speed, until};
use super::script::{Payload, Script};
use crate::code::{self, Code};
use crate::event::{ClosedBy, Direction};

/// A notice about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The client gets the script of this connection.
    Begins(String),
    /// No connection with this path is recorded.
    UnknownPath(String),
    /// The client of this connection sent a message that is not recorded, here as text.
    Unrecorded(String, String),
    /// The client disconnected.
    Ends(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins(id) => write!(f, "a client gets the answers of {id}"),
            Self::UnknownPath(path) => {
                write!(f, "a client asks for {path}, which is not recorded; 404")
            }
            Self::Unrecorded(id, text) => {
                write!(f, "the client of {id} sent a message that is not recorded: {text}")
            }
            Self::Ends(id) => write!(f, "the client of {id} disconnected"),
        }
    }
}

/// Answers clients until accepting fails.
///
/// # Errors
///
/// If a listener fails to accept.
///
/// # Panics
///
/// If there are no listeners.
pub async fn stand_in(
    listeners: &[TcpListener],
    scripts: &[Script],
    speed: Speed,
    rules: &Rules,
    notify: impl Fn(Notice),
) -> io::Result<()> {
    assert!(!listeners.is_empty(), "there has to be a listener");
    let casting = RefCell::new(vec![0_usize; scripts.len()]);
    let stage = Stage { scripts, speed, rules, casting: &casting, notify: &notify };
    let mut clients = FuturesUnordered::new();
    loop {
        let accepts = select_all(listeners.iter().map(|listener| Box::pin(listener.accept())));
        tokio::select! {
            (accepted, _, _) = accepts => match accepted {
                Ok((tcp, _)) => clients.push(stage.client(tcp)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            },
            Some(()) = clients.next() => {}
        }
    }
}

/// How long the handshake of a client may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// State that all clients share.
#[derive(Clone, Copy)]
struct Stage<'a> {
    scripts: &'a [Script],
    speed: Speed,
    rules: &'a Rules,
    /// How often each script was played.
    casting: &'a RefCell<Vec<usize>>,
    notify: &'a dyn Fn(Notice),
}

impl<'a> Stage<'a> {
    async fn client(self, tcp: TcpStream) {
        // If this fails, the connection fails too.
        let _ = tcp.set_nodelay(true);
        let Ok(Ok(asking)) = timeout(PATIENCE, accept(tcp)).await else { return };
        let Some((script, socket)) = self.shake(asking).await else { return };
        let id = script.connection.to_string();
        (self.notify)(Notice::Begins(id.clone()));
        Actor::new(script, socket, self).run().await;
        (self.notify)(Notice::Ends(id));
    }

    /// Answers the handshake of a client, and returns its script; `None` if it is refused.
    async fn shake(
        self,
        asking: Asking<TcpStream>,
    ) -> Option<(&'a Script, WebSocketStream<TcpStream>)> {
        if !asking.is_handshake() {
            asking.refuse(Code::UpgradeRequired.row().status).await;
            return None;
        }
        let Some(script) = self.choose(asking.target()) else {
            (self.notify)(Notice::UnknownPath(asking.target().to_owned()));
            asking.refuse(Code::NotFound.row().status).await;
            return None;
        };
        if let Some(status) = script.refused {
            // A handshake that was not answered has the status 0.
            let status = if status == 0 { Code::Unavailable.row().status } else { status };
            asking.refuse(status).await;
            return None;
        }
        let protocol = protocol(&asking.offered(), script);
        let socket = asking.open(protocol.as_deref()).await.ok()?;
        Some((script, socket))
    }

    /// Returns the script with a path that was played least often; of several the first.
    fn choose(self, path: &str) -> Option<&'a Script> {
        let bare = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
        let mut casting = self.casting.borrow_mut();
        let least = |fits: &dyn Fn(&Script) -> bool| {
            let fitting = self.scripts.iter().enumerate().filter(|(_, script)| fits(script));
            fitting.min_by_key(|(n, _)| casting[*n])
        };
        let whole = least(&|script| script.path == path);
        let (n, script) = whole.or_else(|| least(&|script| bare(&script.path) == bare(path)))?;
        casting[n] += 1;
        Some(script)
    }
}

/// Returns the recorded subprotocol, or else the first that is offered: a browser drops a connection
/// whose server accepts none.
fn protocol(offered: &[String], script: &Script) -> Option<String> {
    let recorded = script.subprotocol.as_ref().filter(|recorded| offered.contains(recorded));
    recorded.or(offered.first()).cloned()
}

/// Sends the messages of the server to one client.
struct Actor<'a> {
    script: &'a Script,
    socket: WebSocketStream<TcpStream>,
    stage: Stage<'a>,
    /// Messages to send, by time and step.
    cues: BTreeMap<(Instant, usize), Payload>,
    /// Steps of the client that were received.
    answered: Vec<bool>,
    canonical: Vec<Canonical>,
    correlation: Correlation,
    substitutes: Substitutes,
    /// Steps of the server that have the id of a step of the client that was not received yet.
    held: HashMap<usize, Vec<usize>>,
}

impl<'a> Actor<'a> {
    fn new(script: &'a Script, socket: WebSocketStream<TcpStream>, stage: Stage<'a>) -> Self {
        let canonical =
            script.steps.iter().map(|step| Canonical::of(&step.payload, stage.rules)).collect();
        Self {
            script,
            socket,
            stage,
            cues: BTreeMap::new(),
            answered: vec![false; script.steps.len()],
            canonical,
            correlation: Correlation::of(script),
            substitutes: Substitutes::default(),
            held: HashMap::new(),
        }
    }

    async fn run(mut self) {
        self.cue(0, Duration::ZERO);
        loop {
            let next = self.cues.first_key_value().map(|((due, _), _)| *due);
            let closing = self.closing(next.is_some());
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.receive(&Payload::Text(text.to_string())),
                    Some(Ok(Message::Binary(bytes))) => self.receive(&Payload::Binary(bytes.to_vec())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                () = at(next) => {
                    let Some((_, payload)) = self.cues.pop_first() else { continue };
                    let message = match payload {
                        Payload::Text(text) => Message::text(text),
                        Payload::Binary(bytes) => Message::binary(bytes),
                    };
                    if self.socket.send(message).await.is_err() {
                        return;
                    }
                }
                () = at(closing.map(|(due, _)| due)) => {
                    let code = closing.map_or(code::NORMAL, |(_, code)| code);
                    let frame = CloseFrame { code: code.into(), reason: "".into() };
                    if self.socket.close(Some(frame)).await.is_err() {
                        return;
                    }
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return;
                }
            }
        }
    }

    /// Schedules the messages of the server from a step up to the next message of the client, each
    /// after its pause since `since`.
    fn cue(&mut self, from: usize, since: Duration) {
        let script = self.script;
        let run = script.steps.iter().enumerate().skip(from);
        for (n, step) in run.take_while(|(_, step)| !step.is_question()) {
            if step.direction == Direction::Out {
                self.cue_one(n, since);
            }
        }
    }

    /// Schedules one message, unless it has the id of a message that the client has not sent yet.
    fn cue_one(&mut self, n: usize, since: Duration) {
        let step = &self.script.steps[n];
        let origins = self.correlation.origins(n);
        if let Some(open) = origins.iter().find(|origin| !self.answered[**origin]) {
            return self.held.entry(*open).or_default().push(n);
        }
        let pause = self.stage.speed.scale(step.at.saturating_sub(since));
        self.cues.insert((Instant::now() + pause, n), self.substitutes.apply(&step.payload));
    }

    fn receive(&mut self, payload: &Payload) {
        let canonical = Canonical::of(payload, self.stage.rules);
        let steps = &self.script.steps;
        let mut open = (0..steps.len()).filter(|n| steps[*n].is_question() && !self.answered[*n]);
        let first = open.clone().next();
        let parts = Parts::of(payload);
        let found = open.clone().find(|n| self.canonical[*n] == canonical);
        let found = found.or_else(|| self.correlation.find(parts.as_ref()?, &mut open));
        if found.is_none() {
            let words = match payload {
                Payload::Text(text) => text.chars().take(200).collect(),
                Payload::Binary(bytes) => format!("{} bytes", bytes.len()),
            };
            (self.stage.notify)(Notice::Unrecorded(self.script.connection.to_string(), words));
        }
        let Some(n) = found.or(first) else { return };
        self.answered[n] = true;
        if let Some(parts) = &parts {
            self.substitutes.learn(&self.correlation, n, parts);
        }
        let at = self.script.steps[n].at;
        self.cue(n + 1, at);
        for step in self.held.remove(&n).unwrap_or_default() {
            self.cue_one(step, at);
        }
    }

    /// Returns time and code of the close: after the last message, if the recorded server closed.
    fn closing(&self, is_cued: bool) -> Option<(Instant, u16)> {
        let end = self.script.end.as_ref().filter(|end| end.by == ClosedBy::Server)?;
        let mut steps = self.script.steps.iter().zip(&self.answered);
        if is_cued || steps.any(|(step, answered)| step.is_question() && !answered) {
            return None;
        }
        let last = self.script.steps.last().map_or(Duration::ZERO, |step| step.at);
        let pause = self.stage.speed.scale(end.at.saturating_sub(last));
        let code = if code::may_be_sent(end.code) { end.code } else { code::NORMAL };
        Some((Instant::now() + pause, code))
    }
}

/// Waits until a point in time; without one, for ever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => until(due).await,
        None => std::future::pending().await,
    }
}
