//! Stopping: everybody is told, nobody waits for ever, nothing is left.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;

use crate::harness::{Tap, until, within};

#[tokio::test]
async fn close_events_are_delivered_before_the_streams_end() {
    let mut tap = Tap::start().await;
    let mut events = tap.events("?kind=close&format=full").await;
    let mut clients = Vec::new();
    for n in 0..10 {
        let ws = tap.registered(&format!("c{n}")).await;
        clients.push(tokio::spawn(ws.stay()));
    }
    let mut unregistered = tap.ws("/ws").await;
    let (closes, unregistered, ()) = tokio::join!(events.rest(), unregistered.closed(), tap.stop());
    for client in clients {
        assert_eq!(client.await.expect("no panic"), 1001);
    }
    assert_eq!(unregistered, 1001);
    assert_eq!(closes.len(), 10);
    for close in closes {
        let close: Value = serde_json::from_str(&close).expect("JSON");
        assert_eq!(
            (close["close"]["code"].as_u64(), close["close"]["by"].as_str()),
            (Some(1001), Some("tap"))
        );
    }
    let retry: Vec<&str> = events.raw.lines().filter(|line| line.starts_with("retry: ")).collect();
    assert_eq!(retry.len(), 2, "one at the beginning and one, with jitter, at the end");
    assert!(events.raw.ends_with(&format!("{}\n", retry[1])), "{}", events.raw);
}

#[tokio::test]
async fn what_was_received_is_delivered_although_the_server_stops() {
    let mut tap = Tap::start().await;
    let mut events = tap.events("?kind=message").await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let mut acknowledged = 0;
    for n in 0..500 {
        ws.send(&n.to_string()).await;
    }
    let acks = async {
        while let Some(tungstenite::Message::Text(_)) = ws.next().await {
            acknowledged += 1;
        }
    };
    let (messages, (), ()) = tokio::join!(events.rest(), acks, tap.stop());
    assert!(messages.len() >= acknowledged, "{} of {acknowledged}", messages.len());
}

#[tokio::test]
async fn clients_that_do_not_answer_do_not_hold_it_up() {
    let mut tap = Tap::graceful(Settings::default(), Duration::from_millis(400), |_| {}).await;
    let mut events = tap.events("?kind=close").await;
    let _silent = tap.registered("silent").await;
    let mut half = TcpStream::connect(tap.addr).await.expect("the server is there");
    half.write_all(b"GET /events HT").await.expect("sent");
    let mut deaf = TcpStream::connect(tap.addr).await.expect("the server is there");
    deaf.write_all(format!("GET /events HTTP/1.1\r\nhost: {}\r\n\r\n", tap.addr).as_bytes())
        .await
        .expect("sent");
    until("both listeners", || tap.hub.numbers().listeners == 2).await;
    let begun = tokio::time::Instant::now();
    let (closes, ()) = tokio::join!(events.rest(), tap.stop());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(closes.len(), 1);
    let mut rest = Vec::new();
    let _ = within("the end of half a request", half.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_stopping_server_takes_nobody_new() {
    let mut tap = Tap::graceful(Settings::default(), Duration::from_secs(3), |_| {}).await;
    let _silent = tap.registered("silent").await;
    // Kept open from before, since no new connection is accepted.
    let request = |path: &str, accept: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n")
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut tcp = TcpStream::connect(tap.addr).await.expect("the server is there");
        tcp.write_all(request("/healthz", "*/*").as_bytes()).await.expect("sent");
        let mut bytes = [0; 1024];
        let read = within("an answer", tcp.read(&mut bytes)).await.expect("no error");
        assert!(bytes[..read].ends_with(b"ok\n"));
        kept.push(tcp);
    }
    let hub = tap.hub.clone();
    let stopping = tokio::spawn(async move { tap.stop().await });
    within("the stop", hub.stopping().cancelled()).await;
    let mut answers = Vec::new();
    for (tcp, (path, accept)) in kept.iter_mut().zip([
        ("/readyz", "*/*"),
        ("/events", "*/*"),
        ("/events", "text/event-stream"),
    ]) {
        tcp.write_all(request(path, accept).as_bytes()).await.expect("sent");
        let mut bytes = vec![0; 2048];
        let read = within("an answer", tcp.read(&mut bytes)).await.expect("no error");
        answers.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
    }
    assert!(
        answers[0].starts_with("HTTP/1.1 503 ") && answers[0].contains("\"stopping\""),
        "{}",
        answers[0]
    );
    assert!(
        answers[1].starts_with("HTTP/1.1 503 ") && answers[1].contains("\"stopping\""),
        "{}",
        answers[1]
    );
    assert!(
        answers[2].starts_with("HTTP/1.1 200 ") && answers[2].contains("retry: "),
        "{}",
        answers[2]
    );
    within("the end", stopping).await.expect("no panic");
}

#[tokio::test]
async fn no_task_survives() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut tap = Tap::graceful(Settings::default(), Duration::from_millis(100), |_| {}).await;
    let silent = tap.registered("silent").await;
    let unregistered = tap.ws("/ws").await;
    let mut deaf = TcpStream::connect(tap.addr).await.expect("the server is there");
    deaf.write_all(format!("GET /events HTTP/1.1\r\nhost: {}\r\n\r\n", tap.addr).as_bytes())
        .await
        .expect("sent");
    until("the listener", || tap.hub.numbers().listeners == 1).await;
    tap.stop().await;
    let after = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(after(), before);
    drop((silent, unregistered, deaf));
}
