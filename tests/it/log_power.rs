//! Power cuts, by a disk that forgets what was not synced: what `--sync` promises is kept.
//! `WSTAP_CRASHES` says how often; `just crash` takes 200.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::Running;
use crate::harness::{Events, Ws, ask, within};
use crate::log::{Directory, lines};
use crate::log_crash::{books, get, hear, listen, ordered, publish, rounds};
use crate::log_disk::{Disk, Survival};

/// Of what was not synced, a disk has nothing, all, or any part: one of the three in each cut.
fn any_survival() -> impl FnMut() -> Survival {
    let mode = fastrand::u8(0..3);
    move || match (mode, fastrand::u8(0..3)) {
        (0, _) | (2, 0) => Survival::No,
        (1, _) | (2, 1) => Survival::Whole,
        _ => Survival::Sectors(fastrand::usize(0..=8)),
    }
}

fn address(server: &Running) -> SocketAddr {
    ([127, 0, 0, 1], server.port()).into()
}

#[tokio::test]
async fn power_cut_with_sync_always_takes_nothing_that_was_told() {
    // A cut takes something if it comes between a write and its sync: the books are kept again until
    // one of the cuts has.
    for _ in 0..20 {
        let directory = Directory::new();
        let disk = Disk::new(directory.path());
        let server = || disk.server(&["--sync", "always", "--history-events", "100"]);
        let mut forgotten = 0;
        books(rounds() / 4, server, || forgotten += disk.cut_power(any_survival())).await;
        if forgotten > 0 {
            return;
        }
    }
    panic!("no cut has taken anything");
}

/// Sends numbered messages and waits for their acks.
async fn publish_some(addr: SocketAddr, numbers: std::ops::Range<usize>) {
    let tcp = TcpStream::connect(addr).await.expect("the server is there");
    let url = format!("ws://{addr}/ws?ack=1&connectionId=publisher");
    let (socket, _) =
        within("a handshake", tokio_tungstenite::client_async(url, tcp)).await.expect("accepted");
    let mut ws = Ws { socket };
    for number in numbers.clone() {
        ws.send(&format!("{{\"n\":{number}}}")).await;
    }
    for _ in numbers {
        let ack = ws.json().await;
        assert!(ack["ack"].is_string(), "{ack}");
    }
    ws.close(1000, "").await;
}

/// Returns the ids of the log, and the numbers of the messages from `first` on.
async fn kept(addr: SocketAddr, first: usize) -> (Vec<String>, Vec<usize>) {
    let (_, body) = get(addr, "/api/events?format=ndjson&limit=all").await;
    let all: Vec<Value> = lines(&body).into_iter().filter(|it| it["kind"] != "gap").collect();
    let ids = all.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect();
    let number = |it: &Value| it["message"]["n"].as_u64().and_then(|n| usize::try_from(n).ok());
    (ids, all.iter().filter_map(number).filter(|n| *n >= first).collect())
}

async fn next_id(events: &mut Events) -> (String, Value) {
    let event = events.next().await;
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    (event.name, data)
}

#[tokio::test]
async fn power_cut_takes_only_the_end_that_was_not_synced() {
    const SYNCED: usize = 100;
    let directory = Directory::new();
    let disk = Disk::new(directory.path());
    let arguments = ["--sync", "50ms", "--history-events", "100"];
    let mut cuts = 0;
    let mut server = disk.server(&arguments);
    // All that was not synced may have reached the disk: until one of the cuts has taken something.
    for round in 0.. {
        if round >= rounds().div_ceil(5) && cuts > 0 {
            break;
        }
        assert!(round < rounds() + 40, "no cut has taken what was announced");
        let (addr, first) = (address(&server), 1_000_000 * (round + 1));
        publish_some(addr, first..first + SYNCED).await;
        // A sync that begins from here on covers these.
        let before = disk.records().len();
        ask("a sync", async || disk.synced_after(before).contains("events.db-wal").then_some(()))
            .await;
        let (ids, _) = kept(addr, first).await;
        let newest = ids.last().expect("an event");
        let listener = tokio::spawn(hear(listen(addr, Some(newest)).await));
        let publisher = tokio::spawn(publish(addr, first + SYNCED));
        // Times that differ, so that the cut hits every stage of a sync.
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 150)).await;
        server.signal("KILL");
        within("the publisher", publisher).await.expect("it does not panic");
        let heard = within("the listener", listener).await.expect("it does not panic");
        drop(server);
        disk.cut_power(any_survival());

        server = disk.server(&arguments);
        let addr = address(&server);
        let (ids, numbers) = kept(addr, first).await;
        assert!(numbers.len() >= SYNCED, "{} of {SYNCED} that were synced", numbers.len());
        assert!(numbers.iter().copied().eq(first..first + numbers.len()), "a hole in {numbers:?}");
        let Some((last, _)) = heard.last() else { continue };
        let forgotten = !ids.contains(last);
        cuts += usize::from(forgotten);
        // Ids go on behind all that were announced, and what was lost is a gap.
        let mut events = listen(addr, Some(last)).await;
        publish_some(addr, 0..1).await;
        let (name, next) = next_id(&mut events).await;
        assert_eq!(name == "gap", forgotten, "{next} after {last}");
        let (_, body) = get(addr, "/api/events?format=ndjson&limit=1&order=desc").await;
        let newest = lines(&body)[0]["id"].as_str().expect("an id").to_owned();
        assert!(ordered(&newest) > ordered(last), "{newest} after {last}");
    }
}
