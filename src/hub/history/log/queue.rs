//! What waits to be written.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::hub::history::segment::Segment;

/// Weight that one transaction takes at most: it is committed within 20 ms.
const BATCH: usize = 2 << 20;

/// Segments in their order, each with the time of its publication.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    segments: VecDeque<(Arc<Segment>, u64)>,
    closed: bool,
    /// The writer is in its wait: only then it has to be woken.
    idle: bool,
}

/// What a writer takes.
#[derive(Debug)]
pub(super) enum Batch {
    /// Segments for one transaction, and the time of the last.
    Segments(Vec<Arc<Segment>>, u64),
    /// Nothing came in time.
    Idle,
    /// Nothing comes any more.
    Closed,
}

impl Queue {
    /// Adds a segment. Returns whether the queue was open.
    pub(super) fn push(&self, segment: &Arc<Segment>, now: u64) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.segments.push_back((Arc::clone(segment), now));
        let wake = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if wake {
            self.more.notify_one();
        }
        true
    }

    /// Takes segments for a transaction, and waits for the first up to a time.
    pub(super) fn take(&self, within: Duration) -> Batch {
        let mut waiting = self.lock();
        if waiting.segments.is_empty() && !waiting.closed {
            waiting.idle = true;
            let idle = |waiting: &mut Waiting| waiting.segments.is_empty() && !waiting.closed;
            let waited = self.more.wait_timeout_while(waiting, within, idle);
            waiting = waited.expect("nothing panics while it holds this lock").0;
            waiting.idle = false;
        }
        if waiting.segments.is_empty() {
            return if waiting.closed { Batch::Closed } else { Batch::Idle };
        }
        let (mut batch, mut weight, mut last) = (Vec::new(), 0, 0);
        while let Some((segment, now)) = waiting.segments.pop_front() {
            weight += segment.weight();
            last = now;
            batch.push(segment);
            if weight >= BATCH {
                break;
            }
        }
        Batch::Segments(batch, last)
    }

    /// Ends it: what waits is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds this lock")
    }
}
