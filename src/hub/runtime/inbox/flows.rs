//! The queues of the connections, which are served in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::{Draft, EventBody};
use crate::hub::connections::handle::ConnectionHandle;
use crate::redact::Redacted;

/// Memory that may wait to become events. The pump empties it thousands of times a second; this is
/// what may pass while the machine has no time for it.
pub(super) const MAX_BYTES: usize = 16 << 20;

/// The same in messages.
pub(super) const MAX_DRAFTS: usize = 64 << 10;

/// Drafts that are published at once, under the lock of the sequence.
pub(super) const PIECE_DRAFTS: usize = 512;

/// The same in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Drafts of one connection before those of the next: a piece has room for 32 connections.
pub(super) const QUANTUM_DRAFTS: usize = PIECE_DRAFTS / 32;

/// The same in bytes, for all but the last of them.
const QUANTUM_BYTES: usize = PIECE_BYTES / 32;

/// What counts for a message beside its payload.
const FIXED: usize = size_of::<Waiting>() + 64;

/// A connection may have so many times as much in the inbox as is free. One that floods leaves a ninth
/// of it free, four leave a thirty-third, which is 2,000 messages: what others send is not lost.
const SHARE: usize = 8;

/// Connections whose places an empty inbox keeps: a lone message allocates nothing.
const SPARE: usize = 64;

/// A draft, and how many came before it.
type Waiting = (u64, Redacted<Draft>);

/// A draft that was taken out, and the connection that it is of; a loss is that of no connection.
pub(super) type Taken = (Option<Arc<ConnectionHandle>>, Redacted<Draft>);

/// The queues of all connections that have drafts, by the number of the connection.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) flows: HashMap<u64, Flow>,
    /// Connections that had nothing in the inbox. They are served before the others, once.
    fresh: VecDeque<u64>,
    /// The other ones, in the order in which they are served. One whose queue is empty leaves when its
    /// turn comes, so that it cannot become fresh again before the others were served.
    round: VecDeque<u64>,
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Drafts that were put in so far.
    pub(super) taken_in: u64,
}

/// The drafts of a connection in the order in which they came.
#[derive(Debug)]
pub(super) struct Flow {
    handle: Arc<ConnectionHandle>,
    drafts: VecDeque<Waiting>,
}

/// Returns what a draft counts for.
fn weight(draft: &Draft) -> usize {
    match &draft.body {
        EventBody::Message(message) => FIXED + message.body.len(),
        _ => 0,
    }
}

/// Drafts that are taken out at once, with their numbers.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) drafts: Vec<(u64, Taken)>,
    pub(super) bytes: usize,
}

impl Piece {
    fn is_full(&self) -> bool {
        self.drafts.len() >= PIECE_DRAFTS || self.bytes >= PIECE_BYTES
    }
}

impl Flow {
    /// Moves drafts to a piece until it is full: at most `quantum`, of the first `until` that came.
    pub(super) fn take(&mut self, piece: &mut Piece, quantum: usize, until: u64) {
        let (drafts, bytes) = (piece.drafts.len(), piece.bytes);
        while !piece.is_full()
            && piece.drafts.len() - drafts < quantum
            && (quantum == usize::MAX || piece.bytes - bytes < QUANTUM_BYTES)
            && let Some((number, draft)) = self.drafts.pop_front_if(|(number, _)| *number < until)
        {
            let lost = matches!(draft.body, EventBody::Lost(_));
            let handle = (!lost).then(|| Arc::clone(&self.handle));
            if !lost {
                let weight = weight(&draft);
                self.handle.waiting().take_out(weight);
                piece.bytes += weight;
            }
            piece.drafts.push((number, (handle, draft)));
        }
        let (length, capacity) = (self.drafts.len(), self.drafts.capacity());
        if capacity > 2 * length + 2 * QUANTUM_DRAFTS {
            self.drafts.shrink_to(length + length / 4 + QUANTUM_DRAFTS);
        }
    }

    /// Returns whether a message has room, in what is free of the inbox and in the share of its
    /// connection.
    fn fits(&self, weight: usize, drafts: usize, bytes: usize) -> bool {
        let (own_drafts, own_bytes) = self.handle.waiting().counts();
        weight <= bytes
            && drafts > 0
            && own_bytes + weight <= SHARE * bytes
            && own_drafts < SHARE * drafts
    }

    /// Counts a message that was lost; returns whether that is another draft.
    fn lose(&mut self, number: u64) -> bool {
        let before = match self.drafts.back().map(|(_, draft)| &draft.body) {
            Some(EventBody::Lost(missed)) => *missed,
            _ => 0,
        };
        let number = if before > 0 {
            self.drafts.pop_back().map_or(number, |(number, _)| number)
        } else {
            number
        };
        self.drafts.push_back((number, Redacted::lost(before + 1)));
        before == 0
    }
}

impl Queue {
    /// Returns how many drafts were lost.
    pub(super) fn put(
        &mut self,
        handle: &Arc<ConnectionHandle>,
        from: &mut Vec<Redacted<Draft>>,
    ) -> u64 {
        let Self { flows, fresh, count, bytes, taken_in, .. } = self;
        let flow = flows.entry(handle.number).or_insert_with(|| {
            fresh.push_back(handle.number);
            Flow { handle: Arc::clone(handle), drafts: VecDeque::new() }
        });
        let mut lost = 0;
        for draft in from.drain(..) {
            let weight = weight(&draft);
            let free = (MAX_DRAFTS.saturating_sub(*count), MAX_BYTES.saturating_sub(*bytes));
            if weight == 0 || flow.fits(weight, free.0, free.1) {
                flow.handle.waiting().put_in(weight);
                flow.drafts.push_back((*taken_in, draft));
                *bytes += weight;
            } else {
                lost += 1;
                if !flow.lose(*taken_in) {
                    continue;
                }
            }
            *count += 1;
            *taken_in += 1;
        }
        lost
    }

    /// Removes all flows, once all drafts are out, and gives back what a burst has taken.
    pub(super) fn clear(&mut self) {
        self.flows.clear();
        self.fresh.clear();
        self.round.clear();
        if self.flows.capacity() > SPARE || self.fresh.capacity() + self.round.capacity() > SPARE {
            *self = Self { taken_in: self.taken_in, ..Self::default() };
        }
    }

    /// Returns the number of connections that are served in turn.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.fresh.len() + self.round.len()
    }

    /// Takes some drafts of each connection, until a piece is full.
    pub(super) fn take_in_turn(&mut self, piece: &mut Piece) {
        while !piece.is_full() {
            let Some(number) = self.fresh.pop_front().or_else(|| self.round.pop_front()) else {
                return;
            };
            let Some(flow) = self.flows.get_mut(&number) else { continue };
            let before = piece.drafts.len();
            flow.take(piece, QUANTUM_DRAFTS, u64::MAX);
            if piece.drafts.len() == before {
                self.flows.remove(&number);
            } else {
                self.round.push_back(number);
            }
        }
    }

    /// Takes drafts that came before others, until a piece is full. The next piece begins with the
    /// connections that this one has not come to.
    pub(super) fn take_before(&mut self, until: u64, piece: &mut Piece) {
        for _ in 0..self.fresh.len() + self.round.len() {
            if piece.is_full() {
                return;
            }
            let next = self.fresh.pop_front().or_else(|| self.round.pop_front());
            let Some(number) = next else { return };
            if let Some(flow) = self.flows.get_mut(&number) {
                flow.take(piece, usize::MAX, until);
                self.round.push_back(number);
            }
        }
    }

    /// Takes drafts of one connection that came before others, until a piece is full. A connection that
    /// has no more leaves: what is taken of it alone is the end of it.
    pub(super) fn take_of(&mut self, number: u64, until: u64, piece: &mut Piece) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        flow.take(piece, usize::MAX, until);
        if flow.drafts.is_empty() {
            self.flows.remove(&number);
            self.fresh.retain(|other| *other != number);
            self.round.retain(|other| *other != number);
        }
    }

    /// Replaces the drafts of one connection that came before others by the number of what is lost.
    /// Returns how many messages that adds.
    pub(super) fn lose(&mut self, number: u64, until: u64) -> u64 {
        let Some(flow) = self.flows.get_mut(&number) else { return 0 };
        let (mut first, mut missed, mut added) = (None, 0, 0);
        while let Some((number, draft)) = flow.drafts.pop_front_if(|(number, _)| *number < until) {
            first.get_or_insert(number);
            self.count -= 1;
            if let EventBody::Lost(before) = draft.body {
                missed += before;
            } else {
                let weight = weight(&draft);
                flow.handle.waiting().take_out(weight);
                self.bytes -= weight;
                (missed, added) = (missed + 1, added + 1);
            }
        }
        if let Some(first) = first {
            flow.drafts.push_front((first, Redacted::lost(missed)));
            self.count += 1;
        }
        added
    }
}
