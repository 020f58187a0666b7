//! Every frame and every event that a running server makes fits what it says of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tungstenite::Message as Frame;
use wstap::auth::{Authority, Denied, Grant};
use wstap::event::{ConnectionId, Event, EventBody, EventId, Kind};
use wstap::hub::{ChannelRules, Settings};
use wstap::wire;

use crate::harness::{Events, Tap, until, within};
use crate::openapi::Described;
use crate::proxy::{Back, Front, echo};

/// The schema of an event in the plain form.
fn plain(name: &str, data: &Value) -> &'static str {
    match name {
        "join" => "PlainJoin",
        "leave" => "PlainLeave",
        "gap" => "PlainGap",
        _ if data["close"].is_object() => "PlainClose",
        _ if data.get("message").is_some() => "PlainMessage",
        _ => "PlainConnect",
    }
}

/// Reads a stream to its end, and holds all that is in it against the description.
async fn hold(described: &Described, mut events: Events, full: bool) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    while let Some(event) = events.try_next().await {
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        let schema = if full && event.name != "gap" { "Event" } else { plain(&event.name, &data) };
        described.is(schema, &data);
        kinds.insert(data["kind"].as_str().unwrap_or(schema).to_owned());
    }
    kinds
}

#[tokio::test]
async fn every_event_of_hub_mode_fits_its_schema() {
    let mut tap = Tap::start().await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    let news = "news".parse().expect("a channel");
    let rules = ChannelRules { presence: true, ..ChannelRules::default() };
    tap.hub.configure(&news, rules).expect("there is room");
    let forms = [
        (tap.events("").await, false),
        (tap.events("?names=1").await, false),
        (tap.events("?format=full").await, true),
        // From before everything: a gap comes first.
        (tap.events("?format=full&last_event_id=0-1").await, true),
        (tap.events("?last_event_id=nonsense").await, false),
    ];
    let mut a = tap.registered("a").await;
    for text in [
        r#"{"connectionId":"a","message":{"n":1},"more":[1]}"#,
        r#"{"price":1.50}"#,
        "no JSON",
        "[1,null]",
        r#"{"type":"subscribe","params":{"channels":["news"]}}"#,
        r#"{"type":"publish","params":{"channel":"news","message":{"n":2}}}"#,
    ] {
        a.send(text).await;
    }
    a.send_binary(b"\0\x01").await;
    until("all of it", || tap.hub.head().1 == 8).await;
    for (path, media_type) in [
        ("/api/connections/a/messages", "text/plain"),
        ("/api/channels/news/messages", "application/json"),
        ("/api/channels/news/messages?user=a&user=b", "application/octet-stream"),
    ] {
        let answer = tap.fetch("POST", path, &[("content-type", media_type)], "7").await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    a.close(4001, "enough").await;
    tap.registered("b").await.reset();
    until("both ends", || tap.hub.numbers().connections == 0).await;
    let lines = tap.get("/api/events?format=ndjson&limit=all").await.body;
    tap.stop().await;
    for (events, full) in forms {
        let kinds = hold(&described, events, full).await;
        assert!(kinds.len() >= 5, "{kinds:?}");
    }
    let mut kinds = BTreeSet::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        described.is("Event", &event);
        kinds.insert(event["kind"].as_str().expect("a kind").to_owned());
    }
    // What is lost is told at once, and kept nowhere. Requests are events of proxy mode.
    let all = Kind::ALL
        .map(|kind| kind.as_str().to_owned())
        .into_iter()
        .filter(|it| it != "gap" && it != "request");
    assert_eq!(kinds, all.collect());
}

#[tokio::test]
async fn every_event_of_proxy_mode_fits_its_schema() {
    let front = Front::with(&format!("ws://{}", echo().await), Settings::default(), |routes| {
        routes.control = true;
    })
    .await;
    let described = Described::of(&front.tap, "/api/asyncapi.json").await;
    let tap = Tap::of(front.traffic, front.tap.hub.clone());
    let mut ws = tap.ws("/chat?connectionId=a").await;
    ws.send("hello").await;
    ws.socket.send(Frame::Ping("p".into())).await.expect("sent");
    assert_eq!(ws.text().await, "hello");
    ws.close(1000, "enough").await;
    // Against the protocol: reserved bits.
    let (mut odd, _) = front.shake("/odd", "").await;
    odd.write_all(&[0xf1, 0x80, 0, 0, 0, 0]).await.expect("sent");
    odd.shutdown().await.expect("closed");
    let hub = &front.tap.hub;
    until("both ends", || hub.head().1 >= 6 && hub.numbers().connections == 0).await;
    let back = Back::new().await;
    let refusing = Front::of(back.addr).await;
    let server = tokio::spawn(async move {
        let (mut tcp, _) = back.accept().await;
        let head = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        tcp.write_all(head).await.expect("sent");
        tcp
    });
    let (_refused, head) = refusing.shake("/private", "Origin: http://x\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    until("the refusal", || refusing.tap.hub.head().1 == 1).await;
    let _open = within("the server", server).await.expect("no panic");
    let mut members = BTreeSet::new();
    for tap in [&front.tap, &refusing.tap] {
        for event in tap.get("/api/events").await.json().as_array().expect("a list") {
            described.is("Event", event);
            members.extend(event.as_object().expect("an object").keys().cloned());
        }
    }
    for name in ["upstream", "upstreamTime", "wire", "silence", "note", "status", "opcode"] {
        assert!(members.contains(name), "{name} has been seen");
    }
}

#[tokio::test]
async fn what_the_tap_had_no_room_for_fits_its_schema() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    let id = EventId { ms: 1_763_670_000_000, seq: 3 };
    let event =
        Event { id, connection: ConnectionId::nobody(), handshake: None, body: EventBody::Lost(7) };
    let mut out = Vec::new();
    wire::full(&event, &mut out);
    described.is("GapEvent", &serde_json::from_slice(&out).expect("JSON"));
    out.clear();
    wire::plain(&event, &mut out);
    described.is("PlainGap", &serde_json::from_slice(&out).expect("JSON"));
}

#[tokio::test]
async fn every_frame_to_a_client_fits_its_schema() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    let news = "news".parse().expect("a channel");
    let rules = ChannelRules { presence: true, history: 5, ..ChannelRules::default() };
    tap.hub.configure(&news, rules).expect("there is room");
    let subscribe = json!({"type": "subscribe", "params": {"channels": ["news"], "last": 5}});
    described.is("Subscribe", &subscribe);
    let publish = json!({"type": "publish", "params": {"channel": "news", "message": {"n": 1}}});
    described.is("Publish", &publish);
    let unsubscribe = json!({"type": "unsubscribe", "params": {"channels": ["news"]}});
    described.is("Unsubscribe", &unsubscribe);
    let mut ann = tap.ws("/ws?connectionId=ann&ack=1").await;
    let mut seen = BTreeSet::new();
    let mut hold = |frame: &Value| {
        let kind = frame["type"].as_str().unwrap_or(if frame["ack"].is_string() {
            "ack"
        } else if frame["error"].is_object() {
            "error"
        } else {
            "delivery"
        });
        let schema = match kind {
            "ack" => "Ack",
            "error" => "Error",
            "presence" => "Present",
            "join" => "Joined",
            "leave" => "Left",
            _ => "Delivery",
        };
        described.is(schema, frame);
        seen.insert(kind.to_owned());
        kind.to_owned()
    };
    let mut expect = async |ws: &mut crate::harness::Ws, kind: &str| {
        loop {
            if hold(&ws.json().await) == kind {
                break;
            }
        }
    };
    ann.send(&subscribe.to_string()).await;
    expect(&mut ann, "ack").await;
    let mut bob = tap.ws("/ws?connectionId=bob").await;
    bob.send(&subscribe.to_string()).await;
    expect(&mut bob, "presence").await;
    expect(&mut ann, "join").await;
    bob.send(&publish.to_string()).await;
    expect(&mut ann, "delivery").await;
    let binary = [("content-type", "application/octet-stream")];
    tap.fetch("POST", "/api/channels/news/messages", &binary, "\0").await;
    expect(&mut ann, "delivery").await;
    bob.send(&unsubscribe.to_string()).await;
    expect(&mut ann, "leave").await;
    for wrong in
        [r#"{"type":"subscribe","params":{}}"#, r#"{"close":1}"#, r#"{"connectionId":"x"}"#]
    {
        ann.send(wrong).await;
        expect(&mut ann, "error").await;
    }
    let all = ["ack", "delivery", "error", "join", "leave", "presence"];
    assert_eq!(seen, all.map(str::to_owned).into());
}

#[tokio::test]
async fn every_frame_to_a_client_that_registers_by_command_fits_its_schema() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    let secret = "5c0b9a3e8f1d47aa";
    let register = json!({"type": "register", "params": {"connectionId": "a", "secret": secret}});
    let ping = json!({"type": "ping", "params": {"id": "x"}});
    let subscribe = json!({"type": "subscribe", "params": {"channels": ["news"], "after": "1-0"}});
    let bytes = json!({"channel": "news", "message": "AAE=", "encoding": "base64"});
    let publish = json!({"type": "publish", "params": bytes});
    let mut ws = tap.ws("/ws?ack=1").await;
    for (frame, schema, answers) in [
        (&register, "Register", &["Registered"][..]),
        (&ping, "Ping", &["Pong"]),
        (&subscribe, "Subscribe", &["Ack", "Resumed"]),
        (&publish, "Publish", &["Ack", "Delivery"]),
        (&json!({"connectionId": "a"}), "Registration", &["Ack"]),
        (&json!({"connectionId": "b"}), "Registration", &["Error"]),
    ] {
        described.is(schema, frame);
        ws.send(&frame.to_string()).await;
        for schema in answers {
            described.is(schema, &ws.json().await);
        }
    }
    tap.fetch("POST", "/api/connections/a/messages", &[], "1").await;
    described.is("Wrapped", &ws.json().await);
}

/// Lets somebody in once, for a second.
#[derive(Debug, Default)]
struct Once(AtomicBool);

impl Authority for Once {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        if self.0.swap(true, Relaxed) {
            return Err(Denied("it was good once".to_owned()));
        }
        let user = token.parse().map_err(|_| Denied("that is nobody".to_owned()))?;
        Ok(Grant { expires: Some(now + 1), ..Grant::of(user) })
    }
}

#[tokio::test]
async fn the_frame_of_who_is_put_out_fits_its_schema() {
    let settings = Settings { authority: Some(Arc::new(Once::default())), ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    let news = "news".parse().expect("a channel");
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    tap.hub.configure(&news, rules).expect("there is room");
    let mut ann = tap.registered("a").await;
    ann.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
    described.is("Error", &ann.json().await);
    ann.send(r#"{"type":"subscribe","params":{"channels":["news"],"token":"ann"}}"#).await;
    until("the member", || tap.hub.channel(&news).is_some_and(|it| it.seen.members == 1)).await;
    let begun = SystemTime::now();
    until("the end of a second", || begun.elapsed().is_ok_and(|it| it.as_secs() > 1)).await;
    tap.fetch("POST", "/api/channels/news/messages", &[], "1").await;
    let frame = ann.json().await;
    described.is("Expelled", &frame);
    assert_eq!(frame["error"]["code"], "unauthorized");
}

#[tokio::test]
async fn every_example_fits_its_message() {
    let tap = Tap::start().await;
    let described = Described::of(&tap, "/api/asyncapi.json").await;
    assert_eq!(described.document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let messages = described.document["components"]["messages"].as_object().expect("messages");
    let mut examples = 0;
    for message in messages.values() {
        for example in message["examples"].as_array().into_iter().flatten() {
            described.fits(&message["payload"], &example["payload"]);
            examples += 1;
        }
    }
    for path in ["/api/asyncapi.json", "/api/openapi.json"] {
        let described = Described::of(&tap, path).await;
        let schemas = described.document["components"]["schemas"].as_object().expect("schemas");
        for (name, schema) in schemas {
            for example in schema["examples"].as_array().into_iter().flatten() {
                described.is(name, example);
                examples += 1;
            }
        }
    }
    assert!(examples > 30, "{examples} examples");
}
