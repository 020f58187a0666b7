//! Plain requests that pass, as counts, as lines of the log, and as events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use super::outgoing::target;
use super::shared::{Proxy, TapHttp};
use crate::event::{Exchange, Flow};
use crate::hub::Hub;
use crate::problem::Problem;
use crate::request::{RawTarget, remote};

/// A request that is under way.
pub(super) struct Running {
    hub: Hub,
    tap: TapHttp,
    asked: Instant,
    exchange: Exchange,
    /// Bytes of the body of the request so far.
    sent: Arc<AtomicU64>,
}

impl Running {
    /// Begins with a request. Its body counts its bytes.
    pub(super) fn begin(proxy: &Proxy, request: Request<Body>) -> (Request<Body>, Self) {
        let (parts, body) = request.into_parts();
        let target = target(&parts.uri, parts.extensions.get::<RawTarget>());
        let exchange = Exchange {
            remote: remote(&parts),
            method: parts.method.as_str().to_owned(),
            path: target.into_owned(),
            upstream: None,
            status: 0,
            time: Duration::ZERO,
            duration: Duration::ZERO,
            bytes: Flow::default(),
            note: None,
        };
        let sent = Arc::new(AtomicU64::new(0));
        let body = if body.is_end_stream() {
            body
        } else {
            let count = Arc::clone(&sent);
            Body::new(Counted { body, count, ending: None, endless: false })
        };
        let (hub, tap) = (proxy.shared.hub.clone(), proxy.shared.tap_http);
        let running = Self { hub, tap, asked: Instant::now(), exchange, sent };
        (Request::from_parts(parts, body), running)
    }

    /// Notes where the request goes.
    pub(super) fn upstream(&mut self, url: &Arc<str>) {
        self.exchange.upstream = Some(Arc::clone(url));
    }

    /// Ends with an answer of wstap itself.
    pub(super) fn failed(mut self, problem: &Problem) {
        self.exchange.status = problem.code.row().status;
        self.exchange.time = self.asked.elapsed();
        self.end(0, Some(problem.detail.as_str().into()));
    }

    /// Returns the request, whose answer is not known yet.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Returns the time since the request.
    pub(super) fn elapsed(&self) -> Duration {
        self.asked.elapsed()
    }

    /// Ends an exchange whose answer is on the tap as a connection: it is counted and is no event of
    /// its own. Returns the hub, and the bytes of the body of the request.
    pub(super) fn streamed(mut self, note: Option<&str>) -> (Hub, u64) {
        self.exchange.status = StatusCode::OK.as_u16();
        self.tap = TapHttp::Off;
        let (hub, sent) = (self.hub.clone(), self.sent.load(Relaxed));
        self.end(0, note.map(Into::into));
        (hub, sent)
    }

    /// Returns the answer. The exchange ends with its body. A client leaves an `endless` one at any
    /// time, which is no failure.
    pub(super) fn answered(mut self, response: Response, endless: bool) -> Response {
        self.exchange.status = response.status().as_u16();
        self.exchange.time = self.asked.elapsed();
        if self.exchange.method == "HEAD" || response.status() == StatusCode::NOT_MODIFIED {
            // It has no body, whatever its length says.
            self.end(0, None);
            return response;
        }
        let (parts, body) = response.into_parts();
        let count = Arc::new(AtomicU64::new(0));
        let mut counted = Counted { body, count, ending: Some(self), endless };
        if counted.body.is_end_stream() {
            counted.end(None);
        }
        Response::from_parts(parts, Body::new(counted))
    }

    /// Counts, logs and publishes the exchange.
    fn end(self, received: u64, note: Option<Box<str>>) {
        let Self { hub, tap, asked, mut exchange, sent } = self;
        let status = StatusCode::from_u16(exchange.status).unwrap_or_default();
        let failed = status.is_client_error() || status.is_server_error() || note.is_some();
        exchange.duration = asked.elapsed();
        exchange.bytes = Flow { inward: sent.load(Relaxed), outward: received };
        exchange.note = note;
        hub.count_request(failed);
        if failed {
            let path = hub.settings().redaction.text(path_alone(&exchange.path));
            let (method, status) = (&exchange.method, exchange.status);
            let note = exchange.note.as_deref().unwrap_or_default();
            tracing::info!(%method, %path, status, note, "a request failed");
        }
        if tap == TapHttp::All || tap == TapHttp::Errors && failed {
            hub.exchanged(exchange);
        }
    }
}

/// Returns a target without its query, which may hold credentials.
fn path_alone(target: &str) -> String {
    target.split('?').next().unwrap_or_default().to_owned()
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    count: Arc<AtomicU64>,
    /// The exchange that ends with it.
    ending: Option<Running>,
    /// Whether its reader may leave before the end.
    endless: bool,
}

impl Counted {
    fn end(&mut self, note: Option<&str>) {
        if let Some(running) = self.ending.take() {
            running.end(self.count.load(Relaxed), note.map(Into::into));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let whole = self.endless || self.body.is_end_stream();
        self.end((!whole).then_some("the client left before the end of the answer"));
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.count.fetch_add(length, Relaxed);
            }
            Poll::Ready(Some(Err(_))) => self.end(Some("the answer broke off")),
            Poll::Ready(None) => self.end(None),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
