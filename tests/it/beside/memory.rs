//! Attacks on the memory: each takes at most what its row of the table in `docs/performance.md` says.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wstap::channelstream::Signer;

use super::attack::{Held, flood, frame, get, mute, push, repeated, settled, shake, text};
use super::{Target, beside, duration, sized};
use crate::harness::{LIMIT, request_at};

const KIB: u64 = 1 << 10;

/// The row of the table of memory that begins with a text.
pub(super) struct Row(Vec<u64>);

impl Row {
    pub(super) fn of(name: &str) -> Self {
        let page = include_str!("../../../docs/performance.md");
        let start = format!("| {name}");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        let words: Vec<_> = row.split([' ', ',', ';', '(', ')']).collect();
        let size = |pair: &[&str]| {
            let unit = match pair[1].trim_end_matches('.') {
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                _ => return None,
            };
            let (whole, tenths) = pair[0].split_once('.').unwrap_or((pair[0], "0"));
            let (whole, tenths) = (whole.parse::<u64>().ok()?, tenths.parse::<u64>().ok()?);
            Some(whole * unit + tenths * unit / 10)
        };
        Self(words.windows(2).filter_map(size).collect())
    }

    /// Returns a size that it has, counted from 0.
    pub(super) fn size(&self, n: usize) -> u64 {
        self.0[n]
    }
}

/// The bound of the history by default.
fn history() -> u64 {
    64 << 20
}

/// The longest path and query.
const PATH: usize = 8 << 10;

fn subscribe(names: impl Iterator<Item = String>) -> Vec<u8> {
    let channels: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
    let channels = channels.join(",");
    text(&format!(r#"{{"type":"subscribe","params":{{"channels":[{channels}]}}}}"#))
}

async fn sockets(target: &Target, count: usize, path: impl Fn(usize) -> String) -> Held {
    let mut sockets = Vec::new();
    for n in 0..count {
        sockets.push(shake(target.traffic, &path(n), "").await);
    }
    sockets.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_paths_and_unread_lists_of_connections_are_bounded() {
    let (count, unread) = (sized(200, 1000), sized(10, 100));
    let padding = "p".repeat(PATH - 100);
    let bound = count as u64 * (Row::of("each WebSocket").size(0) + 3 * PATH as u64)
        + unread as u64 * Row::of("each response of `/api`").size(0)
        + history();
    beside("long paths", Target::hub(&[]), bound, async |target| {
        let held =
            sockets(target, count, |n| format!("/ws?connectionId=path{n}&x={padding}")).await;
        let too_long = get(&format!("/ws?connectionId=a&x={}", "p".repeat(60_000)));
        let refused = mute(target.traffic, 10, |_| too_long.clone().into_bytes()).await;
        let lists = mute(target.observers, unread, |_| get("/api/connections").into_bytes()).await;
        held.and(refused).and(lists)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_names_and_unread_lists_of_channels_are_bounded() {
    // Names of 256 characters of four bytes.
    let long = |n: usize| format!("{n:06}{}", "\u{1f600}".repeat(250));
    let (clients, each, unread) = (sized(4, 20), 500, sized(20, 40));
    let channels = (clients * each) as u64;
    let row = Row::of("each channel");
    let bound = channels * (row.size(0) + row.size(1) + 3 * KIB)
        + unread as u64 * Row::of("each response of `/api`").size(0)
        + history();
    beside("long names of channels", Target::hub(&[]), bound, async |target| {
        let mut held = Vec::new();
        for n in 0..clients {
            let path = format!("/ws?connectionId=names{n}");
            let mut tcp = shake(target.traffic, &path, "").await;
            for part in 0..5 {
                let first = n * each + part * 100;
                push(&mut tcp, &subscribe((first..first + 100).map(long))).await;
            }
            held.push(tcp);
        }
        settled().await;
        let lists = mute(target.observers, unread, |n| {
            get(["/api/channels", "/api/connections"][n % 2]).into_bytes()
        });
        Held::from(held).and(lists.await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_pages_of_a_channel_with_a_history_are_bounded() {
    let unread = sized(20, 200);
    let flags = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    std::fs::write(flags.path(), "[[channel]]\nname = \"kept\"\nhistory = 1000\n")
        .expect("written");
    let path = flags.path().to_str().expect("text");
    let target = Target::hub(&["--config", path]);
    let bound =
        unread as u64 * (Row::of("each response of `/api`").size(0) + 256 * KIB) + 2 * history();
    beside("unread channels", target, bound, async |target| {
        let mut tcp = shake(target.traffic, "/ws?connectionId=kept", "").await;
        let message = "m".repeat(100 << 10);
        for _ in 0..300 {
            let publish = format!(
                r#"{{"type":"publish","params":{{"channel":"kept","message":"{message}"}}}}"#
            );
            let sent = tokio::io::AsyncWriteExt::write_all(&mut tcp, &text(&publish)).await;
            sent.expect("sent");
        }
        settled().await;
        let pages = mute(target.observers, unread, |_| get("/api/channels/kept").into_bytes());
        Held::from(vec![tcp]).and(pages.await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_listeners_with_many_selections_are_bounded() {
    let count = sized(200, 1000);
    // As many values, and as long ones, as a request may have.
    let names = repeated(99, |n| format!("&connection={n:02}{}", "n".repeat(60)));
    let bound = count as u64 * (Row::of("each listener").size(0) + 4 * PATH as u64) + history();
    beside("selections of idle listeners", Target::hub(&[]), bound, async |target| {
        let request = get(&format!("/events?last=1{names}"));
        mute(target.observers, count, |_| request.clone().into_bytes()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_bodies_are_bounded() {
    let count = sized(150, 400);
    let row = Row::of("all requests whose body");
    let bound = row.size(0) + count as u64 * row.size(1) + history();
    let head = "POST /api/channels/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n";
    let half = [head.as_bytes(), &vec![b'x'; 1 << 20][1..]].concat();
    beside("half bodies", Target::hub(&[]), bound, async |target| {
        mute(target.observers, count, |_| half.clone()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_heads_are_bounded() {
    let count = sized(300, 1000);
    let row = Row::of("all requests whose head");
    let bound = row.size(0) + count as u64 * row.size(1);
    let half = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(60_000));
    beside("half heads", Target::hub(&[]), bound, async |target| {
        mute(target.observers, count, |_| half.clone().into_bytes()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_wrong_requests_that_are_not_read_are_bounded() {
    let count = sized(100, 300);
    let wrong = repeated(6000, |n| format!("&u{n}=1"));
    let bound = count as u64 * Row::of("each response of `/api`").size(0);
    beside("wrong requests", Target::hub(&[]), bound, async |target| {
        let request = get(&format!("/events?a{wrong}"));
        mute(target.observers, count, |_| request.clone().into_bytes()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_inflate_are_bounded() {
    let large = vec![b'a'; 1 << 20];
    let mut deflated = Vec::with_capacity(1 << 16);
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    compress.compress_vec(&large, &mut deflated, flate2::FlushCompress::Sync).expect("room");
    deflated.truncate(deflated.len() - 4);
    let clients = sized(2, 4);
    let bound = history()
        + Row::of("all messages that wait to become events").size(0)
        + Row::of("all incomplete messages").size(0)
        + Row::of("events in delivery").size(0)
        + clients as u64 * 2 * (Row::of("each relayed connection").size(0) + 96 * KIB);
    beside("inflating messages", Target::proxy(&[]).await, bound, async |target| {
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let more = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
            let tcp = shake(target.traffic, "/sink", more).await;
            running.spawn(flood(tcp, duration(), vec![frame(0xc1, &deflated)]));
        }
        timeout(LIMIT, running.join_all()).await.expect("the attack ends").into()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_that_do_not_read_are_bounded() {
    let count = sized(50, 500);
    let row = Row::of("each listener");
    let shared = 3 * Row::of("events in delivery").size(0);
    let bound =
        history() + shared + count as u64 * (row.size(0) + 16 * KIB) + 16 * (256 * KIB + (1 << 20));
    beside("listeners that do not read", Target::hub(&[]), bound, async |target| {
        let formats = ["plain", "full", "ndjson"];
        let request = |n: usize| get(&format!("/events?format={}", formats[n % 3]));
        let held = mute(target.observers, count, |n| request(n).into_bytes()).await;
        let tcp = shake(target.traffic, "/ws?connectionId=large", "").await;
        let tcp = flood(tcp, duration(), vec![text(&"l".repeat(100 << 10))]).await;
        held.and(vec![tcp].into())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_do_not_read_are_bounded() {
    let count = sized(50, 500);
    let bound = 2 * history()
        + count as u64 * (Row::of("each WebSocket").size(0) + 16 * KIB)
        // Messages that wait are shared by all members.
        + 8 * (4 << 20);
    beside("members that do not read", Target::hub(&[]), bound, async |target| {
        let mut held = Vec::new();
        for n in 0..count {
            let mut tcp = shake(target.traffic, &format!("/ws?connectionId=mute{n}"), "").await;
            push(&mut tcp, &subscribe(["all".to_owned()].into_iter())).await;
            held.push(tcp);
        }
        let tcp = shake(target.traffic, "/ws?connectionId=large", "").await;
        let message = "m".repeat(100 << 10);
        let publish =
            format!(r#"{{"type":"publish","params":{{"channel":"all","message":"{message}"}}}}"#);
        held.push(flood(tcp, duration(), vec![text(&publish)]).await);
        held.into()
    })
    .await;
}

/// Calls Channelstream with a signature, and returns the answer.
async fn call(target: &Target, method: &str, path: &str, body: &Value) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let signature = Signer::new(b"secret").sign("channelstream", now);
    let headers = [("x-channelstream-secret", signature.as_str())];
    let path = format!("/channelstream{path}");
    let answer = request_at(target.observers, method, &path, &headers, &body.to_string()).await;
    assert_eq!(answer.status(), 200, "{path}");
    let body = BodyExt::collect(answer.into_body()).await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// An edit is applied to the message that waits for each connection of a channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_a_waiting_message_are_bounded() {
    let count = sized(100, 1000);
    let row = Row::of("each connection of Channelstream");
    let size = 500 << 10;
    // The message, its edit, and the events of both.
    let bound = count as u64 * row.size(0) + 16 * size as u64 + history();
    let target = Target::hub(&["--channelstream-secret", "secret"]);
    beside("edits", target, bound, async |target| {
        for n in 0..count {
            let user = json!({"username": format!("user{n}"), "channels": ["all"]});
            call(target, "POST", "/connect", &user).await;
        }
        let message = |text: &str| json!({"text": text.repeat(size)});
        let sent = json!([{"user": "system", "channel": "all", "message": message("m")}]);
        let sent = call(target, "POST", "/message", &sent).await;
        let uuid = &sent[0]["uuid"];
        for text in ["e", "f", "g"] {
            let edit = json!([{"uuid": uuid, "channel": "all", "message": message(text)}]);
            call(target, "PATCH", "/message", &edit).await;
        }
        settled().await;
        Held::default()
    })
    .await;
}
