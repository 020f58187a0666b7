//! The outbox of a session whose credential may end before it.

use std::task::{Context, Poll};

use super::protocol::{Next, Outbox};
use crate::access::Ended;
use crate::code::Code;
use crate::hub::{CloseRequest, Mailbox, Outgoing};

/// A mailbox that asks to close, with 4401, when the credential of its client has ended.
pub(super) struct Leased<'a> {
    pub(super) mailbox: &'a mut Mailbox,
    /// `None` once it has ended.
    pub(super) ended: Option<Ended>,
}

impl Leased<'_> {
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest> {
        let Some(ended) = &mut self.ended else { return Poll::Pending };
        ended.as_mut().poll(cx).map(|why| {
            self.ended = None;
            CloseRequest { code: Code::Unauthorized.close(), reason: why.to_owned() }
        })
    }
}

impl Outbox for Leased<'_> {
    type Item = Outgoing;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Outgoing>> {
        if let Poll::Ready(request) = self.poll_ended(cx) {
            return Poll::Ready(Next::Close(request));
        }
        self.mailbox.poll_next(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseRequest> {
        if let Poll::Ready(request) = self.poll_ended(cx) {
            return Poll::Ready(request);
        }
        self.mailbox.poll_close(cx)
    }
}
