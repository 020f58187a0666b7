//! The built program under mixed load with hostile clients among it, for long (`just soak`): every
//! well-behaved listener's record is exact, and descriptors, tasks and memory at the end are what they
//! were at the start. Latencies are printed and never asserted.
//!
//! `WSTAP_SOAK` is the number of seconds; without it, a few.

mod good;
mod hostile;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::good::{Listener, Publisher};
use crate::beside::{Target, resident};
use crate::cli::wstap;
use crate::harness::{request_at, within};

/// How long the load lasts.
fn duration() -> Duration {
    let seconds = std::env::var("WSTAP_SOAK").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// Publishers, each with a live listener and one that reconnects.
const PUBLISHERS: usize = 3;

/// The history, which is full before the first figures are taken.
const HISTORY: u64 = 32 << 20;

/// What the allocator may keep of a load that has ended.
const KEPT: u64 = 24 << 20;

/// What a server takes.
#[derive(Clone, Copy)]
struct Figures {
    memory: u64,
    descriptors: usize,
    tasks: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, descriptors, tasks } = self;
        write!(f, "{} MiB, {descriptors} descriptors, {tasks} tasks", memory >> 20)
    }
}

impl Figures {
    async fn of(target: &Target, token: &str) -> Self {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", target.pid()));
        let metrics = get(target.observers, "/metrics", token).await;
        let tasks = metrics.lines().find_map(|line| line.strip_prefix("wstap_tasks "));
        Self {
            memory: resident(target.pid()),
            descriptors: descriptors.map_or(0, Iterator::count),
            tasks: tasks.expect("a metric").parse().expect("a number"),
        }
    }
}

/// Returns the body of an answer.
async fn get(addr: SocketAddr, path: &str, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let answer = request_at(addr, "GET", path, &[("authorization", &bearer)], "").await;
    assert_eq!(answer.status(), 200, "{path}");
    let body = http_body_util::BodyExt::collect(answer.into_body());
    let bytes = within("a body", body).await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Makes a token for everything and a file with its hash. Returns both.
fn token() -> (String, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let made = wstap().args(["token", "new", "soak", "all"]).output().expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let (out, words) =
        (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    let all = format!("{out}{words}");
    let token = all.split_whitespace().find(|word| word.starts_with("wstap_")).expect("a token");
    let line = all.lines().find(|line| line.contains("sha256:")).expect("a line").trim();
    std::fs::write(file.path(), format!("{line}\n")).expect("written");
    (token.to_owned(), file)
}

/// Waits until a server has ended what hostile clients have left, as far as it can be seen.
async fn settled(target: &Target, token: &str, before: Figures) -> Figures {
    let mut now = Figures::of(target, token).await;
    // The time limits of a head, of a body, of a registration and of a stalled write have passed then.
    for _ in 0..120 {
        if now.descriptors <= before.descriptors && now.tasks <= before.tasks {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        now = Figures::of(target, token).await;
    }
    now
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the figures are for people")]
async fn mixed_load_with_hostile_clients_leaves_nothing_behind_and_loses_nothing() {
    let (token, file) = token();
    let path = file.path().to_str().expect("a path of text");
    let mut target = Target::hub(&[
        "--token-file",
        path,
        "--history-bytes",
        "32MiB",
        "--ping-interval",
        "2s",
        "--pong-timeout",
        "2s",
        "--register-timeout",
        "2s",
        "--head-timeout",
        "2s",
        "--stall-timeout",
        "5s",
    ]);
    hostile::fill(&target, &token, HISTORY).await;

    let mut publishers = Vec::new();
    let mut listeners = Vec::new();
    for n in 0..PUBLISHERS {
        listeners.push(Listener::live(&target, &token, n).await);
        listeners.push(Listener::reconnecting(&target, &token, n));
        publishers.push(Publisher::start(&target, &token, n).await);
    }
    // The first sixth of the time is without attackers.
    let all = duration();
    tokio::time::sleep(all / 6).await;
    let before = Figures::of(&target, &token).await;
    let calm: Vec<_> = publishers.iter_mut().map(Publisher::latencies).collect();

    let stop = CancellationToken::new();
    let attackers = hostile::start(&target, &token, &stop);
    tokio::time::sleep(all / 6 * 4).await;
    let during: Vec<_> = publishers.iter_mut().map(Publisher::latencies).collect();
    let peak = Figures::of(&target, &token).await;
    stop.cancel();
    within("the end of the attackers", attackers.join_all()).await;

    let after = settled(&target, &token, before).await;
    tokio::time::sleep(all / 6).await;
    let end: Vec<_> = publishers.iter_mut().map(Publisher::latencies).collect();
    let mut sent = Vec::new();
    for publisher in publishers {
        sent.push(publisher.stop().await);
    }
    for listener in listeners {
        listener.has_heard(&sent).await;
    }
    eprintln!("at the start {before}; under attack {peak}; at the end {after}");
    for (name, latencies) in [("at the start", calm), ("under attack", during), ("at the end", end)]
    {
        eprintln!("round trips {name}: {}", good::table(latencies));
    }
    target.signal("TERM");
    assert!(target.ended().success(), "{}", target.words());
    assert!(!target.words().contains("panicked"), "{}", target.words());
    assert!(after.descriptors <= before.descriptors, "{after}, and before {before}");
    assert!(after.tasks <= before.tasks, "{after}, and before {before}");
    assert!(after.memory <= before.memory + KEPT, "{after}, and before {before}");
}
