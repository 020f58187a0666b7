//! Plain HTTP through proxy mode, to the byte: bodies, lengths, codings and added fields.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wstap::hub::Settings;

use crate::harness::{Tap, within};
use crate::proxy::{Back, Front, read_head};

/// Sends bytes to the traffic side, and has the upstream answer; returns what came out at both ends.
async fn exchange(request: &[u8], answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(request).await.expect("sent");
    let server = async {
        let (mut tcp, mut got) = back.accept_bytes().await;
        tcp.write_all(answer).await.expect("sent");
        tcp.shutdown().await.expect("ended");
        let _ = tcp.read_to_end(&mut got).await;
        got
    };
    let client = async {
        let mut answer = Vec::new();
        let _ = within("the end of the answer", client.read_to_end(&mut answer)).await;
        answer
    };
    within("an exchange", async { tokio::join!(server, client) }).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn chunked_body_may_contain_the_text_of_a_length() {
    let request =
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                    16\r\nx\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    let (got, answer) = exchange(request, NO_CONTENT).await;
    assert!(answer.starts_with(b"HTTP/1.1 204 "), "{}", text(&answer));
    assert!(text(&got).contains("\r\n\r\n16\r\nx\r\nContent-Length: 5\r\n\r\n"), "{}", text(&got));
}

#[tokio::test]
async fn chunked_body_of_a_get_passes() {
    let request =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nhi\r\n0\r\n\r\n";
    let (got, _) = exchange(request, NO_CONTENT).await;
    let got = text(&got);
    assert!(got.contains("Transfer-Encoding: chunked\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_are_passed_on() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                    2\r\nzz\r\n0\r\n\r\n";
    let answer =
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                   3\r\nyyy\r\n0\r\n\r\n";
    let (got, answer) = exchange(request, answer).await;
    let (got, answer) = (text(&got), text(&answer));
    assert!(got.contains("Transfer-Encoding: gzip, chunked\r\n"), "{got}");
    assert!(answer.contains("Transfer-Encoding: gzip, chunked\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n3\r\nyyy\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn answer_with_both_lengths_is_read_as_chunked() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nhi\r\n0\r\n\r\n";
    let (_, answer) = exchange(request, answer).await;
    let answer = text(&answer);
    assert!(!answer.to_lowercase().contains("content-length"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn answers_without_a_body_keep_their_length_fields() {
    for (method, status, fields) in [
        ("HEAD", "200 OK", ""),
        ("HEAD", "200 OK", "Content-Length: 12\r\n"),
        ("HEAD", "404 Not Found", ""),
        ("GET", "304 Not Modified", "Content-Length: 12\r\n"),
        ("GET", "304 Not Modified", ""),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = format!("HTTP/1.1 {status}\r\nX: 1\r\n{fields}\r\n");
        let (_, got) = exchange(request.as_bytes(), answer.as_bytes()).await;
        let got = text(&got).replace("connection: close\r\n", "");
        assert_eq!(got, answer, "{method}");
    }
}

#[tokio::test]
async fn connection_is_reused_after_an_answer_without_a_body() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let ask = async |client: &mut TcpStream, method: &str| {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        read_head(client).await
    };
    let (first, mut server) = tokio::join!(ask(&mut client, "GET"), async {
        let (mut tcp, _) = back.accept().await;
        let answer = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n";
        tcp.write_all(answer).await.expect("sent");
        tcp
    });
    assert!(first.starts_with("HTTP/1.1 304 "), "{first}");
    let (second, ()) = tokio::join!(ask(&mut client, "HEAD"), async {
        read_head(&mut server).await;
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await.expect("sent");
    });
    assert!(second.starts_with("HTTP/1.1 200 "), "{second}");
}

#[tokio::test]
async fn forwarded_addresses_are_kept_byte_for_byte() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                    X-Forwarded-For: \xe9, 203.0.113.7\r\n\r\n";
    let (got, _) = exchange(request, NO_CONTENT).await;
    let expected = b": \xe9, 203.0.113.7, 127.0.0.1\r\n";
    assert!(got.windows(expected.len()).any(|part| part == expected), "{}", got.escape_ascii());
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_not_in_fields() {
    use std::fmt::Write as _;
    let fields = (0..2000).fold(String::new(), |mut all, n| {
        write!(all, "X-{n}: {n}\r\n").expect("a String takes all");
        all
    });
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    let answer = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n");
    let (got, answer) = exchange(request.as_bytes(), answer.as_bytes()).await;
    assert!(text(&got).contains(&fields));
    assert!(text(&answer).contains(&fields));
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let ((_, head), _server) = tokio::join!(front.shake("/", &fields), back.switch(&fields));
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(&fields));
    let tap = Tap::start().await;
    let request = request.replace("/ ", "/healthz ").replace(": a", ": localhost");
    assert!(tap.raw(request.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn several_hosts_are_refused() {
    let front = Front::of(Back::new().await.addr).await;
    let tap = Tap::start().await;
    for addr in [front.traffic, tap.addr] {
        let mut tcp = TcpStream::connect(addr).await.expect("there");
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
        tcp.write_all(request).await.expect("sent");
        let mut answer = String::new();
        within("the end", tcp.read_to_string(&mut answer)).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn loop_through_another_proxy_is_refused_at_its_first_return() {
    let forwarder = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = forwarder.local_addr().expect("it is bound");
    let front = Front::with(&format!("ws://{addr}"), Settings::default(), |_| {}).await;
    let (traffic, turns) = (front.traffic, Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&turns);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = forwarder.accept().await {
            counter.fetch_add(1, Relaxed);
            let mut back = TcpStream::connect(traffic).await.expect("there");
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut tcp, &mut back).await;
            });
        }
    });
    let (_, head) = front.shake("/", "").await;
    assert!(head.starts_with("HTTP/1.1 508 "), "{head}");
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 508 "));
    assert_eq!(turns.load(Relaxed), 2, "each request has passed once");
}
