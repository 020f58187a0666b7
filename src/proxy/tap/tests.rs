//! Tests of the tap.

use std::time::Duration;

use super::super::held::Held;
use super::*;
use crate::event::{Answer, Connect};
use crate::hub::{Hub, Order, Range, Scanned, Settings, Start};

/// A tap of a connection to a hub of its own.
fn tap(hub: &Hub, extensions: &str) -> Tap {
    let answer = Answer {
        upstream: "ws://a".into(),
        status: 101,
        time: Duration::ZERO,
        subprotocol: None,
        extensions: None,
        ..Answer::default()
    };
    let connect = Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: Some(Box::new(answer)),
        user: None,
    };
    let (connection, _mailbox) = hub.connect_with_generated_id(None, connect).expect("room");
    let settings = TapSettings { control: false, max_message_bytes: 1 << 20 };
    Tap::new(connection, extensions, settings, Held::new(1 << 20).share())
}

/// Compressed messages of a server that inflate to a mebibyte each.
fn bombs(count: usize) -> Vec<u8> {
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let mut message = Vec::with_capacity(4096);
        let flush = flate2::FlushCompress::Sync;
        deflate.compress_vec(&vec![b'x'; 1 << 20], &mut message, flush).expect("room");
        let length = u16::try_from(message.len() - 4).expect("it is small");
        bytes.extend_from_slice(&[0xC2, 126]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&message[..usize::from(length)]);
    }
    bytes
}

#[tokio::test]
async fn turn_inflates_no_more_than_its_budget_and_the_next_ones_read_the_rest() {
    let hub = Hub::new(Settings::default());
    let mut tap = tap(&hub, "permessage-deflate");
    let bytes = bombs(40);
    assert!(bytes.len() < 64 << 10, "one read of a relay");
    tap.begin_turn();
    tap.feed(Direction::Out, &bytes, true);
    let mut turns = 1;
    while tap.needs_turn() {
        assert!(!tap.may_read(Direction::Out));
        let behind = !tap.is_up_to_date(Direction::Out);
        assert!(!(behind && tap.between_messages(Direction::Out)), "bytes have passed unread");
        let read = hub.connections()[0].messages().outward;
        assert!(read <= 4 * turns, "{read} messages after {turns} turns");
        tap.begin_turn();
        turns += 1;
    }
    assert!(tap.may_read(Direction::Out) && tap.between_messages(Direction::Out));
    assert_eq!(hub.connections()[0].messages().outward, 40);
}

#[tokio::test]
async fn close_frame_that_is_behind_is_read_at_the_end() {
    let hub = Hub::new(Settings::default());
    let mut tap = tap(&hub, "permessage-deflate");
    let bytes = [bombs(20), b"\x88\x02\x03\xf3".to_vec()].concat();
    tap.feed(Direction::Out, &bytes, true);
    assert!(tap.needs_turn());
    tap.end();
    drop(tap);
    assert_eq!(closes(&hub), [1011]);
}

fn closes(hub: &Hub) -> Vec<u16> {
    let range = Range { start: Start::Oldest, until: None, limit: 100, order: Order::Ascending };
    let mut codes = Vec::new();
    for scanned in hub.scan(range, crate::filter::Filter::default()) {
        let Scanned::Events(events) = scanned else { continue };
        codes.extend(events.iter().filter_map(|event| match &event.body {
            EventBody::Close(close) => Some(close.code),
            _ => None,
        }));
    }
    codes
}

#[tokio::test]
async fn reader_that_panics_is_dropped_and_the_other_reads_on() {
    let hub = Hub::new(Settings::default());
    let mut tap = tap(&hub, "");
    tap.guard(Direction::In, |_, _| panic!("a fault of the reader, for this test"));
    tap.feed(Direction::In, b"\x81\x80\0\0\0\0", true);
    tap.feed(Direction::Out, b"\x81\x02hi", true);
    tap.end();
    drop(tap);
    let range = Range { start: Start::Oldest, until: None, limit: 10, order: Order::Ascending };
    let mut told = Vec::new();
    for scanned in hub.scan(range, crate::filter::Filter::default()) {
        let Scanned::Events(events) = scanned else { continue };
        told.extend(events.iter().map(|event| match &event.body {
            EventBody::Message(message) => (message.direction.as_str(), message.opcode.is_some()),
            other => (if matches!(other, EventBody::Close(_)) { "close" } else { "connect" }, true),
        }));
    }
    assert_eq!(told, [("connect", true), ("in", false), ("out", true), ("close", true)]);
}
