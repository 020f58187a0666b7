//! `/api`, metrics and health.

use serde_json::json;
use wstap::event::{Body, Direction, Event, EventBody, EventId, Message, Opcode};
use wstap::hub::Settings;

use crate::harness::{Tap, until};

#[tokio::test]
async fn connections_are_listed_with_what_passed() {
    let tap = Tap::start().await;
    assert_eq!(tap.get("/api/connections").await.json(), json!([]));
    let mut ws = tap.registered("a/b ü").await;
    ws.send("hello").await;
    until("the message", || tap.hub.head().1 == 2).await;
    let all = tap.get("/api/connections").await.json();
    let one = tap.get("/api/connections/a%2Fb%20%C3%BC").await.json();
    assert_eq!(all, json!([one]));
    assert_eq!((&one["connectionId"], &one["path"]), (&json!("a/b ü"), &json!("/ws")));
    assert_eq!(
        (&one["messages"], &one["bytes"]),
        (&json!({"in": 1, "out": 0}), &json!({"in": 5, "out": 0}))
    );
    for name in ["since", "lastActivity", "remote"] {
        assert!(one[name].is_string(), "{name} in {one}");
    }
    tap.get("/api/connections/nobody").await.is_problem(404, "not_found", "nobody");
}

#[tokio::test]
async fn messages_reach_their_client_and_the_stream() {
    let tap = Tap::start().await;
    let mut events = tap.events("?direction=out").await;
    let mut ws = tap.registered("a").await;
    let send = |media_type: &'static str, body: &'static str| {
        let tap = &tap;
        async move {
            tap.fetch("POST", "/api/connections/a/messages", &[("content-type", media_type)], body)
                .await
        }
    };
    let answer = send("application/json; charset=utf-8", "{\"x\": 1.0}").await;
    assert_eq!(answer.status, 202);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(ws.text().await, "{\"x\": 1.0}");
    assert_eq!(
        events.data().await,
        r#"{"connectionId":"a","message":{"x": 1.0},"direction":"out"}"#
    );
    assert_eq!(events.last_event_id(), id);
    send("text/plain", "hello").await;
    assert_eq!(ws.text().await, "hello");
    assert_eq!(events.data().await, r#"{"connectionId":"a","message":"hello","direction":"out"}"#);
    send("application/octet-stream", "\0\u{1}").await;
    assert_eq!(ws.next().await, Some(tungstenite::Message::Binary(vec![0, 1].into())));
    assert_eq!(
        events.data().await,
        r#"{"connectionId":"a","message":"AAE=","encoding":"base64","direction":"out"}"#
    );
    send("application/json", "no JSON").await.is_problem(400, "malformed", "text/plain");
    send("image/png", "x").await.is_problem(400, "malformed", "image/png");
    let nobody = tap.fetch("POST", "/api/connections/nobody/messages", &[], "x").await;
    nobody.is_problem(404, "not_found", "nobody");
}

#[tokio::test]
async fn a_message_over_the_limit_is_413() {
    let tap = Tap::with(Settings::default(), |web| web.limits.max_message_bytes = 10).await;
    let _ws = tap.ws("/ws?connectionId=a").await;
    let answer = tap.fetch("POST", "/api/connections/a/messages", &[], "12345678901").await;
    answer.is_problem(413, "too_large", "at most 10 bytes");
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_and_counts() {
    let tap = Tap::start().await;
    let ws = tap.registered("slow").await;
    let message = "x".repeat(1 << 20);
    let mut refused = None;
    for _ in 0..200 {
        let answer = tap.fetch("POST", "/api/connections/slow/messages", &[], &message).await;
        if answer.status != 202 {
            refused = Some(answer);
            break;
        }
    }
    refused.expect("nobody reads 200 MB").is_problem(429, "slow_down", "does not keep up");
    assert!(tap.get("/metrics").await.body.contains("wstap_queue_refusals_total 1"));
    drop(ws);
}

#[tokio::test]
async fn a_connection_is_not_found_once_its_delete_is_answered() {
    let tap = Tap::start().await;
    // It reads nothing yet, so that the close handshake cannot end.
    let mut ws = tap.registered("a").await;
    let _other = tap.registered("b").await;
    let path = "/api/connections/a";
    assert_eq!(tap.fetch("DELETE", path, &[], "").await.status, 204);
    tap.get(path).await.is_problem(404, "not_found", "\"a\"");
    tap.fetch("DELETE", path, &[], "").await.is_problem(404, "not_found", "\"a\"");
    let sent = tap.fetch("POST", &format!("{path}/messages"), &[], "hello").await;
    sent.is_problem(404, "not_found", "\"a\"");
    let listed = tap.get("/api/connections").await.json();
    let ids: Vec<_> =
        listed.as_array().expect("a list").iter().map(|it| &it["connectionId"]).collect();
    assert_eq!(ids, ["b"]);
    assert_eq!(ws.closed().await, 1000);
    let _again = tap.registered("a").await;
    assert_eq!(tap.get(path).await.status, 200);
}

#[tokio::test]
async fn a_connection_is_closed_with_code_and_reason() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=close&format=full").await;
    let mut ws = tap.registered("a").await;
    let answer = tap.fetch("DELETE", "/api/connections/a?code=4001&reason=enough", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(ws.closed().await, 4001);
    let close = events.json().await;
    assert_eq!(
        close["close"],
        json!({"code": 4001, "reason": "enough", "clean": true, "by": "tap"})
    );
    tap.fetch("DELETE", "/api/connections/a", &[], "").await.is_problem(404, "not_found", "");
    for query in [
        "code=1006",
        "code=999",
        "code=x",
        "reason=1&reason=2",
        "cod=1000",
        &format!("reason={}", "x".repeat(124)),
    ] {
        let answer = tap.fetch("DELETE", &format!("/api/connections/a?{query}"), &[], "").await;
        answer.is_problem(400, "malformed", "");
    }
}

#[tokio::test]
async fn listeners_are_listed_and_can_be_dismissed() {
    let tap = Tap::start().await;
    let mut kept = tap.events("?kind=message").await;
    let mut dismissed = tap.events("?format=full").await;
    let mut ws = tap.registered("a").await;
    ws.send("1").await;
    kept.next().await;
    dismissed.next().await;
    dismissed.next().await;
    let all = tap.get("/api/listeners").await.json();
    let (head, _) = tap.hub.head();
    assert_eq!(all[0]["position"], json!(head.map(|id| id.to_string())));
    assert_eq!(
        (&all[0]["events"], &all[1]["events"], &all[1]["lag"], &all[1]["gaps"]),
        (&json!(1), &json!(2), &json!(0), &json!(0))
    );
    assert_eq!((&all[1]["format"], &all[1]["query"]), (&json!("full"), &json!("format=full")));
    assert!(all[1]["bytes"].as_u64().is_some_and(|bytes| bytes > 100));
    let id = all[1]["id"].as_str().expect("an id").to_owned();
    assert_eq!(tap.fetch("DELETE", &format!("/api/listeners/{id}"), &[], "").await.status, 204);
    assert_eq!(dismissed.try_next().await, None);
    ws.send("2").await;
    assert_eq!(kept.data().await, r#"{"connectionId":"a","message":2}"#);
    tap.fetch("DELETE", &format!("/api/listeners/{id}"), &[], "").await.is_problem(
        404,
        "not_found",
        "",
    );
    tap.fetch("DELETE", "/api/listeners/x", &[], "").await.is_problem(404, "not_found", "");
}

#[tokio::test]
async fn info_tells_what_runs_here() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let info = tap.get("/api/info").await.json();
    assert_eq!((&info["name"], &info["mode"]), (&json!("wstap"), &json!("hub")));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&info["now"]["connections"], &info["now"]["events"]), (&json!(1), &json!(1)));
    assert_eq!(info["limits"]["messageBytes"], 1 << 20);
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    let mut ws = tap.registered("a").await;
    ws.send("hello").await;
    events.next().await;
    events.next().await;
    ws.send("{\"connectionId\":\"b\"}").await;
    ws.json().await;
    let metrics = tap.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        "wstap_connections 1",
        "wstap_connections_opened_total 1",
        "wstap_listeners 1",
        "wstap_listeners_opened_total 1",
        "wstap_events_total{kind=\"connect\"} 1",
        "wstap_events_total{kind=\"message\"} 1",
        "wstap_events_total{kind=\"close\"} 0",
        "wstap_received_bytes_total 5",
        "wstap_gaps_total 0",
        "wstap_history_events 2",
        "wstap_frame_errors_total 1",
        "wstap_queue_refusals_total 0",
        "wstap_listener_lag_events 0",
    ] {
        assert!(metrics.body.lines().any(|l| l == line), "{line} in {}", metrics.body);
    }
    assert!(!metrics.body.contains("wstap_rendered_bytes_total 0\n"));
    assert!(!metrics.body.contains("wstap_delivered_bytes_total 0\n"));
}

#[tokio::test]
async fn clock_behind_the_newest_event_is_a_metric() {
    let tap = Tap::start().await;
    let behind = async || {
        let metrics = tap.get("/metrics").await.body;
        let line = metrics.lines().find(|line| line.starts_with("wstap_clock_behind_seconds "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).expect("a number")
    };
    let _ws = tap.registered("a").await;
    assert!(behind().await.abs() < 0.001);
    // What the newest event is after the clock was set back by an hour.
    let EventId { ms, .. } = tap.hub.head().0.expect("an event");
    let id = EventId { ms: ms + 3_600_000, seq: 0 };
    let message = Message::new(Direction::In, Opcode::Text, 2, Body::Binary(Box::from(*b"hi")));
    let connection = "a".parse().expect("an id");
    tap.hub.restore(Event { id, connection, handshake: None, body: EventBody::Message(message) });
    assert!((3000.0..=3600.0).contains(&behind().await));
    let _ws = tap.registered("b").await;
    assert_eq!(tap.hub.head().0, Some(EventId { ms: id.ms, seq: 1 }), "ids grow");
}

#[tokio::test]
async fn without_a_listener_nothing_is_rendered() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    ws.send("hello").await;
    until("the message", || tap.hub.head().1 == 2).await;
    assert!(tap.get("/metrics").await.body.contains("wstap_rendered_bytes_total 0\n"));
}

#[tokio::test]
async fn listeners_of_a_form_share_what_is_rendered() {
    let tap = Tap::start().await;
    let mut listeners = Vec::new();
    for _ in 0..10 {
        listeners.push(tap.events("").await);
    }
    let _ws = tap.registered("a").await;
    for events in &mut listeners {
        events.next().await;
    }
    let id = tap.hub.head().0.expect("an event");
    let once = format!("id: {id}\ndata: {{\"connectionId\":\"a\"}}\n\n").len();
    assert!(
        tap.get("/metrics").await.body.contains(&format!("wstap_rendered_bytes_total {once}\n"))
    );
}

#[tokio::test]
async fn health_is_told() {
    let tap = Tap::start().await;
    assert_eq!(tap.get("/healthz").await.body, "ok\n");
    assert_eq!(tap.get("/readyz").await.body, "ready\n");
}
