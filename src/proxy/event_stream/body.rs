//! The body of an event stream on its way to the client, and the copy of it for the tap.
//!
//! A piece of the body is returned before the tap reads it, and the tap reads only once the body has
//! nothing more for now, so that the piece is on the wire by then. If more waits for the tap than it
//! may hold, the tap reads first.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

use super::super::exchange::Running;
use super::super::leased::CredentialEnded;
use super::tap::{End, StreamTap};
use crate::code::Code;
use crate::hub::{CloseRequest, yield_turn};

/// The body of an event stream whose copy is read.
pub(super) struct TappedBody {
    body: Body,
    /// The tap and the exchange; `None` once the end is noted.
    tap: Option<(StreamTap, Running)>,
    /// The request to end the stream; `None` once it cannot come any more.
    close: Option<oneshot::Receiver<CloseRequest>>,
    /// Whether a piece was returned that may not be on the wire yet.
    is_fresh: bool,
}

/// wstap was told to end the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream was closed by a request to wstap")]
struct Closed;

impl TappedBody {
    pub(super) fn new(
        body: Body,
        tap: StreamTap,
        close: oneshot::Receiver<CloseRequest>,
        running: Running,
    ) -> Self {
        let tap = Some((tap, running));
        let mut tapped = Self { body, tap, close: Some(close), is_fresh: false };
        if tapped.body.is_end_stream() {
            tapped.end(End::Complete);
        }
        tapped
    }

    fn end(&mut self, end: End) {
        if let Some((tap, running)) = self.tap.take() {
            let (hub, sent) = running.streamed(match &end {
                End::Complete | End::Left | End::Requested(_) => None,
                End::Incomplete | End::Failed(_) => Some("the answer broke off"),
            });
            tap.finish(&hub, end, sent);
        }
    }

    /// Takes the request to end the stream.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Option<CloseRequest> {
        let polled = Pin::new(self.close.as_mut()?).poll(cx);
        let Poll::Ready(request) = polled else { return None };
        self.close = None;
        request.ok()
    }
}

impl Drop for TappedBody {
    fn drop(&mut self) {
        let end = if self.body.is_end_stream() { End::Complete } else { End::Left };
        self.end(end);
    }
}

impl fmt::Debug for TappedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TappedBody").finish_non_exhaustive()
    }
}

impl http_body::Body for TappedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(request) = self.poll_close(cx) {
            // The answer is not complete, and an error says so to the client. The connection to the
            // upstream ends when the body is dropped.
            self.end(End::Requested(request));
            return Poll::Ready(Some(Err(axum::Error::new(Closed))));
        }
        let this = &mut *self;
        let Some((tap, _)) = &mut this.tap else { return Pin::new(&mut this.body).poll_frame(cx) };
        if tap.has_room() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => {}
                Poll::Ready(polled) => {
                    match &polled {
                        Some(Ok(frame)) => {
                            if let Some(data) = frame.data_ref() {
                                tap.push(data.clone());
                                this.is_fresh = true;
                            }
                        }
                        Some(Err(error)) => this.end(failure(error)),
                        None => this.end(End::Complete),
                    }
                    return Poll::Ready(polled);
                }
            }
        }
        let had_room = tap.has_room();
        if !std::mem::take(&mut this.is_fresh) && tap.is_behind() {
            tap.turn();
        }
        // The body wakes this task only if it was polled.
        if tap.is_behind() || !had_room {
            yield_turn(cx);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns how a stream ended whose body has failed.
fn failure(error: &axum::Error) -> End {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return End::Incomplete;
        }
        if let Some(CredentialEnded(why)) = error.downcast_ref() {
            let code = Code::Unauthorized.close();
            return End::Requested(CloseRequest { code, reason: (*why).to_owned() });
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => End::Incomplete,
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                    End::Failed("the server reset the connection".to_owned())
                }
                _ => End::Failed(format!("the connection to the server failed: {error}")),
            };
        }
        cause = error.source();
    }
    End::Failed(format!("the connection to the server failed: {error}"))
}
