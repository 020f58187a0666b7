//! WebSockets in hub mode: registration, frames, and ends.

use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message as Frame;
use wstap::hub::{DuplicateId, Settings};

use crate::harness::{Tap, until};

#[tokio::test]
async fn a_first_frame_registers_and_the_article_s_events_follow() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.ws("/ws").await;
    ws.send(r#"{"connectionId":"1700000000000"}"#).await;
    assert_eq!(events.data().await, r#"{"connectionId":"1700000000000"}"#);
    ws.send(r#"{"connectionId":"1700000000000","message":"hello from WebSocket client!!"}"#).await;
    assert_eq!(
        events.data().await,
        r#"{"connectionId":"1700000000000","message":"hello from WebSocket client!!"}"#
    );
    ws.close(1001, "").await;
    assert_eq!(
        events.data().await,
        r#"{"close":{"connectionId":"1700000000000","code":1001,"reason":"","clean":true}}"#
    );
}

#[tokio::test]
async fn every_path_that_is_not_taken_is_a_websocket() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=connect&format=full").await;
    for path in ["/ws", "/", "/any/other?x=1", "/%2e%2e/x"] {
        let mut ws = tap.ws(path).await;
        ws.send(r#"{"connectionId":"a"}"#).await;
        assert_eq!(events.json().await["path"], path);
    }
}

#[tokio::test]
async fn the_url_registers() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.ws("/ws?connectionId=room%207&other=1").await;
    assert_eq!(events.data().await, r#"{"connectionId":"room 7"}"#);
    ws.send("hello").await;
    assert_eq!(events.data().await, r#"{"connectionId":"room 7","message":"hello"}"#);
}

#[tokio::test]
async fn a_number_is_an_id_and_a_first_frame_may_carry_a_message() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.ws("/ws").await;
    ws.send(r#"{"connectionId":17,"message":[1]}"#).await;
    assert_eq!(events.data().await, r#"{"connectionId":"17"}"#);
    assert_eq!(events.data().await, r#"{"connectionId":17,"message":[1]}"#);
}

#[tokio::test]
async fn every_kind_of_frame_is_an_event() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    ws.send(r#"{"z":1.0,"connectionId":"a","message":12345678901234567890}"#).await;
    ws.send(r#"{"connectionId":"a"}"#).await;
    ws.send(r#"{"x": 1e400}"#).await;
    ws.send("true").await;
    ws.send("no \"JSON\"\r\n").await;
    ws.send("{\"pretty\":\n1}").await;
    ws.send_binary(&[0, 1, 254, 255]).await;
    ws.send("").await;
    let told = [
        r#"{"z":1.0,"connectionId":"a","message":12345678901234567890}"#,
        r#"{"connectionId":"a","message":{"x": 1e400}}"#,
        r#"{"connectionId":"a","message":true}"#,
        r#"{"connectionId":"a","message":"no \"JSON\"\r\n"}"#,
        r#"{"connectionId":"a","message":{"pretty": 1}}"#,
        r#"{"connectionId":"a","message":"AAH+/w==","encoding":"base64"}"#,
        r#"{"connectionId":"a","message":""}"#,
    ];
    for expected in told {
        assert_eq!(events.data().await, expected);
    }
}

#[tokio::test]
async fn the_full_form_tells_everything() {
    let tap = Tap::start().await;
    let mut events = tap.events("?format=full").await;
    let mut ws = tap.ws("/ws").await;
    ws.send(r#"{"connectionId":"a"}"#).await;
    let connect = events.json().await;
    assert_eq!(
        (&connect["kind"], &connect["connectionId"], &connect["path"]),
        (&json!("connect"), &json!("a"), &json!("/ws"))
    );
    assert!(connect["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")));
    let frame = r#"{"connectionId":"a","message":"hello","extra":[1, 2]}"#;
    ws.send(frame).await;
    let message = events.json().await;
    let (id, time) = (message["id"].clone(), message["time"].clone());
    let expected = json!({"id": id, "time": time, "kind": "message", "connectionId": "a", "direction": "in", "opcode": "text", "size": frame.len(), "channel": null, "message": "hello", "fields": {"extra": [1, 2]}});
    assert_eq!(message, expected);
    assert_eq!(time.as_str().map(str::len), Some("2026-11-20T20:20:00.123Z".len()));
    ws.close(4000, "done").await;
    let close = events.json().await;
    assert_eq!(
        close["close"],
        json!({"code": 4000, "reason": "done", "clean": true, "by": "client"})
    );
    assert_eq!(
        (&close["messages"], &close["bytes"]),
        (&json!({"in": 1, "out": 0}), &json!({"in": frame.len(), "out": 0}))
    );
    assert!(close["duration"].is_f64());
}

#[tokio::test]
async fn accepted_frames_are_acknowledged_where_that_is_asked_for() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=message&format=full").await;
    let mut ws = tap.ws("/ws?ack=1").await;
    ws.send(r#"{"connectionId":"a","message":1}"#).await;
    let ack = ws.json().await;
    assert_eq!(ack["ack"], events.json().await["id"]);
    ws.send("two").await;
    let ack = ws.json().await;
    assert_eq!(ack["ack"], events.json().await["id"]);
}

#[tokio::test]
async fn a_connection_that_asked_for_nothing_is_sent_nothing() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    ws.send("1").await;
    let id = "a".parse().expect("an id");
    tap.hub
        .close(&id, wstap::hub::CloseRequest { code: 1000, reason: String::new() })
        .expect("it is there");
    assert!(matches!(ws.next().await, Some(Frame::Close(_))), "the close frame is the first");
}

#[tokio::test]
async fn refused_frames_are_answered_and_broadcast_nothing() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    for (frame, code) in [
        (r#"{"connectionId":"b","message":1}"#, "id_mismatch"),
        (r#"{"connectionId":"a","close":{"connectionId":"victim"}}"#, "reserved_key"),
        (r#"{"connectionId":"a","connectionId":"b"}"#, "malformed"),
    ] {
        ws.send(frame).await;
        let error = ws.json().await;
        assert_eq!(error["error"]["code"], code, "{frame}");
        assert!(error["error"]["message"].is_string());
    }
    ws.send("still here").await;
    assert_eq!(events.data().await, r#"{"connectionId":"a","message":"still here"}"#);
}

#[tokio::test]
async fn what_does_not_register_is_told_why_and_emits_no_event() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    for frame in [
        "hello",
        "{}",
        "[1]",
        r#"{"connectionId":""}"#,
        r#"{"connectionId":null}"#,
        r#"{"connectionId":"a\n"}"#,
    ] {
        let mut ws = tap.ws("/ws").await;
        ws.send(frame).await;
        assert_eq!(ws.json().await["error"]["code"], "malformed", "{frame}");
        assert_eq!(ws.closed().await, 4400, "{frame}");
    }
    let mut ws = tap.ws("/ws").await;
    ws.send_binary(b"{}").await;
    assert_eq!(ws.json().await["error"]["code"], "malformed");
    assert_eq!(ws.closed().await, 4400);
    let overlong = "x".repeat(129);
    for query in [
        "connectionId=",
        "connectionId=a%0a",
        &format!("connectionId={overlong}"),
        "connectionId=a&connectionId=b",
    ] {
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        tap.fetch("GET", &format!("/ws?{query}"), &headers, "").await.is_problem(
            400,
            "malformed",
            "connectionId",
        );
    }
    drop(tap.ws("/ws").await);
    let _ws = tap.registered("first").await;
    assert_eq!(events.data().await, r#"{"connectionId":"first"}"#);
}

#[tokio::test]
async fn silence_without_registration_is_ended() {
    let tap = Tap::with(Settings::default(), |web| {
        web.limits.register_timeout = Duration::from_millis(50);
    })
    .await;
    let mut ws = tap.ws("/ws").await;
    assert_eq!(ws.json().await["error"]["code"], "timeout");
    assert_eq!(ws.closed().await, 4408);
}

#[tokio::test]
async fn a_newer_connection_replaces_and_the_close_comes_before_the_connect() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut first = tap.registered("a").await;
    let mut second = tap.ws("/ws?connectionId=a").await;
    assert_eq!(first.closed().await, 4409);
    assert_eq!(events.data().await, r#"{"connectionId":"a"}"#);
    let close: Value = events.json().await;
    assert_eq!(
        (&close["close"]["code"], &close["close"]["connectionId"]),
        (&json!(4409), &json!("a"))
    );
    assert_eq!(events.data().await, r#"{"connectionId":"a"}"#);
    second.send("mine").await;
    assert_eq!(events.data().await, r#"{"connectionId":"a","message":"mine"}"#);
    second.close(1000, "").await;
    assert_eq!(events.json().await["close"]["code"], 1000);
    until("an empty registry", || tap.hub.connections().is_empty()).await;
}

#[tokio::test]
async fn a_second_connection_is_rejected_where_that_is_set() {
    let settings = Settings { duplicate_id: DuplicateId::Reject, ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let mut first = tap.registered("a").await;
    let mut second = tap.ws("/ws").await;
    second.send(r#"{"connectionId":"a"}"#).await;
    assert_eq!(second.json().await["error"]["code"], "replaced");
    assert_eq!(second.closed().await, 4409);
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    tap.fetch("GET", "/ws?connectionId=a", &headers, "").await.is_problem(
        409,
        "replaced",
        "another live connection",
    );
    let mut events = tap.events("").await;
    first.send("still here").await;
    assert_eq!(events.data().await, r#"{"connectionId":"a","message":"still here"}"#);
}

#[tokio::test]
async fn a_reset_is_a_close_of_the_network() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=close&format=full").await;
    tap.registered("a").await.reset();
    let close = events.json().await;
    assert_eq!(
        (&close["close"]["code"], &close["close"]["clean"], &close["close"]["by"]),
        (&json!(1006), &json!(false), &json!("network"))
    );
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_a_close_of_the_network() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=close&format=full").await;
    drop(tap.registered("a").await);
    let close = events.json().await;
    assert_eq!((&close["close"]["code"], &close["close"]["by"]), (&json!(1006), &json!("network")));
}

#[tokio::test]
async fn a_missed_pong_is_a_close() {
    let tap = Tap::with(Settings::default(), |web| {
        web.limits.ping_interval = Duration::from_millis(40);
        web.limits.pong_timeout = Duration::from_millis(40);
    })
    .await;
    let mut events = tap.events("?kind=close&format=full").await;
    // This client keeps the TCP connection and does not read, so that it answers no ping.
    let _ws = tap.registered("half-open").await;
    let close = events.json().await;
    assert_eq!((&close["close"]["code"], &close["close"]["clean"]), (&json!(4408), &json!(false)));
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_and_its_round_trip_is_known() {
    let tap = Tap::with(Settings::default(), |web| {
        web.limits.ping_interval = Duration::from_millis(20);
        web.limits.pong_timeout = Duration::from_millis(500);
    })
    .await;
    let mut ws = tap.registered("a").await;
    let id = "a".parse().expect("an id");
    let reader = tokio::spawn(async move { ws.next().await });
    until("a round trip", || {
        tap.hub.connection(&id).is_some_and(|entry| entry.round_trip().is_some())
    })
    .await;
    reader.abort();
}

#[tokio::test]
async fn a_subprotocol_of_those_offered_is_taken() {
    let tap = Tap::start().await;
    let headers = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "chat.v2, chat.v1"),
    ];
    let response = tap.request("GET", "/ws", &headers, "").await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v2");
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_told_so() {
    let tap = Tap::with(Settings { max_connections: 1, ..Settings::default() }, |_| {}).await;
    let first = tap.registered("a").await;
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = tap.fetch("GET", "/ws", &headers, "").await;
    answer.is_problem(503, "full", "try again later");
    assert_eq!(answer.header("retry-after"), "5");
    first.close(1000, "").await;
    until("room", || tap.hub.permit().is_ok()).await;
    drop(tap.registered("b").await);
}
