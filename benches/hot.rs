//! The parts in the path of a message, each alone: `cargo bench --bench hot`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wstap::dialect;
use wstap::event::{Body, Connect, Direction, Draft, Event, EventId, Message, Opcode, What};
use wstap::filter::{Expression, Filter, Reading};
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
    Message { direction: Direction::In, opcode: Opcode::Text, size: 256, body }
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
    let message =
        Message { direction: Direction::In, opcode: Opcode::Binary, size: 192, body: binary };
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
        expression: None,
    };
    let mut group = c.benchmark_group("filter");
    group.bench_function("by fields", |b| {
        b.iter(|| black_box(&filter).selects(black_box(&event)));
    });
    let event = order();
    let body = Reading::of(&event);
    group.bench_function("read a body", |b| b.iter(|| Reading::of(black_box(&event))));
    for (name, source) in [
        ("no body", "kind == \"message\" && size > 100"),
        ("simple", "message.price > 100.0"),
        (
            "three conditions",
            "kind == \"message\" && message.price > 100.0 && message.side in [\"buy\", \"sell\"]",
        ),
        ("exists", "message.items.exists(i, i.amount > 2 && i.name == \"z\")"),
        ("contains", "text(message).contains(\"needle\")"),
        ("matches", "message.note.matches(\"^[a-z]+ [0-9]{4}$\")"),
    ] {
        let expression = Expression::parse(source).expect("right");
        group.bench_function(format!("{name}, parsed"), |b| {
            b.iter(|| expression.holds_with(black_box(&event), &body));
        });
        group.bench_function(format!("{name}, with the parse"), |b| {
            b.iter(|| expression.holds(black_box(&event)));
        });
        group.bench_function(format!("{name}, compiled"), |b| {
            b.iter(|| Expression::parse(black_box(source)));
        });
    }
    for (name, source) in [
        ("brackets", "(".repeat(1024)),
        ("a chain", format!("1{}==1", "+1".repeat(500))),
        ("a costly macro", format!("message.exists(x,{})", vec!["x==1"; 100].join("||"))),
        ("a huge pattern", "kind.matches('((a{50}){50}){50}')".to_owned()),
        ("classes", format!("kind.matches('{}')", "[^\u{1f600}]{99}".repeat(50))),
        ("five patterns", ["kind.matches('[^ä]{50}.{9}')"; 5].join("||")),
        ("a long text", "x".repeat(1 << 20)),
    ] {
        assert!(Expression::parse(&source).is_err(), "{name}");
        group.bench_function(format!("hostile: {name}"), |b| {
            b.iter(|| Expression::parse(black_box(&source)));
        });
    }
    group.finish();
}

/// A message of 256 bytes as there are many: a few fields of several types.
fn order() -> Event {
    let text = r#"{"connectionId":"a","message":{"id":"9c1f7a52-1d0e-4c55-a2a1-0f3f7c2d9b11","price":101.25,"side":"buy","symbol":"ACME","ok":true,"items":[{"name":"x","amount":3},{"name":"y","amount":1},{"name":"z","amount":2}],"note":"limit 2026","more":null,"tag":"abc"}}"#;
    assert_eq!(text.len(), 256);
    let own = "a".parse().expect("an id");
    let body = dialect::message(text, &own).expect("accepted").expect("an event");
    let message = Message { direction: Direction::In, opcode: Opcode::Text, size: 256, body };
    let draft = Draft { connection: own, what: What::Message(message) };
    draft.stamp(EventId { ms: 1_763_670_000_123, seq: 0 }, 1)
}

criterion_group!(benches, frame_to_event, render, publish, filter);
criterion_main!(benches);
