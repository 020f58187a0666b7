//! Heads through proxy mode: targets, expectations, interim answers and sloppy answers.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Tap, within};
use crate::proxy::{Back, Front, SWITCH, next_of_kind, read_head};

/// Characters that `http::Uri` does not hold, and bytes that are no UTF-8.
const ODD: &[u8] = b"/<a>`^/\"{b}|\\?q=<\xe9\">#c";

fn starts_with(bytes: &[u8], line: &[&[u8]]) -> bool {
    bytes.starts_with(&line.concat())
}

#[tokio::test]
async fn odd_targets_pass_as_bytes() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let request = [b"POST ", ODD, b" HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"].concat();
    client.write_all(&request).await.expect("sent");
    let (mut server, got) = back.accept_bytes().await;
    assert!(starts_with(&got, &[b"POST ", ODD, b" HTTP/1.1\r\n"]), "{}", got.escape_ascii());
    let mut body = [0; 2];
    within("the body", server.read_exact(&mut body)).await.expect("passed");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
    // On the same connections, which serve ordinary targets again.
    client.write_all(b"GET /plain?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert!(read_head(&mut server).await.starts_with("GET /plain?x=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn handshake_with_an_odd_target_passes_and_is_an_event() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut events = front.tap.events("?format=full").await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let request = [
        b"GET ",
        ODD,
        b" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ];
    client.write_all(&request.concat()).await.expect("sent");
    let (mut server, got) = back.accept_bytes().await;
    assert!(starts_with(&got, &[b"GET ", ODD, b" HTTP/1.1\r\n"]), "{}", got.escape_ascii());
    server.write_all(format!("{SWITCH}\r\n").as_bytes()).await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101 "));
    server.write_all(b"\x81\x02hi").await.expect("sent");
    let mut frame = [0; 4];
    within("a frame", client.read_exact(&mut frame)).await.expect("passed");
    let connect = next_of_kind(&mut events, "connect").await;
    assert_eq!(connect["path"], String::from_utf8_lossy(ODD).as_ref());
}

#[tokio::test]
async fn continue_comes_from_the_upstream_alone() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.write_all(head).await.expect("sent");
    let (mut server, got) = back.accept().await;
    assert!(got.contains("Expect: 100-continue\r\n"), "{got}");
    let early = timeout(Duration::from_millis(300), client.read_u8()).await;
    assert!(early.is_err(), "the upstream has not answered: {early:?}");
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.expect("sent");
    assert_eq!(read_head(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hi").await.expect("sent");
    let mut body = [0; 2];
    within("the body", server.read_exact(&mut body)).await.expect("passed");
    assert_eq!(&body, b"hi");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn refused_expectation_is_passed_on() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.write_all(head).await.expect("sent");
    let (mut server, _) = back.accept().await;
    let refusal =
        b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    server.write_all(refusal).await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 417 "));
}

#[tokio::test]
async fn interim_answers_pass_before_the_final_one() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let (mut server, _) = back.accept().await;
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    server.write_all(hints).await.expect("sent");
    let got = read_head(&mut client).await;
    assert_eq!(got, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    server.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 102 "));
    let rest = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    server.write_all(rest).await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 103 "));
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut body = [0; 2];
    within("the body", client.read_exact(&mut body)).await.expect("passed");
    // A client of HTTP/1.0 does not know interim answers.
    let mut old = TcpStream::connect(front.traffic).await.expect("there");
    old.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").await.expect("sent");
    let answer = async {
        let (mut server, _) = back.accept().await;
        server.write_all(rest).await.expect("sent");
    };
    let (got, ()) = tokio::join!(read_head(&mut old), answer);
    assert!(got.starts_with("HTTP/1.0 200 OK\r\n"), "{got}");
}

#[tokio::test]
async fn handshake_of_http_1_0_is_refused() {
    let front = Front::of(Back::new().await.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let request = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let mut answer = String::new();
    within("the answer", client.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.starts_with("HTTP/1.0 400 ") && answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn sloppy_answers_are_read_as_browsers_read_them() {
    for (sloppy, kept) in [
        ("HTTP/1.1 200 Fine\r\nX-Space : 1\r\nContent-Length: 2\r\n\r\nhi", "X-Space: 1\r\n"),
        ("HTTP/1.1 200 Fine\r\nX-Fold: 1\r\n  2\r\nContent-Length: 2\r\n\r\nhi", "X-Fold: 1"),
        ("HTTP/1.1 200 Fine\r\nno colon\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi", "X: 1\r\n"),
        ("HTTP/1.1 200 Fine\r\nX-Odd: \x01\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi", "X: 1\r\n"),
        ("HTTP/1.1 200 Fine\nX: 1\nContent-Length: 2\n\nhi", "X: 1\r\n"),
    ] {
        let back = Back::new().await;
        let front = Front::of(back.addr).await;
        let mut client = TcpStream::connect(front.traffic).await.expect("there");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(request).await.expect("sent");
        let (mut server, _) = back.accept().await;
        server.write_all(sloppy.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        within("the answer", client.read_to_string(&mut answer)).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 Fine\r\n"), "{sloppy:?}: {answer}");
        assert!(answer.contains(kept) && answer.ends_with("\r\n\r\nhi"), "{sloppy:?}: {answer}");
        let ((_, head), _server) = tokio::join!(front.shake("/", ""), async {
            let (mut tcp, _) = back.accept().await;
            let lines: Vec<_> = sloppy.lines().take(2).collect();
            let odd = lines[1];
            tcp.write_all(format!("{SWITCH}{odd}\r\n\r\n").as_bytes()).await.expect("sent");
            tcp
        });
        assert!(head.starts_with("HTTP/1.1 101 "), "{sloppy:?}: {head}");
    }
}

#[tokio::test]
async fn byte_order_mark_before_json_is_skipped() {
    let tap = Tap::start().await;
    let mut events = tap.events("?format=full&kind=message").await;
    let mut ws = tap.ws("/ws").await;
    ws.send("\u{feff}{\"connectionId\":\"a\"}").await;
    ws.send("\u{feff}{\"n\":1.50}").await;
    ws.send("\u{feff}text").await;
    assert_eq!(events.json().await["message"]["n"], 1.5);
    assert_eq!(events.json().await["message"], "\u{feff}text");
}
