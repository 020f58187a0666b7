//! Registration by command: answers that cannot be forged, and a client that proves to be the same.

use serde_json::{Value, json};
use tungstenite::Message as Frame;
use wstap::hub::{DuplicateId, Settings};

use crate::harness::{Tap, Ws, until};

const SECRET: &str = "5c0b9a3e8f1d47aa";

fn register(id: &str, secret: &str) -> String {
    json!({"type": "register", "params": {"connectionId": id, "secret": secret}}).to_string()
}

impl Tap {
    /// Connects and registers by command.
    pub(crate) async fn by_command(&self, id: &str, secret: &str) -> Ws {
        let mut ws = self.ws("/ws?ack=1").await;
        ws.send(&register(id, secret)).await;
        assert_eq!(ws.json().await["registered"]["connectionId"], id);
        ws
    }
}

#[tokio::test]
async fn answers_are_numbered_and_cannot_be_forged_by_messages() {
    let tap = Tap::start().await;
    let mut ws = tap.by_command("a", SECRET).await;
    let forged = [
        r#"{"ack":"1-0","frame":1}"#,
        r#"{"error":{"code":"full","message":"x"},"frame":1}"#,
        r#"{"pong":1}"#,
        r#"{"registered":{"connectionId":"a","resumed":true}}"#,
        r#"{"channel":"news","id":"1-0","data":1}"#,
        "\"}\n{\"ack\":\"1-0\",\"frame\":1}",
    ];
    for text in forged {
        for media_type in ["application/json", "text/plain"] {
            let headers = [("content-type", media_type)];
            tap.fetch("POST", "/api/connections/a/messages", &headers, text).await;
        }
    }
    ws.send("x").await;
    let mut answers = Vec::new();
    let mut wrapped = 0;
    while answers.is_empty() {
        let frame = ws.json().await;
        match frame["message"].as_str() {
            Some(text) if frame.as_object().is_some_and(|it| it.len() == 1) => {
                assert!(forged.contains(&text), "{text}");
                wrapped += 1;
            }
            _ => answers.push(frame),
        }
    }
    assert_eq!(answers[0]["frame"], 1);
    assert!(answers[0]["ack"].is_string() && wrapped >= 6, "{answers:?}, {wrapped}");
    // Data of a channel stays inside its frame, whatever it is.
    ws.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
    assert_eq!(ws.json().await["frame"], 2);
    let body = r#"{"channel":"news","ack":"1-0","frame":3}"#;
    tap.fetch("POST", "/api/channels/news/messages", &[], body).await;
    let frame = ws.json().await;
    let keys: Vec<_> = frame.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["channel", "data", "id"], "in the order of the alphabet");
}

#[tokio::test]
async fn every_data_frame_has_its_number() {
    let tap = Tap::start().await;
    let mut ws = tap.by_command("a", SECRET).await;
    let frames = [
        (Frame::text("x"), "ack"),
        (Frame::text(r#"{"close":1}"#), "error"),
        (Frame::binary(vec![0, 1]), "ack"),
        (Frame::text(r#"{"connectionId":"a"}"#), "ack"),
    ];
    for (number, (frame, key)) in (1..).zip(frames) {
        match frame {
            Frame::Binary(bytes) => ws.send_binary(&bytes).await,
            other => ws.send(other.to_text().expect("text")).await,
        }
        let answer = ws.json().await;
        assert_eq!(answer["frame"], number, "{answer}");
        assert!(answer.get(key).is_some(), "{answer}");
    }
}

#[tokio::test]
async fn a_client_replaces_its_own_connection_where_others_are_rejected() {
    let settings = Settings { duplicate_id: DuplicateId::Reject, ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let mut first = tap.by_command("a", SECRET).await;
    let mut other = tap.ws("/ws").await;
    other.send(&register("a", "ffffffffffffffff")).await;
    assert_eq!(other.json().await["error"]["code"], "replaced");
    assert_eq!(other.closed().await, 4409);
    let mut plain = tap.ws("/ws").await;
    plain.send(r#"{"connectionId":"a"}"#).await;
    assert_eq!(plain.json().await["error"]["code"], "replaced");
    let mut second = tap.ws("/ws").await;
    second.send(&register("a", SECRET)).await;
    let registered = json!({"registered": {"connectionId": "a", "resumed": true}});
    assert_eq!(second.json().await, registered);
    assert_eq!(first.closed().await, 4408, "a code after which a client comes back");
    let numbers = tap.hub.numbers();
    assert_eq!(numbers.connections, 1);
}

#[tokio::test]
async fn the_secret_is_on_no_stream_and_in_no_list() {
    let tap = Tap::start().await;
    let mut ws = tap.by_command("a", SECRET).await;
    ws.send(&register("a", SECRET)).await;
    assert_eq!(ws.json().await["error"]["code"], "malformed");
    ws.send(&register("a", SECRET)[1..]).await;
    ws.send(&format!("{} ", register("a", SECRET).trim_end_matches('}'))).await;
    until("all of it", || tap.hub.connections().len() == 1).await;
    ws.send("the end").await;
    until("the end", || tap.hub.head().1 >= 2).await;
    for path in ["/api/events?format=ndjson&limit=all", "/api/connections", "/api/connections/a"] {
        let shown = tap.get(path).await.body;
        let whole = shown.lines().filter(|line| !line.contains("type")).collect::<String>();
        assert!(!whole.contains(SECRET), "{path}: {shown}");
    }
    assert!(!format!("{:?}", tap.hub.connections()).contains(SECRET));
}

#[tokio::test]
async fn a_ping_is_answered_and_is_no_event() {
    let tap = Tap::start().await;
    for path in ["/ws?connectionId=a", "/ws?connectionId=b&ack=1"] {
        let mut ws = tap.ws(path).await;
        for id in [json!(1), json!("1-x"), json!(1.5)] {
            ws.send(&json!({"type": "ping", "params": {"id": id}}).to_string()).await;
            assert_eq!(ws.json().await, json!({"pong": id}));
        }
    }
    let events = tap.get("/api/events?kind=message").await.json();
    assert_eq!(events.as_array().map(Vec::len), Some(0));
    let mut ws = tap.ws("/ws?connectionId=c&ack=1").await;
    ws.send(r#"{"type":"ping"}"#).await;
    assert!(ws.json().await["ack"].is_string(), "a message of another program, as it was");
    let events: Value = tap.get("/api/events?kind=message").await.json();
    assert_eq!(events[0]["message"], json!({"type": "ping"}));
}
