//! Server-Sent Events for any axum program: a response that streams, and the target that writes into
//! it.
//!
//! ```
//! use axum::response::Response;
//! use wstap::sse::{self, Event};
//!
//! async fn prices() -> Response {
//!     let (target, response) = sse::open();
//!     tokio::spawn(async move {
//!         let mut price = 100;
//!         // Ends when the client has disconnected.
//!         while target.send(Event::text(format!("{price}")).name("price").id(price)).await.is_ok() {
//!             price += 1;
//!         }
//!     });
//!     response
//! }
//! let app: axum::Router = axum::Router::new().route("/prices", axum::routing::get(prices));
//! ```
//!
//! It is independent of the hub. The queue between target and client is bounded: if the client is too
//! slow, [`Target::send`] waits and [`Target::try_send`] returns an error. The server polls the body,
//! which starts no task; its timer runs only while nothing is sent.

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

/// Options of a stream.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many events may wait for a slow client; 0 counts as 1. Default: 64.
    pub queue: usize,
    /// The silence after which a comment (`:` alone) is sent, so that no proxy closes the stream and a
    /// client that is gone is noticed. `None` and zero disable it. Default: 15 s.
    pub keep_alive: Option<Duration>,
    /// Further header fields. A field replaces the default of the same name.
    pub headers: HeaderMap,
    /// Ends the stream when cancelled, as [`Target::close`] does, for a program that shuts down.
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
    /// Opens a stream: returns the target, and the response for the handler to return. The head is
    /// sent before the first event.
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
    // no-transform: a proxy that compresses would delay events.
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

/// The decision of a hook about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event goes to the next hook, or to the client.
    Send,
    /// The event is not sent.
    Cancel,
}

/// The outcome of sending an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The event is queued.
    Queued,
    /// A hook has cancelled it.
    Cancelled,
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The client has disconnected, or the stream was closed.
    #[error("the stream has ended")]
    Closed,
    /// The queue is full: the client is too slow.
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

    /// Sends an event without waiting.
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

    /// Adds a hook that is called with every event before it is queued, and may cancel it. Hooks are
    /// called in the order in which they were added, until one cancels. A keep-alive comment is not an
    /// event. A hook that holds a clone of the target keeps the stream open until it is closed.
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

    /// Ends the stream for all clones, after the queued events are sent.
    pub fn close(&self) {
        self.shared.closed.cancel();
    }

    /// Returns whether the stream has ended: the client has disconnected, or the stream was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled() || self.queue.is_closed()
    }

    /// Waits until the stream has ended. Cancel safe.
    pub async fn closed(&self) {
        tokio::select! {
            () = self.shared.closed.cancelled() => {}
            () = self.queue.closed() => {}
        }
    }
}

impl Shared {
    /// Calls the hooks, and returns the bytes of an event, or `None` if a hook cancels it.
    fn passed(&self, event: &Event) -> Result<Option<Bytes>, Unsent> {
        if self.closed.is_cancelled() {
            return Err(Unsent::Closed);
        }
        // Hooks are called without the lock, so that a hook may send, and add hooks.
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if hooks.iter().any(|hook| hook(event) == Verdict::Cancel) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        event.write(&mut bytes);
        Ok(Some(bytes.into()))
    }
}

/// The id after which a client that reconnects wants to continue, from the header `Last-Event-ID`.
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
