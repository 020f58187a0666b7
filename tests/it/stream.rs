//! The event stream: forms, selection, resume, lag, and the finite answers.

use std::time::Duration;

use serde_json::{Value, json};
use wstap::hub::{Retention, Settings};

use crate::harness::{Events, Tap, until, within};

fn keep(events: usize) -> Settings {
    let history = Retention { events, ..Settings::default().history };
    Settings { history, ..Settings::default() }
}

/// Publishes `{"n":1}` and so on from one connection.
async fn publish(tap: &Tap, ws: &mut crate::harness::Ws, numbers: std::ops::RangeInclusive<u64>) {
    let (last, before) = (*numbers.end(), tap.hub.head().1);
    let count = last + 1 - *numbers.start();
    for n in numbers {
        ws.send(&format!("{{\"n\":{n}}}")).await;
    }
    until("all events", || tap.hub.head().1 == before + count).await;
}

fn n(event: &Value) -> u64 {
    event["message"]["n"].as_u64().unwrap_or_else(|| panic!("a number in {event}"))
}

async fn numbers(events: &mut Events, count: usize) -> Vec<u64> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(n(&events.json().await));
    }
    all
}

#[tokio::test]
async fn the_head_and_a_first_comment_go_out_at_once() {
    let tap = Tap::start().await;
    let mut events = tap.events("").await;
    events.raw_until("retry: 2000\n").await;
    assert_eq!(events.raw, ": wstap\nretry: 2000\n");
    let response = tap.request("GET", "/events", &[("origin", "http://other.example")], "").await;
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn the_bytes_of_each_form_are_those_of_the_standard() {
    let tap = Tap::start().await;
    let mut forms = Vec::new();
    for query in ["", "?names=1", "?format=full", "?format=full&names=1", "?format=ndjson"] {
        forms.push(tap.events(query).await);
    }
    let _ws = tap.registered("a").await;
    let id = tap.hub.head().0.expect("an event").to_string();
    let [plain, named, full, full_named, ndjson] = &mut forms[..] else { panic!("five") };
    let hello = ": wstap\nretry: 2000\n";
    plain.raw_until("}\n\n").await;
    assert_eq!(plain.raw, format!("{hello}id: {id}\ndata: {{\"connectionId\":\"a\"}}\n\n"));
    named.raw_until("}\n\n").await;
    assert_eq!(
        named.raw,
        format!("{hello}event: connect\nid: {id}\ndata: {{\"connectionId\":\"a\"}}\n\n")
    );
    full.raw_until("}\n\n").await;
    assert!(
        full.raw.starts_with(&format!("{hello}id: {id}\ndata: {{\"id\":\"{id}\",\"time\":\"")),
        "{}",
        full.raw
    );
    full_named.raw_until("}\n\n").await;
    assert!(
        full_named.raw.starts_with(&format!("{hello}event: connect\nid: {id}\ndata: {{\"id\""))
    );
    ndjson.raw_until("}\n").await;
    assert!(ndjson.raw.starts_with(&format!("\n{{\"id\":\"{id}\",\"time\":\"")), "{}", ndjson.raw);
    let response = tap.request("GET", "/events", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
}

#[tokio::test]
async fn any_number_of_listeners_sees_the_same_order() {
    let tap = Tap::start().await;
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners.push(tap.events("?kind=message").await);
    }
    let mut one = tap.registered("one").await;
    let mut two = tap.registered("two").await;
    for n in 0..50 {
        one.send(&format!("1{n}")).await;
        two.send(&format!("2{n}")).await;
    }
    let mut orders = Vec::new();
    for events in &mut listeners {
        let mut order = Vec::new();
        for _ in 0..100 {
            order.push(events.data().await);
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
}

#[tokio::test]
async fn fields_select_on_the_server() {
    let tap = Tap::start().await;
    let mut of_b = tap.events("?connection=b&connection=c").await;
    let mut closes = tap.events("?kind=close&kind=connect").await;
    let mut out = tap.events("?direction=out").await;
    let (mut a, mut b) = (tap.registered("a").await, tap.registered("b").await);
    a.send("1").await;
    b.send("2").await;
    assert_eq!(of_b.data().await, r#"{"connectionId":"b"}"#);
    assert_eq!(of_b.data().await, r#"{"connectionId":"b","message":2}"#);
    let sent = tap
        .fetch("POST", "/api/connections/b/messages", &[("content-type", "application/json")], "3")
        .await;
    assert_eq!(sent.status, 202);
    assert_eq!(out.data().await, r#"{"connectionId":"b","message":3,"direction":"out"}"#);
    a.close(1000, "").await;
    for expected in [r#"{"connectionId":"a"}"#, r#"{"connectionId":"b"}"#] {
        assert_eq!(closes.data().await, expected);
    }
    assert_eq!(closes.json().await["close"]["connectionId"], "a");
}

#[tokio::test]
async fn a_listener_may_start_with_the_last_or_with_what_is_younger() {
    let tap = Tap::start().await;
    let (mut ws, mut other) = (tap.registered("a").await, tap.registered("b").await);
    publish(&tap, &mut ws, 1..=3).await;
    other.send("noise").await;
    until("the noise", || tap.hub.head().1 == 6).await;
    publish(&tap, &mut ws, 4..=5).await;
    let mut last = tap.events("?last=4&connection=a&format=full").await;
    assert_eq!(numbers(&mut last, 4).await, [2, 3, 4, 5]);
    let mut since = tap.events("?since=1h&kind=message&connection=a&format=full").await;
    assert_eq!(numbers(&mut since, 5).await, [1, 2, 3, 4, 5]);
    let mut none = tap.events("?since=2999-01-01T00:00:00Z&format=full").await;
    publish(&tap, &mut ws, 6..=6).await;
    assert_eq!(numbers(&mut none, 1).await, [6]);
}

#[tokio::test]
async fn stream_resumes_after_last_event_id_without_hole_or_double_while_events_flow() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    let publisher = async {
        for n in 1..=3000 {
            ws.send(&format!("{{\"n\":{n}}}")).await;
        }
    };
    let reader = async {
        let mut all = Vec::new();
        let mut events = tap.events("?kind=message&since=1h&format=full").await;
        while all.len() < 3000 {
            // Every listener reads a little, goes, and comes back with the id it has seen last.
            all.extend(numbers(&mut events, 49).await);
            let last = events.json().await;
            all.push(n(&last));
            let id = last["id"].as_str().expect("an id").to_owned();
            drop(events);
            events = if all.len() % 100 == 0 {
                tap.events_with("?kind=message&since=1h&format=full", &[("last-event-id", &id)])
                    .await
            } else {
                tap.events(&format!("?kind=message&format=full&last_event_id={id}")).await
            };
        }
        all
    };
    let ((), all) = tokio::join!(publisher, reader);
    assert_eq!(all, (1..=3000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_history_no_longer_has_is_told_as_a_gap() {
    let tap = Tap::with(keep(3), |_| {}).await;
    let mut ws = tap.registered("a").await;
    let first = tap.hub.head().0.expect("the connect").to_string();
    publish(&tap, &mut ws, 1..=5).await;
    let mut events = tap.events_with("?format=full", &[("last-event-id", &first)]).await;
    let gap = events.next().await;
    let told: Value = serde_json::from_str(&gap.data).expect("JSON");
    let next = events.json().await;
    assert_eq!(gap.name, "gap");
    assert_eq!(told, json!({"missed": null, "after": first, "before": next["id"]}));
    assert_eq!(n(&next), 3);
    assert_eq!(numbers(&mut events, 2).await, [4, 5]);
}

#[tokio::test]
async fn the_id_before_the_oldest_that_is_kept_leaves_no_gap() {
    let tap = Tap::with(keep(2), |_| {}).await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=1).await;
    let second = tap.hub.head().0.expect("an event").to_string();
    publish(&tap, &mut ws, 2..=3).await;
    let mut events = tap.events_with("?format=full", &[("last-event-id", &second)]).await;
    assert_eq!(numbers(&mut events, 2).await, [2, 3]);
}

#[tokio::test]
async fn ids_that_are_none_of_ours_are_a_gap_and_the_stream_goes_on() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    for id in ["garbage", "9999999999999-0", "1-2-3", "\u{1f980}"] {
        let mut events = tap.events_with("?format=full", &[("last-event-id", id)]).await;
        let gap = events.next().await;
        assert_eq!(gap.name, "gap", "{id}");
        assert_eq!(serde_json::from_str::<Value>(&gap.data).expect("JSON")["missed"], Value::Null);
        publish(&tap, &mut ws, 1..=1).await;
        assert_eq!(numbers(&mut events, 1).await, [1], "{id}");
    }
    let mut events = tap.events_with("?format=full", &[("last-event-id", "1-0")]).await;
    assert_eq!(events.next().await.name, "gap");
    assert_eq!(events.json().await["kind"], "connect", "all that is kept follows");
}

#[tokio::test]
async fn a_listener_that_falls_behind_is_fed_from_history() {
    let tap = Tap::start().await;
    let mut events = tap.events("?format=full&kind=message").await;
    let mut ws = tap.registered("a").await;
    // Far more than sockets and channel hold, while the listener reads nothing.
    let padding = "x".repeat(2000);
    for n in 1..=10_000 {
        ws.send(&format!("{{\"n\":{n},\"p\":\"{padding}\"}}")).await;
    }
    assert_eq!(numbers(&mut events, 10_000).await, (1..=10_000).collect::<Vec<u64>>());
    assert_eq!(tap.hub.listeners()[0].listener.gaps(), 0);
}

#[tokio::test]
async fn a_listener_that_falls_behind_history_is_told_how_much_it_lost() {
    let tap = Tap::with(keep(100), |_| {}).await;
    let mut events = tap.events("?format=full").await;
    let mut ws = tap.registered("a").await;
    assert_eq!(events.json().await["kind"], "connect");
    let padding = "x".repeat(20_000);
    for n in 1..=2000 {
        ws.send(&format!("{{\"n\":{n},\"p\":\"{padding}\"}}")).await;
    }
    until("all events", || tap.hub.head().1 == 2001).await;
    let (mut expected, mut gaps) = (1, 0);
    while expected <= 2000 {
        let message = events.next().await;
        let value: Value = serde_json::from_str(&message.data).expect("JSON");
        if message.name == "gap" {
            expected += value["missed"].as_u64().expect("the number is known");
            gaps += 1;
        } else {
            assert_eq!(n(&value), expected);
            expected += 1;
        }
    }
    assert!(gaps > 0, "20 kB by 2,000 fit into no socket");
    assert_eq!(tap.hub.listeners()[0].listener.gaps(), gaps);
}

#[tokio::test]
async fn without_history_live_events_come_and_resume_is_a_gap() {
    let tap = Tap::with(keep(0), |_| {}).await;
    let mut events = tap.events("?format=full&kind=message").await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=50).await;
    assert_eq!(numbers(&mut events, 50).await, (1..=50).collect::<Vec<u64>>());
    let mut late = tap.events_with("", &[("last-event-id", "1-0")]).await;
    assert_eq!(late.next().await.name, "gap");
    assert_eq!(tap.get("/api/events").await.json(), json!([]));
}

#[tokio::test]
async fn a_quiet_stream_has_a_heartbeat_that_moves_a_filtered_listener_on() {
    let settings = Settings { heartbeat: Duration::from_millis(30), ..Settings::default() };
    let tap = Tap::with(settings, |_| {}).await;
    let mut quiet = tap.events("").await;
    quiet.raw_until("\n:\n:\n").await;
    let mut lines = tap.events("?format=ndjson").await;
    lines.raw_until("\n\n").await;
    let mut filtered = tap.events("?connection=nobody").await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=3).await;
    let id = tap.hub.head().0.expect("an event");
    filtered.raw_until(&format!(":\nid: {id}\n\n")).await;
    assert_eq!(filtered.last_event_id(), id.to_string());
}

#[tokio::test]
async fn a_head_request_takes_no_place_and_ends() {
    let tap = Tap::start().await;
    let answer = tap.fetch("HEAD", "/events", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(tap.hub.numbers().listeners, 0);
}

#[tokio::test]
async fn a_browser_on_another_origin_gets_its_headers_on_every_answer() {
    let tap = Tap::start().await;
    let headers = [
        ("origin", "http://localhost:3000"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "last-event-id, x-mine"),
    ];
    let preflight = tap.fetch("OPTIONS", "/events", &headers, "").await;
    assert_eq!((preflight.status, preflight.body.as_str()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("access-control-allow-headers"), "last-event-id, x-mine");
    assert!(preflight.header("access-control-allow-methods").contains("GET"));
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/events?x=1", 400),
        ("GET", "/ws", 426),
        ("GET", "/api/events/1-0", 404),
    ] {
        let answer = tap.fetch(method, path, &[("origin", "http://localhost:3000")], "").await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, "*"),
            "{method} {path}"
        );
        assert_eq!(answer.json()["status"], status);
    }
    let answer = tap.fetch("PUT", "/events", &[], "").await;
    answer.is_problem(405, "method_not_allowed", "/events does not take PUT");
    assert_eq!(
        (answer.header("access-control-allow-origin"), answer.header("allow")),
        ("*", "GET,HEAD")
    );
}

#[tokio::test]
async fn a_full_server_lets_an_event_source_come_back() {
    let tap = Tap::with(Settings { max_listeners: 1, ..Settings::default() }, |_| {}).await;
    let first = tap.events("").await;
    let answer = tap.fetch("GET", "/events", &[("accept", "text/event-stream")], "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let retry: u64 = answer
        .body
        .strip_prefix("retry: ")
        .and_then(|rest| rest.trim().parse().ok())
        .expect("a time");
    assert!((1000..=5000).contains(&retry), "{retry}");
    tap.get("/events").await.is_problem(503, "full", "later");
    tap.get("/listen?wait=0s").await.is_problem(503, "full", "later");
    drop(first);
    until("room", || tap.hub.numbers().listeners == 0).await;
    drop(tap.events("").await);
}

#[tokio::test]
async fn a_wrong_query_is_a_400_that_names_it() {
    let tap = Tap::start().await;
    for (path, part) in [
        ("/events?lst=5", "\"lst\""),
        ("/events?last=-1", "last=-1"),
        ("/events?format=xml", "format=xml"),
        ("/events?kind=messages&since=soon", "since=soon"),
        ("/events?names=maybe", "names=maybe"),
        ("/api/events?order=up", "order=up"),
        ("/api/events?limit=many", "limit=many"),
        ("/api/events?until=never", "until=never"),
        ("/api/events/x", "two numbers joined by a hyphen"),
        ("/listen?after=x", "after=x"),
        ("/listen?wait=2m", "wait=2m"),
    ] {
        tap.get(path).await.is_problem(400, "malformed", part);
    }
}

#[tokio::test]
async fn a_finite_answer_is_the_same_selection() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=9).await;
    let of = |answer: Value| answer.as_array().expect("an array").iter().map(n).collect::<Vec<_>>();
    assert_eq!(of(tap.get("/api/events?kind=message").await.json()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(of(tap.get("/api/events?kind=message&limit=2").await.json()), [1, 2]);
    assert_eq!(of(tap.get("/api/events?kind=message&limit=2&order=desc").await.json()), [9, 8]);
    assert_eq!(of(tap.get("/api/events?last=3").await.json()), [7, 8, 9]);
    let all = tap.get("/api/events").await.json();
    assert_eq!(all[0]["kind"], "connect");
    let fifth = all[5]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        of(tap.get(&format!("/api/events?last_event_id={fifth}")).await.json()),
        [6, 7, 8, 9]
    );
    assert_eq!(tap.get("/api/events?until=1970-01-01T00:00:00Z").await.json(), json!([]));
    assert_eq!(tap.get("/api/events?connection=b").await.json(), json!([]));
    let lines = tap.get("/api/events?format=ndjson&kind=message&last=2").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(
        lines
            .body
            .lines()
            .map(|line| n(&serde_json::from_str(line).expect("JSON")))
            .collect::<Vec<_>>(),
        [8, 9]
    );
    let one = tap.get(&format!("/api/events/{fifth}")).await;
    assert_eq!((one.status, n(&one.json())), (200, 5));
    tap.get("/api/events/1-0").await.is_problem(404, "not_found", "1-0");
}

#[tokio::test]
async fn marks_count_a_selection_and_lead_to_any_part_of_it() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=1000).await;
    let all = tap.get("/api/events?kind=message&limit=1000").await.json();
    let marks = tap.get("/api/events?kind=message&format=marks&every=100").await.json();
    assert_eq!((&marks["every"], &marks["count"]), (&json!(100), &json!(1000)));
    assert_eq!((&marks["first"], &marks["last"]), (&all[0]["id"], &all[999]["id"]));
    let ids = marks["marks"].as_array().expect("an array");
    let every: Vec<&Value> = (1..=10).map(|n| &all[n * 100 - 1]["id"]).collect();
    assert_eq!(ids.iter().collect::<Vec<_>>(), every);
    let after = ids[6].as_str().expect("an id");
    let path = format!("/api/events?kind=message&last_event_id={after}&limit=100");
    let part = tap.get(&path).await.json();
    assert_eq!((n(&part[0]), n(&part[99])), (701, 800));
    let none = tap.get("/api/events?format=marks&connection=b").await.json();
    let nothing = json!({"every": 200, "marks": [], "count": 0, "first": null, "last": null});
    assert_eq!(none, nothing);
    let limited = tap.get("/api/events?format=marks&every=1&limit=3").await.json();
    assert_eq!(limited["count"], 3);
}

#[tokio::test]
async fn marks_with_a_step_count_events_over_time() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=500).await;
    let all = tap.get("/api/events?kind=message&limit=1000").await.json();
    let ms = |id: &Value| -> u64 {
        let id = id.as_str().expect("an id");
        id.split('-').next().and_then(|ms| ms.parse().ok()).expect("milliseconds")
    };
    let mut list = std::collections::BTreeMap::<u64, u64>::new();
    for event in all.as_array().expect("an array") {
        *list.entry(ms(&event["id"]) / 5 * 5).or_default() += 1;
    }
    let marks = tap.get("/api/events?kind=message&format=marks&step=5ms").await.json();
    assert_eq!(marks["step"], 5);
    let counts: Vec<(u64, u64)> = serde_json::from_value(marks["counts"].clone()).expect("pairs");
    assert_eq!(counts, list.into_iter().collect::<Vec<_>>());
    let none = tap.get("/api/events?format=marks&step=1s&connection=b").await.json();
    assert_eq!((&none["step"], &none["counts"]), (&json!(1000), &json!([])));
    tap.get("/api/events?step=0s").await.is_problem(400, "malformed", "from 1ms to 24h");
}

#[tokio::test]
async fn a_text_selects_the_events_that_hold_it() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=300).await;
    ws.send("Needle 1").await;
    ws.send("needle 2").await;
    ws.send("a \"quoted\" needle").await;
    until("all of it", || tap.hub.head().1 == 304).await;
    let of = |answer: Value| {
        let all = answer.as_array().expect("an array").clone();
        all.iter()
            .map(|event| event["message"].as_str().unwrap_or("?").to_owned())
            .collect::<Vec<_>>()
    };
    let asked = async |query: &str| of(tap.get(&format!("/api/events?{query}")).await.json());
    assert_eq!(asked("text=NEEDLE&limit=2").await, ["Needle 1", "needle 2"]);
    let newest = asked("text=needle&limit=1&order=desc").await;
    assert_eq!(newest, ["a \"quoted\" needle"]);
    assert_eq!(asked("text=%22quoted%22").await, newest);
    assert_eq!(asked("text=haystack").await, Vec::<String>::new());
    let marks = tap.get("/api/events?text=needle&format=marks&every=2").await.json();
    assert_eq!((&marks["count"], marks["marks"].as_array().map(Vec::len)), (&json!(3), Some(1)));
    let in_content = asked("text=needle&within=content&kind=message").await;
    assert_eq!(in_content, ["Needle 1", "needle 2", "a \"quoted\" needle"]);
    for name in ["connectionId", "direction", "opcode"] {
        let within = async |part: &str| asked(&format!("text={name}&within={part}")).await.len();
        assert_eq!((within("content").await, within("event").await > 0), (0, true), "{name}");
    }
    ws.send_binary(b"\xff bytes of a Needle").await;
    ws.close(4000, "the needle is found").await;
    until("the end", || tap.hub.head().1 == 306).await;
    let marks = tap.get("/api/events?text=needle&within=content&format=marks").await.json();
    assert_eq!(marks["count"], 5);
    tap.get("/api/events?text=").await.is_problem(400, "malformed", "a text is not empty");
    tap.get("/api/events?every=0").await.is_problem(400, "malformed", "every=0");
}

#[tokio::test]
async fn a_long_history_is_answered_whole() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=5000).await;
    for order in ["asc", "desc"] {
        let all =
            tap.get(&format!("/api/events?kind=message&limit=100000&order={order}")).await.json();
        let mut found: Vec<u64> = all.as_array().expect("an array").iter().map(n).collect();
        if order == "desc" {
            found.reverse();
        }
        assert_eq!(found, (1..=5000).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn long_polling_answers_at_once_or_waits_or_has_nothing() {
    let tap = Tap::start().await;
    assert_eq!(tap.get("/listen?wait=10ms").await.json(), json!([]));
    let mut ws = tap.registered("a").await;
    let first = tap.hub.head().0.expect("an event");
    publish(&tap, &mut ws, 1..=3).await;
    let there = tap.get(&format!("/listen?after={first}&wait=20s")).await.json();
    assert_eq!(there.as_array().expect("an array").iter().map(n).collect::<Vec<_>>(), [1, 2, 3]);
    let last = there[2]["id"].as_str().expect("an id").to_owned();
    let path = format!("/listen?after={last}&wait=20s");
    let (waited, ()) = within("a long poll", async {
        tokio::join!(tap.get(&path), async {
            until("the poll", || tap.hub.numbers().listeners == 1).await;
            ws.send("{\"n\":4}").await;
        })
    })
    .await;
    assert_eq!(n(&waited.json()[0]), 4);
    let with_gap = tap.get("/listen?after=1-0&wait=20s").await.json();
    assert_eq!(with_gap[0]["kind"], "gap");
}

#[tokio::test]
async fn old_events_go_by_age() {
    let history = Retention { age: Some(Duration::from_millis(20)), ..Settings::default().history };
    let tap = Tap::with(Settings { history, ..Settings::default() }, |_| {}).await;
    let _ws = tap.registered("a").await;
    let event = tap.hub.head().0.expect("an event");
    until("the end of its age", || tap.hub.event(event).is_none()).await;
    assert_eq!(tap.get("/api/events").await.json(), json!([]));
}

#[tokio::test]
async fn http_1_0_gets_the_stream_too() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let tap = Tap::start().await;
    let mut tcp = tokio::net::TcpStream::connect(tap.addr).await.expect("the server is there");
    tcp.write_all(b"GET /events HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut text = String::new();
    while !text.ends_with("retry: 2000\n") {
        let mut bytes = [0; 1024];
        let read = within("the stream", tcp.read(&mut bytes)).await.expect("no error");
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(!text.to_lowercase().contains("chunked"), "{text}");
}

#[tokio::test]
async fn a_listener_that_goes_is_forgotten_at_once() {
    let tap = Tap::start().await;
    let events = tap.events("").await;
    until("the listener", || tap.hub.numbers().listeners == 1).await;
    drop(events);
    until("its end", || tap.hub.numbers().listeners == 0).await;
}
