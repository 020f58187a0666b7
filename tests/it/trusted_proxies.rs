//! The client of a request behind a proxy: header fields and the PROXY protocol.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wstap::hub::{Hub, Settings};
use wstap::server::{Endpoint, Server, Transport, TrustedProxies};
use wstap::web::Web;

use crate::harness::{Tap, ask, within};

async fn server(trusted: &[&str], proxy_protocol: bool, max_per_address: Option<usize>) -> Tap {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let hub = Hub::new(Settings::default());
    let router = Web::new(hub.clone()).together();
    let server =
        Server { endpoints: vec![Endpoint { listener, router, patient: false }], max_per_address };
    let networks = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    let proxies = TrustedProxies { networks, proxy_protocol };
    let transport = Transport { proxies, ..Transport::default() };
    let mut tap = Tap::of(addr, hub.clone());
    let grace = Duration::from_secs(5);
    tap.running(tokio::spawn(server.run_over(transport, hub, tap.stop.clone(), grace)));
    tap
}

/// Returns the address of the only listener, as the server knows it.
async fn listener(tap: &Tap, headers: &[(&str, &str)]) -> String {
    let _stream = tap.events_with("", headers).await;
    let own = tap.fetch("GET", "/api/listeners", headers, "").await.json();
    own[0]["remote"].as_str().expect("an address").to_owned()
}

#[tokio::test]
async fn client_that_a_trusted_proxy_names_is_shown() {
    let tap = server(&["127.0.0.1"], false, None).await;
    let named = listener(&tap, &[("x-forwarded-for", "6.6.6.6, 203.0.113.7:4711")]).await;
    assert_eq!(named, "203.0.113.7:4711");
}

#[tokio::test]
async fn client_that_another_names_is_not() {
    for trusted in [&[][..], &["10.0.0.0/8"]] {
        let tap = server(trusted, false, None).await;
        let named = listener(&tap, &[("x-forwarded-for", "203.0.113.7")]).await;
        assert!(named.starts_with("127.0.0.1:"), "{named}");
    }
}

#[tokio::test]
async fn request_that_names_two_clients_is_refused() {
    let tap = server(&["127.0.0.1"], false, None).await;
    let two = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.8")];
    tap.fetch("GET", "/api/info", &two, "").await.is_problem(400, "malformed", "two clients");
}

#[tokio::test]
async fn cookie_is_secure_if_the_proxy_speaks_tls() {
    for (trusted, secure) in [(&["127.0.0.1"][..], true), (&[], false)] {
        let tap = server(trusted, false, None).await;
        let https = [("x-forwarded-proto", "https")];
        let out = tap.fetch("DELETE", "/api/session", &https, "").await;
        let cookie = out.header("set-cookie");
        assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
        assert_eq!(cookie.starts_with("__Host-wstap="), secure, "{cookie}");
    }
}

#[tokio::test]
async fn host_of_the_client_and_that_of_the_proxy_have_to_be_right() {
    let tap = server(&["127.0.0.1"], false, None).await;
    let get = async |host: &str, named: &str| {
        let headers = [("host", host), ("x-forwarded-host", named)];
        tap.fetch("GET", "/api/info", &headers, "").await.status
    };
    assert_eq!(get("localhost", "localhost").await, 200);
    assert_eq!(get("localhost", "evil.example").await, 403);
    assert_eq!(get("evil.example", "localhost").await, 403);
}

#[tokio::test]
async fn share_of_an_address_is_that_of_the_client_behind_a_proxy() {
    let tap = server(&["127.0.0.1"], false, Some(2)).await;
    let from = |client| [("x-forwarded-for", client)];
    let mut streams = Vec::new();
    for client in ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2"] {
        streams.push(tap.events_with("", &from(client)).await);
    }
    let full = tap.fetch("GET", "/api/info", &from("203.0.113.1"), "").await;
    full.is_problem(503, "full", "");
    assert_eq!(tap.fetch("GET", "/api/info", &from("203.0.113.3"), "").await.status, 200);
    drop(streams);
    let status = async || tap.fetch("GET", "/api/info", &from("203.0.113.1"), "").await.status;
    ask("a place", async || (status().await != 503).then_some(())).await;
}

/// Sends bytes and a request, and returns the answer.
async fn after(tap: &Tap, header: &[u8]) -> String {
    let mut tcp = TcpStream::connect(tap.addr).await.expect("the server is there");
    let request = b"GET /api/listeners HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tcp.write_all(&[header, request].concat()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = within("an answer", tcp.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn client_of_a_proxy_header_is_shown() {
    let tap = server(&["127.0.0.1"], true, None).await;
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"[..],
        &[203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80],
    ]
    .concat();
    for (header, client) in [
        (&b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n"[..], "203.0.113.7:4711"),
        (&v2, "203.0.113.9:4711"),
    ] {
        let mut tcp = TcpStream::connect(tap.addr).await.expect("the server is there");
        let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        tcp.write_all(&[header, request].concat()).await.expect("sent");
        let mut answer = vec![0; 15];
        within("an answer", tcp.read_exact(&mut answer)).await.expect("an answer");
        assert_eq!(answer, b"HTTP/1.1 200 OK");
        let all = after(&tap, header).await;
        assert!(all.contains(client), "{all}");
    }
}

#[tokio::test]
async fn connection_of_a_trusted_proxy_without_a_header_is_closed() {
    let tap = server(&["127.0.0.1"], true, None).await;
    assert_eq!(after(&tap, b"").await, "");
    assert_eq!(after(&tap, b"PROXY TCP4 x y 1 2\r\n").await, "");
}

#[tokio::test]
async fn proxy_header_of_another_is_no_request() {
    let tap = server(&["10.0.0.0/8"], true, None).await;
    let answer = after(&tap, b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(after(&tap, b"").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn half_a_proxy_header_is_closed_after_a_time() {
    let tap = server(&["127.0.0.1"], true, None).await;
    let mut tcp = TcpStream::connect(tap.addr).await.expect("the server is there");
    tcp.write_all(b"PROXY TCP4 203.0").await.expect("sent");
    let mut answer = Vec::new();
    let read = within("the end", tcp.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{read:?} {answer:?}");
}
