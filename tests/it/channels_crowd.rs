//! Channels with many members, and many channels.

use std::process::Command;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use wstap::hub::{ChannelRules, Declared, Retention, Settings};

use crate::harness::{Tap, until, within};

/// Bytes of memory that this process holds (Linux).
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux says it");
    let pages: u64 = status.split(' ').nth(1).expect("a number").parse().expect("a number");
    pages * 4096
}

/// Runs a test in a process of its own, where no other one takes memory. Returns whether this is
/// that process.
fn alone(name: &str) -> bool {
    const MARK: &str = "WSTAP_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("it runs");
    let ran = Command::new(this).args(["--exact", name]).env(MARK, "1").output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_members_one_that_never_reads_and_one_that_fails_hold_nobody_up() {
    const MEMBERS: usize = 1000;
    const MESSAGES: usize = 40;
    let tap = Tap::start().await;
    let join = json!({"type": "subscribe", "params": {"channels": ["x"]}}).to_string();
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        let mut ws = tap.ws(&format!("/ws?connectionId={n}")).await;
        ws.send(&join).await;
        members.push(ws);
    }
    let inside = || tap.hub.channel(&"x".parse().expect("a channel"));
    until("all members", || inside().is_some_and(|it| it.members.len() == MEMBERS)).await;
    let dumb = members.remove(0);
    members.remove(0).reset();
    let message = json!("x".repeat(16 << 10)).to_string();
    let mut readers = JoinSet::new();
    for mut ws in members {
        readers.spawn(async move {
            for n in 0..MESSAGES {
                let text = ws.text().await;
                assert!(text.starts_with(r#"{"channel":"x","data":"xx"#), "{n}: {}", &text[..40]);
            }
        });
    }
    let headers = [("content-type", "application/json")];
    for _ in 0..MESSAGES {
        let answer = tap.fetch("POST", "/api/channels/x/messages", &headers, &message).await;
        assert_eq!(answer.status, 202);
    }
    // Every member that reads gets every message, while the dumb one takes none.
    within("all members", async {
        while let Some(read) = readers.join_next().await {
            read.expect("a member that reads gets all of it");
        }
    })
    .await;
    drop(dumb);
}

/// Both clients have sent everything before the server, which runs on the same thread, reads it.
#[tokio::test]
async fn client_that_changes_many_channels_at_once_lets_others_in_between() {
    const CHANGES: usize = 10_000;
    let tap = Tap::start().await;
    let mut greedy = tap.registered("greedy").await.socket.into_inner();
    let mut modest = tap.registered("modest").await.socket.into_inner();
    let mut events = tap.events("?format=full&last=1").await;
    assert_eq!(events.json().await["kind"], "connect");
    let channels: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    let command = |kind| {
        let command = json!({"type": kind, "params": {"channels": channels}}).to_string();
        let length = u16::try_from(command.len()).expect("short").to_be_bytes();
        [&[0x81, 0xfe], &length[..], &[0; 4], command.as_bytes()].concat()
    };
    let commands = [command("subscribe"), command("unsubscribe")].concat().repeat(CHANGES / 2000);
    let mut left = &commands[..];
    while !left.is_empty() {
        let written = greedy.try_write(left).expect("the kernel has room for 60 KB");
        left = &left[written..];
    }
    let message = [&[0x81, 0x82, 0, 0, 0, 0], &b"hi"[..]].concat();
    assert_eq!(modest.try_write(&message).expect("it has room"), message.len());
    let mut changes = 0;
    while events.json().await["kind"] != "message" {
        changes += 1;
    }
    // How many come first depends on the speed of the machine; without turns it is all of them.
    assert!(changes < CHANGES, "{changes} changes come first");
    let _ = (greedy.shutdown().await, modest.shutdown().await);
}

/// A tenth of a million, unless `WSTAP_CROWD` is set (`just crowd`).
#[tokio::test]
async fn a_million_channels_made_and_left_leave_nothing_behind() {
    const AT_ONCE: usize = 1000;
    if !alone("channels_crowd::a_million_channels_made_and_left_leave_nothing_behind") {
        return;
    }
    let rounds = if std::env::var_os("WSTAP_CROWD").is_some() { 1000 } else { 100 };
    let history = Retention { events: 100, ..Settings::default().history };
    let tap = Tap::with(Settings { history, ..Settings::default() }, |_| {}).await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let mut before = 0;
    for round in 0..rounds {
        // One connection may not enter and leave so many.
        if round % 5 == 4 {
            ws = tap.ws("/ws?connectionId=a&ack=1").await;
        }
        let names: Vec<_> = (0..AT_ONCE).map(|n| format!("channel {round} {n}")).collect();
        for command in ["subscribe", "unsubscribe"] {
            ws.send(&json!({"type": command, "params": {"channels": names}}).to_string()).await;
            assert!(ws.json().await["ack"].is_string());
        }
        assert!(tap.hub.channels().is_empty());
        // After a few rounds everything that stays is there.
        if round == 4 {
            before = memory();
        }
    }
    let grown = memory().saturating_sub(before);
    // What the names alone would take is more.
    assert!(grown < (rounds * AT_ONCE * 400) as u64, "{grown} bytes more");
    assert_eq!(tap.hub.numbers().channels, 0);
}

/// They are entered and left in pieces, and that shows nowhere but in what comes between.
#[tokio::test]
async fn a_thousand_channels_are_entered_all_or_none_and_left_before_the_end() {
    let full = ChannelRules { max_members: Some(1), ..ChannelRules::default() };
    let full = Declared { name: "700".parse().expect("a pattern"), rules: full };
    let tap = Tap::with(Settings { channels: vec![full], ..Settings::default() }, |_| {}).await;
    let names = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let command = |kind: &str, channels: &[String]| {
        json!({"type": kind, "params": {"channels": channels}}).to_string()
    };
    let mut other = tap.ws("/ws?connectionId=other&ack=1").await;
    other.send(&command("subscribe", &["700".to_owned()])).await;
    assert!(other.json().await["ack"].is_string());
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    ws.send(&command("subscribe", &names(1000))).await;
    assert_eq!(ws.json().await["error"]["code"], "full", "nothing was entered");
    let connection = tap.hub.connection(&"a".parse().expect("an id")).expect("it is there");
    assert_eq!(connection.channels().len(), 0);
    ws.send(&command("subscribe", &names(700))).await;
    assert!(ws.json().await["ack"].is_string());
    assert_eq!(connection.channels().len(), 700);
    ws.send(&command("unsubscribe", &names(300))).await;
    assert!(ws.json().await["ack"].is_string());
    assert_eq!(connection.channels().len(), 400);
    drop(ws);
    let mut events = tap.events("?connection=a&format=full&last=10000").await;
    let (mut joins, mut leaves) = (0, 0);
    loop {
        let event = events.json().await;
        match event["kind"].as_str() {
            Some("join") => joins += 1,
            Some("leave") => leaves += 1,
            Some("close") => break,
            _ => {}
        }
    }
    assert_eq!((joins, leaves), (700, 700), "each of them, and before the close");
}
