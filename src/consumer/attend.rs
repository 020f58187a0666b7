//! Serves a connection with a consumer: the hooks run beside the session, in one task.
//!
//! The session passes frames and deliveries to the hooks through two bounded queues. While the queue
//! of frames is full, the session reads nothing from the client and counts no missed pongs. A
//! delivery that does not fit is refused as the hub refuses it to a slow client. The session
//! therefore never waits for a hook, and a hook may wait for what it sends.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tungstenite::Message as Frame;

use super::{Consumer, Failure, GroupMessage, Peer, Result};
use crate::code::Code;
use crate::event::{Body, Direction, EventBody, Message, Opcode, User};
use crate::hub::{Connection, Delivered, Ending, Outgoing};
use crate::json::Json;
use crate::problem::Problem;
use crate::queue::{self, Bound, Receiver, SendError, Sender, Weigh};
use crate::session::{CLOSING, Opened, Protocol};

/// Frames that wait for the hooks. A hook that keeps up never sees more than one waiting; the bound
/// in bytes keeps 32 large ones from waiting.
const FRAMES: Bound = Bound { items: 32, bytes: 4 << 20 };

/// Deliveries that wait for the hooks: as many as wait for any client.
const DELIVERIES: Bound = Bound { items: 256, bytes: 4 << 20 };

/// Serves a connection until it has ended and its last hook has returned.
pub(super) async fn attend(opened: Opened, user: Option<User>, consumer: impl Consumer) {
    let Opened { mut session, mut connect, hub, permit: _permit, .. } = opened;
    connect.user.clone_from(&user);
    hub.room_in_log().await;
    let (connection, mut mailbox) = match hub.connect_with_generated_id(None, connect) {
        Ok(connected) => connected,
        Err(refused) => {
            let problem = Problem::from(refused);
            return session.refuse(problem.code.close(), &problem.detail).await;
        }
    };
    let connection = Arc::new(connection);
    let peer = Peer::new(&connection, hub, user);
    let (frames, heard_frames) = queue::channel(FRAMES);
    let (deliveries, heard_deliveries) = queue::channel(DELIVERIES);
    let heard = Heard { frames: heard_frames, deliveries: heard_deliveries };
    let mut protocol = Hooked { connection: Arc::clone(&connection), frames, deliveries };
    let (ended, end) = oneshot::channel();
    let mut hooks = pin!(hooks(consumer, peer, heard, end));
    let ending = tokio::select! {
        ending = session.run(&connection, &mut mailbox, &mut protocol) => ending,
        () = hooks.as_mut() => unreachable!("the hooks wait for the end, which is sent below"),
    };
    // Senders close here, so that the hooks see the end of what they hear.
    drop((protocol, mailbox));
    let _ = ended.send(ending.clone());
    // The hooks still handle what has arrived. The end is published when they have returned, or
    // after a time limit.
    let last_hooks = async {
        let returned = timeout(CLOSING, hooks.as_mut()).await.is_ok();
        connection.end(ending);
        returned
    };
    let (returned, ()) = tokio::join!(last_hooks, session.linger());
    drop(connection);
    if !returned {
        hooks.await;
    }
}

/// Runs the hooks, one after the other, to the last.
async fn hooks(
    mut consumer: impl Consumer,
    peer: Peer,
    mut heard: Heard,
    end: oneshot::Receiver<Ending>,
) {
    let outcome = caught(each(&mut consumer, &peer, &mut heard)).await;
    let intact = match outcome {
        Ok(Ok(())) => true,
        Ok(Err(failure)) => {
            failed(&peer, &failure);
            true
        }
        Err(Panicked) => {
            close(&peer, &Problem::new(Code::Internal, "a hook has panicked"));
            false
        }
    };
    // The session no longer waits for room.
    drop(heard);
    // An error means that no session serves the connection any more.
    if let (Ok(ending), true) = (end.await, intact)
        && let Ok(Err(failure)) = caught(consumer.on_close(&peer, &ending)).await
    {
        tracing::warn!("the last hook of a consumer has failed: {failure}");
    }
}

async fn each(consumer: &mut impl Consumer, peer: &Peer, heard: &mut Heard) -> Result {
    consumer.on_connect(peer).await?;
    while let Some(item) = heard.next().await {
        match item {
            Item::Frame(Frame::Text(text)) => consumer.on_text(peer, &text).await?,
            Item::Frame(Frame::Binary(bytes)) => consumer.on_binary(peer, &bytes).await?,
            Item::Frame(_) => {}
            Item::Delivered(delivered) => match delivered.body() {
                EventBody::Join(it) => consumer.on_join(peer, &it.channel, &it.user).await?,
                EventBody::Leave(it) => consumer.on_leave(peer, &it.channel, &it.user).await?,
                _ => {
                    if let Some(message) = GroupMessage::of(delivered) {
                        consumer.on_group_message(peer, &message).await?;
                    }
                }
            },
        }
    }
    Ok(())
}

/// Something for a hook.
enum Item {
    Frame(Frame),
    Delivered(Arc<Delivered>),
}

impl Weigh for Frame {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl Weigh for Arc<Delivered> {
    fn weight(&self) -> usize {
        self.event.weight()
    }
}

/// What waits for the hooks.
#[derive(Debug)]
struct Heard {
    frames: Receiver<Frame>,
    deliveries: Receiver<Arc<Delivered>>,
}

impl Heard {
    /// Returns the next item, or `None` after the session has ended and all items were returned.
    /// Cancel safe.
    async fn next(&mut self) -> Option<Item> {
        tokio::select! {
            Some(frame) = self.frames.recv() => Some(Item::Frame(frame)),
            Some(delivered) = self.deliveries.recv() => Some(Item::Delivered(delivered)),
            else => None,
        }
    }
}

/// A hook has panicked; the consumer is not called again.
struct Panicked;

async fn caught<T>(hook: impl Future<Output = T>) -> std::result::Result<T, Panicked> {
    AssertUnwindSafe(hook).catch_unwind().await.map_err(|_| {
        tracing::error!("a hook of a consumer has panicked");
        Panicked
    })
}

/// Closes a connection whose hook has failed.
fn failed(peer: &Peer, failure: &Failure) {
    let problem = failure.problem();
    if problem.code == Code::Internal {
        tracing::warn!("a hook of a consumer has failed: {failure}");
    }
    close(peer, &problem);
}

fn close(peer: &Peer, problem: &Problem) {
    // An error means that it has ended already.
    let _ = peer.close(problem.code.close(), &problem.detail);
}

/// Publishes what a client sends, and passes it to the hooks.
#[derive(Debug)]
struct Hooked {
    connection: Arc<Connection>,
    frames: Sender<Frame>,
    deliveries: Sender<Arc<Delivered>>,
}

impl Protocol for Hooked {
    type Outgoing = Outgoing;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // After the last hook has returned there is no queue, and frames are only published.
        ready!(self.frames.poll_room(cx));
        Poll::Ready(())
    }

    fn on_frame(&mut self, frame: Frame) -> Option<Frame> {
        let (opcode, size, body) = match &frame {
            Frame::Text(text) => {
                let json = Json::parse(text).unwrap_or_else(|| Json::string(text));
                (Opcode::Text, text.len(), Body::Value(json))
            }
            Frame::Binary(bytes) => {
                (Opcode::Binary, bytes.len(), Body::Binary(bytes.as_ref().into()))
            }
            _ => return None,
        };
        // An error means that the connection was replaced, or that the hub has stopped.
        let _ = self.connection.publish(Message::new(Direction::In, opcode, size, body));
        // There is room, which `poll_ready` has waited for, unless the connection is closing.
        let _ = self.frames.try_send(frame);
        None
    }

    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame> {
        match outgoing {
            Outgoing::Text(text) => return Some(Frame::text(text)),
            Outgoing::Binary(bytes) => return Some(Frame::Binary(bytes)),
            // A queue that is closed has no hook that would miss the delivery.
            Outgoing::Delivered(delivered) => {
                if self.deliveries.try_send(delivered) == Err(SendError::Full) {
                    self.connection.mark_slow();
                }
            }
            // A consumer asks for the users, and has no token that could expire.
            Outgoing::Present(..) | Outgoing::Resumed(..) | Outgoing::Expelled(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::event::Connect;
    use crate::hub::{Hub, Settings};

    #[tokio::test]
    async fn frames_that_wait_for_a_hook_are_bounded_by_bytes_and_one_always_fits() {
        let hub = Hub::new(Settings::default());
        let remote = "127.0.0.1:1".parse().expect("an address");
        let (path, headers) = ("/".to_owned(), Vec::new());
        let connect = Connect { remote, path, headers, answer: None, user: None };
        let (connection, _mailbox) =
            hub.connect_with_generated_id(None, connect).expect("there is room");
        let (frames, mut heard) = queue::channel(FRAMES);
        let (deliveries, _) = queue::channel(DELIVERIES);
        let mut protocol = Hooked { connection: Arc::new(connection), frames, deliveries };
        let is_ready =
            |it: &mut Hooked| it.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut count = 0;
        // Larger than the bound.
        protocol.on_frame(Frame::binary(vec![0; FRAMES.bytes + 1]));
        assert!(!is_ready(&mut protocol));
        // Arrives while the connection closes.
        protocol.on_frame(Frame::text("x"));
        while heard.recv().now_or_never().is_some() {
            count += 1;
        }
        assert_eq!(count, 1);
        count = 0;
        while is_ready(&mut protocol) {
            protocol.on_frame(Frame::binary(vec![0; 1 << 20]));
            count += 1;
        }
        assert_eq!(count, FRAMES.bytes >> 20);
        drop(heard.recv().await);
        assert!(is_ready(&mut protocol), "a frame that is handled makes room");
        protocol.on_frame(Frame::binary(vec![0; 1 << 20]));
        assert!(!is_ready(&mut protocol));
        drop(heard);
        assert!(is_ready(&mut protocol), "nothing is waited for once no hook runs");
    }
}
