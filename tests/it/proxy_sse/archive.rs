//! Event streams in archives.

use serde_json::{Value, json};
use wstap::wire::Recorded;

use super::{Passing, STREAM};

#[tokio::test]
async fn archive_of_a_stream_reads_back() {
    let mut it = Passing::begin(STREAM).await;
    let connect = it.connect().await;
    it.pass(b"event: add\nid: 1\ndata: {\"a\":1.50}\n\ndata: x\ndata: y\n\n").await;
    let messages = [it.event().await, it.event().await];
    drop(it.server);
    let close = it.events.json().await;
    let answer = it.front.tap.get("/api/events?format=har").await;
    let har = answer.json();
    let entry = &har["log"]["entries"][0];
    assert_eq!(
        (&entry["_resourceType"], &entry["response"]["status"]),
        (&json!("eventsource"), &json!(200))
    );
    assert_eq!(entry["response"]["content"]["mimeType"], "text/event-stream");
    let url = entry["request"]["url"].as_str().expect("text");
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/stream?topic=a"), "{url}");
    assert_eq!(
        (&entry["_webSocketMessages"], &entry["_webSocketClose"]),
        (&Value::Null, &Value::Null)
    );
    let written = &entry["_eventSourceMessages"];
    assert_eq!((&written[0]["eventName"], &written[0]["eventId"]), (&json!("add"), &json!("1")));
    assert_eq!(
        (&written[1]["eventName"], &written[1]["data"]),
        (&json!("message"), &json!("x\ny"))
    );
    let archived = wstap::wire::har::read(&answer.body).expect("an archive");
    assert!(archived.skipped.is_empty());
    let lines: Vec<Value> = archived
        .recorded
        .iter()
        .map(|recorded| {
            let Recorded::Event(event) = recorded else { panic!("no gap") };
            let mut out = Vec::new();
            wstap::wire::full(event, &mut out);
            serde_json::from_slice(&out).expect("JSON")
        })
        .collect();
    let [one, two] = messages;
    assert_eq!(lines, [connect, one, two, close]);
}
