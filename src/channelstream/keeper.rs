//! The task that keeps a connection between its listeners. It holds what came meanwhile, hands it
//! to whoever listens next (one WebSocket or one long poll at a time; a newer takes over), and ends
//! the connection when nobody has listened for too long.
//!
//! It is the only one that changes this, so that no lock is needed; it awaits nothing but its next
//! turn.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::Shared;
use super::shape::{self, Object};
use crate::code::{self, Code};
use crate::event::{By, User};
use crate::hub::{CloseOrder, Connection, Ending, Hub, Orders, Outgoing};

/// What waits for a listener; of more, the oldest go. As many as the original keeps of a channel.
const WAITING: usize = 100;

/// How long a connection stays whose WebSocket has gone: time to open another with the same id.
const AFTER_SOCKET: Duration = Duration::from_secs(1);

/// Commands that wait for a turn of the task.
const COMMANDS: usize = 16;

/// A connection, as calls find it.
#[derive(Debug)]
pub(super) struct Attended {
    pub(super) id: Uuid,
    pub(super) user: User,
    /// In the hub.
    pub(super) connection: Connection,
    pub(super) commands: Sender<Command>,
}

impl Attended {
    /// Gives it time anew to be listened to.
    pub(super) fn renew(&self, hub: &Hub) {
        if let Err(TrySendError::Full(renew)) = self.commands.try_send(Command::Renew) {
            let commands = self.commands.clone();
            hub.run(async move {
                let _ = commands.send(renew).await;
            });
        }
    }
}

/// What calls want of the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Somebody listens now.
    Listen(Listener),
    /// A listener has gone, and brings back what it could not pass on; a WebSocket says how it
    /// ended.
    Left { listener: Uuid, returned: Vec<Frame>, socket: Option<Ending> },
    /// Its user has connected again: there is time anew to listen.
    Renew,
    /// The connection is to end.
    Disconnect,
}

/// Whoever listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: Uuid,
    pub(super) frames: Sender<Passed>,
}

/// What a listener is handed. When nothing can come any more, another has taken over, or the
/// connection has ended.
#[derive(Debug)]
pub(super) enum Passed {
    /// To pass on.
    Frame(Frame),
    /// The end, with what a close frame says.
    Close(CloseOrder),
}

/// An object for the client.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    words: Arc<str>,
    /// It came when nobody listened.
    late: bool,
}

impl Frame {
    pub(super) fn new(words: Arc<str>, late: bool) -> Self {
        Self { words, late }
    }

    /// Returns it as JSON.
    pub(super) fn json(&self) -> Cow<'_, str> {
        if self.late { shape::late(&self.words).into() } else { Cow::Borrowed(&self.words) }
    }
}

#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    attended: Arc<Attended>,
    waiting: VecDeque<Frame>,
    listener: Option<Listener>,
    /// Who has listened last. That they have gone is often seen before they say how.
    last: Option<Uuid>,
    /// Until when somebody is to come because their user has connected again.
    promised: Option<Instant>,
    /// When the connection ends if nobody listens until then, and how.
    deadline: Instant,
    ending: Ending,
}

enum Turn {
    Take(Outgoing),
    Close(CloseOrder),
    Obey(Command),
    Hand(Option<OwnedPermit<Passed>>),
    Alone,
    Over,
}

/// Makes the ends of the way from calls to a keeper.
pub(super) fn commands() -> (Sender<Command>, Receiver<Command>) {
    mpsc::channel(COMMANDS)
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, attended: Arc<Attended>) -> Self {
        let patience = shared.settings.gc_connections;
        let (deadline, ending) = (Instant::now() + patience, unheard(patience));
        let waiting = VecDeque::new();
        let (listener, last, promised) = (None, None, None);
        Self { shared, attended, waiting, listener, last, promised, deadline, ending }
    }

    /// Keeps the connection until it ends.
    pub(super) async fn run(mut self, mut orders: Orders, mut commands: Receiver<Command>) {
        let (ending, order) = loop {
            let turn = tokio::select! {
                // What was said before something came counts before it.
                biased;
                Ok(order) = &mut orders.close => Turn::Close(order),
                Some(command) = commands.recv() => Turn::Obey(command),
                place = place(self.listener.as_ref()), if self.has_work() => Turn::Hand(place),
                Some((_, outgoing)) = orders.queue.next(), if self.has_room() => Turn::Take(outgoing),
                () = gone(self.listener.as_ref()), if self.listener.is_some() => Turn::Alone,
                () = sleep_until(self.deadline), if self.listener.is_none() => Turn::Over,
            };
            match turn {
                Turn::Take(outgoing) => self.take(outgoing),
                Turn::Close(order) => {
                    let (code, reason) = (order.code, order.reason.clone());
                    let ending = Ending { code, reason, clean: true, by: By::Tap, wire: None };
                    break (ending, order);
                }
                Turn::Obey(Command::Disconnect) => {
                    let reason = "it was disconnected".to_owned();
                    let (code, by) = (code::NORMAL, By::Client);
                    let order = CloseOrder { code, reason: String::new() };
                    break (Ending { code, reason, clean: true, by, wire: None }, order);
                }
                Turn::Obey(command) => self.obey(command),
                Turn::Hand(Some(place)) => {
                    if let Some(frame) = self.waiting.pop_front() {
                        self.shared.count_delivery();
                        place.send(Passed::Frame(frame));
                    }
                }
                Turn::Hand(None) | Turn::Alone => self.alone(None),
                Turn::Over => match self.last_words(&mut commands) {
                    Some(command) => self.obey(command),
                    None => {
                        let order = CloseOrder { code: code::NORMAL, reason: String::new() };
                        break (self.ending.clone(), order);
                    }
                },
            }
        };
        self.shared.tables().leave(&self.attended, std::time::Instant::now());
        self.attended.connection.end(ending);
        if let Some(listener) = self.listener {
            // One that is full learns of the end when nothing comes any more.
            let _ = listener.frames.try_send(Passed::Close(order));
        }
    }

    /// Returns what somebody has said while the time ran out; if nobody has, the connection cannot
    /// be found any more. Whoever connects again says so under the same lock.
    fn last_words(&self, commands: &mut Receiver<Command>) -> Option<Command> {
        let mut tables = self.shared.tables();
        match commands.try_recv() {
            Ok(Command::Disconnect) | Err(_) => {
                tables.leave(&self.attended, std::time::Instant::now());
                None
            }
            Ok(command) => Some(command),
        }
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty() && self.listener.is_some()
    }

    /// Whether more is taken. What a listener does not take in time stays in the hub's queue, where
    /// the rules for slow clients hold.
    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING || self.listener.is_none()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Listen(listener) => {
                self.last = Some(listener.id);
                self.promised = None;
                let replaced = self.listener.replace(listener);
                if let Some(old) = replaced {
                    let reason = "another listener of this connection has taken over".to_owned();
                    let order = CloseOrder { code: Code::Replaced.close(), reason };
                    let _ = old.frames.try_send(Passed::Close(order));
                }
            }
            Command::Left { listener, returned, socket } => {
                for frame in returned.into_iter().rev() {
                    self.waiting.push_front(Frame { late: true, ..frame });
                }
                self.trim();
                if self.last == Some(listener) {
                    self.alone(socket);
                }
            }
            Command::Renew => {
                // A WebSocket that has gone may still be on its way to say so.
                self.promised = Some(Instant::now() + self.shared.settings.gc_connections);
                if self.listener.is_none() {
                    self.alone(None);
                }
            }
            Command::Disconnect => {}
        }
    }

    /// Nobody listens any more. A poll comes again in a moment; a WebSocket that has gone mostly
    /// does not.
    fn alone(&mut self, socket: Option<Ending>) {
        self.listener = None;
        let patience = self.shared.settings.gc_connections;
        let soon = Instant::now() + AFTER_SOCKET.min(patience);
        (self.deadline, self.ending) = match (socket, self.promised) {
            (Some(_), Some(promised)) if promised > soon => (promised, unheard(patience)),
            (Some(ending), _) => (soon, ending),
            (None, _) => (Instant::now() + patience, unheard(patience)),
        };
    }

    /// Takes something for the client.
    fn take(&mut self, outgoing: Outgoing) {
        let words = match outgoing {
            Outgoing::Delivered(delivered) => {
                let late = self.listener.is_none();
                if late && !self.shared.keeps_frames(&delivered) {
                    return;
                }
                self.shared.words(&delivered)
            }
            Outgoing::Text(text) => Shared::foreign_text(&text),
            Outgoing::Binary(bytes) => Shared::foreign_bytes(&bytes),
            // Their clients know neither list nor expiry.
            Outgoing::Present(..) | Outgoing::Expelled(_) => return,
        };
        if !self.waiting.is_empty() {
            self.amend(&words);
        }
        self.waiting.push_back(Frame::new(words, self.listener.is_none()));
        self.trim();
    }

    fn trim(&mut self) {
        while self.waiting.len() > WAITING {
            self.waiting.pop_front();
            self.shared.hub.metrics().queue_refusals.inc();
        }
    }

    /// Changes what still waits, if this edits or deletes it.
    fn amend(&mut self, words: &str) {
        let Some(about) = About::of(words) else { return };
        let is_it = |frame: &Frame| {
            About::of(&frame.words).is_some_and(|it| it.kind == "message" && it.uuid == about.uuid)
        };
        match about.kind {
            "message:delete" => self.waiting.retain(|frame| !is_it(frame)),
            "message:edit" => {
                if let Some(frame) = self.waiting.iter_mut().find(|frame| is_it(frame)) {
                    frame.words = edited(&frame.words, words).into();
                }
            }
            _ => {}
        }
    }
}

/// What a frame is about.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    uuid: &'a str,
}

impl<'a> About<'a> {
    fn of(words: &'a str) -> Option<Self> {
        serde_json::from_str(words).ok()
    }
}

/// Returns a frame with what an edit says.
fn edited(frame: &str, edit: &str) -> String {
    let edit = shape::members(edit);
    let new = |name: &str| match name {
        "timestamp" | "user" | "message" | "edited" => edit.get(name).copied(),
        _ => None,
    };
    let members = shape::members(frame).into_iter();
    let members = members.map(|(name, old)| (new(&name).unwrap_or(old), name));
    let object = members.fold(Object::new(), |object, (value, name)| object.with(&name, value));
    object.text()
}

/// Waits until a listener takes something more. `None`: it has gone.
async fn place(listener: Option<&Listener>) -> Option<OwnedPermit<Passed>> {
    listener?.frames.clone().reserve_owned().await.ok()
}

/// Waits until a listener has gone.
async fn gone(listener: Option<&Listener>) {
    if let Some(listener) = listener {
        listener.frames.closed().await;
    }
}

fn unheard(patience: Duration) -> Ending {
    let reason = format!("nobody has listened for {patience:?}");
    Ending { code: Code::Timeout.close(), reason, clean: false, by: By::Tap, wire: None }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::request::{self, Info, State};
    use super::super::{Channelstream, Settings};
    use super::*;
    use crate::event::{Channel, Connect};
    use crate::hub;

    const LIMIT: Duration = Duration::from_secs(20);

    fn connect(shared: &Arc<Shared>) -> Arc<Attended> {
        let user: User = "ann".parse().expect("a user");
        let call = request::Connect {
            username: user.clone(),
            conn_id: None,
            channels: Vec::<Channel>::new(),
            fresh_user_state: State::new(),
            user_state: State::new(),
            state_public_keys: Vec::new(),
            channel_configs: request::Changes::new(),
            info: Info::default(),
        };
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        let arrival = Connect {
            remote,
            path: "/".to_owned(),
            headers: Vec::new(),
            answer: None,
            user: Some(user),
        };
        let connected = shared.connect(call, arrival).expect("there is room");
        let id = connected.conn_id.parse().expect("an id");
        shared.attended(&id).expect("it has just connected")
    }

    #[tokio::test]
    async fn how_a_websocket_ended_counts_also_when_its_end_was_seen_before() {
        let hub = Hub::new(hub::Settings::default());
        let shared = Channelstream::new(hub.clone(), Settings::new("secret")).shared;
        let attended = connect(&shared);
        let (id, (frames, passed)) = (Uuid::new_v4(), mpsc::channel(1));
        let listen = Command::Listen(Listener { id, frames });
        attended.commands.send(listen).await.expect("it is kept");
        drop(passed);
        // The keeper has one turn for the listener, and one for its end.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let ending = Ending::lost("the client went");
        let left = Command::Left { listener: id, returned: Vec::new(), socket: Some(ending) };
        attended.commands.send(left).await.expect("it is kept");
        let ended = tokio::time::timeout(LIMIT, attended.commands.closed()).await;
        assert!(ended.is_ok(), "a second is enough where 30 would be waited for a poll");
    }
}
