//! Proxy mode: what goes in comes out, and all of it is on the stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::Message as Frame;
use wstap::auth::Hosts;
use wstap::hub::{Hub, Settings};
use wstap::proxy::{
    Dialer, ForwardedHeaders, HostHeader, Proxy, ProxySettings, Route, TapHttp, Trust,
};
use wstap::server::{Endpoint, Server};
use wstap::web::Web;

use crate::harness::{Events, LIMIT, Tap, until, within};

/// A server of wstap in front of another one.
pub(crate) struct Front {
    /// The observers' side.
    pub(crate) tap: Tap,
    /// Where clients connect.
    pub(crate) traffic: SocketAddr,
}

impl Front {
    pub(crate) async fn of(upstream: SocketAddr) -> Self {
        Self::with(&format!("ws://{upstream}"), Settings::default(), |_| {}).await
    }

    pub(crate) async fn with(
        upstream: &str,
        settings: Settings,
        change: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        Self::trusting(upstream, None, settings, change).await
    }

    pub(crate) async fn trusting(
        upstream: &str,
        trust: Option<&Trust>,
        settings: Settings,
        change: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (traffic, observers) = (bind().await, bind().await);
        let addr = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let (traffic_addr, tap_addr) = (addr(&traffic), addr(&observers));
        let upstream = upstream.replace("SELF", &traffic_addr.to_string());
        let hub = Hub::new(settings);
        let mut routes = ProxySettings {
            routes: vec![Route::all(upstream.parse().expect("an upstream"))],
            host: HostHeader::Upstream,
            rewrite_origin: false,
            hosts: Arc::new(Hosts::new(&[], &[])),
            forwarded: ForwardedHeaders::Add,
            tap_http: TapHttp::Off,
            tap_sse: true,
            control: false,
            max_message_bytes: 1 << 20,
        };
        change(&mut routes);
        let own = vec![traffic_addr, tap_addr];
        let dialer = Dialer::new(own, trust, Duration::from_secs(2)).expect("right");
        let mut web = Web::new(hub.clone());
        web.apart = true;
        web.proxy = Some(Proxy::new(hub.clone(), routes, dialer));
        let endpoint = |listener, router, patient| Endpoint { listener, router, patient };
        let endpoints = vec![
            endpoint(traffic, web.traffic(), true),
            endpoint(observers, web.observers(), false),
        ];
        let server = Server { endpoints, max_per_address: None };
        let mut tap = Tap::of(tap_addr, hub.clone());
        tap.running(tokio::spawn(server.run(hub, tap.stop.clone(), Duration::from_secs(5))));
        Self { tap, traffic: traffic_addr }
    }

    /// Opens a TCP connection and sends a handshake of our own; returns it with the answer's head.
    pub(crate) async fn shake(&self, path: &str, more: &str) -> (TcpStream, String) {
        let mut tcp = TcpStream::connect(self.traffic).await.expect("the server is there");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
            self.traffic
        );
        tcp.write_all(head.as_bytes()).await.expect("sent");
        let head = read_head(&mut tcp).await;
        (tcp, head)
    }
}

/// Reads to the end of a head, byte by byte, so that nothing after it is taken.
pub(crate) async fn read_head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", tcp.read_u8()).await.expect("more of a head"));
    }
    String::from_utf8(head).expect("text")
}

/// The answer to [`Front::shake`] that a server gives.
pub(crate) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A server that takes one connection after the other and hands it out with the head it was sent.
pub(crate) struct Back {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

impl Back {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        Self { listener, addr }
    }

    pub(crate) async fn accept(&self) -> (TcpStream, String) {
        let (mut tcp, _) = within("a connection", self.listener.accept()).await.expect("accepted");
        let head = read_head(&mut tcp).await;
        (tcp, head)
    }

    /// Accepts a connection, and returns it with the bytes of the head that it was sent.
    pub(crate) async fn accept_bytes(&self) -> (TcpStream, Vec<u8>) {
        let (mut tcp, _) = within("a connection", self.listener.accept()).await.expect("accepted");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("a head", tcp.read_u8()).await.expect("more of a head"));
        }
        (tcp, head)
    }

    /// Takes a handshake, and returns the connection behind it.
    pub(crate) async fn switch(&self, more: &str) -> TcpStream {
        let (mut tcp, _) = self.accept().await;
        tcp.write_all(format!("{SWITCH}{more}\r\n").as_bytes()).await.expect("sent");
        tcp
    }
}

/// A WebSocket server that says back what it is told; ends with the test.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(tcp).await else { return };
                while let Some(Ok(frame)) = socket.next().await {
                    if (frame.is_text() || frame.is_binary()) && socket.send(frame).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// A pair of ends with wstap between them, and what the server said in its handshake beside.
pub(crate) async fn pair(more: &str) -> (Front, TcpStream, TcpStream) {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let ((client, _), server) = tokio::join!(front.shake("/", ""), back.switch(more));
    (front, client, server)
}

pub(crate) async fn next_of_kind(events: &mut Events, kind: &str) -> Value {
    loop {
        let event = events.json().await;
        if event["kind"] == kind {
            return event;
        }
    }
}

#[tokio::test]
async fn the_handshake_arrives_as_it_was_sent() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut events = front.tap.events("?format=full").await;
    let more = "Origin: http://evil.example\r\nX-ODD-Case: 1\r\nCookie: a=1; b=2\r\n\
                Authorization: Bearer x\r\nSec-WebSocket-Protocol: chat, v2\r\n\
                Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let answer = "Sec-WebSocket-Protocol: v2\r\nX-Server: Yes\r\nSet-Cookie: s=1\r\n";
    let ((_client, got), (mut server, head)) =
        tokio::join!(front.shake("/a%20b?x=1&x=2", more), async {
            let (mut tcp, head) = back.accept().await;
            tcp.write_all(format!("{SWITCH}{answer}\r\n").as_bytes()).await.expect("sent");
            (tcp, head)
        });
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines[0], "GET /a%20b?x=1&x=2 HTTP/1.1");
    assert_eq!(lines[1], format!("Host: {}", back.addr));
    let sent: Vec<&str> = more.lines().collect();
    let names = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    assert_eq!(lines[2..5], names);
    assert_eq!(lines[6..6 + sent.len()], sent[..], "order and case are kept");
    let added = head.to_lowercase();
    assert!(added.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(added.contains("x-forwarded-proto: http\r\n"), "{head}");
    assert!(added.contains(&format!("x-forwarded-host: {}\r\n", front.traffic)), "{head}");
    assert!(added.contains("traceparent: 00-"), "{head}");
    assert!(got.starts_with(SWITCH) && got.contains(answer), "{got}");
    server.shutdown().await.expect("ended");
    let connect = next_of_kind(&mut events, "connect").await;
    assert_eq!(connect["path"], "/a%20b?x=1&x=2");
    assert_eq!(connect["subprotocol"], "v2");
    assert_eq!(connect["status"], 101);
    assert_eq!(connect["upstream"], format!("ws://{}", back.addr));
    assert_eq!(connect["headers"]["origin"], "http://evil.example");
    assert!(connect["upstreamTime"].as_f64().expect("a number") > 0.0);
    assert!(
        connect["headers"].get("cookie").is_none()
            && connect["headers"].get("authorization").is_none()
    );
}

#[tokio::test]
async fn the_host_is_kept_where_that_is_asked_for() {
    let back = Back::new().await;
    let upstream = format!("http://{}", back.addr);
    let front = Front::with(&upstream, Settings::default(), |s| s.host = HostHeader::Client).await;
    let (_, (_server, head)) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(200), front.shake("/", "")),
        back.accept()
    );
    assert!(head.contains(&format!("Host: {}\r\n", front.traffic)), "{head}");
}

#[tokio::test]
async fn messages_both_ways_are_on_the_stream_with_all_that_is_known_of_them() {
    let front = Front::of(echo().await).await;
    let mut events = front.tap.events("?format=full").await;
    let url = format!("ws://{}/chat?connectionId=room-7", front.traffic);
    let tcp = TcpStream::connect(front.traffic).await.expect("there");
    let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await.expect("a handshake");
    socket.send(Frame::text("{\"price\": 1.50}")).await.expect("sent");
    assert_eq!(
        socket.next().await.expect("more").expect("a frame"),
        Frame::text("{\"price\": 1.50}")
    );
    socket.send(Frame::binary(vec![0, 255])).await.expect("sent");
    socket.next().await.expect("more").expect("a frame");
    socket.close(None).await.expect("closed");
    while within("the end", socket.next()).await.is_some_and(|frame| frame.is_ok()) {}
    let connect = events.json().await;
    assert_eq!((&connect["kind"], &connect["connectionId"]), (&"connect".into(), &"room-7".into()));
    let mut raw = Vec::new();
    for _ in 0..4 {
        raw.push(events.json().await);
    }
    assert_eq!(raw[0]["direction"], "in");
    assert_eq!(raw[0]["message"]["price"], 1.5);
    assert_eq!((&raw[0]["size"], &raw[0]["wire"]), (&15.into(), &21.into()));
    assert_eq!((&raw[1]["direction"], &raw[1]["wire"]), (&"out".into(), &17.into()));
    assert_eq!((&raw[2]["message"], &raw[2]["encoding"]), (&"AP8=".into(), &"base64".into()));
    assert_eq!(raw[3]["opcode"], "binary");
    let close = events.json().await;
    assert_eq!(
        close["close"],
        serde_json::json!({"code": 1005, "reason": "", "clean": true, "by": "client"})
    );
    assert_eq!(close["messages"], serde_json::json!({"in": 2, "out": 2}));
    assert_eq!(close["bytes"], serde_json::json!({"in": 17, "out": 17}));
    assert_eq!(close["wire"], serde_json::json!({"in": 35, "out": 23}));
    assert!(close["silence"]["in"].is_number() && close["duration"].is_number());
}

#[tokio::test]
async fn a_connection_without_an_id_is_given_one_and_a_taken_id_harms_nobody() {
    let front = Front::of(echo().await).await;
    let open = async |path: &str| {
        let tcp = TcpStream::connect(front.traffic).await.expect("there");
        let url = format!("ws://{}{path}", front.traffic);
        tokio_tungstenite::client_async(url, tcp).await.expect("a handshake").0
    };
    let _sockets =
        [open("/?connectionId=a").await, open("/?connectionId=a").await, open("/").await];
    until("three connections", || front.tap.hub.numbers().connections == 3).await;
    let mut ids: Vec<_> = front.tap.hub.connections().iter().map(|c| c.id.to_string()).collect();
    ids.sort();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids.iter().filter(|id| *id == "a").count(), 1);
    assert_eq!(ids.iter().filter(|id| id.starts_with("a~")).count(), 1);
    assert_eq!(ids[0].len(), 11, "{ids:?}");
}

#[tokio::test]
async fn a_refused_handshake_comes_back_as_it_is_and_is_an_event() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut events = front.tap.events("?format=full").await;
    let answer = "HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nnope";
    let ((mut client, head), _server) = tokio::join!(front.shake("/door", ""), async {
        let (mut tcp, _) = back.accept().await;
        tcp.write_all(answer.as_bytes()).await.expect("sent");
        tcp
    });
    assert!(
        head.starts_with("HTTP/1.1 403 Forbidden\r\n") && head.contains("X-Why: no\r\n"),
        "{head}"
    );
    let mut body = [0; 4];
    within("a body", client.read_exact(&mut body)).await.expect("four bytes");
    assert_eq!(&body, b"nope");
    let close = events.json().await;
    assert_eq!(
        (&close["kind"], &close["status"], &close["path"]),
        (&"close".into(), &403.into(), &"/door".into())
    );
    assert_eq!(close["close"]["by"], "server");
    assert_eq!(front.tap.hub.numbers().connections, 0);
}

#[tokio::test]
async fn what_is_no_websocket_passes_unchanged_after_the_101() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&last=10").await;
    let noise: Vec<u8> =
        (0..50_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let (sent, got) = tokio::join!(
        async {
            client.write_all(&noise).await.expect("sent");
            client.shutdown().await.expect("half closed");
            let mut back = Vec::new();
            client.read_to_end(&mut back).await.expect("read");
            back
        },
        async {
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.expect("read");
            server.write_all(b"\xff\xff the other half still works").await.expect("sent");
            server.shutdown().await.expect("closed");
            got
        }
    );
    assert!(got == noise, "every byte comes out");
    assert_eq!(sent, b"\xff\xff the other half still works");
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!(close["wire"]["in"], 200_000);
}

#[tokio::test]
async fn violations_are_marked_and_pass() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=message&last=10").await;
    // An unmasked frame, a reserved bit, a reserved opcode, a text that is no UTF-8.
    let odd: [&[u8]; 4] =
        [b"\x81\x02hi", b"\xc1\x82\0\0\0\0hi", b"\x83\x80\0\0\0\0", b"\x81\x82\0\0\0\0\xff\xfe"];
    for bytes in odd {
        client.write_all(bytes).await.expect("sent");
        let mut got = vec![0; bytes.len()];
        within("the same", server.read_exact(&mut got)).await.expect("passed");
        assert_eq!(got, bytes);
        let event = events.json().await;
        let note = event["note"].as_str().expect("a note");
        assert!(note.starts_with("protocol violation: "), "{event}");
    }
    client.write_all(b"\x81\x82\0\0\0\0ok").await.expect("sent");
    assert_eq!(events.json().await["message"], "ok");
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_does_not_flood_the_stream() {
    let (front, mut client, mut server) = pair("").await;
    let noise = vec![7; 1 << 20];
    let mut got = vec![0; noise.len()];
    let (sent, read) = tokio::join!(server.write_all(&noise), client.read_exact(&mut got));
    sent.expect("sent");
    read.expect("passed");
    drop((client, server));
    until("the end", || front.tap.hub.numbers().connections == 0).await;
    let answer = front.tap.get("/api/events?kind=message").await.json();
    let events = answer.as_array().expect("a list");
    assert!(events.len() <= 32, "{}", events.len());
    let last = events.last().expect("there is one")["note"].as_str().expect("a note");
    assert!(last.contains("nothing more of this direction"), "{last}");
}

#[tokio::test]
async fn compressed_messages_are_shown_decoded() {
    let (front, mut client, _server) =
        pair("Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let mut events = front.tap.events("?format=full&kind=message&last=10").await;
    // "Hello" compressed, twice: the second refers to the first (RFC 7692 section 7.2.3).
    for payload in [&b"\xf2\x48\xcd\xc9\xc9\x07\0"[..], b"\xf2\x00\x11\0\0"] {
        let length = u8::try_from(payload.len()).expect("it is short");
        let mut frame = vec![0xc1, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        client.write_all(&frame).await.expect("sent");
        let event = events.json().await;
        assert_eq!(
            (&event["message"], &event["size"], &event["compressed"]),
            (&"Hello".into(), &5.into(), &true.into())
        );
        assert_eq!(event["wire"], frame.len());
    }
}

#[tokio::test]
async fn pings_and_pongs_are_shown_on_demand() {
    let back = Back::new().await;
    let upstream = format!("ws://{}", back.addr);
    let front = Front::with(&upstream, Settings::default(), |s| s.control = true).await;
    let ((mut client, _), mut server) = tokio::join!(front.shake("/", ""), back.switch(""));
    let mut events = front.tap.events("?format=full&kind=message&last=10").await;
    client.write_all(b"\x89\x81\0\0\0\0p").await.expect("sent");
    server.write_all(b"\x8a\x01p").await.expect("sent");
    let mut seen = [events.json().await, events.json().await];
    seen.sort_by_key(|event| event["direction"].to_string());
    assert_eq!((&seen[0]["opcode"], &seen[1]["opcode"]), (&"ping".into(), &"pong".into()));
    assert_eq!(seen[0]["message"], "cA==");
}

#[tokio::test]
async fn injected_messages_go_between_others_in_both_directions() {
    let (front, mut client, mut server) =
        pair("Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let id = front.tap.hub.connections()[0].id.to_string();
    let mut events = front.tap.events("?format=full&kind=message").await;
    // Half of a message: nothing may be put into it.
    client.write_all(b"\x01\x82\0\0\0\0he").await.expect("sent");
    let mut half = [0; 8];
    within("half a message", server.read_exact(&mut half)).await.expect("passed");
    let path = format!("/api/connections/{id}/messages");
    let headers = [("content-type", "text/plain")];
    let sent = front.tap.fetch("POST", &format!("{path}?to=server"), &headers, "injected").await;
    assert_eq!(sent.status, 202);
    let event = events.json().await;
    assert_eq!((&event["direction"], &event["synthetic"]), (&"in".into(), &true.into()));
    client.write_all(b"\x80\x81\0\0\0\0y\x81\x80\0\0\0\0").await.expect("sent");
    let mut rest = vec![0; 7];
    within("the other half", server.read_exact(&mut rest)).await.expect("passed");
    assert_eq!(rest, b"\x80\x81\0\0\0\0y");
    let mut frame = vec![0; 14];
    within("the injected frame", server.read_exact(&mut frame)).await.expect("passed");
    assert_eq!(frame[..2], [0x81, 0x88], "whole, masked, not compressed");
    let text: Vec<u8> =
        frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(b, m)| b ^ m).collect();
    assert_eq!(text, b"injected");
    let mut last = vec![0; 6];
    within("what came after it", server.read_exact(&mut last)).await.expect("passed");
    assert_eq!(last, b"\x81\x80\0\0\0\0");
    let sent = front.tap.fetch("POST", &path, &headers, "to you").await;
    assert_eq!(sent.status, 202);
    let mut frame = vec![0; 8];
    within("the injected frame", client.read_exact(&mut frame)).await.expect("passed");
    assert_eq!(frame, b"\x81\x06to you");
}

#[tokio::test]
async fn an_order_closes_both_sides() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=close").await;
    let id = front.tap.hub.connections()[0].id.to_string();
    let path = format!("/api/connections/{id}?code=4000&reason=enough");
    assert_eq!(front.tap.fetch("DELETE", &path, &[], "").await.status, 204);
    let mut frame = vec![0; 10];
    within("a close frame", client.read_exact(&mut frame)).await.expect("came");
    assert_eq!(frame, b"\x88\x08\x0f\xa0enough");
    let mut masked = vec![0; 14];
    within("a close frame", server.read_exact(&mut masked)).await.expect("came");
    assert_eq!(masked[..2], [0x88, 0x88]);
    client.write_all(b"\x88\x82\0\0\0\0\x0f\xa0").await.expect("answered");
    server.write_all(b"\x88\x02\x0f\xa0").await.expect("answered");
    let close = events.json().await;
    assert_eq!(
        close["close"],
        serde_json::json!({"code": 4000, "reason": "enough", "clean": true, "by": "tap"})
    );
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest)).await.expect("ended");
    within("the end", server.read_to_end(&mut rest)).await.expect("ended");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn without_history_and_listeners_nothing_is_read_and_later_all_is() {
    let back = Back::new().await;
    let mut settings = Settings::default();
    settings.history.events = 0;
    let front = Front::with(&format!("ws://{}", back.addr), settings, |_| {}).await;
    let ((mut client, _), mut server) = tokio::join!(front.shake("/", ""), back.switch(""));
    client.write_all(b"\x81\x82\0\0\0\0ab\x01\x81\0\0\0\0c").await.expect("sent");
    let mut got = [0; 15];
    within("the bytes", server.read_exact(&mut got)).await.expect("passed");
    let entry = front.tap.hub.connections().remove(0);
    until("the count", || entry.messages().inward == 1).await;
    assert_eq!(front.tap.hub.head().1, 1, "the connect alone is an event");
    let mut events = front.tap.events("?format=full").await;
    until("the listener", || front.tap.hub.numbers().listeners == 1).await;
    client.write_all(b"\x80\x81\0\0\0\0d\x81\x82\0\0\0\0ef").await.expect("sent");
    let first = events.json().await;
    assert!(first["message"].is_null() && first["note"].is_string(), "{first}");
    assert_eq!(events.json().await["message"], "ef");
}

#[tokio::test]
async fn the_sides_are_apart() {
    let front = Front::of(echo().await).await;
    for path in ["/api/info", "/events", "/metrics", "/es-client"] {
        let mut tcp = TcpStream::connect(front.traffic).await.expect("there");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = within("an answer", tcp.read_to_string(&mut answer)).await;
        assert!(!answer.contains("wstap") || answer.contains("upstream"), "{path}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    front.tap.fetch("GET", "/anything", &[], "").await.is_problem(404, "not_found", "nothing at");
    assert_eq!(front.tap.get("/api/info").await.json()["mode"], "proxy");
}

#[tokio::test]
async fn a_loop_is_refused() {
    let front = Front::with("ws://SELF", Settings::default(), |_| {}).await;
    let (_, head) = front.shake("/", "").await;
    assert!(head.starts_with("HTTP/1.1 508 "), "{head}");
}

#[tokio::test]
async fn shutdown_closes_both_sides_and_leaves_nothing() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let back = Back::new().await;
    let mut front = Front::of(back.addr).await;
    let ((mut client, _), mut server) = tokio::join!(front.shake("/", ""), back.switch(""));
    let mut events = front.tap.events("?format=full&kind=close").await;
    let ends = async {
        let (mut got, mut frame) = ([0; 4], [0; 8]);
        within("a close frame", client.read_exact(&mut got)).await.expect("came");
        assert_eq!((got[0], &got[2..]), (0x88, &[0x03, 0xe9][..]), "1001");
        within("a close frame", server.read_exact(&mut frame)).await.expect("came");
        assert_eq!(frame[0], 0x88);
    };
    let (closes, (), ()) = tokio::join!(events.rest(), ends, front.tap.stop());
    assert_eq!(closes.len(), 1);
    drop((client, server));
    until("the end of all tasks", || {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() <= before
    })
    .await;
}

/// Cuts bytes into pieces of the given sizes, again and again.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    let mut sizes = cuts.iter().cycle();
    while !bytes.is_empty() {
        let size = (*sizes.next().expect("it goes round")).clamp(1, bytes.len());
        let (piece, rest) = bytes.split_at(size);
        all.push(piece);
        bytes = rest;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_byte_comes_out_as_it_went_in_whatever_the_cuts(
        there in prop::collection::vec(any::<u8>(), 0..150_000),
        back in prop::collection::vec(any::<u8>(), 0..150_000),
        cuts in prop::collection::vec(1_usize..40_000, 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2).enable_all().build().expect("a runtime");
        let (got_there, got_back) = runtime.block_on(async {
            let (_front, client, server) = pair("").await;
            let say = async |tcp: TcpStream, what: &[u8]| {
                let (mut read, mut write) = tcp.into_split();
                let mut got = Vec::new();
                let (read, ()) = tokio::join!(read.read_to_end(&mut got), async {
                    for piece in pieces(what, &cuts) {
                        write.write_all(piece).await.expect("taken");
                    }
                    write.shutdown().await.expect("half closed");
                });
                read.expect("read to the end");
                got
            };
            let both = async { tokio::join!(say(client, &there), say(server, &back)) };
            let (got_back, got_there) = tokio::time::timeout(LIMIT, both).await.expect("in time");
            (got_there, got_back)
        });
        prop_assert!(got_there == there && got_back == back);
    }
}
