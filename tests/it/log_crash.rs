//! A server that is killed again and again under load, with a publisher and a listener beside it that
//! keep books. `WSTAP_CRASHES` says how often; `just crash` takes 200.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tungstenite::Message as Frame;

use crate::cli::{Running, wstap};
use crate::harness::{Events, ask, request_at, within};
use crate::log::{Directory, lines};

pub(crate) fn rounds() -> usize {
    std::env::var("WSTAP_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

fn server(directory: &Directory, sync: &str) -> Running {
    let path = directory.path().to_str().expect("text");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", path, "--sync", sync];
    Running::server(&[&arguments[..], &["--history-events", "100"]].concat())
}

/// Sends numbered messages, ten ahead of their acks, until the server is gone. Returns the acks.
pub(crate) async fn publish(addr: SocketAddr, first: usize) -> Vec<(String, usize)> {
    let mut acked = Vec::new();
    let Ok(tcp) = TcpStream::connect(addr).await else { return acked };
    let url = format!("ws://{addr}/ws?ack=1&connectionId=publisher");
    let Ok((mut socket, _)) = tokio_tungstenite::client_async(url, tcp).await else {
        return acked;
    };
    let mut next = first;
    loop {
        while next < first + acked.len() + 10 {
            if socket.send(Frame::text(format!("{{\"n\":{next}}}"))).await.is_err() {
                return acked;
            }
            next += 1;
        }
        match socket.next().await {
            Some(Ok(Frame::Text(text))) => {
                let ack: Value = serde_json::from_str(&text).expect("JSON");
                let id = ack["ack"].as_str().unwrap_or_else(|| panic!("an ack, not {ack}"));
                acked.push((id.to_owned(), first + acked.len()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return acked,
        }
    }
}

/// Asks for the events after one.
pub(crate) async fn listen(addr: SocketAddr, after: Option<&str>) -> Events {
    let headers: Vec<(&str, &str)> = after.iter().map(|after| ("last-event-id", *after)).collect();
    let path = if after.is_some() {
        "/events?format=full"
    } else {
        "/events?format=full&since=1970-01-01T00:00:00Z"
    };
    Events::of(request_at(addr, "GET", path, &headers, "").await)
}

/// Reads events until the server is gone.
pub(crate) async fn hear(mut events: Events) -> Vec<(String, Value)> {
    let mut heard = Vec::new();
    while let Some(event) = events.try_next().await {
        assert_ne!(event.name, "gap", "{event:?} after {:?}", heard.last());
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        heard.push((text(&data["id"]), data));
    }
    heard
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

pub(crate) fn ordered(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').expect("an id");
    (ms.parse().expect("a number"), seq.parse().expect("a number"))
}

/// Kills a server again and again, and checks at the end that it has kept what it had told.
pub(crate) async fn books(rounds: usize, server: impl Fn() -> Running, mut killed: impl FnMut()) {
    let start = || {
        let server = server();
        let addr = SocketAddr::from(([127, 0, 0, 1], server.port()));
        (server, addr)
    };
    let (mut heard, mut acked) = (Vec::<(String, Value)>::new(), Vec::new());
    for round in 0..rounds {
        let (server, addr) = start();
        let events = listen(addr, heard.last().map(|(id, _)| id.as_str())).await;
        let listener = tokio::spawn(hear(events));
        let publisher = tokio::spawn(publish(addr, 1_000_000 * round));
        // Times that differ, so that the kill hits every stage of a commit.
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 150)).await;
        server.signal("KILL");
        acked.extend(within("the publisher", publisher).await.expect("it does not panic"));
        heard.extend(within("the listener", listener).await.expect("it does not panic"));
        drop(server);
        killed();
    }
    let (server, addr) = start();
    let response = request_at(addr, "GET", "/api/events?format=ndjson&limit=all", &[], "").await;
    let body = within("a body", http_body_util::BodyExt::collect(response.into_body())).await;
    let body = body.expect("a body").to_bytes();
    let kept: Vec<(String, Value)> = lines(std::str::from_utf8(&body).expect("text"))
        .into_iter()
        .map(|event| (event["id"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned(), event))
        .collect();
    assert!(kept.is_sorted_by(|one, next| ordered(&one.0) < ordered(&next.0)), "ids increase");
    // What was heard is the beginning of what is kept.
    assert!(!heard.is_empty() && heard.len() <= kept.len());
    for ((id, data), (kept_id, event)) in heard.iter().zip(&kept) {
        assert_eq!(id, kept_id, "{data} and {event}");
        assert_eq!(data, event);
    }
    // What was acknowledged is kept as it was sent.
    assert!(!acked.is_empty());
    for (id, number) in &acked {
        let at = kept.binary_search_by_key(&ordered(id), |(id, _)| ordered(id));
        let at = at.unwrap_or_else(|_| panic!("{id} was acknowledged and is lost"));
        assert_eq!(kept[at].1["message"]["n"], *number);
    }
    drop(server);
}

#[tokio::test]
async fn killed_server_loses_nothing_that_was_told() {
    let directory = Directory::new();
    books(rounds(), || server(&directory, "1s"), || {}).await;
}

#[tokio::test]
async fn killed_server_with_sync_always_loses_nothing_that_was_told() {
    let directory = Directory::new();
    books(rounds() / 4, || server(&directory, "always"), || {}).await;
}

/// Starts a server whose log is on a file system of `size`, which only it sees. `None` where a process
/// may not mount one. The second value is the path of the file system.
fn on_small_disk(directory: &Directory, size: &str) -> Option<(Running, String)> {
    let script = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let path = directory.path().to_str().expect("text").to_owned();
    let probe = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", &script, &path, "true"])
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script, &path]).arg(wstap().get_program());
    command.args(["--listen", "127.0.0.1:0", "--data-dir", &path, "--history-events", "10"]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut server = Running::start(&mut command);
    server.until("Ctrl-C stops.");
    let inside = format!("/proc/{}/root{path}", server.pid());
    Some((server, inside))
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let response = request_at(addr, "GET", path, &[], "").await;
    let status = response.status().as_u16();
    let body = within("a body", http_body_util::BodyExt::collect(response.into_body())).await;
    (status, String::from_utf8_lossy(&body.expect("a body").to_bytes()).into_owned())
}

#[tokio::test]
async fn full_disk_stops_the_log_until_there_is_room() {
    let directory = Directory::new();
    let Some((server, inside)) = on_small_disk(&directory, "8m") else { return };
    let addr = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let ready_is = async |status: u16| {
        ask("the state of the log", async || {
            (get(addr, "/readyz").await.0 == status).then_some(())
        })
        .await;
    };
    let mut events = Events::of(request_at(addr, "GET", "/events?format=full", &[], "").await);
    let tcp = TcpStream::connect(addr).await.expect("the server is there");
    let url = format!("ws://{addr}/ws?connectionId=a");
    let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await.expect("a handshake");
    // This one is in the log: what is announced is written.
    let connect: Value = serde_json::from_str(&events.data().await).expect("JSON");
    assert_eq!(connect["kind"], "connect");
    ready_is(200).await;
    let path = format!("{inside}/fill");
    let mut count_sent = 0;
    // Another file takes all the room.
    let zeros = vec![0; 1 << 20];
    let mut file = std::fs::File::create(&path).expect("a file");
    while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
    let mut send = async |count: usize| {
        for _ in 0..count {
            let text = format!("{{\"n\":{count_sent},\"text\":\"{}\"}}", "x".repeat(4000));
            within("a send", socket.send(Frame::text(text))).await.expect("it is taken");
            count_sent += 1;
            let event: Value = serde_json::from_str(&events.data().await).expect("JSON");
            assert_eq!(event["message"]["n"], count_sent - 1, "the live stream goes on");
        }
    };
    send(2000).await;
    ready_is(503).await;
    let (_, words) = get(addr, "/readyz").await;
    assert!(words.contains("the disk is full"), "{words}");
    drop(file);
    std::fs::remove_file(&path).expect("removed");
    ready_is(200).await;
    send(10).await;
    assert_eq!(get(addr, "/readyz").await.0, 200);
    let (_, body) = get(addr, "/api/events?format=ndjson&limit=all").await;
    let all = lines(&body);
    let gaps: u64 = all.iter().filter_map(|it| it["missed"].as_u64()).sum();
    let messages = all.iter().filter(|it| it["kind"] == "message").count() as u64;
    assert_eq!(gaps + messages, 2010, "what was not kept is a gap");
    assert!(gaps > 0);
    // The directory checks what it has, which only the server sees.
    server.signal("STOP");
    for name in ["events.db", "events.db-wal"] {
        let copied = std::fs::copy(format!("{inside}/{name}"), directory.path().join(name));
        assert!(copied.expect("copied") > 0);
    }
    drop(server);
}
