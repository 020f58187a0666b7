//! Bad input is answered with its code, and harms no other client. The classes of holes, with their
//! tests, are listed in `hostile_classes`.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;

use crate::harness::{LIMIT, Tap, until, within};

/// Opens a WebSocket by hand, for frames that no library would send.
pub(crate) async fn raw_ws(tap: &Tap, query: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(tap.addr).await.expect("the server is there");
    let request = format!(
        "GET /ws{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        tap.addr
    );
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the answer to a handshake", tcp.read_u8()).await.expect("a byte"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    tcp
}

/// Makes a frame; the mask is all zeros, which leaves the payload readable.
pub(crate) fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => frame.push(mask | u8::try_from(short).expect("below 126")),
        long => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}

/// Reads to the end and returns the code of the close frame.
pub(crate) async fn close_code(tcp: &mut TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    let _ = within("the end of a connection", tcp.read_to_end(&mut bytes)).await;
    let at = bytes.windows(2).position(|pair| pair[0] == 0x88 && pair[1] >= 2)?;
    Some(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]))
}

#[tokio::test]
async fn odd_json_reaches_listeners_as_json_and_harms_none() {
    let tap = Tap::start().await;
    let mut plain = tap.events("?kind=message").await;
    let mut full = tap.events("?kind=message&format=full").await;
    let mut ws = tap.registered("a").await;
    let deep = "[".repeat(100_000);
    let nested = "[".repeat(99) + &"]".repeat(99);
    for (sent, message) in [
        ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
        ("1e999", "1e999"),
        ("\"\\ud800\"", "\"\\ud800\""),
        ("\"\\u0000\"", "\"\\u0000\""),
        ("\0", "\"\\u0000\""),
        ("\"\u{2028}\u{2029}\"", "\"\u{2028}\u{2029}\""),
        ("\u{2028}", "\"\u{2028}\""),
        (nested.as_str(), nested.as_str()),
        (deep.as_str(), &format!("\"{deep}\"")),
        ("data: x\n\nevent: evil\rid: 1", r#""data: x\n\nevent: evil\rid: 1""#),
    ] {
        ws.send(sent).await;
        assert_eq!(plain.data().await, format!("{{\"connectionId\":\"a\",\"message\":{message}}}"));
        let full = full.data().await;
        assert!(full.ends_with(&format!("\"message\":{message}}}")), "{full}");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&full).is_ok());
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_closed_with_1009_and_its_sender_gets_to_know() {
    let tap = Tap::with(Settings::default(), |web| web.limits.max_message_bytes = 1000).await;
    let mut events = tap.events("?kind=close").await;
    let mut whole = raw_ws(&tap, "?connectionId=whole").await;
    whole.write_all(&frame(0x81, true, &[b'x'; 1001])).await.expect("sent");
    assert_eq!(close_code(&mut whole).await, Some(1009));
    assert_eq!(events.json().await["close"]["code"], 1009);
    let mut fragments = raw_ws(&tap, "?connectionId=fragments").await;
    fragments.write_all(&frame(0x01, true, &[b'x'; 600])).await.expect("sent");
    fragments.write_all(&frame(0x80, true, &[b'x'; 600])).await.expect("sent");
    assert_eq!(close_code(&mut fragments).await, Some(1009));
    assert_eq!(events.json().await["close"]["code"], 1009);
    let mut fits = tap.registered("fits").await;
    fits.send(&"x".repeat(1000)).await;
    fits.close(1000, "").await;
    assert_eq!(events.json().await["close"]["code"], 1000);
}

#[tokio::test]
async fn a_giant_length_takes_no_memory() {
    let tap = Tap::start().await;
    let mut tcp = raw_ws(&tap, "?connectionId=a").await;
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&(i64::MAX as u64).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    tcp.write_all(&head).await.expect("sent");
    assert_eq!(close_code(&mut tcp).await, Some(1009));
}

#[tokio::test]
async fn what_rfc_6455_forbids_is_closed_with_its_code() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=close").await;
    for (what, bytes, code) in [
        ("invalid UTF-8", frame(0x81, true, &[0xff, 0xfe]), 1007),
        ("unmasked", frame(0x81, false, b"x"), 1002),
        ("reserved bit", frame(0xc1, true, b"x"), 1002),
        ("reserved opcode", frame(0x83, true, b"x"), 1002),
        ("reserved control opcode", frame(0x8b, true, b"x"), 1002),
        ("fragmented ping", frame(0x09, true, b"x"), 1002),
        ("long ping", frame(0x89, true, &[0; 126]), 1002),
        ("continuation of nothing", frame(0x80, true, b"x"), 1002),
        ("length of two bytes for one", b"\x81\xfe\0\x01\0\0\0\0x".to_vec(), 1002),
        ("length of eight bytes for one", b"\x81\xff\0\0\0\0\0\0\0\x01\0\0\0\0x".to_vec(), 1002),
    ] {
        let mut tcp = raw_ws(&tap, "?connectionId=a").await;
        tcp.write_all(&bytes).await.expect("sent");
        assert_eq!(close_code(&mut tcp).await, Some(code), "{what}");
        assert_eq!(events.json().await["close"]["code"], code, "{what}");
    }
}

#[tokio::test]
async fn messages_before_a_length_in_too_many_bytes_are_read() {
    let tap = Tap::start().await;
    let mut events = tap.events("?format=full").await;
    let mut tcp = raw_ws(&tap, "?connectionId=a").await;
    let bytes = [&frame(0x81, true, b"1")[..], b"\x81\xfe\0\x01\0\0\0\0x"].concat();
    tcp.write_all(&bytes).await.expect("sent");
    assert_eq!(close_code(&mut tcp).await, Some(1002));
    let kinds = [events.json().await, events.json().await, events.json().await];
    assert_eq!(kinds[1]["message"], 1);
    assert!(kinds[2]["close"]["reason"].as_str().is_some_and(|reason| reason.contains("length")));
}

#[tokio::test]
async fn close_code_1014_is_taken_and_answered() {
    let tap = Tap::start().await;
    let mut events = tap.events("?kind=close").await;
    let close = [0x88, 0x85, 1, 2, 3, 4, 0x03 ^ 1, 0xf6 ^ 2, b'a' ^ 3, b'b' ^ 4, b'c' ^ 1];
    // In pieces, and behind a message.
    for cut in [0, 6, 7, 8] {
        let mut tcp = raw_ws(&tap, "?connectionId=a").await;
        tcp.write_all(&frame(0x81, true, b"1")).await.expect("sent");
        let (first, second) = close.split_at(cut);
        tcp.write_all(first).await.expect("sent");
        tokio::task::yield_now().await;
        tcp.write_all(second).await.expect("sent");
        assert_eq!(close_code(&mut tcp).await, Some(1014), "{cut}");
        let close = events.json().await;
        assert_eq!(
            (&close["close"]["code"], &close["close"]["reason"]),
            (&1014.into(), &"abc".into())
        );
    }
    let mut tcp = raw_ws(&tap, "?connectionId=a").await;
    tcp.write_all(&frame(0x88, true, b"\x03\xf5")).await.expect("sent");
    assert_eq!(close_code(&mut tcp).await, Some(1013));
    assert_eq!(events.json().await["close"]["code"], 1013);
}

#[tokio::test]
async fn incomplete_bodies_share_a_budget_and_small_ones_pass() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let request = format!(
        "POST /api/connections/a/messages HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\n\
         Content-Length: 1000000\r\n\r\n",
        tap.addr
    );
    let half = [request.as_bytes(), &*vec![b'x'; 999_000]].concat();
    let mut waiting = Vec::new();
    let refused = within("a refusal", async {
        loop {
            let mut tcp = TcpStream::connect(tap.addr).await.expect("there");
            // A refused body is not read to its end.
            let _ = tcp.write_all(&half).await;
            let mut first = [0; 64];
            let answered = tokio::time::timeout(Duration::from_millis(20), tcp.read(&mut first));
            if let Ok(Ok(read @ 1..)) = answered.await {
                return (String::from_utf8_lossy(&first[..read]).into_owned(), tcp);
            }
            waiting.push(tcp);
            assert!(waiting.len() < 100, "incomplete bodies take 32 MiB at most");
        }
    })
    .await;
    assert!(refused.0.starts_with("HTTP/1.1 503 ") || refused.0.starts_with("HTTP/1.1 408 "));
    let headers = [("content-type", "text/plain")];
    let small = tap.fetch("POST", "/api/connections/a/messages", &headers, "small").await;
    assert_eq!(small.status, 202);
}

#[tokio::test]
async fn before_registration_too_what_rfc_6455_forbids_has_its_code() {
    let tap = Tap::start().await;
    for (bytes, code) in [(frame(0x81, true, &[0xff]), 1007), (frame(0x81, false, b"x"), 1002)] {
        let mut tcp = raw_ws(&tap, "").await;
        tcp.write_all(&bytes).await.expect("sent");
        assert_eq!(close_code(&mut tcp).await, Some(code));
    }
}

#[tokio::test]
async fn a_client_that_never_reads_ends_its_own_session() {
    let tap =
        Tap::with(Settings::default(), |web| web.limits.pong_timeout = Duration::from_millis(200))
            .await;
    let mut events = tap.events("?kind=close&format=full").await;
    let mut deaf = raw_ws(&tap, "?connectionId=deaf&ack=1").await;
    let burst = frame(0x81, true, b"1").repeat(10_000);
    let flood = async {
        // Acks fill the way back until the server gives up on this client.
        while deaf.write_all(&burst).await.is_ok() {}
    };
    within("the end of a deaf client", flood).await;
    assert_eq!(events.json().await["close"]["clean"], false);
    let mut ws = tap.registered("other").await;
    let mut others = tap.events("?connection=other").await;
    ws.send("1").await;
    assert_eq!(others.data().await, r#"{"connectionId":"other","message":1}"#);
}

#[tokio::test]
async fn a_listener_that_never_reads_slows_nobody() {
    let tap = Tap::start().await;
    let mut stuck = TcpStream::connect(tap.addr).await.expect("the server is there");
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", tap.addr);
    stuck.write_all(request.as_bytes()).await.expect("sent");
    until("the listener", || tap.hub.numbers().listeners == 1).await;
    let mut events = tap.events("?kind=message").await;
    let mut ws = tap.registered("a").await;
    let padding = "x".repeat(100_000);
    for n in 0..500 {
        ws.send(&format!("{{\"n\":{n},\"p\":\"{padding}\"}}")).await;
        let event: Value = events.json().await;
        assert_eq!(event["message"]["n"], n);
    }
    drop(stuck);
}

#[tokio::test]
async fn heads_of_requests_have_limits() {
    let tap = Tap::start().await;
    let mut many = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for n in 0..10_000 {
        many.extend_from_slice(format!("x-{n}: y\r\n").as_bytes());
    }
    many.extend_from_slice(b"\r\n");
    assert!(tap.raw(&many).await.starts_with("HTTP/1.1 431 "));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let answer = tap.raw(long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = tap.raw(bytes).await;
        assert!(
            answer.is_empty()
                || answer.starts_with("HTTP/1.1 4")
                || answer.starts_with("HTTP/1.1 5"),
            "{answer}"
        );
    }
    assert_eq!(tap.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn half_a_request_is_gone_after_ten_seconds() {
    let tap = Tap::start().await;
    let begun = tokio::time::Instant::now();
    let (head, body, nothing) = tokio::join!(
        tap.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx-never: e"),
        tap.raw(b"POST /api/connections/a/messages HTTP/1.1\r\nHost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf"),
        tap.raw(b""),
    );
    assert!(begun.elapsed() >= Duration::from_secs(5) && begun.elapsed() < LIMIT);
    assert_eq!((head.as_str(), nothing.as_str()), ("", ""));
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
}

#[tokio::test]
async fn a_plain_request_to_the_websocket_gets_a_hint() {
    let tap = Tap::start().await;
    let answer = tap.get("/ws").await;
    answer.is_problem(426, "upgrade_required", "connect with a WebSocket client");
    assert_eq!(answer.header("upgrade"), "websocket");
    tap.fetch("POST", "/ws", &[], "x").await.is_problem(426, "upgrade_required", "WebSocket");
}

#[tokio::test]
async fn a_websocket_to_the_stream_is_sent_to_the_right_door() {
    let tap = Tap::start().await;
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    tap.fetch("GET", "/events", &upgrade, "").await.is_problem(
        400,
        "malformed",
        "WebSocket clients connect to /ws",
    );
    let wrong = |change: usize, value: &'static str| {
        let mut headers = upgrade;
        headers[change].1 = value;
        headers
    };
    for (headers, part) in
        [(wrong(0, "close"), "Connection: upgrade"), (wrong(3, "short"), "16 bytes")]
    {
        tap.fetch("GET", "/ws", &headers, "").await.is_problem(400, "malformed", part);
    }
    let answer = tap.fetch("GET", "/ws", &wrong(2, "8"), "").await;
    answer.is_problem(426, "upgrade_required", "Version: 13");
    assert_eq!(answer.header("sec-websocket-version"), "13");
    let without: Vec<_> =
        upgrade.into_iter().filter(|(name, _)| !name.ends_with("version")).collect();
    tap.fetch("GET", "/ws", &without, "").await.is_problem(400, "malformed", "Version: 13");
    let twice = [&upgrade[..], &[("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEC==")]].concat();
    tap.fetch("GET", "/ws", &twice, "").await.is_problem(400, "malformed", "one Sec-WebSocket-Key");
    tap.fetch("POST", "/ws", &upgrade, "").await.is_problem(400, "malformed", "GET by HTTP/1.1");
}

#[tokio::test]
async fn an_address_over_its_share_is_answered_and_an_event_source_comes_back() {
    let grace = Duration::from_secs(5);
    let tap = Tap::limited(Settings::default(), grace, Some(2), |_| {}).await;
    let (first, _second) = (tap.registered("a").await, tap.registered("b").await);
    tap.get("/healthz").await.is_problem(503, "full", "try again later");
    let ask = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let answer = tap.raw(ask).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"),
        "{answer}"
    );
    let retry =
        answer.split_once("\r\n\r\nretry: ").and_then(|(_, retry)| retry.trim().parse().ok());
    assert!(retry.is_some_and(|retry: u32| (1000..=5000).contains(&retry)), "{answer}");
    drop(first);
    let again = async { while tap.get("/healthz").await.status != 200 {} };
    within("room for another", again).await;
}

#[tokio::test]
async fn those_over_a_limit_who_ask_nothing_are_soon_gone_and_never_many() {
    let grace = Duration::from_secs(5);
    let tap = Tap::limited(Settings::default(), grace, Some(0), |_| {}).await;
    let answers = futures_util::future::join_all((0..200).map(|_| tap.raw(b""))).await;
    let answered = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503 ")).count();
    assert!((1..200).contains(&answered), "{answered}");
    assert!(answers.iter().all(|answer| answer.is_empty() || answer.contains("\"full\"")));
}

#[tokio::test]
async fn a_flood_leaves_memory_within_its_bounds() {
    let mut settings = Settings::default();
    settings.history.bytes = 4 << 20;
    let tap = Tap::with(settings, |_| {}).await;
    let mut ws = tap.registered("a").await;
    let message = "x".repeat(50_000);
    for _ in 0..2000 {
        ws.send(&message).await;
    }
    until("all of it", || tap.hub.head().1 == 2001).await;
    let now = tap.hub.numbers();
    assert!(now.history_bytes <= 4 << 20, "{now:?}");
    assert!(now.history_events < 90, "{now:?}");
}

#[tokio::test]
async fn a_half_open_connection_is_noticed() {
    let tap = Tap::with(Settings::default(), |web| {
        web.limits.ping_interval = Duration::from_millis(50);
        web.limits.pong_timeout = Duration::from_millis(50);
    })
    .await;
    let mut events = tap.events("?kind=close").await;
    let _half = raw_ws(&tap, "?connectionId=half").await;
    let close = events.json().await;
    assert_eq!(close["close"]["code"], 4408);
    assert!(close["close"]["reason"].as_str().is_some_and(|reason| reason.contains("ping")));
}
