//! The server of a recording, for clients.
//!
//! A client gets the script of a recorded connection with the same path; clients with the same path
//! get their scripts in turn. A message of the client is answered with the recorded answers to the
//! same message, or, if it was not recorded, with those to the next message that is not answered.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io;

use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tungstenite::Message;
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::protocol::CloseFrame;

use super::compare::{Canonical, Rules};
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
        let mut chosen = None;
        let shake = Shake { stage: self, chosen: &mut chosen };
        let Ok(socket) = accept_hdr_async(tcp, shake).await else { return };
        let Some(script) = chosen else { return };
        let id = script.connection.to_string();
        (self.notify)(Notice::Begins(id.clone()));
        Actor::new(script, socket, self).run().await;
        (self.notify)(Notice::Ends(id));
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

/// Answers the handshake of a client, and stores its script.
struct Shake<'s, 'a> {
    stage: Stage<'a>,
    chosen: &'s mut Option<&'a Script>,
}

impl Callback for Shake<'_, '_> {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let refusal = |status: u16| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            refusal
        };
        let Some(script) = self.stage.choose(path) else {
            (self.stage.notify)(Notice::UnknownPath(path.to_owned()));
            return Err(refusal(Code::NotFound.row().status));
        };
        if let Some(status) = script.refused {
            // A handshake that was not answered has the status 0.
            return Err(refusal(if status == 0 { Code::Unavailable.row().status } else { status }));
        }
        if let Some(taken) = protocol(request, script) {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, taken);
        }
        *self.chosen = Some(script);
        Ok(response)
    }
}

/// Returns the recorded subprotocol, or else the first that is offered: a browser drops a connection
/// whose server accepts none.
fn protocol(request: &Request, script: &Script) -> Option<HeaderValue> {
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let offered: Vec<&str> = offered.split(',').map(str::trim).collect();
    let then = script.subprotocol.as_deref().filter(|then| offered.contains(then));
    HeaderValue::from_str(then.or(offered.first().copied())?).ok()
}

/// Sends the messages of the server to one client.
struct Actor<'a> {
    script: &'a Script,
    socket: WebSocketStream<TcpStream>,
    stage: Stage<'a>,
    /// Messages to send: time and step.
    cues: BTreeSet<(Instant, usize)>,
    /// Steps of the client that were received.
    answered: Vec<bool>,
    canonical: Vec<Canonical>,
}

impl<'a> Actor<'a> {
    fn new(script: &'a Script, socket: WebSocketStream<TcpStream>, stage: Stage<'a>) -> Self {
        let canonical =
            script.steps.iter().map(|step| Canonical::of(&step.payload, stage.rules)).collect();
        let answered = vec![false; script.steps.len()];
        Self { script, socket, stage, cues: BTreeSet::new(), answered, canonical }
    }

    async fn run(mut self) {
        self.cue(0, std::time::Duration::ZERO);
        loop {
            let next = self.cues.first().copied();
            let closing = self.closing(next);
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.receive(&Payload::Text(text.to_string())),
                    Some(Ok(Message::Binary(bytes))) => self.receive(&Payload::Binary(bytes.to_vec())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                () = at(next.map(|(due, _)| due)) => {
                    let Some((_, step)) = self.cues.pop_first() else { continue };
                    let message = match &self.script.steps[step].payload {
                        Payload::Text(text) => Message::text(text.clone()),
                        Payload::Binary(bytes) => Message::binary(bytes.clone()),
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
    fn cue(&mut self, from: usize, since: std::time::Duration) {
        let now = Instant::now();
        let run = self.script.steps.iter().enumerate().skip(from);
        for (n, step) in run.take_while(|(_, step)| step.direction == Direction::Out) {
            let pause = self.stage.speed.scale(step.at.saturating_sub(since));
            self.cues.insert((now + pause, n));
        }
    }

    fn receive(&mut self, payload: &Payload) {
        let canonical = Canonical::of(payload, self.stage.rules);
        let steps = &self.script.steps;
        let mut open =
            (0..steps.len()).filter(|n| steps[*n].direction == Direction::In && !self.answered[*n]);
        let first = open.clone().next();
        let found = open.find(|n| self.canonical[*n] == canonical);
        if found.is_none() {
            let words = match payload {
                Payload::Text(text) => text.chars().take(200).collect(),
                Payload::Binary(bytes) => format!("{} bytes", bytes.len()),
            };
            (self.stage.notify)(Notice::Unrecorded(self.script.connection.to_string(), words));
        }
        if let Some(n) = found.or(first) {
            self.answered[n] = true;
            self.cue(n + 1, self.script.steps[n].at);
        }
    }

    /// Returns time and code of the close: after the last message, if the recorded server closed.
    fn closing(&self, next: Option<(Instant, usize)>) -> Option<(Instant, u16)> {
        let end = self.script.end.as_ref().filter(|end| end.by == ClosedBy::Server)?;
        let steps = self.script.steps.iter().zip(&self.answered);
        let open =
            steps.filter(|(step, answered)| step.direction == Direction::In && !**answered).count();
        if next.is_some() || open > 0 {
            return None;
        }
        let last = self.script.steps.last().map_or(std::time::Duration::ZERO, |step| step.at);
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
