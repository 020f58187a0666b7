//! Filter expressions: on every address that takes them, over the past and live, and in `watch`.

use serde_json::{Value, json};
use wstap::hub::{Retention, Settings};

use crate::cli::{Running, output, speak, wstap};
use crate::harness::{Tap, Ws, until};

/// Writes an expression into a query.
fn query(expression: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("filter", expression).finish()
}

/// Publishes `{"n":1,"even":false}` and so on from one connection.
async fn publish(tap: &Tap, ws: &mut Ws, numbers: std::ops::RangeInclusive<u64>) {
    let last = tap.hub.head().1 + numbers.end() + 1 - numbers.start();
    for n in numbers {
        ws.send(&format!("{{\"n\":{n},\"even\":{}}}", n % 2 == 0)).await;
    }
    until("all events", || tap.hub.head().1 == last).await;
}

fn numbers(events: &Value) -> Vec<u64> {
    let events = events.as_array().expect("an array").iter();
    events.map(|event| event["message"]["n"].as_u64().expect("a number")).collect()
}

async fn evaluations(tap: &Tap) -> u64 {
    let metrics = tap.get("/metrics").await.body;
    let line =
        metrics.lines().find_map(|line| line.strip_prefix("wstap_filter_evaluations_total "));
    line.and_then(|number| number.parse().ok()).expect("the metric is there")
}

#[tokio::test]
async fn an_expression_selects_on_every_address() {
    let tap = Tap::start().await;
    let mut even = tap.events(&format!("?format=full&{}", query("message.even"))).await;
    let both = format!("?kind=message&direction=in&{}", query("kind != 'message' || size > 19"));
    let mut big = tap.events(&both).await;
    let mut ends =
        tap.events(&format!("?{}", query("close.code == 1000 && close.by == 'client'"))).await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=12).await;
    for n in [2, 4, 6, 8, 10, 12] {
        assert_eq!(even.json().await["message"]["n"], n);
    }
    assert_eq!(big.json().await["message"]["n"], 1, "{{\"n\":1,\"even\":false}} has 20 bytes");
    let some = query("message.n > 3 && message.n % 4 == 0 || message.n == 1.0");
    assert_eq!(numbers(&tap.get(&format!("/api/events?{some}")).await.json()), [1, 4, 8, 12]);
    let back = tap.get(&format!("/api/events?order=desc&limit=2&{some}")).await.json();
    assert_eq!(numbers(&back), [12, 8]);
    let first = tap.get("/api/events?limit=1").await.json()[0]["id"].clone();
    let path = format!("/listen?after={}&wait=20s&{some}", first.as_str().expect("an id"));
    assert_eq!(numbers(&tap.get(&path).await.json()), [1, 4, 8, 12]);
    ws.close(1000, "").await;
    assert_eq!(ends.json().await["close"]["code"], 1000);
    let listeners = tap.get("/api/listeners").await.json();
    assert_eq!(listeners[1]["query"], both.trim_start_matches('?'), "a listener's filter is seen");
}

#[tokio::test]
async fn a_wrong_expression_is_a_400_that_points_at_the_character() {
    let tap = Tap::start().await;
    for (expression, position, part) in [
        ("", 1, "expected a value"),
        ("kind = 'message'", 6, "expected `==`"),
        ("connectionId == 'ä' && price > 5", 24, "an event has no `price`, expected one of id"),
        ("  size >", 9, "column 9: unexpected the end"),
        ("size", 1, "expected a condition"),
        (&"(".repeat(1024), 33, "deeper than 32"),
        (&"x".repeat(1025), 1025, "1025 bytes, expected at most 1024"),
        ("message.matches('(')", 17, "unclosed group"),
    ] {
        for address in ["/events", "/api/events", "/listen"] {
            let answer = tap.get(&format!("{address}?{}", query(expression))).await;
            answer.is_problem(400, "malformed", part);
            assert_eq!(answer.json()["position"], position, "{expression}");
        }
    }
    let twice = tap.get("/events?filter=true&filter=true").await;
    twice.is_problem(400, "malformed", "filter stands more than once");
    assert_eq!(twice.json()["position"], Value::Null);
}

#[tokio::test]
async fn equal_expressions_are_evaluated_once_for_all_listeners() {
    let tap = Tap::start().await;
    let path = format!("?format=full&{}", query("message.even == true"));
    let mut equal = Vec::new();
    for _ in 0..100 {
        equal.push(tap.events(&path).await);
    }
    until("all listeners", || tap.hub.numbers().listeners == 100).await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=20).await;
    for events in &mut equal {
        for n in (2..=20).step_by(2) {
            assert_eq!(events.json().await["message"]["n"], n);
        }
    }
    assert_eq!(evaluations(&tap).await, tap.hub.head().1, "one for each event");
}

#[tokio::test]
async fn without_an_expression_nothing_is_evaluated() {
    let tap = Tap::start().await;
    let mut plain = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=5).await;
    for _ in 0..5 {
        plain.next().await;
    }
    assert_eq!(evaluations(&tap).await, 0);
}

#[tokio::test]
async fn the_last_that_an_expression_selects_are_found_far_back() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=3000).await;
    let rare = query("message.n % 1000 == 7");
    let mut last = tap.events(&format!("?format=full&last=2&{rare}")).await;
    for n in [1007, 2007] {
        assert_eq!(last.json().await["message"]["n"], n);
    }
    publish(&tap, &mut ws, 3001..=3010).await;
    assert_eq!(last.json().await["message"]["n"], 3007, "and live after that");
    let finite = |count| tap.get(format!("/api/events?last={count}&{rare}").leak());
    assert_eq!(numbers(&finite(3).await.json()), [1007, 2007, 3007]);
    assert_eq!(numbers(&finite(9).await.json()), [7, 1007, 2007, 3007]);
    assert_eq!(finite(0).await.json(), json!([]));
    let none = query("message.n < 0 || remote == 'nowhere'");
    assert_eq!(tap.get(&format!("/api/events?last=3&{none}")).await.json(), json!([]));
    let mut none = tap.events(&format!("?format=full&last=5&{}", query("message.n > 4000"))).await;
    publish(&tap, &mut ws, 4001..=4001).await;
    assert_eq!(none.json().await["message"]["n"], 4001);
}

#[tokio::test]
async fn the_last_of_a_history_that_keeps_nothing_is_what_comes() {
    let history = Retention { events: 0, ..Settings::default().history };
    let tap = Tap::with(Settings { history, ..Settings::default() }, |_| {}).await;
    let mut ws = tap.registered("a").await;
    publish(&tap, &mut ws, 1..=5).await;
    let mut events = tap.events(&format!("?format=full&last=3&{}", query("message.n > 5"))).await;
    publish(&tap, &mut ws, 6..=6).await;
    assert_eq!(events.json().await["message"]["n"], 6);
}

#[tokio::test]
async fn a_filtered_stream_resumes_without_hole_or_double_while_events_flow() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    let filter = query("message.even && message.n > 0");
    let publisher = async {
        for n in 1..=2000 {
            ws.send(&format!("{{\"n\":{n},\"even\":{}}}", n % 2 == 0)).await;
        }
    };
    let reader = async {
        let mut all: Vec<u64> = Vec::new();
        let mut events = tap.events(&format!("?since=1h&format=full&{filter}")).await;
        while all.len() < 1000 {
            let mut last = Value::Null;
            for _ in 0..50 {
                last = events.json().await;
                all.push(last["message"]["n"].as_u64().expect("a number"));
            }
            let id = last["id"].as_str().expect("an id").to_owned();
            events =
                tap.events_with(&format!("?format=full&{filter}"), &[("last-event-id", &id)]).await;
        }
        all
    };
    let ((), all) = tokio::join!(publisher, reader);
    assert_eq!(all, (1..=1000).map(|n| 2 * n).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_hostile_expression_harms_no_other_listener() {
    let tap = Tap::start().await;
    let costly = "message.items.exists(i, message.t.matches('(x+x+)+y') || i == message.t)";
    let _costly = tap.events(&format!("?{}", query(costly))).await;
    let mut plain = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    let items = vec!["\"x\""; 2000].join(",");
    for _ in 0..5 {
        ws.send(&format!("{{\"items\":[{items}],\"t\":\"{}\"}}", "x".repeat(60_000))).await;
    }
    for _ in 0..5 {
        plain.next().await;
    }
}

#[test]
fn watch_takes_an_expression_and_says_what_is_wrong_with_it() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let filter = "kind == 'message' && message.price > 100";
    let mut watch =
        Running::start(wstap().args(["watch", &server.url(), "--filter", filter, "--last", "5"]));
    let _client = speak(
        server.port(),
        &[
            r#"{"connectionId":"a"}"#,
            r#"{"price":1}"#,
            r#"{"price":101.5}"#,
            "\"end\"",
            r#"{"price":102}"#,
        ],
    );
    watch.until("{\"price\":102}");
    let words = watch.words();
    assert!(words.contains("101.5") && !words.contains("connected"), "{words}");
    assert!(!words.contains("{\"price\":1}") && !words.contains("end"), "{words}");
    let (code, _, words) = output(&["watch", "--filter", "kind = 'message'"]);
    assert!(code == 2 && words.contains("--filter: column 6:"), "{words}");
}

#[test]
fn watch_translates_short_terms_and_shows_what_holds() {
    let server = Running::server(&["--listen", "127.0.0.1:0"]);
    let url = server.url();
    let mut watch = Running::start(wstap().args([
        "watch",
        "conn:room-* kind:message \"the text\" size>5",
        &url,
        "--filter",
        "direction == 'in'",
        "!re:hidden$",
        "--last",
        "9",
    ]));
    watch.until(
        "filter: (direction == 'in') && connectionId.startsWith(\"room-\") && kind == \"message\" && \
         (text(message).contains(\"the text\") || text(fields).contains(\"the text\")) && size>5 && \
         !(text(message).matches(\"hidden$\"))",
    );
    let _other = speak(server.port(), &[r#"{"connectionId":"b"}"#, "[\"the text of b\"]"]);
    let _client = speak(
        server.port(),
        &[
            r#"{"connectionId":"room-7"}"#,
            "\"the text, hidden\"",
            "\"other\"",
            "{\"a\":[\"the text\"]}",
            r#"{"connectionId":"room-7","note":"the text"}"#,
        ],
    );
    watch.until("null");
    let words = watch.words();
    assert!(words.contains("{\"a\":[\"the text\"]}"), "{words}");
    for hidden in ["the text of b", "the text, hidden", "other", "connected"] {
        assert!(!words.contains(hidden), "{hidden} in {words}");
    }
    let (code, _, words) = output(&["watch", "kind:mesage"]);
    assert!(code == 2 && words.contains("a kind is connect, message, close"), "{words}");
    let (code, _, words) = output(&["watch", "localhost:1", "http://localhost:2"]);
    assert!(code == 2 && words.contains("one server is right"), "{words}");
}

#[tokio::test]
async fn an_expression_without_budget_for_an_event_selects_nothing_and_is_counted() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    // The pattern takes a new state at each letter.
    let mut random = 12_345_u64;
    let letters: String = (0..60_000)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if random >> 63 == 0 { 'a' } else { 'b' }
        })
        .collect();
    ws.send(&format!("\"{letters}\"")).await;
    ws.send("\"short\"").await;
    until("both messages", || tap.hub.head().1 == 3).await;
    let pattern = query("kind == 'message' && !message.matches('a[ab]{60}c')");
    let selected = tap.get(&format!("/api/events?{pattern}")).await.json();
    let selected = selected.as_array().expect("an array");
    assert_eq!(selected.len(), 1, "{selected:?}");
    assert_eq!(selected[0]["message"], "short");
    let metrics = tap.get("/metrics").await.body;
    assert!(metrics.contains("wstap_filter_exhausted_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn errors_of_a_query_are_bounded_and_selections_too() {
    let tap = Tap::start().await;
    let unknown = (0..10_000).map(|n| format!("&{n}")).collect::<Vec<_>>().concat();
    let wrong = "&kind=x".repeat(8000);
    for query in [unknown, wrong, format!("kind={}", "%ff".repeat(18_000))] {
        for address in ["/events", "/api/events", "/listen"] {
            let answer = tap.get(&format!("{address}?{query}")).await;
            answer.is_problem(400, "malformed", "");
            assert!(answer.body.len() < 6000, "{} bytes", answer.body.len());
        }
    }
    let selections = |count: usize| (0..count).map(|n| format!("&connection=c{n}"));
    let most = selections(100).collect::<Vec<_>>().concat();
    assert_eq!(tap.get(&format!("/api/events?{most}")).await.status, 200);
    let over = tap.get(&format!("/api/events?{most}&channel=a")).await;
    over.is_problem(400, "malformed", "at most 100");
    let text = tap.get(&format!("/api/events?text={}", "x".repeat(1025))).await;
    text.is_problem(400, "malformed", "at most 1024 bytes");
}

#[tokio::test]
async fn long_addresses_of_sockets_and_listeners_are_refused() {
    let tap = Tap::start().await;
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let path = format!("/ws?{}", "x".repeat(8192));
    let answer = tap.fetch("GET", &path, &handshake, "").await;
    answer.is_problem(414, "uri_too_long", "at most 8192");
    let channel = "%f0%9f%98%80".repeat(256);
    let channels = (0..3).map(|_| format!("&channel={channel}")).collect::<Vec<_>>().concat();
    for address in ["/events", "/listen"] {
        let answer = tap.get(&format!("{address}?{channels}")).await;
        answer.is_problem(414, "uri_too_long", "at most 8192");
    }
}
