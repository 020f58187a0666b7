//! The write-ahead log is bounded while listeners are slow.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::LogSettings;

use crate::harness::{Tap, until, within};
use crate::log::{Directory, small_memory, start};

/// Sends messages of 10 KB in one connection, and waits until they are in the log.
async fn publish(tap: &Tap, count: usize) {
    let mut ws = tap.ws("/ws?ack=1").await;
    ws.send("{\"connectionId\":\"a\"}").await;
    let text = "x".repeat(10_000);
    for _ in 0..count / 50 {
        for _ in 0..50 {
            ws.send(&text).await;
        }
        for _ in 0..50 {
            assert!(ws.json().await["ack"].is_string());
        }
    }
    ws.close(1000, "").await;
}

#[tokio::test]
async fn listener_that_stops_reading_in_the_log_does_not_hold_the_write_ahead_log() {
    const LIMIT: u64 = 6 << 20;
    let directory = Directory::new();
    // Leaves 1 MiB to the write-ahead log.
    let log = LogSettings { bytes: Some(64 << 20), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    publish(&tap, 2000).await;
    let mut listener = TcpStream::connect(tap.addr).await.expect("the server is there");
    let head = b"GET /events?since=1970-01-01T00:00:00Z HTTP/1.1\r\nHost: localhost\r\n\r\n";
    listener.write_all(head).await.expect("sent");
    let mut some = vec![0; 100_000];
    within("some events", listener.read_exact(&mut some)).await.expect("the stream begins");
    let wal = || std::fs::metadata(directory.path().join("events.db-wal")).expect("a file").len();
    publish(&tap, 2000).await;
    until("a short write-ahead log", || wal() < LIMIT).await;
    assert_eq!(tap.hub.listeners().len(), 1);
    drop(listener);

    // Another program that keeps a transaction open does hold it.
    let other = directory.open();
    other.execute_batch("BEGIN; SELECT count(*) FROM events").expect("read");
    publish(&tap, 2000).await;
    assert!(wal() > LIMIT, "{} bytes", wal());
    drop(other);
    publish(&tap, 50).await;
    until("a short write-ahead log", || wal() < LIMIT).await;
    tap.stop().await;
}
