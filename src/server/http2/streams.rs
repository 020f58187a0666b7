//! The streams of a connection, and whether their bodies make progress.
//!
//! They run in the task of the connection: what an event sends on ten streams is one write then, and
//! one wake-up.
//!
//! hyper polls a body only while its stream may send. A body that has given data and is not polled
//! again waits for the client to allow more; after half a minute of that its future ends, which resets
//! the stream.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::request::Task;
use crate::server::per_address::{AddressPermit, ConnectionPermit};

/// How long a stream may wait until it may send: as long as a write of HTTP/1.
const STALLED: Duration = Duration::from_secs(30);

/// A body is sent in pieces of at most this size, the largest frame without other settings. The
/// stream waits between them, so that no more of it is held.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// What a stream knows of its body.
    static PROGRESS: Progress;
}

/// Runs the streams of one connection. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Streams {
    counts: Arc<Counts>,
    /// Streams that have begun since the connection was polled.
    new: Arc<Mutex<Vec<Task>>>,
}

#[derive(Debug, Default)]
struct Counts {
    active: AtomicUsize,
    begun: AtomicU64,
    /// How often streams were polled.
    polls: AtomicU64,
}

/// A stream that counts as active.
struct Active(Arc<Counts>);

/// The body of a stream, as the stream knows it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the body has given data, and was not asked for more.
    waits: Arc<AtomicBool>,
    /// Held as long as the stream is open.
    place: RefCell<Option<Place>>,
}

/// The place of a stream in the server, and that of the client that a proxy has sent it for.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) _stream: Option<ConnectionPermit>,
    pub(super) _client: Option<AddressPermit>,
}

impl Streams {
    /// Takes the streams that have begun.
    pub(super) fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Task>> {
        self.new.lock().expect("nothing panics while it holds this lock")
    }

    /// Returns the number of streams that are open.
    pub(super) fn active(&self) -> usize {
        self.counts.active.load(Relaxed)
    }

    /// Returns the number of streams that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.counts.begun.load(Relaxed)
    }

    /// Returns how often streams were polled.
    pub(super) fn polls(&self) -> u64 {
        self.counts.polls.load(Relaxed)
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.counts.active.fetch_add(1, Relaxed);
        self.counts.begun.fetch_add(1, Relaxed);
        let active = Active(Arc::clone(&self.counts));
        // A stream that becomes a tunnel starts another future, which goes on.
        let place = PROGRESS.try_with(|own| own.place.take()).ok().flatten();
        self.lock().push(Box::pin(async move {
            let mut stream = pin!(watched(stream, place, STALLED));
            poll_fn(|cx| {
                active.0.polls.fetch_add(1, Relaxed);
                stream.as_mut().poll(cx)
            })
            .await;
        }));
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// Runs a stream until it ends, or its body has waited for `limit`.
async fn watched(stream: impl Future<Output = ()>, place: Option<Place>, limit: Duration) {
    let progress = Progress { place: RefCell::new(place), ..Progress::default() };
    let waits = Arc::clone(&progress.waits);
    let mut stream = pin!(PROGRESS.scope(progress, stream));
    let mut stalled: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !waits.load(Relaxed) {
            stalled = None;
            return Poll::Pending;
        }
        stalled.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    })
    .await;
}

impl Progress {
    /// Watches the body of the response of the stream that is polled.
    pub(super) fn watch(response: Response) -> Response {
        let Ok(waits) = PROGRESS.try_with(|own| Arc::clone(&own.waits)) else { return response };
        response.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            Body::new(Pieces { body, rest: Bytes::new(), waits })
        })
    }

    /// Keeps the place of the stream that is polled until it ends.
    pub(super) fn hold(place: Place) {
        // Every request is handled within a stream.
        let _ = PROGRESS.try_with(|own| own.place.replace(Some(place)));
    }
}

/// A body in pieces, whose progress is watched.
struct Pieces {
    body: Body,
    /// What is left of the data that the body gave last.
    rest: Bytes,
    waits: Arc<AtomicBool>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits.store(false, Relaxed);
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.waits.store(true, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use axum::BoxError;
    use http_body_util::BodyExt as _;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn stream_ends_if_its_body_waits_for_the_limit() {
        let stream = async {
            let mut body = Progress::watch(Response::new(Body::from(vec![0; 40_000]))).into_body();
            let first = body.frame().await.expect("a piece").expect("data");
            assert_eq!(first.into_data().expect("data").len(), PIECE);
            // The client allows no more.
            std::future::pending::<()>().await;
        };
        let began = tokio::time::Instant::now();
        watched(stream, None, SHORT).await;
        assert!(began.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn stream_whose_body_has_no_data_stays() {
        let stream = async {
            let body =
                Body::from_stream(futures_util::stream::pending::<Result<Bytes, BoxError>>());
            let mut body = Progress::watch(Response::new(body)).into_body();
            let _ = body.frame().await;
        };
        let watched = watched(stream, None, SHORT);
        assert!(tokio::time::timeout(4 * SHORT, watched).await.is_err());
    }

    #[tokio::test]
    async fn body_in_pieces_is_the_same() {
        let data: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
        let (waits, sent) = (Arc::default(), Body::from(data.clone()));
        let body = Pieces { body: sent, rest: Bytes::new(), waits };
        assert_eq!(body.size_hint().exact(), Some(100_000));
        assert_eq!(body.collect().await.expect("a body").to_bytes(), data);
    }
}
