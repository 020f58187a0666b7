//! Faults of the log on disk: each is one clear line, and traffic and the live stream go on.

use serde_json::Value;
use wstap::hub::{Hub, LogError, Settings};

use crate::cli::{Running, output, wstap};
use crate::harness::{Tap, ask, until};
use crate::log::{Directory, lines, small_memory, start};

async fn ready(tap: &Tap) -> u16 {
    tap.get("/readyz").await.status
}

/// Waits until `/readyz` answers with a status.
async fn until_ready_is(tap: &Tap, status: u16) {
    ask(&format!("{status} of /readyz"), async || (ready(tap).await == status).then_some(())).await;
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

#[test]
fn file_in_the_place_of_the_directory_is_refused() {
    let directory = Directory::new();
    let path = directory.path().join("file");
    std::fs::write(&path, "text").expect("written");
    let path = path.to_str().expect("text");
    let (code, _, words) = output(&["--listen", "localhost:0", "--data-dir", path]);
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    assert!(words.contains(path) && words.contains("is a file"), "{words}");
}

#[cfg(target_os = "linux")]
#[test]
fn directory_without_write_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    // In a user namespace without a user the permissions of the owner hold for root as well.
    let unshare = || {
        let mut command = std::process::Command::new("unshare");
        command.arg("-U");
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        return;
    }
    let directory = Directory::new();
    let path = directory.path().to_str().expect("text");
    let allow = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(directory.path(), mode).expect("it is ours");
    };
    allow(0o555);
    let mut command = unshare();
    command.arg(wstap().get_program()).args(["--listen", "localhost:0", "--data-dir", path]);
    let out = command.output().expect("it runs");
    allow(0o755);
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), words.lines().count()), (Some(1), 1), "{words}");
    assert!(words.contains(path) && words.contains("ermission denied"), "{words}");
}

/// Makes the files of a directory immutable, or ends that. Returns whether the file system does that.
#[cfg(target_os = "linux")]
fn immutable(directory: &Directory, change: &str) -> bool {
    let files = ["lock", "events.db", "events.db-wal"].map(|file| directory.path().join(file));
    let status = std::process::Command::new("chattr")
        .arg(change)
        .args(files)
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stream_goes_on_while_the_files_are_read_only() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    let mut events = tap.events("?kind=message&format=full").await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    ws.send("1").await;
    assert!(ws.json().await["ack"].is_string());
    events.next().await;
    if immutable(&directory, "+i") {
        ws.send("2").await;
        let error = ws.json().await;
        let ready = tap.get("/readyz").await;
        let live = events.json().await;
        assert!(immutable(&directory, "-i"), "it was possible before");
        assert_eq!(error["error"]["code"], "unavailable", "{error}");
        assert_eq!(live["message"], 2);
        ready.is_problem(503, "unavailable", "read-only");
        until_ready_is(&tap, 200).await;
        ws.send("3").await;
        assert!(ws.json().await["ack"].is_string());
    }
    drop(ws);
    tap.stop().await;
}

/// Makes a log for whose servers the clock seems to be set back: ids count up from its last one.
async fn log_of_the_future() -> Directory {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    tap.registered("a").await.close(1000, "").await;
    tap.stop().await;
    let future = "UPDATE events SET time = 4000000000000 WHERE id = (SELECT max(id) FROM events)";
    directory.open().execute(future, ()).expect("written");
    directory
}

#[tokio::test]
async fn ids_do_not_repeat_after_a_stop_while_the_log_fails() {
    let directory = log_of_the_future().await;
    let mut tap = start(small_memory(), &directory.settings()).await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    ws.send("1").await;
    let kept = ws.json().await["ack"].as_str().expect("an ack").to_owned();
    let mut events = tap.events("?kind=message&format=full").await;
    let other = directory.open();
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    ws.send("2").await;
    assert!(ws.json().await["error"].is_object());
    let heard = events.json().await["id"].as_str().expect("an id").to_owned();
    tap.stop().await;
    drop(ws);
    other.execute_batch("COMMIT").expect("unlocked");
    drop(other);

    for _ in 0..2 {
        let mut tap = start(small_memory(), &directory.settings()).await;
        let mut ws = tap.ws("/ws?ack=1&connectionId=b").await;
        ws.send("3").await;
        let next = ws.json().await["ack"].as_str().expect("an ack").to_owned();
        let number = |id: &str| {
            let (ms, seq) = id.split_once('-').expect("an id");
            (ms.parse::<u64>().expect("a number"), seq.parse::<u64>().expect("a number"))
        };
        assert!(number(&next) > number(&heard), "{next} after {heard}");
        // A listener that has not heard of it is told that something is missing.
        let mut events = tap.events_with("?format=full", &[("last-event-id", &kept)]).await;
        let gap = events.next().await;
        assert_eq!(gap.name, "gap", "{gap:?}");
        let gap: Value = serde_json::from_str(&gap.data).expect("JSON");
        assert_eq!(gap["after"], Value::from(kept.as_str()));
        assert!(gap["missed"].as_u64() >= Some(1), "{gap}");
        drop((ws, events));
        tap.stop().await;
    }
}

#[tokio::test]
async fn ids_do_not_repeat_after_a_power_cut() {
    let directory = log_of_the_future().await;
    // The machine had the log open, with `--sync 1s`, when it was turned off.
    let lock = directory.path().join("lock");
    let text = std::fs::read_to_string(&lock).expect("text");
    assert!(text.contains("stopped"), "{text:?}");
    let mut lines = text.lines();
    let open = format!("{:<63}\n{:<63}\n", lines.next().expect("a line"), "running 1000 another");
    std::fs::write(&lock, open).expect("written");

    let mut tap = start(small_memory(), &directory.settings()).await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    ws.send("1").await;
    let id = ws.json().await["ack"].as_str().expect("an ack").to_owned();
    let ms: u64 = id.split('-').next().and_then(|ms| ms.parse().ok()).expect("a time");
    assert!(ms >= 4_000_000_001_000, "{id} may have been announced before");
    drop(ws);
    tap.stop().await;
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
    assert!(metrics.contains("\nwstap_log_failing 1\n"), "{metrics}");
    assert!(metrics.contains("\nwstap_log_unkept_events 2\n"), "{metrics}");

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
    // All of it is in the one file, whatever the close had time for.
    let log = rusqlite::Connection::open(directory.database()).expect("a database");
    let busy: i64 = log
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .expect("a checkpoint");
    assert_eq!(busy, 0, "another process has the database open");
    drop(log);
    // A leaf of the table of events: a page that begins as one and holds their text.
    let mut bytes = std::fs::read(directory.database()).expect("read");
    let text = b"something that takes";
    let is_leaf = |page: &[u8]| page[0] == 0x0d && memchr::memmem::find(page, text).is_some();
    let mut pages: Vec<_> = bytes.chunks_exact_mut(4096).filter(|page| is_leaf(page)).collect();
    let middle = pages.len() / 2;
    pages[middle].fill(0xff);
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
