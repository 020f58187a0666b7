//! How a consumer attends a connection: its hooks beside the turns of the session, in one task.
//!
//! The turns hand what comes to the hooks through two bounded queues. Frames: while that is full,
//! nothing is read, and the client waits; nobody takes it for dead meanwhile. Deliveries of groups: what does not fit is refused as the
//! hub refuses it to a slow client, so that what a hook sends itself always goes out, and a hook may
//! wait for that.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tungstenite::Message as Frame;

use super::{Consumer, Failure, GroupMessage, Peer, Result};
use crate::code::Code;
use crate::event::{Body, Direction, EventBody, Message, Opcode, User};
use crate::hub::{Connection, Delivered, Ending, Outgoing};
use crate::json::Json;
use crate::problem::Problem;
use crate::session::{CLOSING, Opened, Protocol};

/// Frames that wait for the hooks at most; a hook that is quick never sees more than one.
const FRAMES: usize = 32;

/// Their bytes, so that 32 large ones do not wait: while so many do, nothing is read. As long as
/// there is any room, one of whatever size fits; the largest there is has 1 MiB by default.
const FRAME_BYTES: usize = 4 << 20;

/// Deliveries that wait likewise, and their bytes: as many as wait for any client.
const DELIVERIES: usize = 256;
const DELIVERED_BYTES: usize = 4 << 20;

/// Serves a connection until it has ended and its last hook has returned.
pub(super) async fn attend(mut opened: Opened, user: Option<User>, consumer: impl Consumer) {
    let hub = opened.hub.clone();
    opened.connect.user.clone_from(&user);
    let (connection, orders) = match hub.connect_with_generated_id(None, opened.connect.clone()) {
        Ok(connected) => connected,
        Err(refused) => return opened.refuse(&refused.into()).await,
    };
    let (mut session, _seat) = opened.session();
    let connection = Arc::new(connection);
    let peer = Peer::new(&connection, hub, user);
    let (frames, heard_frames) = mpsc::channel(FRAMES);
    let room = Arc::new(Semaphore::new(FRAME_BYTES));
    let (deliveries, heard_deliveries) = mpsc::channel(DELIVERIES);
    let waiting = Arc::<AtomicUsize>::default();
    let heard =
        Heard { frames: heard_frames, deliveries: heard_deliveries, waiting: Arc::clone(&waiting) };
    let listening =
        Listening { connection: Arc::clone(&connection), frames, room, deliveries, waiting };
    let (ended, end) = oneshot::channel();
    let mut hooks = pin!(hooks(consumer, peer, heard, end));
    let ending = tokio::select! {
        ending = session.run(&connection, orders, listening) => ending,
        () = hooks.as_mut() => unreachable!("the hooks wait for the end, which is told below"),
    };
    let _ = ended.send(ending.clone());
    // What has come is still heard. A hook that takes longer does so after the end is told.
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
    let whole = match outcome {
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
    // Nothing is heard any more, and nobody waits for room.
    drop(heard);
    // An error would be that nobody attends the connection any more.
    if let (Ok(ending), true) = (end.await, whole)
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

/// A frame that waits, and the bytes of the room that it takes as long as it does.
struct Waiting {
    frame: Frame,
    _bytes: OwnedSemaphorePermit,
}

/// What waits for the hooks.
struct Heard {
    frames: mpsc::Receiver<Waiting>,
    deliveries: mpsc::Receiver<Arc<Delivered>>,
    /// Bytes of the deliveries.
    waiting: Arc<AtomicUsize>,
}

impl Heard {
    /// Returns what comes next; `None` at the end, after all that has come. Cancel safe.
    async fn next(&mut self) -> Option<Item> {
        tokio::select! {
            Some(Waiting { frame, .. }) = self.frames.recv() => Some(Item::Frame(frame)),
            Some(delivered) = self.deliveries.recv() => {
                self.waiting.fetch_sub(delivered.event.weight(), Relaxed);
                Some(Item::Delivered(delivered))
            }
            else => None,
        }
    }
}

/// A hook has panicked; what it has left of its consumer is not called any more.
struct Panicked;

async fn caught<T>(hook: impl Future<Output = T>) -> std::result::Result<T, Panicked> {
    AssertUnwindSafe(hook).catch_unwind().await.map_err(|_| {
        tracing::error!("a hook of a consumer has panicked");
        Panicked
    })
}

/// Ends a connection whose hook has given up.
fn failed(peer: &Peer, failure: &Failure) {
    let problem = failure.problem();
    if problem.code == Code::Internal {
        tracing::warn!("a hook of a consumer has failed: {failure}");
    }
    close(peer, &problem);
}

fn close(peer: &Peer, problem: &Problem) {
    // An error is that it has ended already.
    let _ = peer.close(problem.code.close(), &problem.detail);
}

/// Publishes what a client says, and hands it to the hooks.
struct Listening {
    connection: Arc<Connection>,
    frames: mpsc::Sender<Waiting>,
    /// Bytes that frames may still take.
    room: Arc<Semaphore>,
    deliveries: mpsc::Sender<Arc<Delivered>>,
    waiting: Arc<AtomicUsize>,
}

impl Protocol for Listening {
    async fn ready(&self) {
        // An error is that no hook runs any more; then what comes is published and nothing else.
        let _ = self.frames.reserve().await;
        // Any room will do. Where no hook runs any more, nothing takes any.
        let _ = self.room.acquire().await;
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
        // An error is that its end was told already: it was replaced, or the hub stopped.
        let _ = self.connection.publish(Message::new(Direction::In, opcode, size, body));
        self.wait(frame, size);
        None
    }

    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<Frame> {
        match outgoing {
            Outgoing::Text(text) => return Some(Frame::text(text)),
            Outgoing::Binary(bytes) => return Some(Frame::Binary(bytes)),
            Outgoing::Delivered(delivered) => self.deliver(delivered),
            // A consumer asks who is there, and has no token that could run out.
            Outgoing::Present(..) | Outgoing::Expelled(_) => {}
        }
        None
    }
}

impl Listening {
    /// Has a frame wait for the hooks. There is room, since `ready` has waited for it; without it
    /// the connection is closing.
    fn wait(&self, frame: Frame, size: usize) {
        let bytes = size.max(1).min(self.room.available_permits());
        let bytes = u32::try_from(bytes).expect("it is at most FRAME_BYTES");
        if bytes == 0 {
            return;
        }
        if let Ok(bytes) = Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            let _ = self.frames.try_send(Waiting { frame, _bytes: bytes });
        }
    }

    fn deliver(&self, delivered: Arc<Delivered>) {
        let weight = delivered.event.weight();
        if self.waiting.load(Relaxed) < DELIVERED_BYTES {
            // Before, so that it is never subtracted first.
            self.waiting.fetch_add(weight, Relaxed);
            match self.deliveries.try_send(delivered) {
                // Without a hook nobody misses it.
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(_)) => {
                    self.waiting.fetch_sub(weight, Relaxed);
                }
            }
        }
        self.connection.mark_slow();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Connect;
    use crate::hub::{Hub, Settings};

    #[tokio::test]
    async fn frames_that_wait_for_a_hook_are_bounded_by_bytes_and_one_always_fits() {
        let hub = Hub::new(Settings::default());
        let remote = "127.0.0.1:1".parse().expect("an address");
        let (path, headers) = ("/".to_owned(), Vec::new());
        let connect = Connect { remote, path, headers, answer: None, user: None };
        let (connection, _orders) =
            hub.connect_with_generated_id(None, connect).expect("there is room");
        let (frames, mut heard) = mpsc::channel(FRAMES);
        let (deliveries, _) = mpsc::channel(DELIVERIES);
        let mut listening = Listening {
            connection: Arc::new(connection),
            frames,
            room: Arc::new(Semaphore::new(FRAME_BYTES)),
            deliveries,
            waiting: Arc::default(),
        };
        let is_ready = |it: &Listening| it.ready().now_or_never().is_some();
        // Larger than all the room.
        listening.on_frame(Frame::binary(vec![0; FRAME_BYTES + 1]));
        assert!(!is_ready(&listening));
        // What still comes while the connection closes.
        listening.on_frame(Frame::text("x"));
        assert_eq!(heard.len(), 1);
        drop(heard.recv().await);
        while is_ready(&listening) {
            listening.on_frame(Frame::binary(vec![0; 1 << 20]));
        }
        assert_eq!(heard.len(), FRAME_BYTES >> 20);
        drop(heard.recv().await);
        assert!(is_ready(&listening), "a frame that is heard makes room");
        listening.on_frame(Frame::binary(vec![0; 1 << 20]));
        assert!(!is_ready(&listening));
        drop(heard);
        assert!(is_ready(&listening), "nobody waits where no hook runs");
    }
}
