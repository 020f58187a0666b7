//! Channels: who is in them, who may be, and what they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tungstenite::Message as Frame;
use wstap::auth::{Authority, Denied, Grant, Pattern};
use wstap::hub::{ChannelRules, Declared, Settings, SlowClient};

use crate::harness::{Tap, Ws, until, within};

/// Takes `USER` or `USER:SECONDS-OF-LIFE` for a token, as long as it is open.
#[derive(Debug, Default)]
struct UpgradeContext {
    shut: AtomicBool,
    asked: AtomicUsize,
}

impl Authority for UpgradeContext {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        self.asked.fetch_add(1, Relaxed);
        if self.shut.load(Relaxed) || token == "forged" {
            return Err(Denied("nobody has signed it".to_owned()));
        }
        let (user, life) = token.split_once(':').unwrap_or((token, ""));
        let grant = Grant::of(user.parse().expect("a user"));
        Ok(Grant {
            expires: life.parse::<u64>().ok().map(|life| now + life),
            publish: if user == "ann" { vec![Pattern::all()] } else { Vec::new() },
            subscribe: if user == "eve" { Vec::new() } else { grant.subscribe },
            ..grant
        })
    }
}

fn declared(name: &str, rules: ChannelRules) -> Declared {
    Declared { name: name.parse().expect("a pattern"), rules }
}

fn private() -> Settings {
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    let authority: Arc<dyn Authority> = Arc::new(UpgradeContext::default());
    let channels = vec![declared("private/*", rules)];
    Settings { channels, authority: Some(authority), ..Settings::default() }
}

impl Ws {
    async fn subscribe(&mut self, channel: &str, token: &str) {
        let params = json!({"channels": [channel], "token": token});
        self.send(&json!({"type": "subscribe", "params": params}).to_string()).await;
    }

    /// Subscribes, and waits until that is done.
    async fn subscribed(&mut self, channel: &str, token: &str) {
        self.subscribe(channel, token).await;
        let ack = self.json().await;
        assert!(ack["ack"].is_string(), "{ack}");
    }

    async fn publish(&mut self, channel: &str, message: Value) {
        let params = json!({"channel": channel, "message": message});
        self.send(&json!({"type": "publish", "params": params}).to_string()).await;
    }

    /// Asserts that the next frame is an error.
    async fn is_refused(&mut self, code: &str, part: &str) {
        let error = self.json().await;
        assert_eq!(error["error"]["code"], code, "{error}");
        let words = error["error"]["message"].as_str().expect("words");
        assert!(words.contains(part), "{part:?} in {words:?}");
    }
}

async fn post(tap: &Tap, path: &str, body: &str) {
    let headers = [("content-type", "application/json")];
    let answer = tap.fetch("POST", path, &headers, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[tokio::test]
async fn what_is_published_reaches_every_subscriber_and_the_event_stream() {
    let tap = Tap::start().await;
    let mut events = tap.events("?channel=news").await;
    let mut full = tap.events("?format=full&channel=news&kind=message").await;
    let mut one = tap.ws("/ws?connectionId=one&ack=1").await;
    let mut two = tap.ws("/ws?connectionId=two&ack=1").await;
    one.subscribed("news", "").await;
    two.subscribed("news", "").await;
    two.subscribed("other", "").await;
    one.publish("news", json!({"n": 1})).await;
    assert!(one.json().await["ack"].is_string());
    assert_eq!(one.text().await, r#"{"channel":"news","data":{"n":1}}"#);
    assert_eq!(two.text().await, r#"{"channel":"news","data":{"n":1}}"#);
    post(&tap, "/api/channels/news/messages", "[ 1.0 ]").await;
    assert_eq!(one.text().await, r#"{"channel":"news","data":[ 1.0 ]}"#);
    let binary = [("content-type", "application/octet-stream")];
    let answer = tap.fetch("POST", "/api/channels/news/messages", &binary, "\u{1}").await;
    assert_eq!(answer.status, 202);
    assert_eq!(one.text().await, r#"{"channel":"news","data":"AQ==","encoding":"base64"}"#);
    let text = [("content-type", "text/plain")];
    tap.fetch("POST", "/api/channels/news/messages", &text, "hello there").await;
    assert_eq!(one.text().await, r#"{"channel":"news","data":"hello there"}"#);
    let plain = [
        r#"{"join":{"connectionId":"one","channel":"news","user":"one"}}"#,
        r#"{"join":{"connectionId":"two","channel":"news","user":"two"}}"#,
        r#"{"connectionId":"one","channel":"news","message":{"n":1}}"#,
        r#"{"connectionId":null,"channel":"news","message":[ 1.0 ]}"#,
        r#"{"connectionId":null,"channel":"news","message":"AQ==","encoding":"base64","direction":"out"}"#,
    ];
    for (n, data) in plain.iter().enumerate() {
        let event = events.next().await;
        assert_eq!(event.name, if n < 2 { "join" } else { "message" });
        assert_eq!(
            event.data.replace(r#","direction":"out"}"#, "}"),
            data.replace(r#","direction":"out"}"#, "}")
        );
    }
    let first = full.json().await;
    assert_eq!((&first["channel"], &first["direction"]), (&json!("news"), &json!("in")));
    let second = full.json().await;
    assert_eq!((&second["connectionId"], &second["direction"]), (&Value::Null, &json!("out")));
    assert_eq!(tap.get("/api/events?channel=other").await.json().as_array().map(Vec::len), Some(1));
    let filter = "/api/events?filter=channel+%3D%3D+'news'+%26%26+connectionId+%3D%3D+null";
    assert_eq!(tap.get(filter).await.json().as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_first_frame_that_is_a_command_registers_under_an_id_that_is_made() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.ws("/ws").await;
    let command = r#"{"type":"subscribe","params":{"channels":["a"]}}"#;
    ws.send_binary(command.as_bytes()).await;
    let connect = events.json().await;
    let id = connect["connectionId"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 11, "{id}");
    assert_eq!(events.json().await["join"]["connectionId"], id.as_str());
    post(&tap, "/api/channels/a/messages", "1").await;
    assert_eq!(ws.text().await, r#"{"channel":"a","data":1}"#);
    let mut wrong = tap.ws("/ws").await;
    wrong.send(r#"{"type":"subscribe"}"#).await;
    wrong.is_refused("malformed", "something like").await;
    assert_eq!(wrong.closed().await, 4400);
}

#[tokio::test]
async fn what_channelize_ignores_is_answered_with_an_error() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut ws = tap.ws("/ws?connectionId=a").await;
    for (frame, code, part) in [
        (r#"{"type":"subscribe","params":{"channels":[]}}"#, "malformed", "something like"),
        (r#"{"type":"subscribe","params":{"channels":[""]}}"#, "malformed", "1 to 256"),
        (r#"{"type":"unsubscribe"}"#, "malformed", "something like"),
        (r#"{"type":"publish","params":{"channel":"a"}}"#, "malformed", "something like"),
        (
            r#"{"type":"subscribe","params":{"channels":["a","private/b"]}}"#,
            "unauthorized",
            "private/b",
        ),
        (
            r#"{"type":"publish","params":{"channel":"private/b","message":1}}"#,
            "forbidden",
            "private/b",
        ),
    ] {
        ws.send(frame).await;
        ws.is_refused(code, part).await;
    }
    assert!(tap.get("/api/channels").await.json().as_array().expect("a list").is_empty());
    assert_eq!(tap.get("/api/channels/a").await.status, 404);
    assert!(tap.get("/metrics").await.body.contains("wstap_frame_errors_total 6"));
}

#[tokio::test]
async fn a_private_channel_is_private() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut ann = tap.ws("/ws?connectionId=1&ack=1").await;
    let mut bob = tap.ws("/ws?connectionId=2&ack=1").await;
    for (token, code, part) in [
        ("", "unauthorized", "a token in params.token"),
        (" ", "unauthorized", "a token in params.token"),
        ("forged", "unauthorized", "nobody has signed it"),
        ("bob:0", "unauthorized", "it has expired"),
        ("eve", "forbidden", "does not let anybody into"),
    ] {
        bob.subscribe("private/x", token).await;
        bob.is_refused(code, part).await;
    }
    ann.subscribed("private/x", "ann").await;
    bob.subscribed("private/x", "bob").await;
    bob.publish("private/x", json!(1)).await;
    bob.is_refused("forbidden", "only who is in it with a token for that").await;
    ann.publish("private/x", json!(2)).await;
    assert_eq!(bob.text().await, r#"{"channel":"private/x","data":2}"#);
    let seen = tap.get("/api/channels/private%2Fx").await.json();
    assert_eq!((&seen["private"], &seen["users"]), (&json!(true), &json!(["ann", "bob"])));
    assert_eq!(tap.get("/api/connections/1").await.json()["user"], "ann");
    // Leaving asks for nothing.
    bob.send(r#"{"type":"unsubscribe","params":{"channels":["private/x"]}}"#).await;
    assert!(bob.json().await["ack"].is_string());
    assert_eq!(tap.get("/api/channels/private%2Fx").await.json()["users"], json!(["ann"]));
}

#[tokio::test]
async fn without_an_authority_nobody_enters_a_private_channel() {
    let tap = Tap::with(Settings { authority: None, ..private() }, |_| {}).await;
    let mut ws = tap.ws("/ws?connectionId=a").await;
    ws.subscribe("private/x", "ann").await;
    ws.is_refused("forbidden", "--jwt-key").await;
}

#[tokio::test]
async fn a_message_to_a_user_reaches_all_connections_of_that_user_and_nobody_else() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut tabs = Vec::new();
    for (id, user) in [("1", "ann"), ("2", "ann"), ("3", "ann"), ("4", "bob")] {
        let mut ws = tap.ws(&format!("/ws?connectionId={id}&ack=1")).await;
        ws.subscribed("private/x", user).await;
        tabs.push(ws);
    }
    post(&tap, "/api/channels/private%2Fx/messages?user=ann", "\"for ann\"").await;
    post(&tap, "/api/channels/private%2Fx/messages", "\"for all\"").await;
    let [.., bob] = &mut tabs[..] else { panic!("four") };
    assert_eq!(bob.json().await["data"], "for all");
    for tab in &mut tabs[..3] {
        assert_eq!(tab.json().await["data"], "for ann");
        assert_eq!(tab.json().await["data"], "for all");
    }
    let event = &tap.get("/api/events?filter=has(to)").await.json()[0];
    assert_eq!((&event["to"], &event["message"]), (&json!(["ann"]), &json!("for ann")));
}

#[tokio::test]
async fn a_second_connection_of_a_user_steals_nothing_when_it_comes_or_goes() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut first = tap.ws("/ws?connectionId=1&ack=1").await;
    let mut second = tap.ws("/ws?connectionId=2&ack=1").await;
    first.subscribed("private/x", "ann").await;
    second.subscribed("private/x", "ann").await;
    second.close(1000, "").await;
    post(&tap, "/api/channels/private%2Fx/messages?user=ann", "1").await;
    assert_eq!(first.text().await, r#"{"channel":"private/x","data":1}"#);
}

#[tokio::test]
async fn a_user_with_three_tabs_joins_once_and_leaves_once() {
    let mut settings = private();
    let rules = ChannelRules { presence: true, ..settings.channels[0].rules.clone() };
    settings.channels[0].rules = rules;
    let tap = Tap::with(settings, |_| {}).await;
    let mut events = tap.events("?kind=join&kind=leave&format=full").await;
    let mut bob = tap.ws("/ws?connectionId=bob&ack=1").await;
    bob.subscribed("private/x", "bob").await;
    assert_eq!(bob.text().await, r#"{"channel":"private/x","type":"presence","users":["bob"]}"#);
    let mut tabs = Vec::new();
    for id in ["1", "2", "3"] {
        let mut ws = tap.ws(&format!("/ws?connectionId={id}&ack=1")).await;
        ws.subscribed("private/x", "ann").await;
        assert_eq!(ws.json().await["users"], json!(["ann", "bob"]));
        tabs.push(ws);
    }
    assert_eq!(bob.text().await, r#"{"channel":"private/x","type":"join","user":"ann"}"#);
    let last = tabs.pop().expect("three");
    let leaves = r#"{"type":"unsubscribe","params":{"channels":["private/x","elsewhere"]}}"#;
    for mut tab in tabs {
        tab.send(leaves).await;
        tab.json().await;
        tab.send(leaves).await;
        tab.json().await;
    }
    post(&tap, "/api/channels/private%2Fx/messages", "1").await;
    assert_eq!(bob.json().await["data"], 1, "nobody has left yet");
    last.reset();
    assert_eq!(bob.text().await, r#"{"channel":"private/x","type":"leave","user":"ann"}"#);
    let mut told = Vec::new();
    for _ in 0..3 {
        let event = events.json().await;
        told.push((event["kind"].clone(), event["connectionId"].clone(), event["user"].clone()));
    }
    let told_is = [("join", "bob", "bob"), ("join", "1", "ann"), ("leave", "3", "ann")];
    assert_eq!(told, told_is.map(|(kind, id, user)| (json!(kind), json!(id), json!(user))));
}

#[tokio::test]
async fn a_leave_comes_before_the_close_of_its_connection() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    ws.subscribed("x", "").await;
    ws.subscribed("y", "").await;
    ws.close(1000, "").await;
    let mut names = Vec::new();
    for _ in 0..6 {
        let event = events.next().await;
        names.push((event.name, event.data.contains("\"close\"")));
    }
    let names: Vec<_> = names.iter().map(|(name, close)| (name.as_str(), *close)).collect();
    let message = |close| ("message", close);
    let (join, leave) = (("join", false), ("leave", false));
    assert_eq!(names, [message(false), join, join, leave, leave, message(true)]);
    until("the channels to go", || tap.hub.channels().is_empty()).await;
}

#[tokio::test]
async fn joining_twice_delivers_once() {
    let tap = Tap::start().await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    for _ in 0..2 {
        ws.send(r#"{"type":"subscribe","params":{"channels":["x","x"]}}"#).await;
        ws.json().await;
    }
    post(&tap, "/api/channels/x/messages", "1").await;
    post(&tap, "/api/channels/x/messages", "2").await;
    assert_eq!(
        (ws.json().await["data"].clone(), ws.json().await["data"].clone()),
        (json!(1), json!(2))
    );
    assert_eq!(tap.get("/api/events?kind=join").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_pass_is_looked_at_for_each_message_and_asked_for_again_when_it_has_run_out() {
    let door = Arc::new(UpgradeContext::default());
    let authority: Arc<dyn Authority> = Arc::<UpgradeContext>::clone(&door);
    let tap = Tap::with(Settings { authority: Some(authority), ..private() }, |_| {}).await;
    let mut bob = tap.ws("/ws?connectionId=bob&ack=1").await;
    let begun = now();
    bob.subscribed("private/x", "bob:1").await;
    until("the pass to run out", || now() > begun + 1).await;
    // The door still knows it, and gives it another second.
    post(&tap, "/api/channels/private%2Fx/messages", "1").await;
    assert_eq!(bob.json().await["data"], 1);
    door.shut.store(true, Relaxed);
    let renewed = now();
    until("the pass to run out again", || now() > renewed + 1).await;
    post(&tap, "/api/channels/private%2Fx/messages", "2").await;
    // It answers nothing, so that it says which channel it means.
    let out = bob.json().await;
    let words = out["error"]["message"].as_str().expect("words");
    assert_eq!(
        (&out["channel"], &out["error"]["code"]),
        (&json!("private/x"), &json!("unauthorized"))
    );
    assert!(words.contains("the token for the channel \"private/x\" has expired"), "{words}");
    assert_eq!(tap.get("/api/channels/private%2Fx").await.status, 404);
    let left = tap.get("/api/events?kind=leave").await.json();
    assert_eq!((left.as_array().map(Vec::len), &left[0]["user"]), (Some(1), &json!("bob")));
    // It is a connection like any other, and may come in again.
    door.shut.store(false, Relaxed);
    bob.subscribed("private/x", "bob").await;
}

#[tokio::test]
async fn an_authority_is_asked_at_each_subscribe_and_never_again_for_a_grant_without_an_end() {
    let door = Arc::new(UpgradeContext::default());
    let authority: Arc<dyn Authority> = Arc::<UpgradeContext>::clone(&door);
    let tap = Tap::with(Settings { authority: Some(authority), ..private() }, |_| {}).await;
    let mut bob = tap.ws("/ws?connectionId=bob&ack=1").await;
    for times in 1..=2 {
        bob.subscribed("private/x", "bob").await;
        assert_eq!(door.asked.load(Relaxed), times);
    }
    // No private channel, no question.
    bob.subscribed("open", "bob").await;
    door.shut.store(true, Relaxed);
    for n in 0..3 {
        post(&tap, "/api/channels/private%2Fx/messages", &n.to_string()).await;
        assert_eq!(bob.json().await["data"], n);
    }
    assert_eq!(door.asked.load(Relaxed), 2);
}

#[tokio::test]
async fn what_a_channel_keeps_comes_before_what_is_new() {
    let rules = ChannelRules { history: 3, ..ChannelRules::default() };
    let channels = vec![declared("log/*", rules)];
    let tap = Tap::with(Settings { channels, ..Settings::default() }, |_| {}).await;
    for n in 0..5 {
        post(&tap, "/api/channels/log%2Fa/messages", &n.to_string()).await;
    }
    post(&tap, "/api/channels/log%2Fa/messages?user=ann", "\"for ann\"").await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    ws.send(r#"{"type":"subscribe","params":{"channels":["log/a"],"last":2}}"#).await;
    assert!(ws.json().await["ack"].is_string());
    assert_eq!(ws.text().await, r#"{"channel":"log/a","data":3}"#);
    assert_eq!(ws.text().await, r#"{"channel":"log/a","data":4}"#);
    post(&tap, "/api/channels/log%2Fa/messages", "5").await;
    assert_eq!(ws.text().await, r#"{"channel":"log/a","data":5}"#);
    let seen = tap.get("/api/channels/log%2Fa").await.json();
    let kept = seen["history"].as_array().expect("a list").iter().map(|event| &event["message"]);
    assert_eq!(kept.collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((&seen["messages"], &seen["members"]), (&json!(7), &json!(["a"])));
}

#[tokio::test]
async fn limits_of_channels_are_told() {
    let rules = ChannelRules { max_members: Some(1), ..ChannelRules::default() };
    let channels = vec![declared("small", rules)];
    let settings = Settings { channels, max_channels: 1500, ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let mut one = tap.ws("/ws?connectionId=1&ack=1").await;
    let mut two = tap.ws("/ws?connectionId=2&ack=1").await;
    one.subscribed("small", "").await;
    two.subscribe("small", "").await;
    two.is_refused("full", "as many members as it takes").await;
    let names = |from: usize, count: usize| {
        let names: Vec<_> = (from..from + count).map(|n| n.to_string()).collect();
        json!({"type": "subscribe", "params": {"channels": names}}).to_string()
    };
    two.send(&names(0, 1001)).await;
    two.is_refused("malformed", "names at most 1000 channels").await;
    two.send(&names(0, 1)).await;
    assert!(two.json().await["ack"].is_string());
    two.send(&names(1, 1000)).await;
    two.is_refused("full", "at most 1000 channels").await;
    two.send(&names(0, 1000)).await;
    assert!(two.json().await["ack"].is_string());
    one.send(&names(1000, 500)).await;
    one.is_refused("full", "as many channels as this server takes").await;
    one.send(&names(1000, 499)).await;
    assert!(one.json().await["ack"].is_string());
}

#[tokio::test]
async fn redaction_hides_of_channels_what_it_hides_of_all_and_members_are_told_all() {
    let patterns = vec!["s3cret[0-9]*".parse().expect("a pattern")];
    let rules = wstap::redact::Rules { patterns, ..Default::default() };
    let rules_of_channel = ChannelRules { presence: true, history: 5, ..ChannelRules::default() };
    let settings = Settings {
        redaction: wstap::redact::Redaction::new(rules),
        channels: vec![declared("*", rules_of_channel)],
        ..Settings::default()
    };
    let tap = Tap::with(settings, |_| {}).await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let mut other = tap.ws("/ws?connectionId=b&ack=1").await;
    for ws in [&mut ws, &mut other] {
        ws.subscribed("s3cret1", "").await;
        assert_eq!(ws.json().await["channel"], "s3cret1");
    }
    assert_eq!(ws.text().await, r#"{"channel":"s3cret1","type":"join","user":"b"}"#);
    ws.publish("s3cret1", json!({"key": "s3cret2"})).await;
    ws.json().await;
    assert_eq!(ws.json().await, json!({"channel": "s3cret1", "data": {"key": "s3cret2"}}));
    post(&tap, "/api/channels/s3cret1/messages?user=s3cret3", "\"s3cret4\"").await;
    for path in [
        "/api/events",
        "/api/events?format=ndjson",
        "/api/events?format=har",
        "/api/channels",
        "/api/channels/s3cret1",
        "/api/connections",
    ] {
        let answer = tap.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("s3cret"), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_five_gauges_of_channelize_are_exported() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut sockets = Vec::new();
    for (id, user) in [("1", "ann"), ("2", "ann"), ("3", "bob")] {
        let mut ws = tap.ws(&format!("/ws?connectionId={id}&ack=1")).await;
        ws.subscribed("private/x", user).await;
        ws.subscribed("public", "").await;
        // Again: it is counted once.
        ws.subscribed("private/x", user).await;
        sockets.push(ws);
    }
    sockets.push(tap.registered("4").await);
    let metrics = tap.get("/metrics").await.body;
    for line in [
        "wstap_open_connections 4",
        "wstap_private_connections 3",
        "wstap_private_connections_storage_length 2",
        "wstap_open_connections_storage_length 2",
        "wstap_subscribed_channels_storage_length 3",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in {metrics}");
    }
    drop(sockets);
    let gone = "wstap_private_connections 0";
    within("all to go", async {
        while !tap.get("/metrics").await.body.lines().any(|line| line == gone) {}
    })
    .await;
}

#[tokio::test]
async fn pings_carry_the_time_where_that_is_asked_for() {
    let short = std::time::Duration::from_millis(20);
    let tap = Tap::with(Settings::default(), |web| web.limits.ping_interval = short).await;
    let mut payloads = Vec::new();
    for path in ["/ws?connectionId=a", "/ws?connectionId=b&ping=time"] {
        let mut ws = tap.ws(path).await;
        let ping = within("a ping", futures_util::StreamExt::next(&mut ws.socket)).await;
        let Some(Ok(Frame::Ping(payload))) = ping else { panic!("{ping:?}") };
        payloads.push(String::from_utf8(payload.to_vec()).expect("text"));
    }
    assert_eq!(payloads[0], "");
    assert!(payloads[1].parse::<u64>().is_ok_and(|time| now() - time < 20), "{payloads:?}");
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_closed_where_that_is_set() {
    let settings = Settings { slow_client: SlowClient::Close, ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let mut events = tap.events("?kind=close&format=full").await;
    let mut slow = tap.ws("/ws?connectionId=slow&ack=1").await;
    slow.subscribed("x", "").await;
    let large = json!("x".repeat(1 << 19)).to_string();
    while tap.hub.connection(&"slow".parse().expect("an id")).is_some() {
        post(&tap, "/api/channels/x/messages", &large).await;
    }
    let close = events.json().await;
    assert_eq!((&close["close"]["code"], &close["close"]["by"]), (&json!(4429), &json!("tap")));
}

/// Publishes until one who never reads has lost something, and returns how much was published.
async fn flooded(tap: &Tap, channel: &str) -> usize {
    let large = json!("x".repeat(1 << 19)).to_string();
    for n in 1..400 {
        post(tap, &format!("/api/channels/{channel}/messages"), &large).await;
        if !tap.get("/metrics").await.body.contains("wstap_queue_refusals_total 0") {
            return n;
        }
    }
    panic!("nobody reads 200 MB");
}

#[tokio::test]
async fn a_member_that_does_not_keep_up_loses_what_does_not_fit_which_is_counted() {
    let tap = Tap::start().await;
    let mut slow = tap.ws("/ws?connectionId=slow&ack=1").await;
    let mut quick = tap.ws("/ws?connectionId=quick&ack=1").await;
    slow.subscribed("x", "").await;
    quick.subscribed("x", "").await;
    let reader = tokio::spawn(async move {
        let mut read = 0;
        while quick.text().await != r#"{"channel":"x","data":"last"}"# {
            read += 1;
        }
        read
    });
    let published = flooded(&tap, "x").await;
    post(&tap, "/api/channels/x/messages", "\"last\"").await;
    assert_eq!(within("the quick one", reader).await.expect("it reads"), published);
    assert!(tap.hub.connection(&"slow".parse().expect("an id")).is_some(), "it stays");
}

#[tokio::test]
async fn a_client_that_calls_itself_like_a_user_is_not_that_user() {
    let mut settings = private();
    settings
        .channels
        .push(declared("chat", ChannelRules { presence: true, ..ChannelRules::default() }));
    let tap = Tap::with(settings, |_| {}).await;
    let mut events = tap.events("?kind=join&kind=leave&format=full").await;
    let mut impostor = tap.ws("/ws?connectionId=ann&ack=1").await;
    impostor.subscribed("chat", "").await;
    assert_eq!(impostor.json().await["users"], json!(["ann"]));
    post(&tap, "/api/channels/chat/messages?user=ann", "\"for ann alone\"").await;
    // The real one: known by a token, and in a public channel under the name that it has.
    let mut ann = tap.ws("/ws?connectionId=1&ack=1").await;
    ann.subscribed("private/x", "ann").await;
    ann.subscribed("chat", "").await;
    post(&tap, "/api/channels/chat/messages?user=ann", "\"for ann alone again\"").await;
    post(&tap, "/api/channels/chat/messages", "\"for all\"").await;
    // She is told of as coming, to the impostor as well, who gets nothing that is hers.
    assert_eq!(impostor.text().await, r#"{"channel":"chat","type":"join","user":"ann"}"#);
    assert_eq!(impostor.json().await["data"], "for all");
    let mut told = Vec::new();
    while told.last() != Some(&json!("for all")) {
        told.push(ann.json().await["data"].clone());
    }
    assert_eq!(told[told.len() - 2], "for ann alone again", "{told:?}");
    ann.close(1000, "").await;
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let event = events.json().await;
        kinds.push(format!("{} {} {}", event["kind"], event["channel"], event["connectionId"]));
    }
    let own = kinds.iter().filter(|it| it.contains("\"chat\" \"1\"")).count();
    assert_eq!(own, 2, "her join and her leave: {kinds:?}");
}

#[tokio::test]
async fn of_what_a_channel_keeps_the_newest_come_and_fit() {
    let rules = ChannelRules { history: 1000, presence: true, ..ChannelRules::default() };
    let channels = vec![declared("log", rules)];
    let tap = Tap::with(Settings { channels, ..Settings::default() }, |_| {}).await;
    for n in 0..300 {
        post(&tap, "/api/channels/log/messages", &n.to_string()).await;
    }
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    ws.send(r#"{"type":"subscribe","params":{"channels":["log"],"last":1000}}"#).await;
    assert!(ws.json().await["ack"].is_string());
    for n in 300 - 128..300 {
        assert_eq!(ws.json().await["data"], n);
    }
    assert_eq!(ws.json().await["type"], "presence");
    // By bytes too.
    let large = json!("x".repeat(500_000)).to_string();
    for _ in 0..6 {
        post(&tap, "/api/channels/log/messages", &large).await;
    }
    let mut other = tap.ws("/ws?connectionId=b&ack=1").await;
    other.send(r#"{"type":"subscribe","params":{"channels":["log"],"last":6}}"#).await;
    assert!(other.json().await["ack"].is_string());
    let mut kept = 0;
    while other.json().await["type"] != "presence" {
        kept += 1;
    }
    assert_eq!(kept, 4);
}

#[tokio::test]
async fn what_all_channels_keep_is_bounded_and_the_oldest_goes_first() {
    let rules = ChannelRules { history: 100, ..ChannelRules::default() };
    let history = wstap::hub::Retention { bytes: 1 << 20, ..Settings::default().history };
    let channels = vec![declared("log/*", rules)];
    let settings = Settings { channels, history, max_channels: 20, ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let message = json!("x".repeat(100_000)).to_string();
    for n in 0..30 {
        post(&tap, &format!("/api/channels/log%2F{n}/messages"), &message).await;
    }
    let kept = tap.get("/api/channels").await.json();
    let names: Vec<_> = kept.as_array().expect("a list").iter().map(|it| &it["channel"]).collect();
    assert!((8..=10).contains(&names.len()), "{names:?}");
    assert!(names.contains(&&json!("log/29")) && !names.contains(&&json!("log/15")), "{names:?}");
    // Room is made of those that nobody is in, and of no others.
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let names: Vec<_> = (0..15).map(|n| format!("other {n}")).collect();
    ws.send(&json!({"type": "subscribe", "params": {"channels": names}}).to_string()).await;
    assert!(ws.json().await["ack"].is_string());
    let left = tap.hub.channels().len();
    assert!(left <= 20 && tap.get("/api/channels/log%2F29").await.status == 200, "{left}");
    let names: Vec<_> = (0..6).map(|n| format!("more {n}")).collect();
    ws.send(&json!({"type": "subscribe", "params": {"channels": names}}).to_string()).await;
    ws.is_refused("full", "as many channels as this server takes").await;
    assert_eq!(tap.hub.channels().len(), left, "nothing was given up for what is refused");
}

#[tokio::test]
async fn a_pass_that_has_run_out_is_noticed_when_nobody_speaks() {
    let door = Arc::new(UpgradeContext::default());
    let authority: Arc<dyn Authority> = Arc::<UpgradeContext>::clone(&door);
    let heartbeat = std::time::Duration::from_millis(50);
    let tap =
        Tap::with(Settings { authority: Some(authority), heartbeat, ..private() }, |_| {}).await;
    let mut bob = tap.ws("/ws?connectionId=bob&ack=1").await;
    bob.subscribed("private/x", "bob:1").await;
    door.shut.store(true, Relaxed);
    let expelled = bob.json().await;
    assert_eq!(
        (&expelled["channel"], &expelled["error"]["code"]),
        (&json!("private/x"), &json!("unauthorized"))
    );
    until("the channel to go", || tap.hub.channels().is_empty()).await;
}

#[tokio::test]
async fn a_user_who_is_named_twice_is_told_once() {
    let tap = Tap::with(private(), |_| {}).await;
    let mut ann = tap.ws("/ws?connectionId=1&ack=1").await;
    ann.subscribed("private/x", "ann").await;
    post(&tap, "/api/channels/private%2Fx/messages?user=ann&user=bob&user=ann", "1").await;
    post(&tap, "/api/channels/private%2Fx/messages", "2").await;
    assert_eq!(
        (ann.json().await["data"].clone(), ann.json().await["data"].clone()),
        (json!(1), json!(2))
    );
    assert_eq!(tap.get("/api/events?filter=has(to)").await.json()[0]["to"], json!(["ann", "bob"]));
}

#[tokio::test]
async fn a_stopping_server_takes_no_publication() {
    let tap = Tap::start().await;
    tap.hub.shutdown(std::time::Duration::ZERO).await;
    let answer = tap.fetch("POST", "/api/channels/x/messages", &[], "1").await;
    answer.is_problem(503, "stopping", "try again");
}
