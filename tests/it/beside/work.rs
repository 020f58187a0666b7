//! Attacks on the processor: requests whose work grows with what the attacker sends.

use tokio::task::JoinSet;
use wstap::event::EventId;

use super::attack::{After, Held, flood, get, moves, push, repeated, settled, shake, storm, text};
use super::{Target, beside, duration, sized};
use crate::harness::within;

/// The bound of the history by default.
pub(super) const HISTORY: u64 = 64 << 20;

/// The memory of answers and filters under way: a few answers, and four times 8 MiB of filters.
pub(super) const ANSWERS: u64 = 48 << 20;

/// Sends so many messages of a size, so that the history has them.
pub(super) async fn fill(target: &Target, count: usize, message: &str) {
    let path = if target.is_proxy { "/sink" } else { "/ws?connectionId=filler" };
    let mut tcp = shake(target.traffic, path, "").await;
    let frames: Vec<u8> = (0..count).flat_map(|_| text(message)).collect();
    for part in frames.chunks(1 << 20) {
        within("room", tokio::io::AsyncWriteExt::write_all(&mut tcp, part)).await.expect("sent");
    }
    settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selections_over_a_long_history_hold_nothing_up() {
    let target = Target::hub(&[]);
    fill(&target, sized(10_000, 95_000), "x").await;
    let query = format!("/events?last=1{}", repeated(99, |n| format!("&connection=b{n:07}")));
    beside("selections", target, HISTORY + ANSWERS, async |target| {
        let request = |_| get(&query);
        storm(target.observers, 4, duration(), After::HangsUp, request).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selections_on_the_port_of_the_tap_hold_no_relay_up() {
    let target = Target::proxy(&[]).await;
    fill(&target, sized(10_000, 95_000), "x").await;
    let query = format!("/events?last=1{}", repeated(99, |n| format!("&connection=b{n:07}")));
    beside("selections beside a relay", target, HISTORY + ANSWERS, async |target| {
        storm(target.observers, 4, duration(), After::HangsUp, |_| get(&query)).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costly_filters_over_large_messages_hold_nothing_up() {
    let target = Target::hub(&[]);
    let message = format!("[\"{}\"]", "ab".repeat(150_000));
    fill(&target, sized(10, 60), &message).await;
    let filter = "/api/events?filter=message.exists(i,i.matches(%22a%5Bab%5D%7B60%7Dc%22))";
    beside("costly filters", target, HISTORY + ANSWERS, async |target| {
        storm(target.observers, 3, duration(), After::Reads, |n| {
            get(&format!("{filter}%7C%7C{n}==9"))
        })
        .await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_for_a_text_hold_nothing_up() {
    let target = Target::hub(&[]);
    fill(&target, sized(10_000, 90_000), "an ordinary message").await;
    let needle = "y".repeat(1000);
    let path = format!("/api/events?format=marks&limit=all&text={needle}");
    beside("searches", target, HISTORY + ANSWERS, async |target| {
        storm(target.observers, 3, duration(), After::Reads, |_| get(&path)).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_hold_nothing_up() {
    let target = Target::hub(&[]);
    fill(&target, sized(5_000, 90_000), "an ordinary message").await;
    beside("archives", target, HISTORY + ANSWERS, async |target| {
        let path = get("/api/events?format=har");
        storm(target.observers, 3, duration(), After::Reads, |_| path.clone()).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_listeners_with_different_patterns_hold_nothing_up() {
    let target = Target::hub(&[]);
    beside("live patterns", target, HISTORY + ANSWERS, async |target| {
        let mut listeners = Vec::new();
        for n in 0..sized(10, 20) {
            let filter =
                format!("/events?filter=message.matches(%22a%5Bab%5D%7B{}%7Dc%22)", 40 + n);
            let mut tcp = tokio::net::TcpStream::connect(target.observers).await.expect("there");
            push(&mut tcp, get(&filter).as_bytes()).await;
            listeners.push(tcp);
        }
        let tcp = shake(target.traffic, "/ws?connectionId=large", "").await;
        let large = text(&"ab".repeat(150_000));
        let sent = flood(tcp, duration() / 4, vec![large]).await;
        listeners.push(sent);
        listeners.into()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_change_channels_hold_nothing_up() {
    let target = Target::hub(&[]);
    let frames = moves(0, sized(500, 1000));
    // Each client has its channels, and each change is an event.
    beside("changes of channels", target, HISTORY + ANSWERS, async |target| {
        let mut clients = JoinSet::new();
        for n in 0..4 {
            let path = format!("/ws?connectionId=changes{n}");
            let tcp = shake(target.traffic, &path, "").await;
            clients.spawn(flood(tcp, duration(), frames.clone()));
        }
        clients.join_all().await.into()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_and_go_hold_nothing_up() {
    let target = Target::hub(&[]);
    beside("connects and resets", target, HISTORY + ANSWERS, async |target| {
        let request = |n: usize| {
            let id = EventId { ms: n as u64, seq: 0 };
            format!(
                "GET /ws?connectionId=churn{id} HTTP/1.1\r\nHost: localhost\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: upgrade\r\n\r\n"
            )
        };
        storm(target.traffic, 8, duration(), After::HangsUp, request).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_many_channels_hold_nothing_up() {
    let target = Target::hub(&[]);
    let mut held = Vec::new();
    for n in 0..sized(5, 50) {
        let mut tcp = shake(target.traffic, &format!("/ws?connectionId=lists{n}"), "").await;
        let channels: Vec<_> = (0..1000).map(|c| format!("\"channel {n} {c}\"")).collect();
        let channels = channels.join(",");
        let command = format!(r#"{{"type":"subscribe","params":{{"channels":[{channels}]}}}}"#);
        push(&mut tcp, &text(&command)).await;
        held.push(tcp);
    }
    beside("lists of channels", target, HISTORY + ANSWERS, async |target| {
        let request = |n: usize| get(["/api/channels", "/api/connections", "/metrics"][n % 3]);
        storm(target.observers, 6, duration(), After::Reads, request).await;
        held.into()
    })
    .await;
}
