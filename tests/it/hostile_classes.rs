//! The classes of holes that servers of this kind have had, and the tests that show that wstap has
//! none of them:
//!
//! | class | tests |
//! |---|---|
//! | floods of header fields at the handshake | `handshake_with_a_flood_of_fields_is_refused`, `long_fields_of_a_handshake_are_kept_short`, `heads_of_requests_have_limits`, `half_heads_are_bounded` |
//! | allocation by a declared length | `a_giant_length_takes_no_memory`, `giant_content_length_is_refused_at_once`, `half_bodies_are_bounded` |
//! | deflate bombs | `messages_that_inflate_are_bounded`, `event_streams_without_an_end_are_bounded` |
//! | floods of fragments | `fragments_without_payload_hold_nothing_up`, `relayed_fragments_without_payload_hold_nothing_up`, `client_over_its_rate_is_closed_with_4429_and_no_other` |
//! | fields injected into the stream | `odd_json_reaches_listeners_as_json_and_harms_none`, `no_field_can_be_injected`, `hub_frame` |
//! | replay across tenants | `disjoint_grants_see_nothing_of_each_other`, `live_stream_is_narrowed_by_the_grant`, `credential_may_stand_in_each_of_its_places` |
//! | administration reached through the proxy | `the_sides_are_apart`, `target_in_absolute_form_reaches_the_upstream_and_no_other_server` |
//! | requests to other servers by an upgrade | `target_in_absolute_form_reaches_the_upstream_and_no_other_server`, `tunnels_are_not_opened`, `a_loop_is_refused` |
//! | DNS rebinding | `the_observers_side_answers_to_its_own_names_only`, `page_of_a_rebound_name_is_not_taken_for_one_of_the_upstream` |
//! | `Origin: null` | `strangers_pages_open_no_websocket`, `strangers_pages_change_nothing` |
//! | smuggling at the upgrade | `request_behind_a_refused_upgrade_is_read_as_a_request`, `upgrade_to_another_protocol_opens_no_tunnel`, `handshake_with_a_body_is_refused_or_its_body_is_no_frame`, `smuggling_tricks_are_refused` |
//! | amplification by long polls | `long_polls_are_bounded_in_time_and_number`, `answers_to_wrong_requests_that_are_not_read_are_bounded` |
//! | ignored back-pressure | `listeners_that_do_not_read_are_bounded`, `members_that_do_not_read_are_bounded`, `answers_to_pings_that_are_not_read_are_bounded`, `a_client_that_never_reads_ends_its_own_session` |
//! | guessed credentials | `wrong_credentials_over_the_rate_are_answered_with_429_wherever_they_stand` |

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wstap::hub::Settings;

use crate::harness::{Tap, until, within};
use crate::hostile::frame;
use crate::proxy::{Back, Front, echo, read_head};

const HANDSHAKE: &str = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends bytes to an address, and returns the head of the answer; what follows can be read.
async fn ask(addr: std::net::SocketAddr, bytes: &[u8]) -> (TcpStream, String) {
    let mut tcp = TcpStream::connect(addr).await.expect("the server is there");
    // The server may answer before it has read all.
    let _ = tcp.write_all(bytes).await;
    let head = read_head(&mut tcp).await;
    (tcp, head)
}

#[tokio::test]
async fn handshake_with_a_flood_of_fields_is_refused() {
    let tap = Tap::start().await;
    let front = Front::of(echo().await).await;
    let mut fields = String::new();
    for n in 0..10_000 {
        let _ = write!(fields, "x{n}: y\r\n");
    }
    let extensions = "Sec-WebSocket-Extensions: permessage-deflate; a\r\n".repeat(3000);
    for more in [fields, extensions, format!("x: {}\r\n", "y".repeat(100_000))] {
        let request = format!("GET /ws HTTP/1.1\r\n{HANDSHAKE}{more}\r\n");
        for addr in [tap.addr, front.traffic] {
            let (_, head) = ask(addr, request.as_bytes()).await;
            assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
        }
    }
    assert_eq!(tap.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn long_fields_of_a_handshake_are_kept_short() {
    let tap = Tap::start().await;
    let mut events = tap.events("?format=full").await;
    let offered = (0..8000).map(|n| format!("p{n}")).collect::<Vec<_>>().join(", ");
    let request = format!(
        "GET /ws?connectionId=a HTTP/1.1\r\n{HANDSHAKE}Sec-WebSocket-Protocol: {offered}\r\n\r\n"
    );
    assert!(request.len() > 50_000);
    let (_tcp, head) = ask(tap.addr, request.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.len() < 1000, "{head}");
    let kept = events.data().await;
    assert!(kept.len() < 16 << 10, "{} bytes", kept.len());
}

#[tokio::test]
async fn giant_content_length_is_refused_at_once() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    for length in ["9223372036854775807", "18446744073709551615", "10000000"] {
        let request = format!(
            "POST /api/connections/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
             text/plain\r\nContent-Length: {length}\r\n\r\nx"
        );
        let (_, head) = ask(tap.addr, request.as_bytes()).await;
        // Not 408, which is the time limit of a body. A number that no length can have is 431.
        let right =
            ["400", "413", "431"].iter().any(|it| head.starts_with(&format!("HTTP/1.1 {it} ")));
        assert!(right, "{length}: {head}");
    }
}

#[tokio::test]
async fn target_in_absolute_form_reaches_the_upstream_and_no_other_server() {
    let (back, other) = (Back::new().await, TcpListener::bind("127.0.0.1:0").await);
    let other = other.expect("a free port");
    let elsewhere = other.local_addr().expect("it is bound");
    let front = Front::of(back.addr).await;
    let (heads, mut sent) = mpsc::unbounded_channel();
    let upstream = tokio::spawn(async move {
        loop {
            let (mut tcp, head) = back.accept().await;
            let end = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = tcp.write_all(end.as_bytes()).await;
            let _ = heads.send(head);
        }
    });
    let targets = [
        format!("http://{}/api/info", front.tap.addr),
        format!("http://{elsewhere}/secret"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("//{elsewhere}/x"),
    ];
    for target in targets {
        for fields in ["Host: localhost\r\n", HANDSHAKE] {
            let request = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
            let (_, head) = ask(front.traffic, request.as_bytes()).await;
            if head.starts_with("HTTP/1.1 403 ") {
                let head = within("the request", sent.recv()).await.expect("it runs");
                assert!(head.starts_with("GET "), "{head}");
            } else {
                assert!(head.starts_with("HTTP/1.1 400 "), "{target}: {head}");
            }
        }
    }
    assert!(sent.try_recv().is_err(), "each request was sent once");
    let asked = tokio::time::timeout(std::time::Duration::from_millis(1), other.accept()).await;
    assert!(asked.is_err(), "the server that a target names has got a request");
    upstream.abort();
}

#[tokio::test]
async fn request_behind_a_refused_upgrade_is_read_as_a_request() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let hidden = "GET /admin HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n";
    let request = format!("GET /ws HTTP/1.1\r\n{HANDSHAKE}\r\n{hidden}");
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut first, head) = back.accept().await;
    assert!(head.starts_with("GET /ws "), "{head}");
    first
        .write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
        .await
        .expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 426 "));
    // Behind the refused handshake nothing comes but a request that wstap has read, if any.
    let mut rest = Vec::new();
    let more = async {
        tokio::select! {
            (_, head) = back.accept() => head,
            head = read_head(&mut first) => head,
            _ = client.read_to_end(&mut rest) => String::new(),
        }
    };
    let head = within("the second request, or the end of the connection", more).await;
    let lower = head.to_ascii_lowercase();
    assert!(head.is_empty() || lower.contains("x-forwarded-host"), "{head}");
}

#[tokio::test]
async fn upgrade_to_another_protocol_opens_no_tunnel() {
    let back = Back::new().await;
    let front = Front::of(back.addr).await;
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answered = async {
        let (mut tcp, head) = back.accept().await;
        let lower = head.to_ascii_lowercase();
        assert!(!lower.contains("upgrade: h2c") && !lower.contains("http2-settings:"), "{head}");
        let end = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        tcp.write_all(end.as_bytes()).await.expect("sent");
        tcp
    };
    let ((_, head), _tcp) = tokio::join!(ask(front.traffic, request.as_bytes()), answered);
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}

#[tokio::test]
async fn handshake_with_a_body_is_refused_or_its_body_is_no_frame() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=message").await;
    let body = frame(0x81, true, b"\"hidden\"");
    let length = body.len();
    for field in [format!("Content-Length: {length}"), "Transfer-Encoding: chunked".to_owned()] {
        let head = format!("GET /ws?connectionId=a HTTP/1.1\r\n{HANDSHAKE}{field}\r\n\r\n");
        let body = match field.as_str() {
            "Transfer-Encoding: chunked" => {
                [format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
            }
            _ => body.clone(),
        };
        let (_tcp, head) = ask(tap.addr, &[head.as_bytes(), &body].concat()).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    }
    let mut ws = tap.registered("b").await;
    ws.send("1").await;
    assert_eq!(events.data().await, r#"{"connectionId":"b","message":1}"#, "nothing is hidden");
}

#[tokio::test]
async fn long_polls_are_bounded_in_time_and_number() {
    let tap = Tap::with(Settings { max_listeners: 2, ..Settings::default() }, |_| {}).await;
    for wait in ["61s", "1h", "-1s", "99999999999999999999s"] {
        let answer = tap.get(&format!("/listen?wait={wait}")).await;
        answer.is_problem(400, "malformed", "from 0s to 60s");
    }
    let poll = async || {
        let mut tcp = TcpStream::connect(tap.addr).await.expect("there");
        let request = "GET /listen?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n";
        tcp.write_all(request.as_bytes()).await.expect("sent");
        tcp
    };
    let (first, _second) = (poll().await, poll().await);
    until("two polls", || tap.hub.numbers().listeners == 2).await;
    tap.get("/listen?wait=0s").await.is_problem(503, "full", "");
    drop(first);
    until("the place of a poll that was given up", || tap.hub.numbers().listeners == 1).await;
    assert_eq!(tap.get("/listen?wait=0s").await.body, "[]");
}

#[test]
fn every_test_of_the_table_exists() {
    let table =
        include_str!("hostile_classes.rs").lines().take_while(|line| line.starts_with("//!"));
    let named: Vec<_> = table
        .filter(|line| line.starts_with("//! | "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let mut sources = String::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    folders.push(std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                sources.push_str(&std::fs::read_to_string(path).expect("a source"));
            }
        }
    }
    for name in named {
        let test =
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("    {name}: "));
        assert!(test, "{name}");
    }
}
