//! `GET /ws`: the WebSocket of a connection.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::answer::ApiError;
use super::listener::ListenerGuard;
use super::poll::conn_id;
use super::shared::ApiState;
use super::waiting;
use crate::code;
use crate::hub::CloseRequest;
use crate::session::{Frame, Handshake, Next, Outbox, Protocol, Session};

/// Interval of the empty frames that show both ends and all proxies that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Answers `GET /ws`.
pub(super) async fn socket(
    State(api): State<ApiState>,
    request: Request,
) -> Result<Response, ApiError> {
    let handshake = Handshake::check(&api.context, &request)?;
    let id = conn_id(request.uri())?;
    // The listening begins before the handshake is answered: frames after the answer are not late.
    let guard = match api.shared.handle(&id) {
        Some(handle) => ListenerGuard::begin(&api.shared, &handle).await,
        None => None,
    };
    Ok(handshake.accept(&api.context, request, async move |session: Session| match guard {
        Some(guard) => serve(session, guard).await,
        // Clients that are closed like this connect again, and receive an id that is known.
        None => session.refuse(code::NORMAL, "").await,
    }))
}

/// Serves a WebSocket until it, or the connection, ends.
async fn serve(mut session: Session, guard: ListenerGuard) {
    let handle = Arc::clone(&guard.handle);
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outbox = FrameOutbox { guard, heartbeat, closed: false };
    let mut protocol = FrameProtocol::default();
    let ending = session.run(&handle.connection, &mut outbox, &mut protocol).await;
    drop(handle);
    let FrameOutbox { mut guard, closed, .. } = outbox;
    guard.returned = protocol.unwritten;
    guard.ending = Some(ending).filter(|_| !closed);
    drop(guard);
    session.linger().await;
}

/// An item for the client.
enum Item {
    Frame(waiting::Frame),
    Heartbeat,
}

/// The frames of a connection, and the heartbeat. What the keeper has handed over is sent before a
/// request to close.
struct FrameOutbox {
    guard: ListenerGuard,
    heartbeat: Interval,
    /// Whether the keeper has requested to close.
    closed: bool,
}

impl Outbox for FrameOutbox {
    type Item = Item;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Item>> {
        match self.guard.poll_next(cx) {
            Poll::Ready(Some(frame)) => return Poll::Ready(Next::Item(Item::Frame(frame))),
            Poll::Ready(None) => return self.poll_close(cx).map(Next::Close),
            Poll::Pending => {}
        }
        self.heartbeat.poll_tick(cx).map(|_| Next::Item(Item::Heartbeat))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest> {
        let request = self.guard.poll_close(cx);
        self.closed |= request.is_ready();
        request
    }
}

/// The protocol: a frame is an array of one object, and the client sends nothing but signs of life.
#[derive(Default)]
struct FrameProtocol {
    /// Frames that are being written.
    unwritten: Vec<waiting::Frame>,
}

impl Protocol for FrameProtocol {
    type Outgoing = Item;

    fn on_frame(&mut self, _: Frame) -> Option<Frame> {
        None
    }

    fn on_outgoing(&mut self, outgoing: Item) -> Option<Frame> {
        let Item::Frame(frame) = outgoing else { return Some(Frame::text("[]")) };
        let text = format!("[{}]", frame.json());
        self.unwritten.push(frame);
        Some(Frame::text(text))
    }

    fn on_written(&mut self) {
        self.unwritten.clear();
    }
}
