//! Lists of `/api` in pages and in pieces.

use serde_json::{Value, json};
use wstap::hub::{ChannelRules, Settings};
use wstap::redact::{Redaction, Rules};

use crate::harness::Tap;

/// Follows the links of a list from its first page on. Returns the items and the sizes of the pages.
async fn pages(tap: &Tap, path: &str, limit: usize) -> (Vec<Value>, Vec<usize>) {
    let (mut items, mut sizes) = (Vec::new(), Vec::new());
    let mut query = format!("?limit={limit}");
    loop {
        let page = tap.get(&format!("{path}{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let Value::Array(found) = page.json() else { panic!("{page:?}") };
        assert!(found.len() <= limit && sizes.len() < 100, "{} pages", sizes.len());
        sizes.push(found.len());
        items.extend(found);
        let link = page.header("link");
        if link.is_empty() {
            return (items, sizes);
        }
        let address = link.strip_prefix('<').and_then(|it| it.strip_suffix(">; rel=\"next\""));
        address.expect("an address").clone_into(&mut query);
    }
}

fn configured(tap: &Tap, names: impl Iterator<Item = String>) {
    for name in names {
        let channel = name.parse().expect("a channel");
        tap.hub.configure(&channel, ChannelRules::default()).expect("there is room");
    }
}

#[tokio::test]
async fn pages_of_a_list_have_all_of_it_in_order() {
    let tap = Tap::start().await;
    let (mut clients, mut streams) = (Vec::new(), Vec::new());
    for n in 0..7 {
        clients.push(tap.registered(&format!("client {}", 9 - n)).await);
        streams.push(tap.events("").await);
    }
    configured(&tap, (0..7).map(|n| format!("a&b={n} ü")));
    for path in ["/api/connections", "/api/channels", "/api/listeners"] {
        let whole = tap.get(path).await;
        assert_eq!(whole.header("link"), "", "{path}");
        let Value::Array(whole) = whole.json() else { panic!("{path}") };
        assert_eq!(whole.len(), 7, "{path}");
        for (limit, sizes) in [(1, vec![1; 7]), (3, vec![3, 3, 1]), (7, vec![7]), (1000, vec![7])] {
            let (items, found) = pages(&tap, path, limit).await;
            assert_eq!((found, &items), (sizes, &whole), "{path} by {limit}");
        }
        for query in ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "before=1"] {
            tap.get(&format!("{path}?{query}")).await.is_problem(400, "malformed", "");
        }
        let text = tap.get(&format!("{path}?after=zzz")).await;
        if path == "/api/channels" {
            assert_eq!(text.json(), json!([]));
        } else {
            text.is_problem(400, "malformed", "after=12");
        }
    }
}

#[tokio::test]
async fn pages_continue_when_the_last_item_has_left() {
    let tap = Tap::start().await;
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(tap.registered(&format!("{n}")).await);
    }
    let page = tap.get("/api/connections?limit=2").await;
    let path = format!("/api/connections/{}", page.json()[1]["connectionId"].as_str().expect("id"));
    assert_eq!(tap.fetch("DELETE", &path, &[], "").await.status, 204);
    let next = page.header("link").split(['<', '>']).nth(1).expect("an address").to_owned();
    let page = tap.get(&format!("/api/connections{next}")).await;
    assert_eq!((&page.json()[0]["connectionId"], page.header("link")), (&json!("2"), ""));
}

#[tokio::test]
async fn pages_of_channels_continue_after_names_that_are_redacted() {
    let rules =
        Rules { patterns: vec!["secret-[0-9]+".parse().expect("a pattern")], ..Rules::default() };
    let redaction = Redaction::new(rules);
    let tap = Tap::with(Settings { redaction, ..Settings::default() }, |_| {}).await;
    let names = (0..5).map(|n| format!("secret-{n}")).chain(["plain".to_owned()]);
    configured(&tap, names);
    let whole = tap.get("/api/channels").await.json();
    let (items, sizes) = pages(&tap, "/api/channels", 1).await;
    assert_eq!((json!(items), sizes), (whole.clone(), vec![1; 6]));
    assert!(!whole.to_string().contains("secret-"), "{whole}");
}

#[tokio::test]
async fn long_lists_are_sent_in_pieces_with_every_item() {
    let tap = Tap::start().await;
    configured(&tap, (0..3000).map(|n| format!("channel {n:04} {}", "x".repeat(100))));
    let answer = tap.get("/api/channels").await;
    assert_eq!(answer.header("content-length"), "", "it is not rendered before it is sent");
    let Value::Array(all) = answer.json() else { panic!("{answer:?}") };
    let numbers: Vec<_> = all.iter().filter_map(|it| it["channel"].as_str()?.get(8..12)).collect();
    let expected: Vec<_> = (0..3000).map(|n| format!("{n:04}")).collect();
    assert_eq!(numbers, expected);
    let short = tap.get("/api/channels?limit=1").await;
    assert_eq!(short.header("content-length"), short.body.len().to_string());
}

#[tokio::test]
async fn channel_with_many_members_and_messages_is_sent_in_pieces() {
    let tap = Tap::start().await;
    let history = ChannelRules { history: 100, ..ChannelRules::default() };
    let name = "news".parse().expect("a channel");
    tap.hub.configure(&name, history).expect("there is room");
    let mut clients = Vec::new();
    for n in 0..3 {
        let mut ws = tap.ws(&format!("/ws?connectionId=c{n}&ack=1")).await;
        ws.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
        ws.json().await;
        clients.push(ws);
    }
    let long = "y".repeat(5000);
    for _ in 0..50 {
        tap.fetch("POST", "/api/channels/news/messages", &[], &long).await;
    }
    let answer = tap.get("/api/channels/news").await;
    assert_eq!(answer.header("content-length"), "", "it is not rendered before it is sent");
    let page = answer.json();
    assert_eq!(page["members"], json!(["c0", "c1", "c2"]));
    assert_eq!(page["users"], page["members"]);
    let messages = page["history"].as_array().expect("a list");
    assert!(messages.iter().all(|it| it["message"] == long));
    assert_eq!((messages.len(), &page["messages"]), (50, &json!(50)));
}
