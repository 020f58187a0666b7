//! Faults of the log on disk: each is one clear line, and traffic and the live stream go on.

use serde_json::Value;
use wstap::hub::{Hub, LogError, Settings};

use crate::cli::{Running, output, wstap};
use crate::harness::{Tap, until};
use crate::log::{Directory, lines, small_memory, start};

async fn ready(tap: &Tap) -> u16 {
    tap.get("/readyz").await.status
}

/// Waits until `/readyz` answers with a status.
async fn until_ready_is(tap: &Tap, status: u16) {
    let end = std::time::Instant::now() + crate::harness::LIMIT;
    while ready(tap).await != status {
        assert!(std::time::Instant::now() < end, "/readyz does not answer {status}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[test]
fn second_server_on_a_directory_is_refused() {
    let directory = Directory::new();
    let path = directory.path().to_str().expect("text");
    let first = Running::server(&["--listen", "localhost:0", "--data-dir", path]);
    let (code, _, words) = output(&["--listen", "localhost:0", "--data-dir", path]);
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    assert!(words.contains(path) && words.contains("another wstap"), "{words}");
    drop(first);
    // A lock does not outlive its process.
    let again = Running::server(&["--listen", "localhost:0", "--data-dir", path]);
    drop(again);
}

#[test]
fn databases_that_are_not_ours_or_newer_are_refused() {
    let directory = Directory::new();
    let path = directory.path().to_str().expect("text").to_owned();
    let refused = || {
        let (code, _, words) = output(&["--listen", "localhost:0", "--data-dir", &path]);
        assert_eq!((code, words.lines().count()), (1, 1), "{words}");
        assert!(words.contains("events.db"), "{words}");
        words
    };
    directory.open().execute_batch("CREATE TABLE notes(text)").expect("written");
    assert!(refused().contains("another program"));
    std::fs::remove_file(directory.database()).expect("removed");
    drop(Running::server(&["--listen", "localhost:0", "--data-dir", &path]));
    directory
        .open()
        .execute("UPDATE meta SET value = 99 WHERE key = 'schema'", ())
        .expect("written");
    assert!(refused().contains("schema 99 is newer"));
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(file));
    }
    std::fs::write(directory.database(), "hello, this is no database at all").expect("written");
    assert!(refused().contains("not a database"));
    std::fs::remove_file(directory.database()).expect("removed");
}

#[test]
fn directory_that_cannot_be_written_is_refused() {
    let (code, _, words) = output(&["--listen", "localhost:0", "--data-dir", "/proc/none"]);
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    let (code, _, words) = output(&["--data-dir", "/tmp", "--open", "x.ndjson"]);
    assert_eq!((code, words.lines().count()), (2, 1), "{words}");
    let mut command = wstap();
    command.args(["serve", "--print-config", "--sync", "never"]);
    let out = command.output().expect("it runs");
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(2) && words.contains("always"), "{words}");
}

#[tokio::test]
async fn hub_says_why_a_log_cannot_be_opened() {
    let directory = Directory::new();
    let hub = Hub::with_log(Settings::default(), &directory.settings()).expect("it opens");
    let second = Hub::with_log(Settings::default(), &directory.settings());
    assert!(matches!(second, Err(LogError::InUse(_))), "{second:?}");
    hub.shutdown(std::time::Duration::from_secs(5)).await;
    let third = Hub::with_log(Settings::default(), &directory.settings()).expect("it was released");
    third.shutdown(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn stream_goes_on_while_another_program_locks_the_database() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    let mut events = tap.events("?kind=message&format=full").await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    ws.send("{\"n\":1}").await;
    let kept = ws.json().await["ack"].as_str().expect("an ack").to_owned();
    assert_eq!(events.json().await["id"], Value::from(kept.as_str()));
    assert_eq!(ready(&tap).await, 200);

    let other = directory.open();
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    ws.send("{\"n\":2}").await;
    let error = ws.json().await;
    assert_eq!(error["error"]["code"], "unavailable", "{error}");
    let lost = events.json().await["id"].as_str().expect("an id").to_owned();
    tap.get("/readyz").await.is_problem(503, "unavailable", "locked");
    let answer = tap.fetch("POST", "/api/channels/x/messages", &[], "1").await;
    answer.is_problem(502, "unavailable", "did not keep");
    let metrics = tap.get("/metrics").await.body;
    assert!(metrics.contains("wstap_log_failing 1"), "{metrics}");
    assert!(metrics.contains("wstap_log_unkept_events 2"), "{metrics}");

    other.execute_batch("COMMIT").expect("unlocked");
    drop(other);
    until_ready_is(&tap, 200).await;
    ws.send("{\"n\":3}").await;
    let behind = ws.json().await["ack"].as_str().expect("an ack").to_owned();
    drop(ws);
    until("the close", || tap.hub.numbers().connections == 0).await;
    // While they are in memory, they are read.
    let answer = tap.get(&format!("/api/events/{lost}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    tap.stop().await;

    let mut tap = start(small_memory(), &directory.settings()).await;
    let answer = tap.get("/api/events?format=ndjson&limit=all").await;
    let all = lines(&answer.body);
    let gap = all.iter().position(|it| it["kind"] == "gap").expect("a gap");
    assert_eq!(all[gap]["missed"], 2, "{}", answer.body);
    assert_eq!(
        (&all[gap]["after"], &all[gap]["before"]),
        (&Value::from(kept), &Value::from(behind))
    );
    tap.stop().await;
}

#[tokio::test]
async fn removed_database_stops_the_log_and_not_the_stream() {
    let directory = Directory::new();
    let mut tap = start(Settings::default(), &directory.settings()).await;
    let mut events = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    ws.send("1").await;
    events.next().await;
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        std::fs::remove_file(directory.path().join(file)).expect("removed");
    }
    until_ready_is(&tap, 503).await;
    tap.get("/readyz").await.is_problem(503, "unavailable", "removed");
    ws.send("2").await;
    assert!(events.data().await.contains('2'));
    tap.stop().await;
}

#[tokio::test]
async fn damaged_page_is_a_gap_for_its_readers() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    for _ in 0..3000 {
        ws.send("{\"text\":\"something that takes a bit of the space of a page\"}").await;
    }
    for _ in 0..3000 {
        ws.text().await;
    }
    drop(ws);
    tap.stop().await;
    // In the middle of the file are the leaves of the table.
    let mut bytes = std::fs::read(directory.database()).expect("read");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(directory.database(), bytes).expect("written");

    let mut tap = start(small_memory(), &directory.settings()).await;
    let answer = tap.get("/api/events?format=ndjson&limit=all").await;
    let all = lines(&answer.body);
    assert!(all.iter().any(|it| it["kind"] == "gap"), "{} lines without a gap", all.len());
    assert!(all.len() > 1000, "{} lines", all.len());
    tap.stop().await;
    // This one is damaged on purpose.
    std::fs::remove_file(directory.database()).expect("removed");
}
