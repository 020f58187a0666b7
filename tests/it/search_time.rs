//! A finite response ends when its search takes too long, and says where to continue.

use std::time::Duration;

use serde_json::{Value, json};
use wstap::hub::Settings;

use crate::harness::{Tap, until};

/// A server that has 2,000 messages and hardly any time to search them.
async fn searched() -> Tap {
    let search_time = Duration::from_nanos(1);
    let tap = Tap::with(Settings { search_time, ..Settings::default() }, |_| {}).await;
    let mut ws = tap.registered("a").await;
    for n in 0..2000 {
        ws.send(&n.to_string()).await;
    }
    until("the messages", || tap.hub.head().1 == 2001).await;
    tap
}

/// Repeats a search from where it ended. Returns what it found, and in how many responses.
async fn found(tap: &Tap, query: &str) -> (Vec<Value>, usize) {
    let (mut all, mut responses, mut from) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/api/events?limit=all&{query}{from}");
        let answer = tap.get(&path).await;
        let Value::Array(mut events) = answer.json() else { panic!("{answer:?}") };
        responses += 1;
        assert!(responses < 2100, "it gets nowhere: {events:?}");
        let last = events.pop_if(|last| last["kind"] == "gap");
        all.extend(events.into_iter().map(|event| event["message"].clone()));
        let Some(gap) = last else { return (all, responses) };
        assert_eq!((&gap["unfinished"], &gap["before"]), (&json!(true), &Value::Null));
        assert!(gap["missed"].as_u64().is_some_and(|missed| missed > 0), "{gap}");
        from = format!("&last_event_id={}", gap["after"].as_str().expect("where it came to"));
    }
}

#[tokio::test]
async fn search_that_takes_too_long_says_where_to_continue() {
    let tap = searched().await;
    for query in ["filter=message%20%3E%3D%201998", "text=%22message%22:199&filter=message%3E1997"]
    {
        let (messages, responses) = found(&tap, query).await;
        assert_eq!(messages.last(), Some(&json!(1999)), "{query}");
        assert!(messages.len() >= 2 && responses > 1, "{messages:?} in {responses} responses");
    }
}

#[tokio::test]
async fn search_that_takes_too_long_ends_in_every_form() {
    let tap = searched().await;
    let never = "filter=message%20%3D%3D%20-1";
    let lines = tap.get(&format!("/api/events?format=ndjson&{never}")).await.body;
    let last: Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["kind"], &last["unfinished"]), (&json!("gap"), &json!(true)));
    let back = tap.get(&format!("/api/events?order=desc&{never}")).await.json();
    assert!(back[0]["before"].is_string() && back[0]["unfinished"] == true, "{back}");
    let marks = tap.get(&format!("/api/events?format=marks&{never}")).await.json();
    assert!(marks["unfinished"]["after"].is_string() && marks["count"] == 0, "{marks}");
    let archive = tap.get(&format!("/api/events?format=har&{never}")).await;
    assert!(archive.body.contains("\"unfinished\":true"), "{}", archive.body);
    assert!(archive.json()["log"]["entries"].is_array());
}

#[tokio::test]
async fn response_with_all_that_it_reads_has_no_such_end() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    for n in 0..1000 {
        ws.send(&n.to_string()).await;
    }
    until("the messages", || tap.hub.head().1 == 1001).await;
    for query in ["limit=all", "limit=all&text=999", "format=har", "format=marks", "limit=3"] {
        let answer = tap.get(&format!("/api/events?{query}")).await;
        assert!(!answer.body.contains("unfinished"), "{query}");
    }
}
