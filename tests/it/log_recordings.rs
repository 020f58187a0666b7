//! Recordings that are databases: recorded, opened, summarized, converted and played like the others.

use rusqlite::Connection;
use serde_json::json;

use crate::cli::{Running, output, speak, wstap};
use crate::harness::ask_blocking;
use crate::log::{Directory, lines};
use crate::replay::{record, replay, session};

#[test]
fn server_is_recorded_into_a_database_that_all_commands_read() {
    let directory = Directory::new();
    let folder = directory.path().to_str().expect("text").to_owned();
    let server = Running::server(&["--listen", "localhost:0"]);
    let path = format!("{folder}/day.db");
    let mut recorder = Running::start(wstap().args(["record", &server.url(), &path]));
    let client = speak(server.port(), &["{\"connectionId\":\"a\"}"]);
    // Connections that open until the recorder listens.
    let rows = || -> i64 {
        let Ok(database) = Connection::open(&path) else { return 0 };
        let count = database.query_row("SELECT count(*) FROM events", (), |row| row.get(0));
        count.unwrap_or(0)
    };
    let any_row = || {
        drop(speak(server.port(), &["{\"connectionId\":\"b\"}", "{\"n\":1}"]));
        (rows() > 0).then_some(())
    };
    ask_blocking(|| recorder.words(), any_row);
    drop(client);
    recorder.signal("INT");
    assert!(recorder.end().success(), "{}", recorder.words());
    assert!(!std::path::Path::new(&format!("{path}-wal")).exists(), "the file is alone");

    let (code, words, _) = output(&["inspect", &path]);
    assert!(code == 0 && words.contains("SQLite"), "{words}");
    let (code, exported, words) = output(&["export", &path, "--format", "ndjson"]);
    assert_eq!(code, 0, "{words}");
    let events = lines(&exported);
    assert_eq!(events.len(), usize::try_from(rows()).expect("a number"));
    // Back into a database, and out again, nothing has changed.
    let copy = format!("{folder}/copy.db");
    let (code, _, words) = output(&["export", &path, "-o", &copy]);
    assert_eq!(code, 0, "{words}");
    let (code, again, _) = output(&["export", &copy, "--format", "ndjson"]);
    assert_eq!((code, again), (0, exported));
    let opened = Running::server(&["--listen", "localhost:0", "--open", &path]);
    assert!(opened.words().contains("day.db"));
}

/// Returns the questions of the page about recordings.
fn questions() -> Vec<String> {
    let page = include_str!("../../docs/recordings.md");
    let blocks = page.split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("an end").to_owned()).collect()
}

#[test]
fn questions_of_the_documentation_are_answered() {
    let directory = Directory::new();
    let lines = [
        r#"{"id":"1000-0","kind":"connect","connectionId":"a"}"#,
        r#"{"id":"1001-0","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":20,"channel":null,"message":{"id":7,"price":1}}"#,
        r#"{"id":"1040-0","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":5,"channel":null,"message":"hello"}"#,
        r#"{"id":"1501-0","kind":"message","connectionId":"a","direction":"out","opcode":"text","size":31,"channel":null,"message":{"id":7,"price":2.5}}"#,
        r#"{"id":"2501-0","kind":"close","connectionId":"a","close":{"code":1006,"reason":"","clean":false,"by":"network"},"duration":1.5}"#,
    ];
    let file = directory.path().join("day.ndjson");
    std::fs::write(&file, lines.join("\n") + "\n").expect("written");
    let database = directory.path().join("day.db");
    let [file, path] = [&file, &database].map(|path| path.to_str().expect("text"));
    let (code, _, words) = output(&["export", file, "-o", path]);
    assert_eq!(code, 0, "{words}");
    let database = Connection::open(&database).expect("a database");
    let answers: Vec<Vec<Vec<String>>> = questions()
        .iter()
        .map(|question| {
            let mut statement = database.prepare(question).expect("SQL");
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                let value = |n| {
                    Ok(match row.get_ref(n)? {
                        rusqlite::types::ValueRef::Text(text) => {
                            String::from_utf8_lossy(text).into_owned()
                        }
                        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                        rusqlite::types::ValueRef::Real(number) => number.to_string(),
                        other => format!("{other:?}"),
                    })
                };
                (0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()
            };
            let rows = statement.query_map((), row).expect("it runs");
            rows.collect::<Result<_, _>>().expect("rows")
        })
        .collect();
    let expected: Vec<Vec<Vec<&str>>> = vec![
        vec![vec!["a", "1006", "network", ""]],
        vec![vec!["a", "7", "500"]],
        vec![vec!["00:00:01", "3"]],
        vec![
            vec!["1501-0", "a", "out", "31"],
            vec!["1001-0", "a", "in", "20"],
            vec!["1040-0", "a", "in", "5"],
        ],
        vec![vec!["1970-01-01T00:00:01.001Z", "1"], vec!["1970-01-01T00:00:01.501Z", "2.5"]],
    ];
    assert_eq!(answers, expected);
}

#[test]
fn log_of_a_running_server_is_exported() {
    let directory = Directory::new();
    let folder = directory.path().to_str().expect("text").to_owned();
    let server = Running::server(&["--listen", "localhost:0", "--data-dir", &folder]);
    let client = speak(server.port(), &["{\"connectionId\":\"a\"}", "{\"n\":1}", "{\"n\":2}"]);
    let end = std::time::Instant::now() + crate::harness::LIMIT;
    let exported = loop {
        let (code, out, words) = output(&["export", "--data-dir", &folder]);
        assert_eq!(code, 0, "{words}");
        let events = lines(&out);
        if events.len() >= 3 {
            break events;
        }
        assert!(std::time::Instant::now() < end, "{out}");
    };
    let kinds: Vec<_> = exported.iter().map(|it| it["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("connect"), Some("message"), Some("message")]);
    assert_eq!(exported[2]["message"], json!({"n": 2}));
    drop(client);
    let (code, _, words) = output(&["export", "--data-dir", "/nowhere"]);
    assert!(code == 1 && words.contains("no log"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reads_a_database() {
    let directory = Directory::new();
    let (upstream, file) = record(session, directory.path()).await;
    let database = directory.path().join("session.db").display().to_string();
    let (code, _, words) = output(&["export", &file, "-o", &database]);
    assert_eq!(code, 0, "{words}");
    let url = format!("ws://{upstream}");
    let (code, diff, words) =
        replay(&[&database, &url, "--speed", "max", "--ignore", "sid", "--ignore", "now"]).await;
    assert_eq!((code, diff.as_str()), (0, ""), "{words}");
    assert!(words.contains("3 connections sent 6 messages; all 9 answers"), "{words}");
}
