//! The examples run: each is built, started on a free port, and used as its first lines say.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use wstap::hub::{Hub, Settings};

use crate::harness::{Tap, Ws, signal};

/// An example that runs, until it is dropped.
struct Example {
    child: Child,
    /// Its address, for requests. The hub in it is nobody's.
    at: Tap,
    /// What it has said: where it is.
    words: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let mut child = Command::new(built().join(name))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut words = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        output.read_line(&mut words).expect("it says where it is");
        let host = words.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let addr: SocketAddr = host.trim().parse().expect("an address");
        Self { child, at: Tap::of(addr, Hub::new(Settings::default())), words }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // An error is that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the examples, as far as that is not done, and returns where they are.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--examples", "--manifest-path", manifest]);
        // What cargo tells this test of its package would have other packages built again.
        for (name, _) in std::env::vars_os() {
            let told = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
            });
            if told {
                build.env_remove(name);
            }
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "the examples are built");
        let test = std::env::current_exe().expect("this test is a file");
        let profile = test.parent().and_then(|deps| deps.parent()).expect("deps of a profile");
        profile.join("examples")
    })
}

/// Returns the next so many texts, in order of their letters: some come from different hooks.
async fn texts(ws: &mut Ws, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(ws.text().await);
    }
    all.sort();
    all
}

#[tokio::test]
async fn echo_is_the_quick_start_of_oak_channels() {
    let example = Example::start("echo");
    let mut one = example.at.ws("/ws").await;
    assert_eq!(one.text().await, "foo says new user joined");
    let mut two = example.at.ws("/ws").await;
    assert_eq!(two.text().await, "foo says new user joined");
    assert_eq!(one.text().await, "foo says new user joined");
    one.send("hello").await;
    assert_eq!(one.text().await, "hello");
    let mut json = example.at.ws("/ws-json").await;
    json.send(r#"{"ping":1}"#).await;
    assert_eq!(json.text().await, r#"{"pong":1}"#);
    assert!(example.at.get("/").await.body.contains("new WebSocket"));
    let seen = example.at.get("/tap/api/events?kind=message").await.body;
    assert!(seen.contains("new user joined") && seen.contains("\"pong\":1"), "{seen}");
}

#[tokio::test]
async fn chat_tells_who_is_there_and_what_was_said() {
    let example = Example::start("chat");
    let mut ann = example.at.ws("/rooms/tea/ann").await;
    assert_eq!(ann.json().await, json!({"here": ["ann"]}));
    ann.send(r#"{"text":"hello"}"#).await;
    assert_eq!(ann.json().await, json!({"text": "hello", "user": "ann"}));
    let mut bob = example.at.ws("/rooms/tea/bob").await;
    let hello = json!({"text": "hello", "user": "ann"}).to_string();
    let here = json!({"here": ["ann", "bob"]}).to_string();
    assert_eq!(texts(&mut bob, 2).await, [here, hello]);
    assert_eq!(ann.json().await, json!({"came": "bob"}));
    bob.close(1000, "").await;
    assert_eq!(ann.json().await, json!({"went": "bob"}));
    assert!(example.at.get("/").await.body.contains("new WebSocket"));
}

#[tokio::test]
async fn prices_come_to_who_has_a_token_for_them() {
    let example = Example::start("prices");
    let token = example.at.get("/token/ann").await.body;
    let subscribe = |channel: &str, token: Option<&str>| {
        let params = json!({"channels": [channel], "token": token});
        json!({"type": "subscribe", "params": params}).to_string()
    };
    let mut ann = example.at.ws("/tap/ws").await;
    for (channel, token, code) in [
        ("prices/bob", Some(token.as_str()), "forbidden"),
        ("prices/ann", Some("forged"), "unauthorized"),
    ] {
        ann.send(&subscribe(channel, token)).await;
        let error = ann.json().await;
        assert_eq!(error["error"]["code"], code, "{error}");
        assert!(!error.to_string().contains(&token.unwrap_or_default().to_owned()));
    }
    ann.send(&subscribe("prices/ann", Some(&token))).await;
    let price = ann.json().await;
    assert_eq!(price["channel"], "prices/ann");
    assert!(price["data"]["price"].as_u64() >= Some(100), "{price}");
    let channel: Value = example.at.get("/tap/api/channels/prices%2Fann").await.json();
    assert_eq!(channel["users"], json!(["ann"]));
}

#[tokio::test]
async fn mount_has_its_own_routes_and_the_tap_below_them() {
    let example = Example::start("mount");
    assert!(example.words.trim_end().ends_with("/tap"));
    let mut events = example.at.events_at("/tap/events").await;
    let mut ws = example.at.ws("/tap/ws").await;
    ws.send(r#"{"connectionId":"a"}"#).await;
    assert_eq!(events.data().await, r#"{"connectionId":"a"}"#);
    assert_eq!(example.at.get("/visitors").await.json(), json!(["a"]));
}

#[cfg(unix)]
#[tokio::test]
async fn mount_stops_in_good_order() {
    let mut example = Example::start("mount");
    let mut events = example.at.events_at("/tap/events").await;
    let mut ws = example.at.ws("/tap/ws?connectionId=a").await;
    assert_eq!(events.data().await, r#"{"connectionId":"a"}"#);
    signal("INT", example.child.id());
    assert_eq!(ws.closed().await, 1001);
    assert_eq!(events.rest().await.len(), 1, "the close event");
    let ended = tokio::task::spawn_blocking(move || example.child.wait()).await;
    assert!(ended.expect("no panic").expect("it ends").success());
}

#[tokio::test]
async fn sse_ticks_and_goes_on_where_a_client_was() {
    let example = Example::start("sse");
    let mut clock = example.at.events_at("/clock").await;
    let tick = clock.next().await;
    assert_eq!((tick.name.as_str(), tick.data.as_str()), ("tick", r#"{"tick":0}"#));
    assert_eq!(clock.last_event_id(), "0");
    assert!(clock.raw.starts_with(": a clock\nretry: 1000\n\nevent: tick\nid: 0\n"));
    let again = example.at.request("GET", "/clock", &[("last-event-id", "41")], "").await;
    let mut again = crate::harness::Events::of(again);
    assert_eq!(again.data().await, r#"{"tick":42}"#);
    assert!(example.at.get("/").await.body.contains("EventSource"));
}
