//! The parts in the path of a message, each alone: `cargo bench --bench hot`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wstap::dialect;
use wstap::event::{Body, Connect, Direction, Draft, Event, EventId, Message, Opcode, What};
use wstap::filter::Filter;
use wstap::hub::{About, Delivery, Hub, Settings, Start};
use wstap::wire::Form;

/// A frame of 256 bytes, as the fan-out benchmark sends them.
fn frame() -> String {
    let padding = "x".repeat(256 - r#"{"connectionId":"a","message":""}"#.len());
    format!(r#"{{"connectionId":"a","message":"{padding}"}}"#)
}

fn message() -> Message {
    let own = "a".parse().expect("an id");
    let body = dialect::message(&frame(), &own).expect("accepted").expect("an event");
    Message::new(Direction::In, Opcode::Text, 256, body)
}

fn event() -> Event {
    let connection = "a".parse().expect("an id");
    let draft = Draft { connection, what: What::Message(message()) };
    draft.stamp(EventId { ms: 1_763_670_000_123, seq: 0 }, 1)
}

fn frame_to_event(c: &mut Criterion) {
    let (own, object) = ("a".parse().expect("an id"), frame());
    let (json, text) = (format!("[{object}]"), format!("no JSON: {object}"));
    let mut group = c.benchmark_group("frame to event");
    group.throughput(Throughput::Bytes(256));
    for (name, frame) in [("own object", &object), ("other JSON", &json), ("text", &text)] {
        group.bench_function(name, |b| b.iter(|| dialect::message(black_box(frame), &own)));
    }
    group.finish();
}

fn render(c: &mut Criterion) {
    let event = event();
    let mut out = Vec::with_capacity(1024);
    let mut group = c.benchmark_group("render");
    for (name, form) in [
        ("plain", Form::Plain { names: false }),
        ("full", Form::Full { names: false }),
        ("ndjson", Form::Ndjson),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                form.event(black_box(&event), &mut out);
            });
        });
    }
    let binary = Body::Binary(vec![7; 192].into());
    let message = Message::new(Direction::In, Opcode::Binary, 192, binary);
    let draft = Draft { connection: "a".parse().expect("an id"), what: What::Message(message) };
    let event = draft.stamp(EventId::default(), 1);
    group.bench_function("plain, binary", |b| {
        b.iter(|| {
            out.clear();
            Form::Plain { names: false }.event(black_box(&event), &mut out);
        });
    });
    group.finish();
}

fn publish(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let connect = || Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
    };
    let about =
        || About { remote: ([127, 0, 0, 1], 1).into(), form: "plain", query: String::new() };
    let mut group = c.benchmark_group("publish");
    let hub = Hub::new(Settings::default());
    let (connection, _orders) = hub.connect("a".parse().expect("an id"), connect()).expect("room");
    group.bench_function("nobody listens", |b| {
        b.iter_with_setup(message, |message| connection.publish(message));
    });
    for count in [1, 100] {
        let listen = || hub.subscribe(Start::Now, Filter::default(), about()).expect("room");
        let mut listeners: Vec<_> = (0..count).map(|_| listen()).collect();
        group.bench_function(format!("and read by {count}"), |b| {
            b.iter_with_setup(message, |message| {
                let id = connection.publish(message).expect("registered");
                runtime.block_on(async {
                    for listener in &mut listeners {
                        while !matches!(listener.next().await, Some(Delivery::Events(read)) if read.events().any(|e| e.id == id)) {}
                    }
                });
            });
        });
    }
    group.finish();
}

fn filter(c: &mut Criterion) {
    let event = event();
    let filter = Filter {
        connections: vec!["b".parse().expect("an id"), "a".parse().expect("an id")],
        kinds: vec![wstap::event::Kind::Message],
        directions: vec![Direction::In],
    };
    c.bench_function("filter by fields", |b| {
        b.iter(|| black_box(&filter).selects(black_box(&event)));
    });
}

criterion_group!(benches, frame_to_event, render, publish, filter);
criterion_main!(benches);
