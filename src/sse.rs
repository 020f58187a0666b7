//! Server-Sent Events by hand: a stream for a handler of any axum program, and the target that
//! writes into it.
//!
//! ```
//! use axum::response::Response;
//! use wstap::sse::{self, Event};
//!
//! async fn prices() -> Response {
//!     let (target, response) = sse::open();
//!     tokio::spawn(async move {
//!         let mut price = 100;
//!         // It ends when the client has gone.
//!         while target.send(Event::text(format!("{price}")).name("price").id(price)).await.is_ok() {
//!             price += 1;
//!         }
//!     });
//!     response
//! }
//! let app: axum::Router = axum::Router::new().route("/prices", axum::routing::get(prices));
//! ```
//!
//! It knows nothing of a hub. The queue between target and client is bounded: where the client
//! does not keep up, [`Target::send`] waits and [`Target::try_send`] refuses. The body is polled by
//! the server and starts no task; its clock runs only while nothing is sent.

mod body;
mod event;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use body::Queue;
pub use event::Event;

/// What a stream is told when it is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many events wait for a client that does not keep up; 0 counts as 1. Default 64.
    pub queue: usize,
    /// How long nothing is sent before a comment is, `:` alone, so that nobody on the way takes
    /// the stream for dead and a client that went is noticed. `None` and zero are never. Default
    /// 15 s.
    pub keep_alive: Option<Duration>,
    /// Fields of the head. Where one of the defaults has the same name, this one takes its place.
    pub headers: HeaderMap,
    /// Ends the stream when it is cancelled, as [`Target::close`] does: for a program that stops.
    pub stop: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 64,
            keep_alive: Some(Duration::from_secs(15)),
            headers: HeaderMap::new(),
            stop: CancellationToken::new(),
        }
    }
}

impl Options {
    /// Opens a stream: the target to write into, and the answer for the handler to return. The
    /// head goes out with that, before the first event.
    ///
    /// ```text
    /// content-type: text/event-stream
    /// cache-control: no-store, no-transform
    /// x-accel-buffering: no
    /// ```
    #[must_use]
    pub fn open(self) -> (Target, Response) {
        let (queue, waiting) = mpsc::channel(self.queue.max(1));
        let closed = self.stop.child_token();
        let beat = self.keep_alive.filter(|pause| !pause.is_zero());
        let body = Queue::new(waiting, closed.clone(), beat);
        let mut response = (head(), Body::new(body)).into_response();
        for name in self.headers.keys() {
            response.headers_mut().remove(name);
        }
        response.headers_mut().extend(self.headers);
        let shared = Arc::new(Shared { closed, hooks: Mutex::default() });
        (Target { queue, shared }, response)
    }
}

/// Opens a stream with the defaults of [`Options`].
#[must_use]
pub fn open() -> (Target, Response) {
    Options::default().open()
}

fn head() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // no-transform: a proxy that compresses would hold events back.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers
}

/// Writes into the stream of one client. Clones write into the same stream; when the last is
/// dropped, the stream ends after what was sent.
#[derive(Debug, Clone)]
pub struct Target {
    queue: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

struct Shared {
    closed: CancellationToken,
    hooks: Mutex<Vec<Hook>>,
}

type Hook = Arc<dyn Fn(&Event) -> Verdict + Send + Sync>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("closed", &self.closed.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// What a hook says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, to the next hook or the client.
    Send,
    /// It is not sent.
    Cancel,
}

/// What has become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Queued,
    /// A hook has cancelled it.
    Cancelled,
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The client has gone, or the stream was closed.
    #[error("the stream has ended")]
    Closed,
    /// The client does not keep up: as many events wait as may.
    #[error("the client does not keep up with what it is sent; try again later")]
    Full,
}

impl Target {
    /// Sends an event; waits while the queue is full.
    ///
    /// Cancel safe: an event is queued whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Unsent::Closed`].
    pub async fn send(&self, event: impl Into<Event>) -> Result<Sent, Unsent> {
        let Some(bytes) = self.shared.passed(&event.into())? else { return Ok(Sent::Cancelled) };
        tokio::select! {
            biased;
            () = self.shared.closed.cancelled() => Err(Unsent::Closed),
            place = self.queue.reserve() => {
                place.map_err(|_| Unsent::Closed)?.send(bytes);
                Ok(Sent::Queued)
            }
        }
    }

    /// Sends an event if there is room for it, and never waits.
    ///
    /// # Errors
    ///
    /// [`Unsent::Closed`] or [`Unsent::Full`].
    pub fn try_send(&self, event: impl Into<Event>) -> Result<Sent, Unsent> {
        let Some(bytes) = self.shared.passed(&event.into())? else { return Ok(Sent::Cancelled) };
        self.queue.try_send(bytes).map_err(|fault| match fault {
            mpsc::error::TrySendError::Full(_) => Unsent::Full,
            mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
        })?;
        Ok(Sent::Queued)
    }

    /// Adds a hook that sees every event before it is queued, and may cancel it. Hooks are asked
    /// in the order in which they came, until one cancels. A keep-alive is no event. A hook that
    /// holds a clone of the target keeps the stream open until it is closed.
    ///
    /// ```
    /// use wstap::sse::{self, Event, Sent, Verdict};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (target, _response) = sse::open();
    /// target.before_send(|event| match event.name.as_deref() {
    ///     Some("secret") => Verdict::Cancel,
    ///     _ => Verdict::Send,
    /// });
    /// assert_eq!(target.send(Event::text("x").name("secret")).await, Ok(Sent::Cancelled));
    /// # }
    /// ```
    pub fn before_send(&self, hook: impl Fn(&Event) -> Verdict + Send + Sync + 'static) {
        self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(hook));
    }

    /// Ends the stream, for all clones: what was sent still goes out, and nothing after it.
    pub fn close(&self) {
        self.shared.closed.cancel();
    }

    /// Returns whether nothing can be sent any more: the client has gone, or the stream was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled() || self.queue.is_closed()
    }

    /// Waits until nothing can be sent any more. Cancel safe.
    pub async fn closed(&self) {
        tokio::select! {
            () = self.shared.closed.cancelled() => {}
            () = self.queue.closed() => {}
        }
    }
}

impl Shared {
    /// Asks the hooks and returns the bytes of an event, or nothing if it is cancelled.
    fn passed(&self, event: &Event) -> Result<Option<Bytes>, Unsent> {
        if self.closed.is_cancelled() {
            return Err(Unsent::Closed);
        }
        // Without the lock, so that a hook may send and add hooks itself.
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if hooks.iter().any(|hook| hook(event) == Verdict::Cancel) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        event.write(&mut bytes);
        Ok(Some(bytes.into()))
    }
}

/// The id after which a client that comes back wants to go on, from the header `Last-Event-ID`.
///
/// ```
/// use wstap::sse::LastEventId;
///
/// async fn prices(LastEventId(last): LastEventId) -> String {
///     last.map_or("from the beginning".to_owned(), |id| format!("after {id}"))
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(prices));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEventId(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get("last-event-id").map(HeaderValue::as_bytes);
        // Browsers write it in UTF-8 (HTML section 9.2.2), which `to_str` would refuse.
        let value = value.filter(|value| !value.is_empty());
        Ok(Self(value.map(|value| String::from_utf8_lossy(value).into_owned())))
    }
}
