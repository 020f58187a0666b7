//! Attacks by many connections, and by bytes that are cheap to send: heads, frames and chunks.

use tokio::task::JoinSet;

use super::attack::{
    After, Held, flood, frame, get, movers, mute, push, repeated, shake, storm, text,
};
use super::memory::Row;
use super::work::{ANSWERS, HISTORY, fill};
use super::{Target, beside, duration, sized};
use crate::harness::within;

const KIB: u64 = 1 << 10;

/// Floods WebSockets of a path with frames, from several clients at once.
async fn floods(target: &Target, path: &str, frames: Vec<Vec<u8>>) -> Held {
    let mut clients = JoinSet::new();
    for n in 0..4 {
        let path = format!("{path}?connectionId=flood{n}");
        let tcp = shake(target.traffic, &path, "").await;
        clients.spawn(flood(tcp, duration(), frames.clone()));
    }
    within("the attack", clients.join_all()).await.into()
}

/// A client that has used up its budget of moves opens a new connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movers_that_reconnect_hold_nothing_up() {
    let each = sized(500, 1000);
    // Those that have hung up are there until their frames are handled; `--max-connections` bounds them.
    let row = Row::of("each WebSocket");
    let open = sized(0, 10_000) as u64 * (row.size(0) + row.size(2));
    beside("reconnecting movers", Target::hub(&[]), HISTORY + ANSWERS + open, async |target| {
        let mut clients = JoinSet::new();
        for n in 0..sized(4, 50) {
            clients.spawn(movers(target.traffic, n, each, duration()));
        }
        within("the attack", async { while clients.join_next().await.is_some() {} }).await;
        Held::default()
    })
    .await;
}

/// Each search yields after a millisecond; all of them together have to wait for turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_searches_hold_nothing_up() {
    let target = Target::hub(&[]);
    fill(&target, sized(5_000, 60_000), "an ordinary message").await;
    let needle = "y".repeat(1000);
    let path = format!("/api/events?format=marks&limit=all&text={needle}");
    beside("many searches", target, HISTORY + ANSWERS, async |target| {
        storm(target.observers, sized(50, 500), duration(), After::Reads, |_| get(&path)).await;
        Held::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_searches_hold_no_relay_up() {
    let target = Target::proxy(&[]).await;
    fill(&target, sized(5_000, 60_000), "an ordinary message").await;
    beside("many searches beside a relay", target, HISTORY + ANSWERS, async |target| {
        let filter = |n| format!("/api/events?filter=message.matches(%22a%5Bno%5D%7B{n}%7Dc%22)");
        let request = |n| get(&filter(10 + n));
        storm(target.observers, sized(50, 300), duration(), After::Reads, request).await;
        Held::default()
    })
    .await;
}

/// The answers to pings wait in the memory of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_pings_that_are_not_read_are_bounded() {
    let clients = 4;
    let bound = clients * Row::of("each WebSocket").size(0);
    beside("pings", Target::hub(&[]), bound, async |target| {
        let pings = frame(0x89, &[b'p'; 125]).repeat(500);
        let mut flooding = JoinSet::new();
        for n in 0..clients {
            let mut tcp = shake(target.traffic, &format!("/ws?connectionId=ping{n}"), "").await;
            let pings = pings.clone();
            flooding.spawn(async move {
                let end = std::time::Instant::now() + duration();
                while std::time::Instant::now() < end {
                    push(&mut tcp, &pings).await;
                }
                tcp
            });
        }
        within("the attack", flooding.join_all()).await.into()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_without_payload_hold_nothing_up() {
    beside("empty fragments", Target::hub(&[]), HISTORY, async |target| {
        let fragments = frame(0x00, b"").repeat(4000);
        floods(target, "/ws", vec![[frame(0x01, b""), fragments].concat()]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relayed_fragments_without_payload_hold_nothing_up() {
    beside("relayed fragments", Target::proxy(&[]).await, HISTORY, async |target| {
        let fragments = frame(0x00, b"").repeat(4000);
        floods(target, "/sink", vec![[frame(0x01, b""), fragments].concat()]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relayed_messages_of_one_byte_hold_nothing_up() {
    let inbox = Row::of("all messages that wait to become events").size(0);
    beside("relayed bytes", Target::proxy(&[]).await, 2 * HISTORY + inbox, async |target| {
        floods(target, "/sink", vec![text("b").repeat(4000)]).await
    })
    .await;
}

/// Requests that wait in one connection behind each other, and heads with as many fields as one may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_hold_nothing_up() {
    let fields = repeated(2000, |n| format!("x{n}: y\r\n"));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    for requests in [get("/healthz").repeat(500), long.repeat(10)] {
        beside("pipelined requests", Target::hub(&[]), 4 << 20, async |target| {
            let mut clients = JoinSet::new();
            for _ in 0..4 {
                let tcp = tokio::net::TcpStream::connect(target.observers).await.expect("there");
                clients.spawn(flood(tcp, duration() / 2, vec![requests.clone().into_bytes()]));
            }
            within("the attack", clients.join_all()).await.into()
        })
        .await;
    }
}

/// Uploads through proxy mode that stop half-way, and dribble on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_uploads_hold_nothing_up() {
    let count = sized(40, 1000);
    let row = Row::of("each relayed connection");
    let bound = count as u64 * (row.size(0) + row.size(3));
    let target = Target::proxy(&["--max-connections", "5000"]).await;
    beside("half uploads", target, bound, async |target| {
        let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
        let half = [head.as_bytes(), &vec![b'x'; 300_000]].concat();
        let stopped = mute(target.traffic, count, |_| half.clone()).await;
        stopped.dribble(duration()).await
    })
    .await;
}

/// Each byte of a body is a chunk of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_in_chunks_of_one_byte_are_bounded() {
    let count = sized(8, 100);
    let row = Row::of("all requests whose body");
    let bound = row.size(0) + count as u64 * row.size(1);
    let head = "POST /api/channels/a/messages HTTP/1.1\r\nHost: localhost\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let chunks = [head.as_bytes(), &b"1\r\nx\r\n".repeat(500_000)].concat();
    beside("chunks of one byte", Target::hub(&[]), bound, async |target| {
        mute(target.observers, count, |_| chunks.clone()).await
    })
    .await;
}

/// A connection with large messages is one entry of an archive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_of_large_messages_that_are_not_read_are_bounded() {
    let (count, size) = (sized(4, 20), 900 << 10);
    let target = Target::hub(&[]);
    fill(&target, 60, &"m".repeat(size)).await;
    let bound = count as u64 * (Row::of("each response of `/api`").size(0) + 4 * size as u64);
    beside("large archives", target, bound + 4096 * KIB, async |target| {
        mute(target.observers, count, |_| get("/api/events?format=har").into_bytes()).await
    })
    .await;
}
