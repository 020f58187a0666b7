use super::*;
use crate::event::{Body, Direction, Draft, EventBody, Message, Opcode};
use proptest::prelude::*;

fn event(ms: u64, size: usize) -> Arc<Event> {
    let body = Body::Binary(vec![0; size].into());
    let message = Message::new(Direction::In, Opcode::Binary, 0, body);
    let draft = Draft::new("a".parse().expect("an id"), EventBody::Message(message));
    Arc::new(draft.stamp(EventId { ms, seq: 0 }))
}

fn unlimited() -> Retention {
    Retention { events: usize::MAX, bytes: usize::MAX, age: None }
}

fn push(memory: &Memory, ms: u64, size: usize) {
    let first = memory.bounds().1 + 1;
    let segment = Arc::new(Segment::new(first, vec![event(ms, size)]));
    assert_eq!(memory.append(&segment, ms), Appended::Now);
}

fn known<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Known(answer) => answer,
        Answer::Coming(_) => unreachable!("memory has everything at hand"),
    }
}

fn find(memory: &Memory, mark: Mark) -> Found {
    known(memory.find(mark))
}

/// Returns the positions that a reader reads that begins after `position`.
fn read(memory: &Memory, position: u64) -> Vec<u64> {
    let mut cursor = Cursor { position, id: None };
    let mut all = Vec::new();
    loop {
        match known(memory.page(cursor)) {
            Page::Events(segment) => {
                all.extend(cursor.position + 1..=segment.last());
                cursor.position = segment.last();
            }
            Page::Gap(_, behind) => cursor = behind,
            Page::End => return all,
        }
    }
}

#[test]
fn an_id_is_found_between_others_and_at_the_edges() {
    let memory = Memory::new(Retention { events: 3, ..unlimited() });
    for n in 1..=5 {
        push(&memory, n * 10, 1);
    }
    let place = |ms| {
        let found = find(&memory, Mark::After(EventId { ms, seq: 0 }));
        (found.cursor.position, found.lost.is_none())
    };
    assert_eq!(place(10), (2, false));
    assert_eq!(place(20), (2, true), "the last event that fell out");
    assert_eq!(place(25), (2, false));
    assert_eq!(place(30), (3, true));
    assert_eq!(place(45), (4, false));
    assert_eq!(place(50), (5, true));
    let since = |ms| {
        let found = find(&memory, Mark::Since(ms));
        (found.cursor.position, found.lost.is_some())
    };
    assert_eq!(since(30), (2, false));
    assert_eq!(since(20), (2, true), "one of these is gone");
    assert_eq!(since(31), (3, false));
    assert_eq!(since(0), (2, true));
}

#[test]
fn old_events_are_dropped_by_age() {
    let age = Some(Duration::from_millis(15));
    let memory = Memory::new(Retention { age, ..unlimited() });
    for n in 1..=3 {
        push(&memory, n * 10, 1);
    }
    assert_eq!(read(&memory, 0), [2, 3]);
    memory.evict(46);
    assert_eq!(memory.size(), (0, 0));
    assert_eq!(memory.id_at(3), Some(EventId { ms: 30, seq: 0 }));
}

#[test]
fn an_event_heavier_than_the_whole_history_is_not_kept() {
    let memory = Memory::new(Retention { bytes: 1000, ..unlimited() });
    push(&memory, 1, 10);
    push(&memory, 2, 5000);
    assert_eq!(memory.size(), (0, 0));
}

#[test]
fn single_events_share_segments_as_they_age() {
    let memory = Memory::new(unlimited());
    for n in 0..100_000 {
        push(&memory, n, 1);
    }
    assert_eq!(read(&memory, 0).len(), 100_000);
    let segments = memory.lock().segments.len();
    assert!(segments < 100_000 / 1024 + 2 * JOINED + 2, "{segments}");
}

proptest! {
    #[test]
    fn it_agrees_with_a_list(
        max_events in 0usize..20,
        max_bytes in 0usize..6000,
        batches in prop::collection::vec(prop::collection::vec(0usize..700, 1..5), 0..60),
        first in 0u64..70,
    ) {
        let memory =
            Memory::new(Retention { events: max_events, bytes: max_bytes, age: None });
        let mut list: Vec<(u64, Arc<Event>)> = Vec::new();
        let mut last = 0;
        for sizes in batches {
            let events: Vec<_> =
                sizes.iter().enumerate().map(|(n, size)| event(last + n as u64, *size)).collect();
            let segment = Arc::new(Segment::new(last + 1, events.clone()));
            prop_assert_eq!(memory.append(&segment, last), Appended::Now);
            for event in events {
                last += 1;
                list.push((last, event));
            }
            let weight = |list: &[(u64, Arc<Event>)]| -> usize {
                list.iter().map(|(_, event)| event.weight()).sum()
            };
            while list.len() > max_events || weight(&list) > max_bytes {
                list.remove(0);
            }
            prop_assert_eq!(memory.size(), (list.len(), weight(&list)));
        }
        let wanted: Vec<u64> =
            list.iter().map(|(position, _)| *position).filter(|it| *it > first).collect();
        prop_assert_eq!(read(&memory, first.min(last)), wanted);
        for (position, event) in &list {
            prop_assert_eq!(memory.id_at(*position), Some(event.id));
            let found = known(memory.events(&[event.id]));
            prop_assert!(found.len() == 1 && Arc::ptr_eq(&found[0], event));
        }
    }
}
