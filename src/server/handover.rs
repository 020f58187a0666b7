//! State that a connection shares between its socket, hyper and the writer of endless responses.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode, Version};
use prometheus_client::metrics::counter::Counter;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::budget::Share;
use super::heads::Heads;
use super::per_address::AddressPermit;
use super::transport::Times;
use crate::outlet::Endless;
use crate::socket::SocketControl;

/// How long requests are answered in one poll of a connection.
const POLL: Duration = Duration::from_micros(250);

/// The shared state of one connection. A response without an end waits here to be taken out of
/// hyper's hands.
#[derive(Debug)]
pub(super) struct Handover {
    response: Mutex<Option<Response>>,
    /// hyper has written bytes that the socket did not take yet.
    stalled: AtomicBool,
    /// The head that is being read.
    pub(super) heads: Heads,
    /// Memory for the body of the request.
    pub(super) body: Arc<Share>,
    /// Lets a relay watch and reset the connection.
    pub(super) control: SocketControl,
    /// The peer is waited for without a limit.
    pub(super) patient: bool,
    /// How long the peer may take.
    pub(super) times: Times,
    /// Counts peers that read nothing for too long.
    pub(super) stalls: Counter,
    /// Counts bodies that took too long.
    pub(super) late_bodies: Counter,
    /// The place of the client that a proxy has sent the current request for.
    client: Mutex<Option<AddressPermit>>,
    /// Held until the first request.
    unasked: Mutex<Option<TaskTrackerToken>>,
    /// When the current poll of the connection began.
    polled: Mutex<Instant>,
}

impl Handover {
    /// Makes the state of a connection with shares of the budgets for heads and for bodies.
    pub(super) fn new(patient: bool, head: Share, body: Share) -> Self {
        Self {
            response: Mutex::default(),
            stalled: AtomicBool::new(false),
            heads: Heads::new(head, patient),
            body: Arc::new(body),
            control: SocketControl::default(),
            patient,
            times: Times::default(),
            stalls: Counter::default(),
            late_bodies: Counter::default(),
            client: Mutex::default(),
            unasked: Mutex::default(),
            polled: Mutex::new(Instant::now()),
        }
    }

    /// Counts the connection among those that have not asked for anything.
    pub(super) fn unasked(self, token: TaskTrackerToken) -> Self {
        Self { unasked: Mutex::new(Some(token)), ..self }
    }

    /// Notes that a request has come.
    pub(super) fn asked(&self) {
        self.unasked.lock().expect("nothing panics while it holds this lock").take();
    }

    /// Holds the place of a client until the next request, or the end of the connection.
    pub(super) fn hold(&self, client: Option<AddressPermit>) {
        *self.client.lock().expect("nothing panics while it holds this lock") = client;
    }

    /// Notes that a poll of the connection begins.
    pub(super) fn begin_poll(&self) {
        *self.polled() = Instant::now();
    }

    /// Lets other tasks run if the current poll of the connection has taken long. hyper answers
    /// requests that are at hand one after the other, and wakes itself then without a look at the
    /// sockets.
    pub(super) async fn pause(&self) {
        let long = self.polled().elapsed() >= POLL;
        if long {
            tokio::task::yield_now().await;
        }
    }

    fn polled(&self) -> MutexGuard<'_, Instant> {
        self.polled.lock().expect("nothing panics while it holds this lock")
    }

    pub(super) fn stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Relaxed);
    }

    /// Takes a response that has no end and that no unwritten bytes precede. hyper then waits for a
    /// response that does not come.
    pub(super) fn offer(&self, request: &Asked, response: Response) -> Option<Response> {
        let endless = response.extensions().get::<Endless>().is_some();
        let plain = request.method == Method::GET && request.version == Version::HTTP_11;
        if !endless || !plain || response.status() != StatusCode::OK || self.stalled.load(Relaxed) {
            return Some(response);
        }
        *self.lock() = Some(response);
        None
    }

    pub(super) fn take(&self) -> Option<Response> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Response>> {
        self.response.lock().expect("nothing panics while it holds this lock")
    }
}

/// The parts of a request that matter after its answer.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    version: Version,
}

impl Asked {
    pub(super) fn of(request: &Request<Body>) -> Self {
        Self { method: request.method().clone(), version: request.version() }
    }
}
