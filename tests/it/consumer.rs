//! Consumers in an axum program, served by axum's own server. Tests are named after faults of
//! oak-channels that wstap does not have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tungstenite::Message as Frame;
use wstap::auth::Pattern;
use wstap::consumer::{
    self, Consumer, GroupMessage, Json, JsonConsumer, Peer, PeerError, UpgradeContext,
};
use wstap::event::{Channel, User};
use wstap::hub::{ChannelRules, Declared, Ending, Hub, Settings, SlowClient};

use crate::harness::{Tap, Ws, until, within};

/// Executes commands of its client, and reports what its hooks receive.
struct Puppet {
    test: mpsc::UnboundedSender<Note>,
    held: Arc<Notify>,
    fails: bool,
}

/// A report of a puppet to the test.
#[derive(Debug)]
enum Note {
    Peer(Peer),
    Ended(Ending),
}

impl Consumer for Puppet {
    async fn on_connect(&mut self, peer: &Peer) -> consumer::Result {
        peer.send("welcome").await?;
        self.test.send(Note::Peer(peer.clone()))?;
        Ok(())
    }

    async fn on_text(&mut self, peer: &Peer, text: &str) -> consumer::Result {
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        match words.as_slice() {
            ["join", group] => peer.join(group)?,
            ["leave", group] => peer.leave(group)?,
            ["group", group, words] => drop(peer.group_send(group, words)?),
            ["group-json", group, json] => {
                let value: Value = serde_json::from_str(json)?;
                peer.group_send_json(group, &value)?;
            }
            ["bytes", group, words] => drop(peer.group_send_binary(group, words.as_bytes())?),
            ["close", code, reason] => peer.close(code.parse()?, reason)?,
            ["wait"] => {
                peer.send("waiting").await?;
                self.held.notified().await;
            }
            ["fail"] => Err("as it was told")?,
            ["fail-later"] => self.fails = true,
            ["panic"] => panic!("as it was told"),
            ["pour", count] => {
                for number in 0..count.parse::<u32>()? {
                    peer.send(number.to_string()).await?;
                }
            }
            ["flood", count] => {
                for number in 0..count.parse::<u32>()? {
                    peer.try_send(number.to_string())?;
                }
            }
            _ => {}
        }
        peer.send(format!("done {text}")).await?;
        Ok(())
    }

    async fn on_binary(&mut self, peer: &Peer, bytes: &[u8]) -> consumer::Result {
        peer.send_binary(bytes.iter().rev().copied().collect::<Vec<_>>()).await?;
        Ok(())
    }

    async fn on_group_message(&mut self, peer: &Peer, message: &GroupMessage) -> consumer::Result {
        if self.fails {
            Err("as it was told")?;
        }
        let group = message.group().ok_or("a group")?;
        match message.binary() {
            Some(bytes) => {
                peer.send_binary([group.as_str().as_bytes(), b":", bytes].concat()).await?
            }
            None => peer.send(format!("{group}: {}", message.text().unwrap_or_default())).await?,
        };
        Ok(())
    }

    async fn on_join(&mut self, peer: &Peer, group: &Channel, user: &User) -> consumer::Result {
        peer.send(format!("{group}: {user} came")).await?;
        Ok(())
    }

    async fn on_leave(&mut self, peer: &Peer, group: &Channel, user: &User) -> consumer::Result {
        peer.send(format!("{group}: {user} went")).await?;
        Ok(())
    }

    async fn on_close(&mut self, peer: &Peer, ending: &Ending) -> consumer::Result {
        let _ = peer.group_send("farewell", "gone");
        self.test.send(Note::Ended(ending.clone()))?;
        Ok(())
    }
}

struct Pinged;

#[derive(Deserialize)]
struct Ping {
    ping: u64,
}

impl JsonConsumer for Pinged {
    type In = Ping;

    async fn on_json(&mut self, peer: &Peer, value: Ping) -> consumer::Result {
        peer.send_json(&json!({ "pong": value.ping })).await?;
        Ok(())
    }
}

/// A program with consumers at `/ws` (puppets), `/as/{user}` and `/json`, and the routes of wstap.
struct Program {
    tap: Tap,
    notes: mpsc::UnboundedReceiver<Note>,
    held: Arc<Notify>,
}

impl Program {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        Self::of(Hub::new(settings), None).await
    }

    /// Starts with this interval between pings, and this time for their pongs.
    async fn patient(time: Duration) -> Self {
        Self::of(Hub::new(Settings::default()), Some(time)).await
    }

    async fn of(hub: Hub, heartbeat: Option<Duration>) -> Self {
        let (test, notes) = mpsc::unbounded_channel();
        let held = Arc::new(Notify::new());
        let notify = Arc::clone(&held);
        let puppet = move || Puppet { test: test.clone(), held: Arc::clone(&notify), fails: false };
        let (mut door, another) = (UpgradeContext::new(hub.clone()), puppet.clone());
        if let Some(time) = heartbeat {
            (door.limits.ping_interval, door.limits.pong_timeout) = (time, time);
        }
        let named = async move |Path(user): Path<String>, request: Request| -> Response {
            consumer::upgrade(&door, request, user.parse().ok(), another())
        };
        let app = Router::new()
            .route("/ws", consumer::route(hub.clone(), puppet))
            .route("/as/{user}", any(named))
            .route("/json", consumer::route(hub.clone(), || Json(Pinged)))
            .nest("/tap", wstap::router(hub.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).expect("a TCP socket"));
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { tap: Tap::of(addr, hub), notes, held }
    }

    /// Connects, and waits until its hook has run.
    async fn puppet(&mut self) -> (Puppeteer, Peer) {
        self.puppet_at("/ws").await
    }

    async fn puppet_at(&mut self, path: &str) -> (Puppeteer, Peer) {
        let mut ws = self.tap.ws(path).await;
        assert_eq!(ws.text().await, "welcome");
        let Note::Peer(peer) = self.note().await else { panic!("a peer was to come") };
        (Puppeteer(ws), peer)
    }

    async fn note(&mut self) -> Note {
        within("a note", self.notes.recv()).await.expect("the program is there")
    }

    async fn ending(&mut self) -> Ending {
        match self.note().await {
            Note::Ended(ending) => ending,
            Note::Peer(peer) => panic!("an ending was to come, and not {peer:?}"),
        }
    }

    fn members(&self, group: &str) -> usize {
        let channel = group.parse().expect("a channel");
        self.tap.hub.channel(&channel).map_or(0, |inside| inside.members.len())
    }
}

struct Puppeteer(Ws);

impl Puppeteer {
    /// Sends a command, and returns the frames until it is done.
    async fn order(&mut self, order: &str) -> Vec<String> {
        self.0.send(order).await;
        let mut before = Vec::new();
        loop {
            match self.0.text().await {
                text if text == format!("done {order}") => return before,
                text => before.push(text),
            }
        }
    }

    async fn orders(&mut self, orders: &[&str]) {
        for order in orders {
            assert_eq!(self.order(order).await, [""; 0], "{order}");
        }
    }
}

#[tokio::test]
async fn a_consumer_that_goes_is_in_none_of_its_groups_any_more() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    one.orders(&["join a", "join b", "join c", "join d"]).await;
    let groups = ["a", "b", "c", "d"];
    assert_eq!(groups.map(|group| program.members(group)), [1; 4]);
    one.0.reset();
    program.ending().await;
    until("the end", || program.tap.hub.connections().is_empty()).await;
    assert_eq!(groups.map(|group| program.members(group)), [0; 4]);
    assert!(program.tap.hub.channels().is_empty(), "nothing is left of them");
}

#[tokio::test]
async fn joining_twice_delivers_once() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    one.orders(&["join a", "join a"]).await;
    one.0.send("group a hello").await;
    one.0.send("end").await;
    let mut all = vec![one.0.text().await, one.0.text().await, one.0.text().await];
    all.sort();
    assert_eq!(all, ["a: hello", "done end", "done group a hello"]);
    one.orders(&["leave a", "leave a", "group a unheard", "end"]).await;
}

#[tokio::test]
async fn one_failing_member_stops_nobody() {
    let mut program = Program::start().await;
    let mut members = Vec::new();
    for number in 0..5 {
        let (mut member, _) = program.puppet().await;
        member.orders(&["join a"]).await;
        if number == 2 {
            member.orders(&["fail-later"]).await;
        }
        members.push(member);
    }
    let (mut gone, _) = program.puppet().await;
    gone.orders(&["join a"]).await;
    gone.0.reset();
    let (mut sender, _) = program.puppet_after_endings(1).await;
    sender.orders(&["group a 1", "group a 2"]).await;
    for (number, member) in members.iter_mut().enumerate() {
        if number == 2 {
            assert_eq!(member.0.closed().await, 1011);
        } else {
            assert_eq!([member.0.text().await, member.0.text().await], ["a: 1", "a: 2"]);
        }
    }
}

impl Program {
    /// Waits for the ends of connections, then connects.
    async fn puppet_after_endings(&mut self, count: usize) -> (Puppeteer, Peer) {
        for _ in 0..count {
            self.ending().await;
        }
        self.puppet().await
    }
}

#[tokio::test]
async fn a_hook_that_panics_or_fails_ends_its_own_connection_alone() {
    let mut program = Program::start().await;
    let (mut other, _) = program.puppet().await;
    other.orders(&["join a"]).await;
    for order in ["panic", "fail"] {
        let (mut one, peer) = program.puppet().await;
        one.orders(&["join a"]).await;
        one.0.send(order).await;
        assert_eq!(one.0.closed().await, 1011, "{order}");
        if order == "fail" {
            assert_eq!(program.ending().await.code, 1011);
        }
        until("the end", || peer.try_send("x") == Err(PeerError::Ended)).await;
        assert_eq!(program.members("a"), 1);
    }
    other.orders(&["end"]).await;
    let (mut newcomer, _) = program.puppet().await;
    newcomer.orders(&["group a still there"]).await;
    assert_eq!(other.0.text().await, "a: still there");
}

#[tokio::test]
async fn a_client_is_told_a_close_code_and_nothing_of_the_error_of_a_hook() {
    let mut program = Program::start().await;
    // An error of the program, and each `PeerError`.
    for (order, code, reason) in [
        ("fail", 1011, "a hook has failed"),
        ("flood 1000", 4429, "the client does not keep up with what it is sent"),
    ] {
        let (mut one, _) = program.puppet().await;
        one.0.send(order).await;
        let close = loop {
            if let Frame::Close(close) = one.0.next().await.expect("a close frame") {
                break close.expect("a code");
            }
        };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (code, reason), "{order}");
        program.ending().await;
    }
}

#[tokio::test]
async fn sending_to_an_empty_group_leaves_nothing_behind() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    one.orders(&["group nobody hello"]).await;
    assert!(program.tap.hub.channels().is_empty());
}

#[tokio::test]
async fn connects_messages_and_closes_are_on_the_event_stream() {
    let mut program = Program::start().await;
    let mut events = program.tap.events_at("/tap/events?format=full").await;
    let (mut one, peer) = program.puppet_at("/as/ann").await;
    let mut next = async || {
        let event = events.json().await;
        assert_eq!(event["connectionId"].as_str(), Some(peer.id().as_str()), "{event}");
        event
    };
    let connect = next().await;
    assert_eq!(
        (connect["kind"].as_str(), connect["user"].as_str()),
        (Some("connect"), Some("ann"))
    );
    assert_eq!(connect["path"], "/as/ann");
    let welcome = next().await;
    assert_eq!((&welcome["direction"], &welcome["message"]), (&json!("out"), &json!("welcome")));
    one.orders(&["join a"]).await;
    assert_eq!(next().await["message"], "join a");
    assert_eq!(next().await["kind"], "join");
    assert_eq!(next().await["message"], "done join a");
    one.0.send(r#"{"n":1.0}"#).await;
    let said = next().await;
    assert_eq!(
        (&said["direction"], said["message"].to_string()),
        (&json!("in"), r#"{"n":1.0}"#.into())
    );
    next().await;
    one.0.send("group a hello").await;
    next().await;
    let group = next().await;
    assert_eq!((&group["channel"], &group["message"]), (&json!("a"), &json!("hello")));
    assert_eq!(group["user"], "ann");
    one.0.close(1000, "bye").await;
    let mut last = next().await;
    while last["kind"] == "message" {
        last = next().await;
    }
    assert_eq!(last["kind"], "leave");
    let close = next().await;
    assert_eq!((&close["kind"], &close["close"]["reason"]), (&json!("close"), &json!("bye")));
}

#[tokio::test]
async fn what_is_sent_to_a_group_arrives_as_it_was_sent() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    let mut tapped = program.tap.ws("/tap/ws").await;
    tapped.send(r#"{"type":"subscribe","params":{"channels":["a"]}}"#).await;
    until("a member", || program.members("a") == 1).await;
    one.orders(&["join a"]).await;
    for (order, heard, data) in [
        ("group a \"quoted\" and {}", "a: \"quoted\" and {}", json!("\"quoted\" and {}")),
        ("group a {\"n\":1}", "a: {\"n\":1}", json!("{\"n\":1}")),
        ("group-json a {\"n\":1}", "a: {\"n\":1}", json!({"n": 1})),
        ("group-json a \"text\"", "a: text", json!("text")),
    ] {
        one.0.send(order).await;
        let mut both = [one.0.text().await, one.0.text().await];
        both.sort();
        assert_eq!(both, [heard.to_owned(), format!("done {order}")]);
        assert_eq!(tapped.json().await, json!({"channel": "a", "data": data}));
    }
    // Clients in hub mode and consumers are in the same groups.
    tapped.send(r#"{"type":"publish","params":{"channel":"a","message":[1]}}"#).await;
    assert_eq!(one.0.text().await, "a: [1]");
    one.0.send("bytes a \u{0}x").await;
    let mut frames = [one.0.next().await.expect("a frame"), one.0.next().await.expect("a frame")];
    frames.sort_by_key(Frame::is_text);
    assert_eq!(frames[0], Frame::binary(b"a:\0x".as_slice()));
}

#[tokio::test]
async fn bytes_come_to_their_own_hook() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    one.0.send_binary(&[1, 2, 3]).await;
    assert_eq!(one.0.next().await, Some(Frame::binary([3, 2, 1].as_slice())));
}

#[tokio::test]
async fn json_comes_as_a_value_and_bad_json_is_not_swallowed() {
    let program = Program::start().await;
    let mut ws = program.tap.ws("/json").await;
    ws.send(r#"{"ping":7}"#).await;
    assert_eq!(ws.text().await, r#"{"pong":7}"#);
    ws.send_binary(br#"{"ping":8}"#).await;
    assert_eq!(ws.text().await, r#"{"pong":8}"#);
    for bad in ["{\"ping\":", "{}", "hello", "{\"ping\":\"x\"}", ""] {
        ws.send(bad).await;
        let error = ws.json().await;
        assert_eq!(error["error"]["code"], "malformed", "{bad}");
    }
    ws.send(r#"{"ping":9}"#).await;
    assert_eq!(ws.text().await, r#"{"pong":9}"#);
}

#[tokio::test]
async fn a_slow_hook_holds_up_its_own_client_alone() {
    let mut program = Program::start().await;
    let (mut slow, peer) = program.puppet().await;
    let (mut other, _) = program.puppet().await;
    slow.orders(&["join a"]).await;
    slow.0.send("wait").await;
    assert_eq!(slow.0.text().await, "waiting");
    for number in 0..100 {
        slow.0.send(&number.to_string()).await;
        other.orders(&["group a x"]).await;
    }
    // Messages from elsewhere do not wait for the hook.
    peer.send("from elsewhere").await.expect("there is room");
    assert_eq!(slow.0.text().await, "from elsewhere");
    program.held.notify_one();
    assert_eq!(slow.0.text().await, "done wait");
    let (mut done, mut heard) = (Vec::new(), 0);
    while done.len() + heard < 200 {
        match slow.0.text().await {
            text if text == "a: x" => heard += 1,
            text => done.push(text),
        }
    }
    assert_eq!(done, (0..100).map(|number| format!("done {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_whose_frames_wait_for_a_hook_is_not_taken_for_dead() {
    let mut program = Program::patient(Duration::from_millis(200)).await;
    let (mut slow, _) = program.puppet_at("/as/ann").await;
    slow.0.send("wait").await;
    assert_eq!(slow.0.text().await, "waiting");
    // More frames than may wait, so that its pongs are not read.
    for number in 0..100 {
        slow.0.send(&number.to_string()).await;
    }
    // Two dead clients that connected later: their ends show that the time of the first has passed.
    for _ in 0..2 {
        let (_silent, _) = program.puppet_at("/as/bob").await;
        tokio::select! {
            ending = program.ending() => assert_eq!(ending.code, 4408),
            frame = slow.0.next() => panic!("its hook is still held: {frame:?}"),
        }
    }
    program.held.notify_one();
    assert_eq!(slow.0.text().await, "done wait");
    for number in 0..100 {
        assert_eq!(slow.0.text().await, format!("done {number}"));
    }
    // From here on the client is silent.
    assert_eq!(program.ending().await.code, 4408);
}

#[tokio::test]
async fn a_group_does_not_wait_for_a_hook_that_hangs() {
    let refused = |tap: &Tap| {
        let metrics = tap.hub.metrics().render(tap.hub.numbers());
        let line = metrics.lines().find(|line| line.starts_with("wstap_queue_refusals_total"));
        line.and_then(|line| line.split(' ').next_back()?.parse().ok()).unwrap_or(0)
    };
    for slow_client in [SlowClient::Drop, SlowClient::Close] {
        let mut program = Program::with(Settings { slow_client, ..Settings::default() }).await;
        let (mut stuck, _) = program.puppet().await;
        let (mut other, _) = program.puppet().await;
        stuck.orders(&["join a"]).await;
        other.orders(&["join a"]).await;
        stuck.0.send("wait").await;
        assert_eq!(stuck.0.text().await, "waiting");
        for number in 0..600 {
            other.0.send(&format!("group a {number}")).await;
            let mut both = [other.0.text().await, other.0.text().await];
            both.sort();
            assert_eq!(both, [format!("a: {number}"), format!("done group a {number}")]);
        }
        if slow_client == SlowClient::Close {
            until("its end", || program.members("a") == 1).await;
        } else {
            until("refusals", || refused(&program.tap) == 600 - 256).await;
            assert_eq!(program.members("a"), 2);
        }
        program.held.notify_one();
        if slow_client == SlowClient::Close {
            assert_eq!(program.ending().await.code, 4429);
        } else {
            assert_eq!([stuck.0.text().await, stuck.0.text().await], ["done wait", "a: 0"]);
        }
    }
}

#[tokio::test]
async fn a_hook_may_send_any_number_and_waits_for_its_client() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    let (mut other, _) = program.puppet().await;
    one.orders(&["join a"]).await;
    one.0.send("pour 5000").await;
    // Other frames may arrive first.
    for number in 0..100 {
        one.0.send(&number.to_string()).await;
        other.orders(&["group a x"]).await;
    }
    let mut numbers = (0..5000).map(|number| number.to_string());
    let mut next = numbers.next();
    while let Some(number) = &next {
        if one.0.text().await == *number {
            next = numbers.next();
        }
    }
}

#[tokio::test]
async fn a_hook_that_still_sends_when_its_client_goes_is_told_so() {
    let mut program = Program::start().await;
    let (one, peer) = program.puppet().await;
    let mut one = one.0;
    one.send("pour 1000000").await;
    assert_eq!(one.text().await, "0");
    one.reset();
    // It neither waits without limit nor delays others.
    program.ending().await;
    until("the end", || program.tap.hub.connections().is_empty()).await;
    assert_eq!(peer.send("x").await, Err(PeerError::Ended));
}

#[tokio::test]
async fn a_hook_that_does_not_wait_is_told_when_its_client_falls_behind() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    one.0.send("flood 1000").await;
    assert_eq!(one.0.closed().await, 4429);
    assert_eq!(program.ending().await.code, 4429);
}

#[tokio::test]
async fn a_consumer_closes_its_connection_and_is_told_how_it_ended() {
    let mut program = Program::start().await;
    let (mut one, peer) = program.puppet().await;
    assert_eq!(peer.close(1005, ""), Err(PeerError::CloseCode(1005)));
    one.0.send("close 4000 bye").await;
    assert_eq!(one.0.closed().await, 4000);
    let ending = program.ending().await;
    assert_eq!((ending.code, ending.reason.as_str(), ending.clean), (4000, "bye", true));
    until("the end", || peer.try_send("x") == Err(PeerError::Ended)).await;
    assert_eq!(peer.join("a"), Err(PeerError::Ended));
    assert_eq!(peer.group_send("a", "x"), Err(PeerError::Ended));
    assert_eq!(peer.close(1000, ""), Err(PeerError::Ended));
}

#[tokio::test]
async fn the_last_hook_still_speaks_to_groups() {
    let mut program = Program::start().await;
    let (mut other, _) = program.puppet().await;
    other.orders(&["join farewell"]).await;
    let (one, _) = program.puppet().await;
    one.0.close(1000, "").await;
    assert_eq!(program.ending().await.code, 1000);
    assert_eq!(other.0.text().await, "farewell: gone");
}

#[tokio::test]
async fn members_of_a_group_with_presence_hear_who_comes_and_goes() {
    let rules = ChannelRules { presence: true, ..ChannelRules::default() };
    let declared = Declared { name: Pattern::all(), rules };
    let mut program =
        Program::with(Settings { channels: vec![declared], ..Settings::default() }).await;
    let (mut ann, peer) = program.puppet_at("/as/ann").await;
    ann.orders(&["join a"]).await;
    let (mut bob, _) = program.puppet_at("/as/bob").await;
    bob.orders(&["join a"]).await;
    assert_eq!(ann.0.text().await, "a: bob came");
    let users = peer.users("a").expect("a name");
    assert_eq!(users.iter().map(User::as_str).collect::<Vec<_>>(), ["ann", "bob"]);
    // A second tab is not a second user.
    let (mut tab, _) = program.puppet_at("/as/bob").await;
    tab.orders(&["join a"]).await;
    bob.0.close(1000, "").await;
    ann.orders(&["end"]).await;
    tab.0.close(1000, "").await;
    assert_eq!(ann.0.text().await, "a: bob went");
}

#[tokio::test]
async fn a_private_channel_lets_consumers_in_and_nobody_without_a_token() {
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    let declared = Declared { name: Pattern::all(), rules };
    let mut program =
        Program::with(Settings { channels: vec![declared], ..Settings::default() }).await;
    let (mut one, peer) = program.puppet().await;
    let sent = peer.group_send("a", "from outside").expect_err("it is not in it");
    assert!(matches!(sent, PeerError::NotAllowed(_)), "{sent}");
    one.orders(&["join a"]).await;
    one.0.send("group a hello").await;
    let mut both = [one.0.text().await, one.0.text().await];
    both.sort();
    assert_eq!(both, ["a: hello", "done group a hello"]);
    let mut stranger = program.tap.ws("/tap/ws").await;
    stranger.send(r#"{"type":"subscribe","params":{"channels":["a"]}}"#).await;
    assert_eq!(stranger.json().await["error"]["code"], "unauthorized");
}

#[tokio::test]
async fn what_is_no_handshake_or_a_strangers_is_refused() {
    let program = Program::start().await;
    program.tap.get("/ws").await.is_problem(426, "upgrade_required", "WebSocket");
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("origin", "https://evil.example"),
    ];
    let answer = program.tap.fetch("GET", "/ws", &headers, "").await;
    answer.is_problem(403, "forbidden", "evil.example");
}

#[tokio::test]
async fn a_hub_that_stops_closes_consumers_and_their_last_hooks_run() {
    let mut program = Program::start().await;
    let (mut one, _) = program.puppet().await;
    let hub = program.tap.hub.clone();
    let stopping = tokio::spawn(async move { hub.shutdown(Duration::from_secs(5)).await });
    assert_eq!(one.0.closed().await, 1001);
    assert_eq!(program.ending().await.code, 1001);
    within("the stop", stopping).await.expect("it does not panic");
}

#[tokio::test]
async fn a_hook_that_never_returns_does_not_hold_back_the_end_of_its_connection() {
    let mut program = Program::start().await;
    let mut events = program.tap.events_at("/tap/events?kind=close").await;
    let (mut one, peer) = program.puppet().await;
    one.0.send("wait").await;
    assert_eq!(one.0.text().await, "waiting");
    one.0.reset();
    let close = events.json().await;
    assert_eq!(close["close"]["connectionId"], peer.id().as_str());
    assert_eq!(peer.send("x").await, Err(PeerError::Ended));
    // The hook is not cancelled.
    program.held.notify_one();
    program.ending().await;
}
