//! The task of a connection, which outlives its listeners. It holds the frames that arrive, hands
//! them to the listener (one WebSocket or one poll at a time; a newer one takes over), and ends the
//! connection after a time without a listener.
//!
//! The task owns this state, so that no lock is needed. It awaits only its next turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{OwnedPermit, Receiver};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::handle::{Command, Listener, SessionHandle};
use super::shared::Shared;
use super::waiting::{Frame, Waiting};
use crate::code::{self, Code};
use crate::event::ClosedBy;
use crate::hub::{CloseRequest, Ending, Mailbox, Outgoing};

/// How long a connection is kept after its WebSocket has ended: time to open another.
const AFTER_SOCKET: Duration = Duration::from_secs(1);

/// The state of the task.
#[derive(Debug)]
pub(super) struct SessionTask {
    shared: Arc<Shared>,
    handle: Arc<SessionHandle>,
    waiting: Waiting,
    listener: Option<Listener>,
    /// The last listener. That it is gone is often seen before its [`Command::Left`] arrives.
    last: Option<Uuid>,
    /// Until when a listener may come because the user has connected again.
    promised: Option<Instant>,
    /// When the connection ends without a listener, and how.
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

impl SessionTask {
    pub(super) fn new(shared: Arc<Shared>, handle: Arc<SessionHandle>) -> Self {
        let patience = shared.settings.gc_connections;
        let (deadline, ending) = (Instant::now() + patience, unheard(patience));
        let waiting = Waiting::default();
        let (listener, last, promised) = (None, None, None);
        Self { shared, handle, waiting, listener, last, promised, deadline, ending }
    }

    /// Runs until the connection ends.
    pub(super) async fn run(mut self, mut mailbox: Mailbox, mut commands: Receiver<Command>) {
        let (ending, order) = loop {
            let turn = tokio::select! {
                // Commands take effect before frames that arrive after them.
                biased;
                Ok(order) = &mut mailbox.close => Turn::Close(order),
                Some(command) = commands.recv() => Turn::Obey(command),
                place = place(self.listener.as_ref()), if self.has_work() => Turn::Hand(place),
                Some((_, outgoing)) = mailbox.queue.next(), if self.has_room() => Turn::Take(outgoing),
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
        self.shared.tables().leave(&self.handle, std::time::Instant::now());
        self.handle.connection.end(ending);
        if let Some(listener) = self.listener {
            let _ = listener.close.send(order);
        }
    }

    /// Returns a command that arrived while the time ran out. If there is none, the connection is
    /// removed from the tables under the same lock under which a user connects again.
    fn last_words(&self, commands: &mut Receiver<Command>) -> Option<Command> {
        let mut tables = self.shared.tables();
        match commands.try_recv() {
            Ok(Command::Disconnect) | Err(_) => {
                tables.leave(&self.handle, std::time::Instant::now());
                None
            }
            Ok(command) => Some(command),
        }
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty() && self.listener.is_some()
    }

    /// Whether more is received from the hub. What a slow listener does not take stays in the queue
    /// of the hub, where the rule for slow clients applies.
    fn has_room(&self) -> bool {
        self.waiting.has_room() || self.listener.is_none()
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
                    let _ = old.close.send(order);
                }
            }
            Command::Left { listener, returned, ending } => {
                let gone = self.waiting.put_back(returned);
                self.count_lost(gone);
                if self.last == Some(listener) {
                    self.alone(ending);
                }
            }
            Command::Renew => {
                // The end of a WebSocket may be reported after this.
                self.promised = Some(Instant::now() + self.shared.settings.gc_connections);
                if self.listener.is_none() {
                    self.alone(None);
                }
            }
            Command::Disconnect => {}
        }
    }

    /// Notes that there is no listener. A poll is followed by another soon; a WebSocket that has
    /// ended mostly is not.
    fn alone(&mut self, ending: Option<Ending>) {
        self.listener = None;
        let patience = self.shared.settings.gc_connections;
        let soon = Instant::now() + AFTER_SOCKET.min(patience);
        (self.deadline, self.ending) = match (ending, self.promised) {
            (Some(_), Some(promised)) if promised > soon => (promised, unheard(patience)),
            (Some(ending), _) => (soon, ending),
            (None, _) => (Instant::now() + patience, unheard(patience)),
        };
    }

    /// Encodes an item for the client.
    fn take(&mut self, outgoing: Outgoing) {
        let text = match outgoing {
            Outgoing::Delivered(delivered) => {
                let late = self.listener.is_none();
                if late && !self.shared.keeps_frames(&delivered) {
                    return;
                }
                self.shared.encode(&delivered)
            }
            Outgoing::Text(text) => Shared::foreign_text(&text),
            Outgoing::Binary(bytes) => Shared::foreign_bytes(&bytes),
            // Clients of Channelstream know neither of these.
            Outgoing::Present(..) | Outgoing::Resumed(..) | Outgoing::Expelled(_) => return,
        };
        let frame = Frame::new(text, self.listener.is_none());
        let gone = self.waiting.push(frame, |frame, edit| self.shared.edits.apply(frame, edit));
        self.count_lost(gone);
    }

    fn count_lost(&self, frames: u64) {
        self.shared.hub.metrics().queue_refusals.inc_by(frames);
    }
}

/// Waits until the listener takes another frame. Returns `None` if it is gone.
async fn place(listener: Option<&Listener>) -> Option<OwnedPermit<Frame>> {
    listener?.frames.clone().reserve_owned().await.ok()
}

/// Waits until the listener is gone.
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
pub(super) mod tests {
    use std::net::SocketAddr;

    use tokio::sync::{mpsc, oneshot};

    use super::super::request::{self, Info, State};
    use super::super::{Channelstream, ChannelstreamSettings};
    use super::*;
    use crate::event::{Channel, Connect, User};
    use crate::hub::{self, Hub};

    const LIMIT: Duration = Duration::from_secs(20);

    pub(in super::super) fn connect(shared: &Arc<Shared>) -> Arc<SessionHandle> {
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
        shared.handle(&id).expect("it has just connected")
    }

    #[tokio::test]
    async fn how_a_websocket_ended_counts_also_when_its_end_was_seen_before() {
        let hub = Hub::new(hub::Settings::default());
        let shared = Channelstream::new(hub.clone(), ChannelstreamSettings::new("secret")).shared;
        let handle = connect(&shared);
        let (id, (frames, passed), (close, _)) =
            (Uuid::new_v4(), mpsc::channel(1), oneshot::channel());
        let listen = Command::Listen(Listener { id, frames, close });
        handle.commands.send(listen).await.expect("it is kept");
        drop(passed);
        // The task has one turn for the listener, and one for its end.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let ending = Ending::lost("the client went");
        let left = Command::Left { listener: id, returned: Vec::new(), ending: Some(ending) };
        handle.commands.send(left).await.expect("it is kept");
        let ended = tokio::time::timeout(LIMIT, handle.commands.closed()).await;
        assert!(ended.is_ok(), "a second is enough where 30 would be waited for a poll");
    }
}
