//! Input and output errors of the disk under the log: each is one clear line, the stream goes on,
//! `/readyz` and the metrics report it, and what was not kept or cannot be read is a gap.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::Running;
use crate::harness::{Events, Ws, ask, request_at, within};
use crate::log::{Directory, lines};
use crate::log_crash::get;
use crate::log_disk::{Disk, Operation};

fn address(server: &Running) -> SocketAddr {
    ([127, 0, 0, 1], server.port()).into()
}

async fn connect(addr: SocketAddr) -> Ws {
    let tcp = TcpStream::connect(addr).await.expect("the server is there");
    let url = format!("ws://{addr}/ws?ack=1&connectionId=a");
    let handshake = within("a handshake", tokio_tungstenite::client_async(url, tcp)).await;
    Ws { socket: handshake.expect("it is accepted").0 }
}

/// Waits until `/readyz` answers with a status, and returns what it says.
async fn readiness(addr: SocketAddr, status: u16) -> String {
    ask(&format!("{status} of /readyz"), async || {
        let (found, words) = get(addr, "/readyz").await;
        (found == status).then_some(words)
    })
    .await
}

async fn is_failing(addr: SocketAddr) -> bool {
    get(addr, "/metrics").await.1.contains("\nwstap_log_failing 1\n")
}

/// Returns the lines of a server that say that its log fails.
fn errors(server: &Running) -> Vec<String> {
    let words = server.words();
    words.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect()
}

#[tokio::test]
async fn failed_write_stops_the_log_and_not_the_stream() {
    let directory = Directory::new();
    let disk = Disk::new(directory.path());
    let mut server = disk.server(&["--history-events", "10"]);
    let addr = address(&server);
    let mut events =
        Events::of(request_at(addr, "GET", "/events?kind=message&format=full", &[], "").await);
    let mut ws = connect(addr).await;
    ws.send("1").await;
    let kept = ws.json().await["ack"].as_str().expect("an ack").to_owned();
    assert_eq!(events.json().await["id"], Value::from(kept.as_str()));
    disk.fail(Operation::Write, true);
    for n in 2..5 {
        ws.send(&n.to_string()).await;
        assert_eq!(ws.json().await["error"]["code"], "unavailable");
        assert_eq!(events.json().await["message"], n, "the live stream goes on");
    }
    let words = readiness(addr, 503).await;
    assert!(words.contains("Input/output error"), "{words}");
    assert!(is_failing(addr).await);
    assert_eq!(errors(&server).len(), 1, "{}", server.words());

    // What the disk has of the failed writes is not known: only a start goes on.
    disk.fail(Operation::Write, false);
    ws.send("5").await;
    assert_eq!(ws.json().await["error"]["code"], "unavailable");
    drop((ws, events));
    server.signal("TERM");
    assert!(server.end().success());
    let server = disk.server(&[]);
    let addr = address(&server);
    connect(addr).await.send("6").await;
    let headers = [("last-event-id", kept.as_str())];
    let response = request_at(addr, "GET", "/events?format=full", &headers, "").await;
    let gap = Events::of(response).next().await;
    assert_eq!(gap.name, "gap", "{gap:?}");
    assert_eq!(get(addr, "/readyz").await.0, 200);
}

#[tokio::test]
async fn failed_sync_is_never_tried_again() {
    let directory = Directory::new();
    let disk = Disk::new(directory.path());
    for sync in ["always", "50ms"] {
        let mut server = disk.server(&["--sync", sync]);
        let addr = address(&server);
        let mut ws = connect(addr).await;
        ws.send("1").await;
        assert!(ws.json().await["ack"].is_string());
        disk.fail(Operation::Sync, true);
        let before = disk.failed_syncs().len();
        ws.send("2").await;
        let answer = ws.json().await;
        assert!(sync != "always" || answer["error"]["code"] == "unavailable", "{answer}");
        let words = readiness(addr, 503).await;
        assert!(words.contains("did not keep"), "{words}");
        assert!(is_failing(addr).await);
        // Nor when it works again, nor at the end.
        disk.fail(Operation::Sync, false);
        let entries = disk.records().len();
        ws.send("3").await;
        assert_eq!(ws.json().await["error"]["code"], "unavailable");
        drop(ws);
        server.signal("TERM");
        assert!(server.end().success());
        let failed = disk.failed_syncs();
        assert_eq!(failed[before..], ["events.db-wal"]);
        let synced = disk.synced_after(entries);
        assert!(synced.iter().all(|file| file == "lock"), "{synced:?}");
        assert_eq!(errors(&server).len(), 1, "{}", server.words());
    }
}

#[tokio::test]
async fn failed_read_is_a_gap_until_the_disk_reads_again() {
    const MESSAGES: usize = 5000;
    let directory = Directory::new();
    let disk = Disk::new(directory.path());
    let server = disk.server(&["--history-events", "10"]);
    let addr = address(&server);
    let mut ws = connect(addr).await;
    for _ in 0..MESSAGES {
        ws.send("{\"text\":\"something that takes a bit of the space of a page\"}").await;
    }
    for _ in 0..MESSAGES {
        ws.text().await;
    }
    disk.fail(Operation::Read, true);
    let all = "/api/events?format=ndjson&limit=all&kind=message";
    let (_, body) = get(addr, all).await;
    assert!(lines(&body).iter().any(|it| it["kind"] == "gap"), "{} lines", lines(&body).len());
    let (_, words) = get(addr, "/readyz").await;
    assert!(words.contains("cannot be read"), "{words}");
    assert!(is_failing(addr).await);
    assert_eq!(errors(&server).len(), 1, "{}", server.words());
    // Writing goes on meanwhile.
    ws.send("1").await;
    assert!(ws.json().await["ack"].is_string());

    disk.fail(Operation::Read, false);
    readiness(addr, 200).await;
    let (_, body) = get(addr, all).await;
    assert_eq!(lines(&body).len(), MESSAGES + 1);
    assert!(!is_failing(addr).await, "{}", server.words());
}
