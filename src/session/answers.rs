//! Answers to frames of a client that wait for their receipts, in the order of the frames.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};

use tungstenite::Message as Frame;

use super::protocol::Receipt;

/// Answers that may wait. A client that has sent more is not read.
const MAX: usize = 1024;

/// Answers that wait. Each is a frame, and what it waits for.
#[derive(Default)]
pub(super) struct Answers(VecDeque<(Option<Receipt>, Frame)>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answers").field(&self.0.len()).finish()
    }
}

impl Answers {
    /// Returns the answer if it may be sent at once, and keeps it otherwise.
    pub(super) fn pass(&mut self, receipt: Option<Receipt>, answer: Frame) -> Option<Frame> {
        if receipt.is_none() && self.0.is_empty() {
            return Some(answer);
        }
        self.0.push_back((receipt, answer));
        None
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX
    }

    /// Takes the answers that wait for nothing more.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = Frame> {
        // A pending poll leaves a waker that does nothing; the next turn polls again.
        std::iter::from_fn(|| match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        })
    }

    /// Polls for the next answer. Pending while there is none.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Frame> {
        let Some((receipt, _)) = self.0.front_mut() else { return Poll::Pending };
        let outcome = match receipt {
            None => Ok(()),
            Some(receipt) => std::task::ready!(receipt.as_mut().poll(cx)),
        };
        let answer = self.0.pop_front().map(|(_, answer)| answer);
        match (outcome, answer) {
            (Ok(()), Some(answer)) | (Err(answer), _) => Poll::Ready(answer),
            (Ok(()), None) => Poll::Pending,
        }
    }
}
