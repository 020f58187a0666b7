use std::collections::HashSet;

use super::checked::CheckedFolder;
use super::*;
use crate::event::{Body, Direction, Draft, Event, EventBody, EventId, Message, Opcode, Routing};

const SIZE: usize = 1000;

/// Makes a database of messages, each of which is of a channel. Returns its folder.
fn messages(count: u64) -> CheckedFolder {
    let folder = CheckedFolder::new();
    let (mut writer, _) =
        Writer::open(&folder.path().join(FILE), Durability::Later).expect("it opens");
    let events: Vec<_> = (1..=count)
        .map(|n| {
            let body = Body::Binary(vec![0; SIZE].into());
            let mut message = Message::new(Direction::In, Opcode::Binary, SIZE, body);
            let channel = format!("c{}", n % 2).parse().expect("a channel");
            let routing =
                Routing { channel: Some(channel), user: None, to: vec![], except: vec![] };
            message.routing = Some(Box::new(routing));
            let draft = Draft::new("a".parse().expect("an id"), EventBody::Message(message));
            (n, draft.stamp(EventId { ms: n, seq: 0 }))
        })
        .collect();
    writer.append(events.iter().map(|(n, event)| (*n, event))).expect("written");
    folder
}

#[test]
fn messages_of_channels_are_read_from_the_end_until_they_have_their_bytes() {
    let folder = messages(100);
    let mut reader = Reader::open(&folder.path().join(FILE)).expect("it opens");
    let bounds = reader.bounds().expect("it is read");
    let (all, since) = reader.channel_messages(0, bounds, usize::MAX, |_| true).expect("read");
    assert_eq!((all.len(), since), (100, None));
    let bytes = all.iter().rev().take(10).map(|event| event.weight()).sum();
    let (last, since) = reader.channel_messages(0, bounds, bytes, |_| true).expect("read");
    assert!(last.iter().map(|event| event.id).eq(all[90..].iter().map(|event| event.id)));
    assert_eq!(since, Some(all[89].id));
    // Those that are not kept are read without their content.
    let kept = |event: &Event| event.channel().is_some_and(|channel| channel.as_str() == "c1");
    let (more, _) = reader.channel_messages(0, bounds, bytes, kept).expect("read");
    assert!(more.len() > 15, "{}", more.len());
    let has_body: HashSet<_> = more
        .iter()
        .map(|event| {
            (kept(event), matches!(&event.body, EventBody::Message(it) if !it.body.is_empty()))
        })
        .collect();
    assert_eq!(has_body, HashSet::from([(true, true), (false, false)]));
}

#[test]
fn events_are_picked_in_the_order_of_their_ids() {
    let folder = messages(3000);
    let mut reader = Reader::open(&folder.path().join(FILE)).expect("it opens");
    let bounds = reader.bounds().expect("it is read");
    let wanted = [1, 2, 3, 5, 2999, 3000, 3001, 7].map(|ms| EventId { ms, seq: 0 });
    let found = reader.pick(&wanted, bounds).expect("read");
    let ids: Vec<_> = found.iter().map(|event| event.id.ms).collect();
    assert_eq!(ids, [1, 2, 3, 5, 2999, 3000, 7]);
}

/// A database that version 0.1.0 has made, with an event: later versions read and continue it.
#[test]
fn database_of_the_first_schema_is_continued() {
    let folder = CheckedFolder::new();
    let path = folder.path().join(FILE);
    let first = rusqlite::Connection::open(&path).expect("a database");
    first.execute_batch(include_str!("schema_1.sql")).expect("written");
    drop(first);
    let (mut writer, bounds) = Writer::open(&path, Durability::Later).expect("it opens");
    let old = EventId { ms: 1_700_000_000_000, seq: 3 };
    assert_eq!((bounds.floor, bounds.head, bounds.last), (0, 2, Some(old)));
    let body = EventBody::Lost(1);
    let draft = Draft::new("a".parse().expect("an id"), body);
    let event = draft.stamp(EventId { ms: old.ms + 1, seq: 0 });
    writer.append(std::iter::once((3, &event))).expect("written");
    let mut reader = Reader::open(&path).expect("it opens");
    let Rows::Events(1, events) = reader.forward(1, 3, |_| {}).expect("read") else {
        panic!("events")
    };
    assert_eq!((events.len(), events[1].id), (3, old));
    assert_eq!(events[1].handshake.as_ref().map(|it| &*it.path), Some("/ws"));
}
