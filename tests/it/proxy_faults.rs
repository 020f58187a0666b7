//! Proxy mode when things go wrong: each fault stays where it is, and is told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::event::{Answer, Body, Connect, Direction, EventBody, Message, Opcode};
use wstap::filter::Filter;
use wstap::hub::{About, Delivery, Hub, Settings, Start};

use crate::harness::{Tap, until, within};
use crate::proxy::{Back, Front, next_of_kind, pair};

fn reset(tcp: TcpStream) {
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    drop(tcp);
}

/// A masked binary message of 65,535 bytes.
fn large_frame() -> Vec<u8> {
    [&b"\x82\xfe\xff\xff\0\0\0\0"[..], &vec![1; 65_535]].concat()
}

async fn close_of(front: &Front, act: impl AsyncFnOnce()) -> Value {
    let mut events = front.tap.events("?format=full&kind=close").await;
    act().await;
    next_of_kind(&mut events, "close").await
}

#[tokio::test]
async fn a_reset_of_the_server_in_the_middle_of_a_frame_is_passed_on() {
    let (front, mut client, mut server) = pair("").await;
    let close = close_of(&front, async || {
        server.write_all(b"\x81\x7e\x01\x00half of").await.expect("sent");
        let mut half = [0; 11];
        within("half a frame", client.read_exact(&mut half)).await.expect("passed");
        reset(server);
        let mut rest = Vec::new();
        let end = within("the end", client.read_to_end(&mut rest)).await;
        assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    })
    .await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&"network".into(), &1006.into()));
    assert_eq!(close["close"]["clean"], false);
}

#[tokio::test]
async fn a_reset_of_the_client_is_passed_on() {
    let (front, client, mut server) = pair("").await;
    let close = close_of(&front, async || {
        reset(client);
        let mut rest = Vec::new();
        let end = within("the end", server.read_to_end(&mut rest)).await;
        assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    })
    .await;
    assert_eq!(close["close"]["by"], "network");
}

#[tokio::test]
async fn who_leaves_without_a_word_is_named() {
    let (front, client, mut server) = pair("").await;
    let close = close_of(&front, async || {
        drop(client);
        let mut rest = Vec::new();
        within("the end", server.read_to_end(&mut rest)).await.expect("an orderly end");
        drop(server);
    })
    .await;
    assert_eq!((&close["close"]["by"], &close["close"]["code"]), (&"client".into(), &1006.into()));
}

#[tokio::test]
async fn who_closes_first_is_named_with_code_and_reason() {
    let (front, mut client, mut server) = pair("").await;
    let close = close_of(&front, async || {
        server.write_all(b"\x88\x06\x03\xf3full").await.expect("sent");
        let mut frame = [0; 8];
        within("a close frame", client.read_exact(&mut frame)).await.expect("passed");
        client.write_all(b"\x88\x82\0\0\0\0\x03\xf3").await.expect("answered");
        let mut frame = [0; 8];
        within("the answer", server.read_exact(&mut frame)).await.expect("passed");
        drop((server, client));
    })
    .await;
    let told = serde_json::json!({"code": 1011, "reason": "full", "clean": true, "by": "server"});
    assert_eq!(close["close"], told);
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_and_a_client_that_gives_up_is_noticed() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let (mut server, _) = back.accept().await;
    drop(client);
    let mut rest = Vec::new();
    within("the end of the handshake", server.read_to_end(&mut rest)).await.expect("an end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn large_message_passes_whole_and_is_kept_cut() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=message").await;
    let size: u64 = 64 << 20;
    let send = async {
        let head = [&b"\x82\xff"[..], &size.to_be_bytes(), &[0; 4]].concat();
        client.write_all(&head).await.expect("sent");
        let piece = vec![7; 1 << 20];
        for _ in 0..64 {
            client.write_all(&piece).await.expect("sent");
        }
    };
    let receive = async {
        let (mut got, mut piece) = (0, vec![0; 1 << 20]);
        while got < size + 14 {
            got += server.read(&mut piece).await.expect("more") as u64;
        }
        got
    };
    let ((), got) = within("64 MiB", async { tokio::join!(send, receive) }).await;
    assert_eq!(got, size + 14);
    let event = events.json().await;
    assert_eq!((&event["size"], &event["truncated"]), (&size.into(), &true.into()));
    let kept = STANDARD.decode(event["message"].as_str().expect("base64")).expect("base64");
    assert!(kept == vec![7; 1 << 20]);
    assert!(event["note"].as_str().expect("a note").contains("1048576"), "{event}");
}

#[tokio::test]
async fn a_stalled_direction_holds_its_own_sender_and_nobody_else() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let ((mut stalled, _), mut deaf) = tokio::join!(front.shake("/stalled", ""), back.switch(""));
    let ((mut free, _), mut quick) = tokio::join!(front.shake("/free", ""), back.switch(""));
    // The server reads nothing: its client can send as much as the buffers on the way hold.
    let frame = large_frame();
    let mut sent = 0_usize;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(300), stalled.write(&frame)).await
    {
        sent += written.expect("taken");
        assert!(sent < 64 << 20, "back-pressure reaches the sender");
    }
    // The other direction of the same connection, and other connections, flow on.
    free.write_all(b"\x81\x82\0\0\0\0hi").await.expect("sent");
    let mut got = [0; 8];
    within("the others' traffic", quick.read_exact(&mut got)).await.expect("passed");
    deaf.write_all(b"\x81\x02hi").await.expect("sent");
    let mut got = [0; 4];
    within("the other direction", stalled.read_exact(&mut got)).await.expect("passed");
}

/// Where messages of wstap's own go into a connection.
fn injection(front: &Front, to: &str) -> String {
    let id = front.tap.hub.connections()[0].id.clone();
    format!("/api/connections/{id}/messages?to={to}")
}

#[tokio::test]
async fn injected_messages_are_refused_while_the_server_reads_nothing() {
    let (front, mut client, mut server) = pair("").await;
    let path = injection(&front, "server");
    let headers = [("content-type", "application/octet-stream")];
    let message = "x".repeat(1_000_000);
    let mut taken = 0;
    loop {
        let answer = front.tap.fetch("POST", &path, &headers, &message).await;
        if answer.status != 202 {
            answer.is_problem(429, "slow_down", "later");
            break;
        }
        taken += 1;
        assert!(taken < 40, "the kernel holds some megabytes, and the queue four");
    }
    // The other way is free, and nothing that was taken is lost.
    server.write_all(b"\x81\x02hi").await.expect("sent");
    let mut got = [0; 4];
    within("the other direction", client.read_exact(&mut got)).await.expect("passed");
    let mut all = vec![0; taken * (message.len() + 14)];
    within("what was taken", server.read_exact(&mut all)).await.expect("passed");
    let again = front.tap.fetch("POST", &path, &headers, "x").await;
    assert_eq!(again.status, 202, "there is room again");
    let mut got = [0; 7];
    within("one more", server.read_exact(&mut got)).await.expect("passed");
    assert_eq!(got[..2], [0x82, 0x81]);
}

#[tokio::test]
async fn injected_messages_are_refused_after_a_close_frame() {
    let (front, mut client, mut server) = pair("").await;
    let path = injection(&front, "client");
    server.write_all(b"\x88\x02\x03\xe8").await.expect("sent");
    let mut frame = [0; 4];
    within("a close frame", client.read_exact(&mut frame)).await.expect("passed");
    within("a refusal", async {
        // The frame is written before its meaning is known.
        while front.tap.fetch("POST", &path, &[], "late").await.status == 202 {}
    })
    .await;
    front.tap.fetch("POST", &path, &[], "late").await.is_problem(404, "not_found", "");
}

#[tokio::test]
async fn injected_messages_that_find_no_place_before_the_end_are_told() {
    let (front, mut client, mut server) = pair("").await;
    let mut events = front.tap.events("?format=full&kind=message").await;
    server.write_all(b"\x81\x05he").await.expect("sent");
    let mut half = [0; 4];
    within("half a frame", client.read_exact(&mut half)).await.expect("passed");
    let path = injection(&front, "client");
    assert_eq!(front.tap.fetch("POST", &path, &[], "waits").await.status, 202);
    assert_eq!(events.json().await["synthetic"], true);
    drop(server);
    let told = events.json().await;
    assert_eq!(told["direction"], "out");
    assert!(told["note"].as_str().is_some_and(|note| note.contains("are not sent")), "{told}");
}

#[tokio::test]
async fn a_thousand_connections_come_and_go_and_nothing_is_left() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let server = async {
        for _ in 0..1000 {
            let mut tcp = back.switch("").await;
            tokio::spawn(async move {
                let mut rest = Vec::new();
                let _ = tcp.read_to_end(&mut rest).await;
            });
        }
    };
    let clients = async {
        for _ in 0..50 {
            let some = (0..20).map(|_| async {
                let (mut tcp, head) = front.shake("/", "").await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                tcp.write_all(b"\x88\x80\0\0\0\0").await.expect("sent");
            });
            futures_util::future::join_all(some).await;
        }
    };
    within("a thousand connections", async { tokio::join!(server, clients) }).await;
    until("the end of all", || front.tap.hub.numbers().connections == 0).await;
    until("all events", || front.tap.hub.head().1 == 2000).await;
}

#[tokio::test]
async fn a_full_server_refuses_with_503() {
    let back = Back::new().await;
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let front = Front::with(&format!("ws://{}", back.addr), settings, |_| {}).await;
    let (_first, _server) = tokio::join!(front.shake("/", ""), back.switch(""));
    let (_, head) = front.shake("/", "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
}

#[tokio::test]
async fn a_listener_that_never_reads_stops_no_traffic() {
    let (front, mut client, mut server) = pair("").await;
    let mut deaf = TcpStream::connect(front.tap.addr).await.expect("there");
    let request = format!("GET /events HTTP/1.1\r\nhost: {}\r\n\r\n", front.tap.addr);
    deaf.write_all(request.as_bytes()).await.expect("sent");
    until("the listener", || front.tap.hub.numbers().listeners == 1).await;
    let frame = large_frame();
    let flow = async {
        tokio::join!(
            async {
                for _ in 0..600 {
                    client.write_all(&frame).await.expect("taken");
                }
            },
            async {
                let (mut got, mut piece) = (0, vec![0; 1 << 20]);
                while got < frame.len() * 600 {
                    got += server.read(&mut piece).await.expect("more");
                }
            }
        )
    };
    within("40 MB past a listener that reads nothing", flow).await;
}

#[tokio::test]
async fn what_the_tap_has_no_room_for_is_told_as_a_gap_in_its_place() {
    let hub = Hub::new(Settings::default());
    let tap = Tap::of(([127, 0, 0, 1], 0).into(), hub.clone());
    let about = About { remote: tap.addr, form: "full", query: String::new() };
    let mut listener = hub.subscribe(Start::Now, Filter::default(), about).expect("room");
    let answer = Answer {
        upstream: "ws://a".into(),
        status: 101,
        time: Duration::ZERO,
        subprotocol: None,
        extensions: None,
        ..Answer::default()
    };
    let connect = Connect {
        remote: tap.addr,
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: Some(Box::new(answer)),
        user: None,
    };
    let (connection, _orders) = hub.connect_with_generated_id(None, connect).expect("room");
    let message = |size: usize| {
        let body = Body::Binary(vec![0; size].into());
        connection.draft(Message::new(Direction::In, Opcode::Binary, size, body))
    };
    // Twice what may wait, at once, before anybody could make events of it.
    connection.offer(&mut (0..32).map(|_| message(1 << 20)).collect());
    connection.offer(&mut vec![message(1)]);
    let (mut seen, mut lost) = (Vec::new(), 0);
    while seen.last() != Some(&1) {
        let Some(Delivery::Events(selection)) = within("events", listener.next()).await else {
            continue;
        };
        for event in selection.events() {
            match &event.body {
                EventBody::Message(message) => seen.push(message.size),
                EventBody::Lost(missed) => lost += missed,
                _ => {}
            }
        }
    }
    assert!(lost > 0 && lost < 32, "{lost}");
    assert_eq!(seen.len() as u64 + lost, 33, "each is seen or counted");
}
