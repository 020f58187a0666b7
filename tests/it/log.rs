//! The log on disk: what is read back after a restart, and what listeners and acks were told before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wstap::hub::{ChannelRules, Declared, Hub, LogSettings, LogSync, Retention, Settings};
use wstap::server::{Endpoint, Server};
use wstap::web::Web;

use crate::harness::{Tap, until};

/// A directory for a log, whose database is checked at the end.
pub(crate) struct Directory(tempfile::TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.path().join("events.db")
    }

    /// Opens the database as another program does.
    pub(crate) fn open(&self) -> Connection {
        Connection::open(self.database()).expect("a database")
    }

    pub(crate) fn settings(&self) -> LogSettings {
        LogSettings::new(self.path())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for file in std::fs::read_dir(self.path()).expect("a directory") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|extension| extension == "db") {
                let database = Connection::open(&path).expect("a database");
                let words: String = database
                    .query_row("PRAGMA integrity_check", (), |row| row.get(0))
                    .expect("it can be checked");
                assert_eq!(words, "ok", "{}", path.display());
            }
        }
        if self.database().exists() {
            let disordered = "SELECT count(*) FROM (SELECT time, seq, lag(time) OVER places AS t, \
                              lag(seq) OVER places AS s FROM events WINDOW places AS (ORDER BY id)) \
                              WHERE (t, s) >= (time, seq)";
            let count: i64 =
                self.open().query_row(disordered, (), |row| row.get(0)).expect("a number");
            assert_eq!(count, 0, "event ids increase with positions");
        }
    }
}

/// Starts a server with a log.
pub(crate) async fn start(settings: Settings, log: &LogSettings) -> Tap {
    start_with(settings, log, |_| {}).await
}

/// Starts a server with a log, and with what is changed before.
pub(crate) async fn start_with(
    settings: Settings,
    log: &LogSettings,
    change: impl FnOnce(&mut Web),
) -> Tap {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let hub = Hub::with_log(settings, log).expect("the log opens");
    let mut web = Web::new(hub.clone());
    change(&mut web);
    let router = web.together();
    let server = Server {
        endpoints: vec![Endpoint { listener, router, patient: false }],
        max_per_address: None,
    };
    let mut tap = Tap::of(addr, hub.clone());
    let running = server.run(hub, tap.stop.clone(), Duration::from_secs(5));
    tap.running(tokio::spawn(running));
    tap
}

/// Settings that keep only the last few events in memory.
pub(crate) fn small_memory() -> Settings {
    let history = Retention { events: 10, bytes: 1 << 20, age: None };
    Settings { history, ..Settings::default() }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Sends numbered messages and waits for the ack of each. Returns the ids.
async fn publish(tap: &Tap, id: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut ws = tap.ws(&format!("/ws?ack=1&connectionId={id}")).await;
    let mut ids = Vec::new();
    for number in numbers.clone() {
        ws.send(&format!("{{\"n\":{number}}}")).await;
    }
    for _ in numbers {
        let ack = ws.json().await;
        ids.push(ack["ack"].as_str().unwrap_or_else(|| panic!("an ack, not {ack}")).to_owned());
    }
    ws.close(1000, "").await;
    ids
}

#[tokio::test]
async fn restart_continues_the_stream_where_it_ended() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    let ids = publish(&tap, "a", 0..100).await;
    tap.stop().await;

    let mut tap = start(small_memory(), &directory.settings()).await;
    let more = publish(&tap, "a", 100..150).await;
    let all: Vec<&String> = ids.iter().chain(&more).collect();
    // A listener that has seen the 51st message of the first server.
    let mut events =
        tap.events_with("?kind=message&format=full", &[("last-event-id", &ids[50])]).await;
    for (n, id) in all.iter().enumerate().skip(51) {
        let event = events.json().await;
        assert_eq!(
            (&event["id"], &event["connectionId"], &event["message"]),
            (&json!(id), &json!("a"), &json!({"n": n}))
        );
    }
    let answer = tap.get("/api/events?format=ndjson&limit=all&kind=message").await;
    let read: Vec<String> =
        lines(&answer.body).iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect();
    assert!(read.iter().eq(all.iter().copied()), "{}", answer.body);
    let answer = tap.get("/api/events?format=ndjson&limit=all&kind=message&order=desc").await;
    let back: Vec<Value> = lines(&answer.body);
    assert!(
        back.iter().map(|it| it["id"].as_str()).eq(all.iter().rev().map(|it| Some(it.as_str())))
    );
    let answer = tap.get("/api/events?format=ndjson&last=3&kind=message").await;
    assert_eq!(lines(&answer.body).len(), 3);
    let answer = tap.get(&format!("/api/events/{}", ids[7])).await;
    assert_eq!(answer.json()["message"], json!({"n": 7}));
    let info = tap.get("/api/info").await.json();
    assert_eq!(info["now"]["log"]["fault"], Value::Null, "{info}");
    tap.stop().await;
}

/// Whatever the umask of the process is.
#[tokio::test]
async fn files_of_the_log_can_be_read_by_their_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    publish(&tap, "a", 0..1).await;
    let mut files = 0;
    for file in std::fs::read_dir(directory.path()).expect("a directory") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("permissions").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", file.path().display());
        files += 1;
    }
    assert!(files >= 3, "the database, its write-ahead log and the lock");
    tap.stop().await;
}

#[tokio::test]
async fn every_event_is_a_row_that_another_program_reads_while_the_server_runs() {
    let directory = Directory::new();
    let mut tap = start(Settings::default(), &directory.settings()).await;
    let ids = publish(&tap, "a", 0..3).await;
    let database = directory.open();
    let row: (String, String, String, i64, i64) = database
        .query_row(
            "SELECT time || '-' || seq, kind, direction, size, event ->> '$.message.n' \
             FROM events WHERE connection = 'a' AND kind = 'message' ORDER BY id LIMIT 1 OFFSET 1",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .expect("a row");
    assert_eq!(row, (ids[1].clone(), "message".to_owned(), "in".to_owned(), 7, 1));
    let (time, message): (String, String) = database
        .query_row("SELECT time, message FROM messages ORDER BY id LIMIT 1", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a row");
    assert_eq!(message, "{\"n\":0}");
    assert!(time.ends_with('Z') && time.len() == "2025-11-20T20:20:00.123Z".len(), "{time}");
    let schema: i64 = database
        .query_row("SELECT value FROM meta WHERE key = 'schema'", (), |row| row.get(0))
        .expect("a version");
    assert!(schema >= 1);
    tap.stop().await;
}

#[tokio::test]
async fn ids_increase_when_the_clock_was_set_back_between_two_starts() {
    let directory = Directory::new();
    let mut tap = start(Settings::default(), &directory.settings()).await;
    publish(&tap, "a", 0..3).await;
    tap.stop().await;
    let future = 4_000_000_000_000_i64;
    let database = directory.open();
    database
        .execute("UPDATE events SET time = ?1 WHERE id = (SELECT max(id) FROM events)", [future])
        .expect("written");
    drop(database);
    let mut tap = start(Settings::default(), &directory.settings()).await;
    let ids = publish(&tap, "b", 0..3).await;
    assert!(ids.iter().all(|id| id.starts_with("4000000000000-")), "{ids:?}");
    tap.stop().await;
}

#[tokio::test]
async fn archive_and_counts_reach_back_through_the_log() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    publish(&tap, "a", 0..2000).await;
    tap.stop().await;
    let mut tap = start(small_memory(), &directory.settings()).await;
    let har = tap.get("/api/events?format=har").await.json();
    let entries = har["log"]["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["_webSocketMessages"].as_array().map(Vec::len), Some(2000));
    let marks = tap.get("/api/events?format=marks&kind=message").await.json();
    assert_eq!(marks["count"], 2000, "{marks}");
    let found = tap.get("/api/events?format=ndjson&text=1234&limit=all").await;
    assert!(lines(&found.body).iter().any(|it| it["message"] == json!({"n": 1234})));
    // Of a handshake that only the `connect` event has.
    let found = tap.get("/api/events?format=marks&filter=path%20%3D%3D%20%22%2Fws%3Fack%3D1%26connectionId%3Da%22").await;
    assert!(found.json()["count"].as_u64() >= Some(2000), "{}", found.body);
    tap.stop().await;
}

#[tokio::test]
async fn channels_keep_their_messages_over_a_restart() {
    let directory = Directory::new();
    let rules = ChannelRules { history: 3, ..ChannelRules::default() };
    let declared = Declared { name: "kept/*".parse().expect("a pattern"), rules };
    let settings = || Settings { channels: vec![declared.clone()], ..small_memory() };
    let mut tap = start(settings(), &directory.settings()).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let path = "/api/channels/kept%2Fa/messages";
        let json = [("content-type", "application/json")];
        let sent = tap.fetch("POST", path, &json, &n.to_string()).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        ids.push(sent.json()["id"].as_str().expect("an id").to_owned());
        tap.fetch("POST", "/api/channels/other/messages", &json, "1").await;
    }
    tap.stop().await;
    let mut tap = start(settings(), &directory.settings()).await;
    let channel = tap.get("/api/channels/kept%2Fa").await.json();
    let kept = channel["history"].as_array().expect("a list").iter().map(|it| &it["message"]);
    assert!(kept.eq([&json!(2), &json!(3), &json!(4)]), "{channel}");
    // A member that has seen the fourth message is sent the fifth, and told that this is all.
    let mut ws = tap.registered("a").await;
    let after = |id: &str| {
        json!({"type": "subscribe", "params": {"channels": ["kept/a"], "after": id}}).to_string()
    };
    ws.send(&after(&ids[3])).await;
    let resumed = ws.json().await;
    assert_eq!(
        (&resumed["complete"], &resumed["messages"][0]["id"]),
        (&json!(true), &json!(ids[4]))
    );
    tap.stop().await;
}

#[tokio::test]
async fn deleted_events_are_a_gap() {
    let directory = Directory::new();
    let log = LogSettings { events: Some(1000), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    let ids = publish(&tap, "a", 0..3000).await;
    let count = || {
        let database = directory.open();
        let count =
            database.query_row("SELECT count(*) FROM events", (), |row| row.get::<_, i64>(0));
        count.expect("a number")
    };
    until("the deletion", || count() <= 1050).await;
    let mut events = tap.events_with("?format=full", &[("last-event-id", &ids[5])]).await;
    let gap = events.next().await;
    assert_eq!(gap.name, "gap", "{gap:?}");
    let gap: Value = serde_json::from_str(&gap.data).expect("JSON");
    assert_eq!(gap["after"], json!(ids[5]));
    assert_eq!(events.json().await["id"], gap["before"]);
    tap.stop().await;
    // The newest id is known although all events may be deleted.
    let log = LogSettings { events: Some(0), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    until("the deletion", || tap.hub.log().is_some_and(|log| log.events == 0)).await;
    tap.stop().await;
    let mut tap = start(small_memory(), &directory.settings()).await;
    let more = publish(&tap, "a", 0..1).await;
    assert!(more[0] > ids[2999], "{more:?} after {}", ids[2999]);
    tap.stop().await;
}

#[tokio::test]
async fn events_that_are_too_old_are_deleted() {
    let directory = Directory::new();
    let mut tap = start(small_memory(), &directory.settings()).await;
    let ids = publish(&tap, "a", 0..3000).await;
    tap.stop().await;
    let log = LogSettings { age: Some(Duration::from_millis(1)), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    until("the deletion", || tap.hub.log().is_some_and(|log| log.events == 0)).await;
    tap.stop().await;
    let count = directory.open().query_row("SELECT count(*) FROM events", (), |row| row.get(0));
    assert_eq!(count, Ok(0_i64));

    // An hour is not over: everything is kept, and what was deleted is a gap.
    let log = LogSettings { age: Some(Duration::from_hours(1)), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    let more = publish(&tap, "a", 0..100).await;
    let answer = tap.get("/api/events?format=ndjson&limit=all&kind=message").await;
    assert_eq!(lines(&answer.body).len(), more.len());
    let mut events = tap.events_with("?format=full", &[("last-event-id", &ids[5])]).await;
    let gap = events.next().await;
    assert_eq!(gap.name, "gap", "{gap:?}");
    tap.stop().await;
}

#[tokio::test]
async fn disk_space_is_bounded() {
    let directory = Directory::new();
    let log = LogSettings { bytes: Some(12 << 20), ..directory.settings() };
    let mut tap = start(small_memory(), &log).await;
    let mut ws = tap.ws("/ws?ack=1&connectionId=a").await;
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(1000));
    for _ in 0..60 {
        for _ in 0..500 {
            ws.send(&text).await;
        }
        for _ in 0..500 {
            ws.text().await;
        }
    }
    ws.close(1000, "").await;
    let size = || {
        let files = std::fs::read_dir(directory.path()).expect("a directory");
        files.map(|file| file.expect("a file").metadata().expect("a size").len()).sum::<u64>()
    };
    until("the deletion", || size() <= (12 << 20) * 105 / 100).await;
    let status = tap.hub.log().expect("a log");
    assert!(status.events > 3000 && status.events < 15_000, "{status:?}");
    tap.stop().await;
}

#[tokio::test]
async fn log_with_sync_always_acknowledges_events() {
    let directory = Directory::new();
    let log = LogSettings { sync: LogSync::Always, ..directory.settings() };
    let mut tap = start(Settings::default(), &log).await;
    let ids = publish(&tap, "a", 0..50).await;
    tap.stop().await;
    let count: i64 = directory
        .open()
        .query_row("SELECT count(*) FROM events WHERE kind = 'message'", (), |row| row.get(0))
        .expect("a number");
    assert_eq!(usize::try_from(count), Ok(ids.len()));
}
