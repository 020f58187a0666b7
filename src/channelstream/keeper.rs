//! The task that keeps a connection between its listeners. It holds what came meanwhile, hands it
//! to whoever listens next (one WebSocket or one long poll at a time; a newer takes over), and ends
//! the connection when nobody has listened for too long.
//!
//! It is the only one that changes this, so that no lock is needed; it awaits nothing but its next
//! turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::Shared;
use super::waiting::{Frame, Waiting};
use crate::code::{self, Code};
use crate::event::{ClosedBy, User};
use crate::hub::{CloseRequest, Connection, Ending, Hub, Mailbox, Outgoing};

/// How long a connection stays whose WebSocket has gone: time to open another with the same id.
const AFTER_SOCKET: Duration = Duration::from_secs(1);

/// Commands that wait for a turn of the task.
const COMMANDS: usize = 16;

/// A connection, as calls find it.
#[derive(Debug)]
pub(super) struct SessionHandle {
    pub(super) id: Uuid,
    pub(super) user: User,
    /// In the hub.
    pub(super) connection: Connection,
    pub(super) commands: Sender<Command>,
}

impl SessionHandle {
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

/// Whoever listens. When nothing can come any more, another has taken over, or the connection has
/// ended.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: Uuid,
    /// What is to be passed on.
    pub(super) frames: Sender<Frame>,
    /// The end, with what a close frame says; comes past all frames.
    pub(super) close: watch::Sender<Option<CloseRequest>>,
}

#[derive(Debug)]
pub(super) struct SessionTask {
    shared: Arc<Shared>,
    attended: Arc<SessionHandle>,
    waiting: Waiting,
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
    Close(CloseRequest),
    Obey(Command),
    Hand(Option<OwnedPermit<Frame>>),
    Alone,
    Over,
}

/// Makes the ends of the way from calls to a keeper.
pub(super) fn commands() -> (Sender<Command>, Receiver<Command>) {
    mpsc::channel(COMMANDS)
}

impl SessionTask {
    pub(super) fn new(shared: Arc<Shared>, attended: Arc<SessionHandle>) -> Self {
        let patience = shared.settings.gc_connections;
        let (deadline, ending) = (Instant::now() + patience, unheard(patience));
        let waiting = Waiting::default();
        let (listener, last, promised) = (None, None, None);
        Self { shared, attended, waiting, listener, last, promised, deadline, ending }
    }

    /// Keeps the connection until it ends.
    pub(super) async fn run(mut self, mut orders: Mailbox, mut commands: Receiver<Command>) {
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
                    let ending =
                        Ending { code, reason, clean: true, by: ClosedBy::Tap, wire: None };
                    break (ending, order);
                }
                Turn::Obey(Command::Disconnect) => {
                    let reason = "it was disconnected".to_owned();
                    let (code, by) = (code::NORMAL, ClosedBy::Client);
                    let order = CloseRequest { code, reason: String::new() };
                    break (Ending { code, reason, clean: true, by, wire: None }, order);
                }
                Turn::Obey(command) => self.obey(command),
                Turn::Hand(Some(place)) => {
                    if let Some(frame) = self.waiting.pop() {
                        self.shared.count_delivery();
                        place.send(frame);
                    }
                }
                Turn::Hand(None) | Turn::Alone => self.alone(None),
                Turn::Over => {
                    let Some(command) = self.last_words(&mut commands) else {
                        let order = CloseRequest { code: code::NORMAL, reason: String::new() };
                        break (self.ending.clone(), order);
                    };
                    self.obey(command);
                }
            }
        };
        self.shared.tables().leave(&self.attended, std::time::Instant::now());
        self.attended.connection.end(ending);
        if let Some(listener) = self.listener {
            let _ = listener.close.send(Some(order));
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
        !self.waiting.is_full() || self.listener.is_none()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Listen(listener) => {
                self.last = Some(listener.id);
                self.promised = None;
                let replaced = self.listener.replace(listener);
                if let Some(old) = replaced {
                    let reason = "another listener of this connection has taken over".to_owned();
                    let order = CloseRequest { code: Code::Replaced.close(), reason };
                    let _ = old.close.send(Some(order));
                }
            }
            Command::Left { listener, returned, socket } => {
                let gone = self.waiting.put_back(returned);
                self.count_lost(gone);
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
        let gone = self.waiting.push(Frame::new(words, self.listener.is_none()));
        self.count_lost(gone);
    }

    fn count_lost(&self, frames: u64) {
        self.shared.hub.metrics().queue_refusals.inc_by(frames);
    }
}

/// Waits until a listener takes something more. `None`: it has gone.
async fn place(listener: Option<&Listener>) -> Option<OwnedPermit<Frame>> {
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
    Ending { code: Code::Timeout.close(), reason, clean: false, by: ClosedBy::Tap, wire: None }
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

    fn connect(shared: &Arc<Shared>) -> Arc<SessionHandle> {
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
        let (id, (frames, passed), (close, _)) =
            (Uuid::new_v4(), mpsc::channel(1), watch::channel(None));
        let listen = Command::Listen(Listener { id, frames, close });
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
