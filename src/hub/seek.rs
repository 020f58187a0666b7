//! Where the last so many events begin that an expression selects: looked for backwards, a page at
//! a time, and without the lock of the stream while the expression is evaluated.

use super::Start;
use super::shared::Shared;
use super::stream::Stream;
use crate::filter::Filter;

/// A search under way.
#[derive(Debug)]
pub(super) struct Seek {
    /// Everything after this has been looked at.
    to: u64,
    /// Everything up to this was gone when the search began.
    floor: u64,
    head: u64,
    /// How many events are still to be found.
    left: usize,
    /// The first that was found.
    first: Option<u64>,
}

impl Seek {
    /// Begins a search, if a start needs one.
    pub(super) fn begin(stream: &Stream, start: Start, filter: &Filter) -> Option<Self> {
        let Start::Last(left) = start else { return None };
        let (head, floor) = (stream.head().ordinal, stream.before_history());
        let needed = filter.expression.is_some() && left > 0 && floor < head;
        needed.then_some(Self { to: head, floor, head, left, first: None })
    }

    /// Looks at a page. Returns the ordinal before the first event that is wanted, once that is
    /// known.
    pub(super) fn step(&mut self, shared: &Shared, filter: &Filter) -> Option<u64> {
        let page = shared.stream().page_back(self.to);
        let Some(oldest) = page.last() else {
            // What went meanwhile may have been wanted: from the floor on, that becomes a gap.
            let nothing_went = self.to == self.floor;
            let found = self.first.map_or(self.head, |first| first - 1);
            return Some(if nothing_went { found } else { self.floor });
        };
        self.to = oldest.ordinal - 1;
        for event in page.iter().filter(|event| shared.selects(filter, event)) {
            self.first = Some(event.ordinal);
            self.left -= 1;
            if self.left == 0 {
                return Some(event.ordinal - 1);
            }
        }
        None
    }
}
