//! The server of a recording, for clients.
//!
//! A client that asks for a path is answered as one was that had asked for it, in their turn. Each
//! of its messages brings what followed the same message then; one that was not said then, what
//! followed the next that was.

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

/// What a person may want to know of a client that is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is answered as this connection was.
    Begins(String),
    /// Nobody has asked for this path.
    UnknownPath(String),
    /// It says what that connection did not, here as text.
    Unheard(String, String),
    /// It is gone.
    Ends(String),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins(id) => write!(f, "a client is answered as {id} was"),
            Self::UnknownPath(path) => write!(f, "a client asks for {path}, which nobody did; 404"),
            Self::Unheard(id, said) => {
                write!(f, "the client of {id} says what was not said then: {said}")
            }
            Self::Ends(id) => write!(f, "the client of {id} is gone"),
        }
    }
}

/// Answers clients for ever.
///
/// # Errors
///
/// If connections can no longer be accepted.
///
/// # Panics
///
/// Without listeners.
pub async fn stand_in(
    listeners: &[TcpListener],
    scripts: &[Script],
    speed: Speed,
    rules: &Rules,
    told: impl Fn(Told),
) -> io::Result<()> {
    assert!(!listeners.is_empty(), "somewhere has to be listened");
    let casting = RefCell::new(vec![0_usize; scripts.len()]);
    let stage = Stage { scripts, speed, rules, casting: &casting, told: &told };
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

/// What all clients share.
#[derive(Clone, Copy)]
struct Stage<'a> {
    scripts: &'a [Script],
    speed: Speed,
    rules: &'a Rules,
    /// How often each script was played.
    casting: &'a RefCell<Vec<usize>>,
    told: &'a dyn Fn(Told),
}

impl<'a> Stage<'a> {
    async fn client(self, tcp: TcpStream) {
        // An error says nothing that matters where nobody could be answered.
        let _ = tcp.set_nodelay(true);
        let mut chosen = None;
        let shake = Shake { stage: self, chosen: &mut chosen };
        let Ok(socket) = accept_hdr_async(tcp, shake).await else { return };
        let Some(script) = chosen else { return };
        let id = script.connection.to_string();
        (self.told)(Told::Begins(id.clone()));
        Actor::new(script, socket, self).run().await;
        (self.told)(Told::Ends(id));
    }

    /// Chooses among the scripts with the path that was asked for the one that was played least,
    /// and of these the first.
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

/// Answers the handshake of a client, and notes which script it is given.
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
            (self.stage.told)(Told::UnknownPath(path.to_owned()));
            return Err(refusal(Code::NotFound.row().status));
        };
        if let Some(status) = script.refused {
            return Err(refusal(status));
        }
        if let Some(taken) = protocol(request, script) {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, taken);
        }
        *self.chosen = Some(script);
        Ok(response)
    }
}

/// Returns the subprotocol that was taken then, or else the first that is offered: a browser drops
/// a connection that takes none.
fn protocol(request: &Request, script: &Script) -> Option<HeaderValue> {
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let offered: Vec<&str> = offered.split(',').map(str::trim).collect();
    let then = script.subprotocol.as_deref().filter(|then| offered.contains(then));
    HeaderValue::from_str(then.or(offered.first().copied())?).ok()
}

/// Says to one client what the server said.
struct Actor<'a> {
    script: &'a Script,
    socket: WebSocketStream<TcpStream>,
    stage: Stage<'a>,
    /// What is to be said: when, and in which step.
    cues: BTreeSet<(Instant, usize)>,
    /// Steps of the client that have been answered.
    answered: Vec<bool>,
    meanings: Vec<Canonical>,
}

impl<'a> Actor<'a> {
    fn new(script: &'a Script, socket: WebSocketStream<TcpStream>, stage: Stage<'a>) -> Self {
        let meanings =
            script.steps.iter().map(|step| Canonical::of(&step.said, stage.rules)).collect();
        let answered = vec![false; script.steps.len()];
        Self { script, socket, stage, cues: BTreeSet::new(), answered, meanings }
    }

    async fn run(mut self) {
        self.cue(0, std::time::Duration::ZERO);
        loop {
            let next = self.cues.first().copied();
            let closing = self.closing(next);
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.hear(&Payload::Text(text.to_string())),
                    Some(Ok(Message::Binary(bytes))) => self.hear(&Payload::Binary(bytes.to_vec())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                () = at(next.map(|(due, _)| due)) => {
                    let Some((_, step)) = self.cues.pop_first() else { continue };
                    let message = match &self.script.steps[step].said {
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

    /// Has said what was said from a step on, up to the client's next message, each after its
    /// pause since `since`.
    fn cue(&mut self, from: usize, since: std::time::Duration) {
        let now = Instant::now();
        let run = self.script.steps.iter().enumerate().skip(from);
        for (n, step) in run.take_while(|(_, step)| step.direction == Direction::Out) {
            let pause = self.stage.speed.scale(step.at.saturating_sub(since));
            self.cues.insert((now + pause, n));
        }
    }

    fn hear(&mut self, said: &Payload) {
        let meaning = Canonical::of(said, self.stage.rules);
        let steps = &self.script.steps;
        let mut open =
            (0..steps.len()).filter(|n| steps[*n].direction == Direction::In && !self.answered[*n]);
        let first = open.clone().next();
        let found = open.find(|n| self.meanings[*n] == meaning);
        if found.is_none() {
            let words = match said {
                Payload::Text(text) => text.chars().take(200).collect(),
                Payload::Binary(bytes) => format!("{} bytes", bytes.len()),
            };
            (self.stage.told)(Told::Unheard(self.script.connection.to_string(), words));
        }
        if let Some(n) = found.or(first) {
            self.answered[n] = true;
            self.cue(n + 1, self.script.steps[n].at);
        }
    }

    /// Returns when and with which code the server closes: once all is said, if that is how it
    /// ended then.
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

/// Waits until a point in time, or for ever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => until(due).await,
        None => std::future::pending().await,
    }
}
