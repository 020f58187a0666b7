//! Looks backwards for the last so many events that a filter selects, before a reading begins.

use std::task::{Context, Poll, ready};

use super::pace::Pace;
use crate::filter::Filter;
use crate::hub::history::store::{Before, Question};
use crate::hub::runtime::shared::Shared;

/// A search under way.
#[derive(Debug)]
pub(in crate::hub) struct Seek {
    /// Everything after this position has been looked at.
    to: u64,
    floor: u64,
    head: u64,
    /// Number of events that are still to be found.
    left: usize,
    /// The first that was found.
    first: Option<u64>,
    question: Question<Before>,
}

impl Seek {
    /// Begins at the end of what is kept.
    pub(in crate::hub) fn new(count: usize, (floor, head): (u64, u64)) -> Self {
        Self { to: head, floor, head, left: count, first: None, question: Question::default() }
    }

    /// Goes on until the pace says to stop. Returns the position before the first event that is
    /// wanted.
    pub(in crate::hub) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        filter: &Filter,
        pace: &mut Pace,
    ) -> Poll<u64> {
        let found = |first: Option<u64>, head| first.map_or(head, |first| first - 1);
        while self.to > self.floor && self.left > 0 {
            let before = self.question.poll(cx, || shared.store.before(self.to));
            let segment = match ready!(before) {
                Before::Events(segment) => segment,
                Before::Hole(to) => {
                    self.to = to;
                    continue;
                }
                // What fell out meanwhile may have been wanted: from the floor on it becomes a gap.
                Before::Nothing => return Poll::Ready(self.floor),
            };
            let end = segment.first().max(self.floor + 1);
            while self.to >= end && self.left > 0 {
                let Some(event) = segment.at(self.to) else { break };
                if shared.selects(filter, event) {
                    self.first = Some(self.to);
                    self.left -= 1;
                }
                self.to -= 1;
                if filter.expression.is_some() && !pace.may_go_on() {
                    super::pace::yield_turn(cx);
                    return Poll::Pending;
                }
            }
            if !pace.may_go_on() {
                super::pace::yield_turn(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(found(self.first, self.head))
    }
}
