//! What one publication costs whoever publishes, by the number of members, listeners and channels and
//! with a full history: `cargo bench --bench hub`. It is to be flat.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use wstap::event::{Body, Channel, Connect, Direction, Message, Opcode};
use wstap::filter::Filter;
use wstap::hub::{
    About, Connection, Credential, Hub, Mailbox, NotAllowed, Publication, Retention, Settings,
    Start,
};
use wstap::json::Json;

const SIZES: [usize; 3] = [1, 100, 10_000];

fn hub(runtime: &Runtime, settings: Settings) -> Hub {
    let _inside = runtime.enter();
    Hub::new(Settings { max_connections: 20_000, max_listeners: 20_000, ..settings })
}

fn connect(hub: &Hub, n: usize) -> (Connection, Mailbox) {
    let connect = Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    };
    let id = format!("c{n}").parse().expect("an id");
    hub.connect(id, connect).expect("there is room")
}

fn message() -> Message {
    Message::new(Direction::In, Opcode::Text, 2, Body::Value(Json::string("x")))
}

fn publication(channel: &Channel) -> Publication {
    Publication::new(channel.clone(), Opcode::Text, 2, Body::Value(Json::string("x")))
}

/// Times publications to a channel. The hub catches up with the deliveries in between.
fn to_channel(runtime: &Runtime, hub: &Hub, channel: &Channel, count: u64) -> Duration {
    let mut time = Duration::ZERO;
    for _ in 0..count {
        loop {
            let publication = publication(channel);
            let start = Instant::now();
            let published = hub.publish(black_box(publication));
            let taken = start.elapsed();
            match published {
                Ok(_) => {
                    time += taken;
                    break;
                }
                Err(NotAllowed::Busy) => runtime.block_on(hub.room_in(channel)),
                Err(other) => panic!("{other}"),
            }
        }
    }
    time
}

fn members(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish to a channel, by members");
    for count in SIZES {
        let runtime = Runtime::new().expect("a runtime");
        let hub = hub(&runtime, Settings::default());
        let channel: Channel = "x".parse().expect("a channel");
        let connections: Vec<_> = (0..count).map(|n| connect(&hub, n)).collect();
        for (connection, _) in &connections {
            let channels = std::slice::from_ref(&channel);
            connection.join(channels, Credential::None, 0).expect("it is public");
        }
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_custom(|count| to_channel(&runtime, &hub, &channel, count));
        });
        drop(connections);
    }
    group.finish();
}

fn listeners(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish, by listeners that do not read");
    for count in SIZES {
        let runtime = Runtime::new().expect("a runtime");
        let hub = hub(&runtime, Settings::default());
        let about =
            || About { remote: ([127, 0, 0, 1], 1).into(), form: "plain", query: String::new() };
        let listeners: Vec<_> = (0..count)
            .map(|_| hub.subscribe(Start::Now, Filter::default(), about()).expect("room"))
            .collect();
        let (publisher, _mailbox) = connect(&hub, 0);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| publisher.publish(message()).expect("it is live"));
        });
        drop(listeners);
    }
    group.finish();
}

fn channels(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish to a channel, by channels");
    for count in SIZES {
        let runtime = Runtime::new().expect("a runtime");
        let hub = hub(&runtime, Settings::default());
        let connections: Vec<_> = (0..count.div_ceil(1000)).map(|n| connect(&hub, n)).collect();
        let names: Vec<Channel> =
            (0..count).map(|n| format!("channel {n}").parse().expect("a channel")).collect();
        for (names, (connection, _)) in names.chunks(1000).zip(&connections) {
            connection.join(names, Credential::None, 0).expect("they are public");
        }
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_custom(|many| to_channel(&runtime, &hub, &names[count / 2], many));
        });
        drop(connections);
    }
    group.finish();
}

fn history(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish, by events that history keeps");
    for count in [1, 1000, 1_000_000] {
        let runtime = Runtime::new().expect("a runtime");
        let history = Retention { events: count, bytes: usize::MAX, age: None };
        let hub = hub(&runtime, Settings { history, ..Settings::default() });
        let (publisher, _mailbox) = connect(&hub, 0);
        for _ in 0..=count {
            publisher.publish(message()).expect("it is live");
        }
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| publisher.publish(message()).expect("it is live"));
        });
    }
    group.finish();
}

criterion_group!(benches, members, listeners, channels, history);
criterion_main!(benches);
