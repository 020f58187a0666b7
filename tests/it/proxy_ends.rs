//! Proxy mode notices the end of either side, whatever waits for the other.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;

use crate::harness::{until, within};
use crate::proxy::{Back, Front, next_of_kind, pair};

fn reset(tcp: TcpStream) {
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    drop(tcp);
}

/// Fills all buffers of a direction whose far end reads nothing.
async fn fill(tcp: &mut TcpStream) {
    let frame = [&b"\x82\xfe\xff\xff\0\0\0\0"[..], &vec![1; 65_535]].concat();
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(300), tcp.write(&frame)).await
    {
        sent += written.expect("taken");
        assert!(sent < 64 << 20, "back-pressure reaches the sender");
    }
}

#[tokio::test]
async fn reset_behind_a_hung_server_is_noticed() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=close").await;
    fill(&mut client).await;
    reset(client);
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!(close["close"]["by"], "network");
    assert_eq!(close["close"]["reason"], "the client reset the connection");
    until("the end of the connection", || front.tap.hub.numbers().connections == 0).await;
    let mut rest = Vec::new();
    let end = within("the end", server.read_to_end(&mut rest)).await;
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn reset_behind_a_hung_client_is_noticed() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=close").await;
    let piece = vec![0; 1 << 20];
    let head = [&b"\x82\x7f"[..], &(1_u64 << 40).to_be_bytes()].concat();
    server.write_all(&head).await.expect("sent");
    while tokio::time::timeout(Duration::from_millis(300), server.write(&piece)).await.is_ok() {}
    reset(server);
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!(close["close"]["by"], "network");
    assert_eq!(close["close"]["reason"], "the server reset the connection");
    let mut rest = Vec::new();
    let end = within("the end", client.read_to_end(&mut rest)).await;
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn reset_is_noticed_while_both_sides_read_nothing() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=close").await;
    fill(&mut client).await;
    fill(&mut server).await;
    reset(server);
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!(close["close"]["reason"], "the server reset the connection");
    let end = within("the end", async {
        let mut piece = vec![0; 1 << 20];
        loop {
            match client.read(&mut piece).await {
                Ok(1..) => {}
                other => break other,
            }
        }
    })
    .await;
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_before_a_reset_still_arrive() {
    let (_front, mut client, mut server) = pair("").await;
    client.write_all(b"\x81\x82\0\0\0\0hi").await.expect("sent");
    let mut got = [0; 8];
    within("the message", server.read_exact(&mut got)).await.expect("passed");
    assert_eq!(&got, b"\x81\x82\0\0\0\0hi");
    reset(client);
    let end = within("the end", server.read(&mut got)).await;
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn handshake_that_a_server_does_not_answer_is_refused_and_frees_its_place() {
    let back = Back::new().await;
    let settings = Settings { max_connections: 1, ..Settings::default() };
    // The harness allows an upstream two seconds.
    let front = Front::with(&format!("ws://{}", back.addr), settings, |_| {}).await;
    let mut events = front.tap.events("?format=full&kind=close").await;
    let ((_, head), _silent) = tokio::join!(front.shake("/silent", ""), back.accept());
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!((&close["status"], &close["path"]), (&504.into(), &"/silent".into()));
    assert_eq!(close["close"]["by"], "tap");
    let reason = close["close"]["reason"].as_str().expect("text");
    assert!(reason.contains("did not answer the handshake within 2s"), "{reason}");
    let ((_, head), _server) = tokio::join!(front.shake("/", ""), back.switch(""));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}
