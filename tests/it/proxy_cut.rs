//! Messages that are larger than `--max-message-bytes`, in proxy mode: they pass whole, and their
//! beginnings are kept.

use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::event::Opcode;
use wstap::frame::data_frame;
use wstap::hub::Settings;
use wstap::redact::{Redaction, Rules};

use crate::harness::within;
use crate::proxy::{Back, Front};

const LIMIT: usize = 200;

/// Opens a WebSocket through a proxy with a small limit.
async fn pair(redaction: Redaction) -> (Front, TcpStream, TcpStream) {
    let back = Back::new().await;
    let upstream = format!("ws://{}", back.addr);
    let settings = Settings { redaction, ..Settings::default() };
    let front = Front::with(&upstream, settings, |s| s.max_message_bytes = LIMIT).await;
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let ((client, _), server) = tokio::join!(front.shake("/", ""), back.switch(deflate));
    (front, client, server)
}

/// A compressed text message of a client.
fn compressed(deflate: &mut Compress, text: &str) -> Vec<u8> {
    let mut payload = Vec::with_capacity(text.len() + 64);
    deflate.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync).expect("room");
    payload.truncate(payload.len() - 4);
    let mut bytes = Vec::new();
    data_frame(Opcode::Text, &payload, Some([0; 4]), &mut bytes);
    bytes[0] |= 0x40;
    bytes
}

/// Sends bytes of a client, and waits until the server has them.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).await.expect("sent");
    let mut came = vec![0; bytes.len()];
    within("all bytes", server.read_exact(&mut came)).await.expect("they come");
    assert!(came == bytes, "they pass unchanged");
}

#[tokio::test]
async fn message_over_the_limit_is_kept_cut_with_its_size_and_a_mark() {
    let (front, mut client, mut server) = pair(Redaction::default()).await;
    let mut events = front.tap.events("?format=full&kind=message").await;
    let mut plain = front.tap.events("?kind=message").await;
    let text = json!({"type": "prices", "list": vec![1.5; 500]}).to_string();
    let digits = "1234567890".repeat(50);
    let mut deflate = Compress::new(Compression::default(), false);
    let mut messages = Vec::new();
    for text in [&text, &digits] {
        let mut bytes = Vec::new();
        data_frame(Opcode::Text, text.as_bytes(), Some([1, 2, 3, 4]), &mut bytes);
        messages.push((text, bytes, false));
        messages.push((text, compressed(&mut deflate, text), true));
    }
    for (text, bytes, deflated) in &messages {
        pass(&mut client, &mut server, bytes).await;
        let event = events.json().await;
        assert_eq!(event["message"], text[..LIMIT], "a string, even of digits");
        assert_eq!((&event["size"], &event["truncated"]), (&text.len().into(), &true.into()));
        assert_eq!(event["compressed"] == true, *deflated);
        let note = "larger than the limit of 200 bytes, cut there";
        assert_eq!(event["note"], note);
        let event = plain.json().await;
        assert_eq!((&event["message"], &event["note"]), (&text[..LIMIT].into(), &note.into()));
    }
    // The context of compression is that of the whole messages.
    let small = &text[text.len() - 100..];
    pass(&mut client, &mut server, &compressed(&mut deflate, small)).await;
    let event = events.json().await;
    assert_eq!((&event["message"], &event["truncated"]), (&small.into(), &Value::Null));

    let archive = front.tap.get("/api/events?format=har").await.json();
    let kept = &archive["log"]["entries"][0]["_webSocketMessages"];
    let (text, ..) = &messages[0];
    assert_eq!(kept[0]["data"], text[..LIMIT]);
    assert_eq!(
        (&kept[0]["_wstap"]["truncated"], &kept[0]["_wstap"]["size"]),
        (&true.into(), &text.len().into())
    );
    let selected = front.tap.get("/api/events?filter=truncated").await.json();
    assert_eq!(selected.as_array().map(Vec::len), Some(4), "{selected}");
}

#[tokio::test]
async fn secret_that_the_cut_splits_is_hidden() {
    let rules = Rules {
        paths: vec!["message.user.pin".parse().expect("a path")],
        patterns: vec!["hunter-[0-9a-f]{40}".parse().expect("a pattern")],
        defaults: true,
        ..Rules::default()
    };
    let (front, mut client, mut server) = pair(Redaction::new(rules)).await;
    let mut events = front.tap.events("?format=full&kind=message").await;
    let secret = format!("hunter-{}", "0123456789abcdef".repeat(20));
    let mut deflate = Compress::new(Compression::default(), false);
    for (text, shown) in [
        (json!({"a": "x", "password": secret}).to_string(), r#"{"a":"x","password":"[redacted]"#),
        (
            json!({"a": "x", "user": {"pin": ["hunter", secret]}}).to_string(),
            r#"{"a":"x","user":{"pin":"[redacted]""#,
        ),
        (json!(["x", format!("a {secret}")]).to_string(), r#"["x","[redacted]"#),
        (format!(r#"42["login",{{"token":"{secret}"}}]"#), r#"42["login",{"token":"[redacted]"#),
        (format!("the key is {secret}"), "[redacted]"),
    ] {
        let mut bytes = Vec::new();
        data_frame(Opcode::Text, text.as_bytes(), Some([0; 4]), &mut bytes);
        for bytes in [bytes, compressed(&mut deflate, &text)] {
            pass(&mut client, &mut server, &bytes).await;
            let event = events.json().await;
            assert_eq!(event["message"], shown, "{event}");
            assert_eq!((&event["size"], &event["truncated"]), (&text.len().into(), &true.into()));
        }
    }
    for path in ["/api/events", "/api/events?format=har", "/api/events?format=ndjson"] {
        let shown = front.tap.get(path).await.body;
        assert!(!shown.contains("hunter") && !shown.contains("0123"), "{path}: {shown}");
    }
}
