//! The handle of a connection's task, and the commands that it takes.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::waiting::Frame;
use crate::event::User;
use crate::hub::{CloseRequest, Connection, Ending, Hub};

/// Commands that wait for the task.
const COMMANDS: usize = 16;

/// A connection in the tables.
#[derive(Debug)]
pub(super) struct SessionHandle {
    pub(super) id: Uuid,
    pub(super) user: User,
    /// The connection in the hub.
    pub(super) connection: Connection,
    pub(super) commands: Sender<Command>,
}

impl SessionHandle {
    /// Restarts the time in which a listener has to come.
    pub(super) fn renew(&self, hub: &Hub) {
        if let Err(TrySendError::Full(renew)) = self.commands.try_send(Command::Renew) {
            let commands = self.commands.clone();
            hub.run(async move {
                let _ = commands.send(renew).await;
            });
        }
    }
}

/// A command to the task.
#[derive(Debug)]
pub(super) enum Command {
    /// A listener has come.
    Listen(Listener),
    /// A listener has gone. It returns frames that it could not send, and how its WebSocket ended.
    Left { listener: Uuid, returned: Vec<Frame>, ending: Option<Ending> },
    /// The user has connected again, which restarts the time for a listener.
    Renew,
    /// The connection is to end.
    Disconnect,
}

/// A listener. When `frames` is closed, another has taken over or the connection has ended.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: Uuid,
    /// Takes frames to send.
    pub(super) frames: Sender<Frame>,
    /// Takes the code and reason of the close frame.
    pub(super) close: oneshot::Sender<CloseRequest>,
}

/// Creates the channel from calls to a task.
pub(super) fn commands() -> (Sender<Command>, Receiver<Command>) {
    mpsc::channel(COMMANDS)
}
