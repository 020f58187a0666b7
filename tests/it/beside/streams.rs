//! Event streams that take what they can of the tap, and a client that reads all of them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::attack::get;
use super::memory::Row;
use super::{Target, beside, duration, sized};
use crate::harness::LIMIT;

/// Answers a request for an event stream without an end: `/stream/line` is one line, `/stream/events`
/// are small events, and `/stream/inflating` is compressed a thousandfold.
pub(super) async fn answer(mut tcp: TcpStream, head: &str) -> Option<()> {
    let inflates = head.starts_with("GET /stream/inflating ");
    let encoding = if inflates { "Content-Encoding: gzip\r\n" } else { "" };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{encoding}\r\n");
    tcp.write_all(answer.as_bytes()).await.ok()?;
    let piece = if inflates {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(format!("data: {}\n\n", "a".repeat(1 << 20)).as_bytes()).expect("memory");
        gzip.finish().expect("memory")
    } else if head.starts_with("GET /stream/line ") {
        tcp.write_all(b"data: ").await.ok()?;
        vec![b'x'; 1 << 20]
    } else {
        b"data:x\n\n".repeat(10_000)
    };
    loop {
        tcp.write_all(&piece).await.ok()?;
    }
}

/// Reads an answer for some time, and until so many bytes have come.
async fn read(addr: SocketAddr, (path, least): (&str, usize), time: Duration) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.expect("the server is there");
    tcp.write_all(get(path).as_bytes()).await.expect("sent");
    let (end, mut bytes, mut all) = (Instant::now() + time, vec![0; 256 << 10], 0);
    while all < least || Instant::now() < end {
        let read = timeout(LIMIT, tcp.read(&mut bytes)).await.expect("more comes in time");
        all += read.expect("the stream goes on");
    }
    tcp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_without_an_end_are_bounded() {
    let clients = sized(1, 4);
    let paths =
        [("/stream/line", 16 << 20), ("/stream/events", 1 << 20), ("/stream/inflating", 8 << 10)];
    let row = Row::of("each event stream");
    let bound = (64 << 20)
        + Row::of("all messages that wait to become events").size(0)
        + Row::of("all incomplete messages").size(0)
        + Row::of("events in delivery").size(0)
        + (clients * paths.len()) as u64 * (row.size(0) + row.size(1));
    let target = Target::proxy(&[]).await;
    beside("event streams", target, bound, async |target| {
        let mut running = JoinSet::new();
        for path in paths.iter().cycle().take(clients * paths.len()) {
            running.spawn(read(target.traffic, *path, duration()));
        }
        running.join_all().await.into()
    })
    .await;
}
