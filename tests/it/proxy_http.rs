//! Plain HTTP through proxy mode: what a development server needs.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::proxy::Route;

use crate::harness::within;
use crate::proxy::{Back, Front, read_head};

/// Sends bytes to the traffic side and returns all that comes back.
async fn raw(front: &Front, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(front.traffic).await.expect("there");
    let _ = tcp.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within("the end of a connection", tcp.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_page_passes_with_its_headers() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let request = "GET /app.js?v=1 HTTP/1.1\r\nHost: dev.example\r\nAccept: */*\r\nKeep-Alive: 5\r\n\
                   Connection: close, X-Hop\r\nX-Hop: 1\r\nIf-None-Match: \"a\"\r\n\r\n";
    let (answer, head) = tokio::join!(raw(&front, request.as_bytes()), async {
        let (mut tcp, head) = back.accept().await;
        let answer = "HTTP/1.1 200 OK\r\nETag: \"b\"\r\nConnection: X-Hip\r\nX-Hip: 1\r\nContent-Length: 5\r\n\r\nhello";
        tcp.write_all(answer.as_bytes()).await.expect("sent");
        head
    });
    assert!(head.starts_with("GET /app.js?v=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("If-None-Match: \"a\"\r\n"), "{head}");
    let small = head.to_lowercase();
    assert!(!small.contains("x-hop") && !small.contains("keep-alive"), "{head}");
    assert!(small.contains("x-forwarded-host: dev.example\r\n"), "{head}");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"),
        "{answer}"
    );
    assert!(
        answer.contains("ETag: \"b\"\r\n") && !answer.to_lowercase().contains("x-hip"),
        "{answer}"
    );
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let head = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let (mut server, got) = back.accept().await;
    assert!(got.to_lowercase().contains("transfer-encoding: chunked"), "{got}");
    let mut part = [0; 10];
    within("the first part, before the rest", server.read_exact(&mut part)).await.expect("came");
    assert_eq!(&part, b"5\r\nfirst\r\n");
    // An event stream: each part arrives before the next is sent.
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.write_all(answer.as_bytes()).await.expect("sent");
    read_head(&mut client).await;
    for n in 0..3 {
        server.write_all(format!("9\r\ndata: {n}\n\n\r\n").as_bytes()).await.expect("sent");
        let mut event = [0; 14];
        within("an event", client.read_exact(&mut event)).await.expect("came");
        assert_eq!(String::from_utf8_lossy(&event), format!("9\r\ndata: {n}\n\n\r\n"));
    }
    client.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut end = [0; 5];
    within("the end of the upload", server.read_exact(&mut end)).await.expect("came");
    assert_eq!(&end, b"0\r\n\r\n");
}

#[tokio::test]
async fn head_has_no_body_and_keeps_its_length() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let request = b"HEAD /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (answer, ()) = tokio::join!(raw(&front, request), async {
        let (mut tcp, head) = back.accept().await;
        assert!(head.starts_with("HEAD /big "), "{head}");
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n").await.expect("sent");
    });
    assert!(
        answer.contains("Content-Length: 123456\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn trailers_pass() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    let (answer, ()) = tokio::join!(raw(&front, request), async {
        let (mut tcp, _) = back.accept().await;
        let answer = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
        tcp.write_all(answer).await.expect("sent");
    });
    assert!(answer.to_lowercase().contains("\r\nx-sum: 7\r\n"), "{answer}");
}

#[tokio::test]
async fn smuggling_tricks_are_refused() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "X: 1\r\n Content-Length: 5\r\n",
    ];
    for head in heads {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = raw(&front, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn a_request_with_both_lengths_that_is_not_refused_is_forwarded_as_chunked_only() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let first = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let in_pieces = first.len() + both.find("Length").expect("it is there");
    for cut in [(first.len() + both.len()), in_pieces] {
        let bytes = format!("{first}{both}");
        let (now, later) = bytes.as_bytes().split_at(cut);
        let mut client = TcpStream::connect(front.traffic).await.expect("there");
        client.write_all(now).await.expect("sent");
        let (mut server, head) = back.accept().await;
        assert!(head.starts_with("GET /first "), "{head}");
        // The answer comes when the piece has been read.
        server.write_all(b"HTTP/1.1 204 A\r\nConnection: close\r\n\r\n").await.expect("sent");
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
        client.write_all(later).await.expect("sent");
        let (mut server, head) = back.accept().await;
        assert!(head.starts_with("POST /both "), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        let mut body = [0; 5];
        within("the body", server.read_exact(&mut body)).await.expect("passed");
        assert_eq!(&body, b"0\r\n\r\n");
        server.write_all(b"HTTP/1.1 204 B\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut rest = String::new();
        within("the end", client.read_to_string(&mut rest)).await.expect("text");
        assert!(rest.starts_with("HTTP/1.1 204 ") && !rest[1..].contains("HTTP/1.1"), "{rest}");
    }
}

#[tokio::test]
async fn routes_go_by_path_and_host() {
    let (chat, rest) = (Back::new().await, Back::new().await);
    let upstream = format!("ws://{}", rest.addr);
    let front = Front::with(&upstream, Settings::default(), |settings| {
        let upstream = format!("ws://{}", chat.addr).parse().expect("an upstream");
        settings.routes.insert(0, Route { path: "/chat".to_owned(), ..Route::all(upstream) });
    })
    .await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for (back, path) in [(&chat, "/chat/1"), (&rest, "/chatter")] {
        let request = ask(path);
        let (answer, ()) = tokio::join!(raw(&front, request.as_bytes()), async {
            let (mut tcp, head) = back.accept().await;
            assert!(head.starts_with(&format!("GET {path} ")), "{head}");
            tcp.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
        });
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_502_that_names_it() {
    let nobody = { Back::new().await.addr };
    let front = Front::of(nobody).await;
    for upgrade in [
        "",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ] {
        let connection = if upgrade.is_empty() { "close" } else { "close, upgrade" };
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n{upgrade}\r\n");
        let answer = raw(&front, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(
            answer.contains("\"unavailable\"") && answer.contains(&nobody.to_string()),
            "{answer}"
        );
    }
    let (_, events) = front.tap.hub.head();
    assert_eq!(events, 1, "the handshake that failed is an event");
}

#[tokio::test]
async fn tunnels_are_not_opened() {
    let front = Front::of(Back::new().await.addr).await;
    let answer =
        raw(&front, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
