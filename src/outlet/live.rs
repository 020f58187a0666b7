//! `GET /events`: the live stream, as Server-Sent Events or as lines of JSON.
//!
//! The body is a `http_body::Body` over the subscription. It passes the rendered bytes of a batch to
//! hyper without a copy; all listeners share them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Frame;

use super::query::{Beginning, Live, Selection};
use super::{Endless, RETRY, retry_with_jitter};
use crate::access::{Can, Ended, Observe};
use crate::audit::{StreamTrail, Trail};
use crate::code::Code;
use crate::hub::{self, About, Delivery, Hub, Subscription, now_ms};
use crate::metrics::Sampler;
use crate::problem::Problem;
use crate::request::{self, PROXY_NAME, accepts, has_passed, remote};
use crate::wire::Form;

/// Answers `GET /events` and `HEAD /events`.
pub(crate) async fn events(can: Can<Observe>, parts: Parts) -> Result<Response, Problem> {
    if parts.headers.contains_key("sec-websocket-key") {
        return Err(Problem::malformed(
            "this is the event stream; WebSocket clients connect to /ws",
        ));
    }
    let ((selection, beginning, live), mut faults) =
        request::read::<(Selection, Beginning, Live)>(parts.uri.query());
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let filter = selection.compile(&hub, &mut faults).await;
    let mut filter = narrowed.filter(&hub, filter, &mut faults).await;
    filter.without_observers = has_passed(&parts.headers, PROXY_NAME);
    let start = beginning.start(&parts.headers, &mut faults).unwrap_or(hub.beginning());
    let form = live.form(&parts.headers);
    faults.finish()?;
    request::check_address(&parts.uri)?;
    if parts.method == Method::HEAD {
        return Ok((head(form), Body::empty()).into_response());
    }
    let about = About {
        remote: remote(&parts),
        form: form.as_str(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
    };
    match hub.subscribe(start, filter, about) {
        Ok(subscription) => {
            let trail = parts.extensions.get::<Trail>();
            let trail = trail.map(|it| it.stream(subscription.listener().number));
            let mut body = Stream::new(subscription, hub, form, can.caller.ended(), trail);
            body.shows_positions = narrowed.sees_all();
            Ok((Extension(Endless), head(form), Body::new(body)).into_response())
        }
        // An EventSource never reconnects after another status than 200.
        Err(_) if accepts(&parts.headers, "text/event-stream") => {
            Ok(ended(form, retry_with_jitter()))
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Answers an EventSource that has to come back later, and not before `wait`.
pub(crate) fn come_back(wait: Duration) -> Response {
    ended(Form::Plain { names: false }, wait.max(retry_with_jitter()))
}

/// Returns a stream that ends at once and names the time to reconnect.
fn ended(form: Form, retry: Duration) -> Response {
    let mut goodbye = Vec::new();
    form.goodbye(retry, &mut goodbye);
    (head(form), Body::from(goodbye)).into_response()
}

fn head(form: Form) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    // no-transform: a proxy that compresses would delay events.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers
}

/// The body of a stream.
struct Stream {
    subscription: Subscription,
    hub: Hub,
    form: Form,
    /// Pieces that are ready, after the one that is returned next.
    ready: VecDeque<Bytes>,
    state: StreamState,
    /// Whether nothing was sent since the last tick of the heartbeat.
    quiet: bool,
    /// Whether heartbeats have the id of the newest event, which the filter has passed over. Of a
    /// narrowed grant that would tell when something happens that it hides.
    shows_positions: bool,
    /// Ends when the credential does.
    credential: Option<Ended>,
    /// Samples how old events are when they are written.
    sampler: Sampler,
    /// Writes the end of the stream to the audit log.
    trail: Option<StreamTrail>,
}

#[derive(PartialEq, Eq)]
enum StreamState {
    Fresh,
    Running,
    Done,
}

impl Stream {
    fn new(
        subscription: Subscription,
        hub: Hub,
        form: Form,
        credential: Option<Ended>,
        trail: Option<StreamTrail>,
    ) -> Self {
        let ready = VecDeque::new();
        let state = StreamState::Fresh;
        Self {
            subscription,
            hub,
            form,
            ready,
            state,
            quiet: true,
            shows_positions: true,
            credential,
            sampler: Sampler::default(),
            trail,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(piece) = self.ready.pop_front() {
            return Poll::Ready(Some(piece));
        }
        match self.state {
            StreamState::Fresh => {
                self.state = StreamState::Running;
                return Poll::Ready(Some(self.written(|form, out| form.hello(RETRY, out))));
            }
            StreamState::Running => {
                if let Some(ended) = &mut self.credential
                    && let Poll::Ready(why) = ended.as_mut().poll(cx)
                {
                    self.state = StreamState::Done;
                    let end = Problem::new(Code::Unauthorized, why).frame();
                    return Poll::Ready(Some(self.written(|form, out| form.end(&end, out))));
                }
            }
            StreamState::Done => return Poll::Ready(None),
        }
        loop {
            match ready!(self.subscription.poll_next(cx)) {
                Some(Delivery::Events(selection)) => {
                    self.quiet = false;
                    self.observe(&selection);
                    if let Some(trail) = &mut self.trail {
                        let last = selection.events().last().map(|event| event.id);
                        trail.given(selection.len(), last);
                    }
                    let mut first = None;
                    selection.pieces(self.form, self.hub.metrics(), |piece| match first {
                        None => first = Some(piece),
                        Some(_) => self.ready.push_back(piece),
                    });
                    return Poll::Ready(first);
                }
                Some(Delivery::Gap(gap)) => {
                    self.quiet = false;
                    return Poll::Ready(Some(self.written(|form, out| form.gap(&gap, out))));
                }
                Some(Delivery::Pulse(seen)) => {
                    let seen = seen.filter(|_| self.shows_positions);
                    if std::mem::replace(&mut self.quiet, true) || seen.is_some() {
                        let beat = self.written(|form, out| form.heartbeat(seen, out));
                        return Poll::Ready(Some(beat));
                    }
                }
                None => {
                    self.state = StreamState::Done;
                    let stops = self.hub.stopping().is_cancelled();
                    let after = if stops { self.hub.return_time() } else { retry_with_jitter() };
                    let goodbye = self.written(|form, out| form.goodbye(after, out));
                    return Poll::Ready(Some(goodbye).filter(|bytes| !bytes.is_empty()));
                }
            }
        }
    }

    /// Observes the age of the oldest of the events that are written next, now and then.
    fn observe(&mut self, selection: &hub::Selection) {
        if self.subscription.is_live()
            && self.sampler.is_due()
            && let Some(event) = selection.events().next()
        {
            let age = Duration::from_millis(now_ms().saturating_sub(event.id.ms));
            self.hub.metrics().histograms.delivery.observe(age.as_secs_f64());
        }
    }

    fn written(&self, write: impl FnOnce(Form, &mut Vec<u8>)) -> Bytes {
        let mut out = Vec::new();
        write(self.form, &mut out);
        out.into()
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = ready!(self.poll_piece(cx));
        if let Some(piece) = &piece {
            self.subscription.listener().count_bytes(piece.len());
            self.hub.metrics().delivered_bytes.inc_by(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}
