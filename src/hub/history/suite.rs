//! What every store does, as properties against a list. Each implementation is run through the same
//! function.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::memory::{Memory, Retention};
use super::segment::Segment;
use super::store::{Answer, Before, Cursor, Found, Mark, Page, Store};
use crate::event::{Body, Direction, Draft, Event, EventBody, EventId, Gap, Message, Opcode};

/// Batches of events: each event has its distance from the one before in milliseconds.
pub(super) type Batches = Vec<Vec<u64>>;

/// What a store should have.
#[derive(Debug, Default)]
struct List {
    /// All events with their positions, also those that are gone.
    all: Vec<(u64, Arc<Event>)>,
    /// Events up to this position are gone.
    floor: u64,
}

impl List {
    fn head(&self) -> u64 {
        self.all.len() as u64
    }

    fn kept(&self) -> &[(u64, Arc<Event>)] {
        &self.all[usize::try_from(self.floor).expect("it is small")..]
    }

    /// Returns the id at a position; `None` before the first event.
    fn id(&self, position: u64) -> Option<EventId> {
        let n = usize::try_from(position.checked_sub(1)?).expect("it is small");
        Some(self.all.get(n)?.1.id)
    }

    fn find(&self, mark: Mark) -> Found {
        let (oldest, evicted) =
            (self.kept().first().map(|(_, event)| event.id), self.id(self.floor));
        let before = |position| self.id(position + 1);
        match mark {
            Mark::Oldest => Found { cursor: Cursor { position: self.floor, id: None }, lost: None },
            Mark::After(id) => {
                let last = self.kept().iter().rfind(|(_, event)| event.id <= id);
                let exact = evicted == Some(id) || last.is_some_and(|(_, event)| event.id == id);
                let position = last.map_or(self.floor, |(position, _)| *position);
                let gap = Gap { missed: None, after: Some(id), before: before(position) };
                let cursor = Cursor { position, id: Some(id) };
                Found { cursor, lost: (!exact).then_some(gap) }
            }
            Mark::Since(ms) => {
                let last = self.kept().iter().rfind(|(_, event)| event.id.ms < ms);
                let position = last.map_or(self.floor, |(position, _)| *position);
                let deleted = last.is_none() && evicted.is_some_and(|evicted| evicted.ms >= ms);
                let gap = Gap { missed: None, after: None, before: oldest };
                let cursor = Cursor { position, id: None };
                Found { cursor, lost: deleted.then_some(gap) }
            }
        }
    }
}

pub(super) fn event(id: EventId) -> Arc<Event> {
    let body = Body::Binary(vec![7; 20].into());
    let message = Message::new(Direction::In, Opcode::Binary, 20, body);
    let draft = Draft::new("a".parse().expect("an id"), EventBody::Message(message));
    Arc::new(draft.stamp(id))
}

/// Waits for an answer.
fn known<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Known(answer) => answer,
        Answer::Coming(coming) => coming.blocking_recv().expect("the store is open"),
    }
}

/// Waits, with a limit, until a store has come to a state.
pub(super) fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < end, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Fills an empty store that keeps `max` events, and compares every answer with the list.
pub(super) fn agrees_with_a_list(
    store: &impl Store,
    max: u64,
    batches: &Batches,
) -> Result<(), TestCaseError> {
    let mut list = List::default();
    let mut newest = EventId { ms: 1000, seq: 0 };
    for batch in batches {
        let first = list.head() + 1;
        for step in batch {
            newest = newest.next(newest.ms + step);
            list.all.push((list.head() + 1, event(newest)));
        }
        let events = list.all[usize::try_from(first - 1).expect("it is small")..].iter();
        let segment = Arc::new(Segment::new(first, events.map(|(_, it)| Arc::clone(it)).collect()));
        let _ = store.append(&segment, newest.ms);
    }
    list.floor = list.head().saturating_sub(max);
    let end = (list.floor, list.head());
    until("appending and deleting", || store.bounds() == end);
    prop_assert_eq!(store.oldest(), list.kept().first().map(|(_, event)| event.id));
    for position in 0..=list.head() {
        prop_assert_eq!(forward(store, &list, position)?, list.head());
        backward(store, &list, position)?;
    }
    let times = list.all.iter().map(|(_, event)| event.id);
    for id in times.chain([EventId::default(), EventId { ms: u64::MAX >> 1, seq: 0 }]) {
        let between = EventId { seq: id.seq + 1, ..id };
        let marks =
            [Mark::After(id), Mark::After(between), Mark::Since(id.ms), Mark::Since(id.ms + 1)];
        for mark in marks {
            prop_assert_eq!(known(store.find(mark)), list.find(mark), "{:?}", mark);
        }
    }
    prop_assert_eq!(known(store.find(Mark::Oldest)), list.find(Mark::Oldest));
    let ids: Vec<EventId> = list.all.iter().map(|(_, event)| event.id).collect();
    for ids in [&ids[..], &[]] {
        let found: Vec<EventId> = known(store.events(ids)).iter().map(|event| event.id).collect();
        let kept = list.kept().iter().map(|(_, event)| event.id).filter(|id| ids.contains(id));
        prop_assert_eq!(found, kept.collect::<Vec<_>>());
    }
    Ok(())
}

/// Reads forward after a position, and returns the position at the end.
fn forward(store: &impl Store, list: &List, from: u64) -> Result<u64, TestCaseError> {
    let mut cursor = Cursor { position: from, id: list.id(from) };
    loop {
        match known(store.page(cursor)) {
            Page::Events(segment) => {
                let next = cursor.position + 1;
                prop_assert!((segment.first()..=segment.last()).contains(&next));
                for position in next..=segment.last() {
                    same(segment.at(position), list, position)?;
                }
                cursor = Cursor { position: segment.last(), id: Some(segment.last_id()) };
            }
            Page::Gap(gap, behind) => {
                prop_assert!(cursor.position == from && from < list.floor);
                let missed = Some(list.floor - from);
                let before = list.id(list.floor + 1);
                prop_assert_eq!(gap, Gap { missed, after: cursor.id, before });
                prop_assert_eq!(behind, Cursor { position: list.floor, id: list.id(list.floor) });
                cursor = behind;
            }
            Page::End => return Ok(cursor.position),
        }
    }
}

/// Reads backward from a position to the oldest event.
fn backward(store: &impl Store, list: &List, from: u64) -> Result<(), TestCaseError> {
    let mut position = from;
    loop {
        match known(store.before(position)) {
            Before::Events(segment) => {
                prop_assert!(position > list.floor);
                let first = segment.first().max(list.floor + 1);
                for position in first..=position {
                    same(segment.at(position), list, position)?;
                }
                position = first - 1;
            }
            Before::Hole(_) => prop_assert!(false, "nothing was lost"),
            Before::Nothing => {
                prop_assert!(position <= list.floor, "{} of {:?}", position, list.floor);
                return Ok(());
            }
        }
    }
}

/// Compares the event at a position.
fn same(found: Option<&Arc<Event>>, list: &List, position: u64) -> Result<(), TestCaseError> {
    let found = found.ok_or_else(|| TestCaseError::fail(format!("no event at {position}")))?;
    let (_, wanted) = &list.all[usize::try_from(position - 1).expect("it is small")];
    prop_assert_eq!(found.id, wanted.id);
    prop_assert_eq!(format!("{:?}", found.body), format!("{:?}", wanted.body));
    Ok(())
}

pub(super) fn batches() -> impl Strategy<Value = Batches> {
    prop::collection::vec(prop::collection::vec(0_u64..3, 1..8), 0..20)
}

proptest! {
    #[test]
    fn memory_agrees_with_a_list(max in prop_oneof![0_u64..20, Just(1000)], batches in batches()) {
        let events = usize::try_from(max).expect("it is small");
        let store = Memory::new(Retention { events, bytes: usize::MAX, age: None });
        agrees_with_a_list(&store, max, &batches)?;
    }
}
