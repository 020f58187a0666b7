//! Connections of proxy mode to its upstream: one for each connection of a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wstap::hub::Settings;
use wstap::proxy::Trust;

use crate::harness::within;
use crate::proxy::{Back, Front, SWITCH, next_of_kind, read_head};

/// A server that authenticates a connection, as NTLM and Negotiate do: a connection is known from the
/// request with a credential on. Returns its address and the number of its connections.
async fn authenticating() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            tokio::spawn(serve(tcp));
        }
    });
    (addr, connections)
}

async fn serve(mut tcp: TcpStream) {
    let mut user = None;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match tcp.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).expect("text");
        if let Some((_, named)) = head.split_once("Authorization: NTLM ") {
            user = named.lines().next().map(str::to_owned);
        }
        let answer = match &user {
            None => {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
                    .to_owned()
            }
            Some(_) if head.contains("Upgrade: websocket") => format!("{SWITCH}\r\n"),
            Some(user) => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{user}", user.len())
            }
        };
        if tcp.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Sends a request on a connection, and returns the head of its answer.
async fn ask(tcp: &mut TcpStream, more: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let head = read_head(tcp).await;
    let length = head.split_once("Content-Length: ").map_or(0, |(_, length)| {
        length.lines().next().expect("a line").parse::<usize>().expect("a number")
    });
    let mut body = vec![0; length];
    within("a body", tcp.read_exact(&mut body)).await.expect("passed");
    head + &String::from_utf8(body).expect("text")
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn client_does_not_get_the_connection_that_another_has_authenticated() {
    let (addr, connections) = authenticating().await;
    let front = Front::of(addr).await;
    let mut ann = TcpStream::connect(front.traffic).await.expect("there");
    let mut bob = TcpStream::connect(front.traffic).await.expect("there");
    assert!(ask(&mut ann, "").await.starts_with("HTTP/1.1 401 "));
    assert!(ask(&mut ann, "Authorization: NTLM ann\r\n").await.ends_with("ann"));
    for _ in 0..3 {
        assert!(ask(&mut bob, "").await.starts_with("HTTP/1.1 401 "));
        assert!(ask(&mut ann, "").await.ends_with("ann"));
    }
    assert_eq!(connections.load(Relaxed), 2);
    // Also after the first has ended.
    drop(ann);
    assert!(ask(&mut bob, "").await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn handshake_is_sent_on_the_connection_that_its_client_has_authenticated() {
    let (addr, connections) = authenticating().await;
    let front = Front::of(addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    assert!(ask(&mut client, UPGRADE).await.starts_with("HTTP/1.1 401 "));
    let named = format!("Authorization: NTLM ann\r\n{UPGRADE}");
    assert!(ask(&mut client, &named).await.starts_with("HTTP/1.1 101 "));
    let mut other = TcpStream::connect(front.traffic).await.expect("there");
    assert!(ask(&mut other, "Authorization: NTLM bob\r\n").await.ends_with("bob"));
    assert!(ask(&mut other, UPGRADE).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(connections.load(Relaxed), 2);
}

#[tokio::test]
async fn connection_that_the_upstream_has_closed_is_replaced() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    for more in ["", "", UPGRADE] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        let (mut server, _) = back.accept().await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        server.write_all(answer).await.expect("sent");
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn request_that_can_be_repeated_is_sent_again_where_a_kept_connection_ends_without_an_answer()
{
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    for (method, again) in [("GET", true), ("POST", false)] {
        let mut client = TcpStream::connect(front.traffic).await.expect("there");
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        let (mut server, _) = back.accept().await;
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        server.write_all(answer).await.expect("sent");
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
        client.write_all(request.as_bytes()).await.expect("sent");
        read_head(&mut server).await;
        drop(server);
        if again {
            let (mut server, _) = back.accept().await;
            server.write_all(answer).await.expect("sent");
            assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
        } else {
            assert!(read_head(&mut client).await.starts_with("HTTP/1.1 502 "));
        }
    }
}

#[tokio::test]
async fn upstream_connection_ends_with_that_of_its_client() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let (mut server, _) = back.accept().await;
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
    read_head(&mut client).await;
    drop(client);
    let mut rest = Vec::new();
    within("the end", server.read_to_end(&mut rest)).await.expect("an orderly end");
}

#[tokio::test]
async fn localhost_reaches_a_server_of_either_family() {
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(ip).await else { continue };
        let port = listener.local_addr().expect("it is bound").port();
        let upstream = format!("http://localhost:{port}");
        let front = Front::with(&upstream, Settings::default(), |_| {}).await;
        let mut client = TcpStream::connect(front.traffic).await.expect("there");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        let (mut server, _) = within("a connection", listener.accept()).await.expect("accepted");
        read_head(&mut server).await;
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 204 "));
    }
}

#[tokio::test]
async fn scheme_of_the_other_kind_is_named_with_the_right_one() {
    // A server of TLS answers bytes that are no TLS by an alert.
    let alert = b"\x15\x03\x01\0\x02\x02\x46".as_slice();
    let cases = [
        ("http", alert, "begins with https: or wss:"),
        ("https", b"HTTP/1.0 400 Bad Request\r\n\r\n".as_slice(), "begins with http: or ws:"),
    ];
    for (scheme, answer, words) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let upstream = format!("{scheme}://{}", listener.local_addr().expect("it is bound"));
        let trust = Some(&Trust::Anybody);
        let front = Front::trusting(&upstream, trust, Settings::default(), |_| {}).await;
        let mut events = front.tap.events("?format=full").await;
        let server = async {
            let (mut tcp, _) = within("a connection", listener.accept()).await.expect("accepted");
            let mut some = [0; 1024];
            within("bytes", tcp.read(&mut some)).await.expect("they come");
            tcp.write_all(answer).await.expect("sent");
            tcp
        };
        let ((_, head), _server) = tokio::join!(front.shake("/", ""), server);
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        let close = next_of_kind(&mut events, "close").await;
        let reason = close["close"]["reason"].as_str().expect("text");
        assert!(reason.contains(words), "{reason}");
    }
}
