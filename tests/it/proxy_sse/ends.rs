//! Ends of event streams: by each side, on request, at shutdown; and clients that do not read.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Passing, STREAM};
use crate::harness::within;

#[tokio::test]
async fn end_of_a_stream_names_the_side() {
    // The client leaves.
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    it.pass(b"data: 1\n\ndata: 2").await;
    it.event().await;
    drop(it.client);
    let close = it.events.json().await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&json!("client"), &json!(1005)));
    let mut rest = Vec::new();
    within("the end at the server", it.server.read_to_end(&mut rest)).await.expect("an end");

    // The server ends the connection within its answer.
    let chunked = format!("{STREAM}Transfer-Encoding: chunked\r\n");
    let mut it = Passing::begin(&chunked).await;
    it.connect().await;
    it.pass_as(b"9\r\ndata: 1\n\n\r\n", b"data: 1\n\n").await;
    it.event().await;
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&json!("server"), &json!(1006)));
    let reason = close["close"]["reason"].as_str().expect("text");
    assert!(reason.contains("before the end"), "{close}");

    // The server resets it.
    let mut it = Passing::begin(&chunked).await;
    it.connect().await;
    it.pass_as(b"9\r\ndata: 1\n\n\r\n", b"data: 1\n\n").await;
    it.event().await;
    let server = socket2::SockRef::from(&it.server);
    server.set_linger(Some(std::time::Duration::ZERO)).expect("a TCP socket");
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!(close["close"]["by"], "network", "{close}");
    assert_eq!(close["close"]["reason"], "the server reset the connection");
}

#[tokio::test]
async fn stream_is_closed_on_request_and_takes_no_messages() {
    let chunked = format!("{STREAM}Transfer-Encoding: chunked\r\n");
    let mut it = Passing::begin(&chunked).await;
    let id = it.connect().await["connectionId"].as_str().expect("text").to_owned();
    for to in ["client", "server"] {
        let path = format!("/api/connections/{id}/messages?to={to}");
        let refused = it.front.tap.fetch("POST", &path, &[], "hello").await;
        refused.is_problem(405, "method_not_allowed", "event stream");
    }
    let path = format!("/api/connections/{id}?reason=enough");
    assert_eq!(it.front.tap.fetch("DELETE", &path, &[], "").await.status, 204);
    let close = it.event().await;
    assert_eq!(
        close["close"],
        json!({"code": 1000, "reason": "enough", "clean": false, "by": "tap"})
    );
    let mut rest = Vec::new();
    // The client sees that the answer is not complete.
    let _ = within("the end at the client", it.client.read_to_end(&mut rest)).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    let _ = within("the end at the server", it.server.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn slow_client_slows_its_own_stream_only() {
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    let (mut read, mut write) = it.server.into_split();
    let flood = tokio::spawn(async move {
        let event = format!("data: {}\n\n", "x".repeat(8000));
        let mut sent = 0_u64;
        // Until the client, which reads nothing, keeps the server from writing.
        while let Ok(Ok(())) = tokio::time::timeout(
            std::time::Duration::from_millis(500),
            write.write_all(event.as_bytes()),
        )
        .await
        {
            sent += event.len() as u64;
            if sent > 256 << 20 {
                return (write, None);
            }
        }
        (write, Some(sent))
    });
    let (write, sent) = within("a server that waits", flood).await.expect("no panic");
    assert!(sent.is_some(), "the server is not kept from writing");
    // Another client is served meanwhile.
    let info = it.front.tap.get("/api/info").await;
    assert_eq!(info.status, 200);
    drop((it.client, write));
    let mut rest = Vec::new();
    let _ = within("the end at the server", read.read_to_end(&mut rest)).await;
    let mut last = it.events.json().await;
    while last["kind"] != "close" {
        last = it.events.json().await;
    }
    assert_eq!(last["close"]["by"], "client");
}

#[tokio::test]
async fn shutdown_ends_streams() {
    let mut it = Passing::begin(STREAM).await;
    it.connect().await;
    it.pass(b"data: 1\n\n").await;
    it.front.tap.stop().await;
    let mut rest = Vec::new();
    let _ = within("the end at the client", it.client.read_to_end(&mut rest)).await;
    let _ = within("the end at the server", it.server.read_to_end(&mut rest)).await;
    assert!(it.head.to_lowercase().contains("content-type: text/event-stream"));
}
