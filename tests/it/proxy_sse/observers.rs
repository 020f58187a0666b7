//! Streams of observers that pass a proxy: those of another wstap, and its own.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wstap::event::{Exchange, Flow};
use wstap::hub::Settings;

use crate::harness::{Tap, until};
use crate::proxy::{Back, Front};

#[tokio::test]
async fn listeners_of_another_wstap_are_event_streams() {
    let hub = Tap::start().await;
    let front = Front::with(&format!("http://{}", hub.addr), Settings::default(), |_| {}).await;
    let mut outer = front.tap.events("?format=full&kind=message").await;
    let through = Tap::of(front.traffic, hub.hub.clone());
    let mut inner = through.events("?format=full").await;
    let mut ws = hub.registered("a").await;
    ws.send(r#"{"connectionId":"a","message":"hello"}"#).await;
    let (connect, message) = (inner.json().await, inner.json().await);
    assert_eq!((&connect["kind"], &message["message"]), (&json!("connect"), &json!("hello")));
    let (one, two) = (outer.json().await, outer.json().await);
    assert_eq!((&one["message"], &two["message"]), (&connect, &message));
    assert_eq!(two["eventId"], message["id"]);
}

#[tokio::test]
async fn own_stream_of_a_proxy_is_not_on_its_tap() {
    // Something between the proxy and its own observers' side: the address is not known as its own.
    let between = Back::new().await;
    let front = Front::with(&format!("http://{}", between.addr), Settings::default(), |_| {}).await;
    let observers = front.tap.addr;
    tokio::spawn(async move { pass_on(&between, observers).await });
    let through = Tap::of(front.traffic, front.tap.hub.clone());
    let mut own = through.events("?format=full").await;
    let missing = through.get("/nothing").await;
    assert_eq!(missing.status, 404);
    front.tap.hub.exchanged(request(observers, "/x"));
    assert_eq!(own.json().await["kind"], "request");
    assert_eq!(front.tap.hub.head().1, 1, "the stream shows nothing of itself");
    assert!(front.tap.hub.connections().is_empty());
}

#[tokio::test]
async fn own_stream_through_another_proxy_is_not_on_its_tap() {
    let between = Back::new().await;
    let inner = Front::with(&format!("http://{}", between.addr), Settings::default(), |_| {}).await;
    let url = format!("http://{}", inner.traffic);
    let outer = Front::with(&url, Settings::default(), |_| {}).await;
    let observers = outer.tap.addr;
    tokio::spawn(async move { pass_on(&between, observers).await });
    let through = Tap::of(outer.traffic, outer.tap.hub.clone());
    let mut own = through.events("?format=full").await;
    outer.tap.hub.exchanged(request(observers, "/x"));
    assert_eq!(own.json().await["path"], "/x");
    assert_eq!(outer.tap.hub.head().1, 1, "the stream shows nothing of itself");
    // The proxy in between shows the stream, which is that of another.
    until("both events", || inner.tap.hub.head().1 == 2).await;
}

#[tokio::test]
async fn proxies_in_front_of_each_others_observers_end_the_loop() {
    let between = Back::new().await;
    let one = Front::with(&format!("http://{}", between.addr), Settings::default(), |_| {}).await;
    let two = Front::with(&format!("http://{}", one.tap.addr), Settings::default(), |_| {}).await;
    let observers = two.tap.addr;
    tokio::spawn(async move { pass_on(&between, observers).await });
    // Each proxy passes the stream of the other, and so has it on its own.
    let mut of_two = Tap::of(one.traffic, two.tap.hub.clone()).events("?format=full").await;
    let mut of_one = Tap::of(two.traffic, one.tap.hub.clone()).events("?format=full").await;
    let mut direct = two.tap.events("?format=full").await;
    one.tap.hub.exchanged(request(observers, "/one"));
    assert_eq!(of_one.json().await["path"], "/one");
    let seen = direct.json().await;
    assert_eq!((&seen["kind"], &seen["message"]["path"]), (&json!("message"), &json!("/one")));
    two.tap.hub.exchanged(request(observers, "/two"));
    assert_eq!(of_two.json().await["path"], "/two", "what `one` has sent does not come back");
    // Listeners that come directly get all, and the connection says what others do not.
    let all = two.tap.get("/api/events?kind=connect").await.json();
    let note = all[0]["note"].as_str().expect("a note");
    assert!(note.contains("not sent to listeners that come through a proxy"), "{all}");
    // Two streams, and each event once on either side.
    assert_eq!((one.tap.hub.head().1, two.tap.hub.head().1), (3, 3));
}

/// A plain request that has failed.
fn request(remote: SocketAddr, path: &str) -> Exchange {
    Exchange {
        remote,
        method: "GET".to_owned(),
        path: path.to_owned(),
        upstream: None,
        status: 404,
        time: Duration::ZERO,
        duration: Duration::ZERO,
        bytes: Flow::default(),
        note: None,
    }
}

/// Passes connections on to an address, with the host that it has.
async fn pass_on(between: &Back, to: SocketAddr) {
    loop {
        let (mut near, head) = between.accept().await;
        let mut far = TcpStream::connect(to).await.expect("there");
        let own = head.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
        let head = head.replace(own.expect("a host"), &format!("Host: {to}"));
        far.write_all(head.as_bytes()).await.expect("sent");
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
