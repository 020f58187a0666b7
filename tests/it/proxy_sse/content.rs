//! What is shown of the events of a stream: compressed, too large, secret.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use wstap::hub::Settings;
use wstap::proxy::ProxySettings;
use wstap::redact::{Redaction, Rules};

use super::{GET, Passing, STREAM, reads_back};

/// Returns text that is compressed in parts, each of which can be read when it has come.
fn compressed(encoding: &str, parts: &[&str]) -> Vec<Vec<u8>> {
    fn take(out: &mut Vec<u8>) -> Vec<u8> {
        std::mem::take(out)
    }
    let level = Compression::default();
    let mut all = Vec::new();
    if encoding == "gzip" {
        let mut gzip = GzEncoder::new(Vec::new(), level);
        for part in parts {
            gzip.write_all(part.as_bytes()).expect("memory");
            gzip.flush().expect("memory");
            all.push(take(gzip.get_mut()));
        }
        all.push(gzip.finish().expect("memory"));
    } else {
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        for part in parts {
            zlib.write_all(part.as_bytes()).expect("memory");
            zlib.flush().expect("memory");
            all.push(take(zlib.get_mut()));
        }
        all.push(zlib.finish().expect("memory"));
    }
    all
}

#[tokio::test]
async fn compressed_events_are_read_as_they_come() {
    for encoding in ["gzip", "deflate"] {
        let head = format!("{STREAM}Content-Encoding: {encoding}\r\n");
        let mut it = Passing::begin(&head).await;
        assert_eq!(it.connect().await["contentEncoding"], encoding);
        let parts = compressed(encoding, &["data: 1\n\n", "data: 2\n\ndata", ": 3\n\n"]);
        let mut sent = 0;
        for (n, part) in parts.iter().enumerate() {
            it.pass(part).await;
            sent += part.len();
            if n < 3 {
                let message = it.event().await;
                assert_eq!(message["message"], n + 1);
                assert_eq!(message["compressed"], true);
            }
        }
        drop(it.server);
        let close = it.events.json().await;
        assert_eq!((&close["wire"]["out"], &close["bytes"]["out"]), (&json!(sent), &json!(3)));
    }
}

#[tokio::test]
async fn compression_that_is_not_read_is_named() {
    let head = format!("{STREAM}Content-Encoding: br\r\n");
    let mut it = Passing::begin(&head).await;
    let connect = it.connect().await;
    assert_eq!(connect["contentEncoding"], "br");
    assert!(connect["note"].as_str().is_some_and(|note| note.contains("with br")), "{connect}");
    reads_back(&connect);
    it.pass(b"\x0b\x02\x80data: 1\n\n\x03").await;
    drop(it.server);
    let close = it.events.json().await;
    assert_eq!(
        (&close["kind"], &close["note"]),
        (&json!("close"), &json!("compressed, not decoded"))
    );
    assert_eq!((&close["wire"]["out"], &close["messages"]["out"]), (&json!(13), &json!(0)));
}

#[tokio::test]
async fn stream_that_is_not_compressed_as_its_head_says_passes() {
    let head = format!("{STREAM}Content-Encoding: gzip\r\n");
    let mut it = Passing::begin(&head).await;
    it.connect().await;
    it.pass(b"data: 1\n\n").await;
    let message = it.event().await;
    assert_eq!((&message["opcode"], &message["message"]), (&Value::Null, &Value::Null));
    it.pass(b"data: 2\n\n").await;
    drop(it.server);
    assert_eq!(it.events.json().await["kind"], "close");
}

#[tokio::test]
async fn event_that_is_too_large_passes_and_is_kept_cut() {
    let small = |settings: &mut ProxySettings| settings.max_message_bytes = 1000;
    let mut it = Passing::with(GET, STREAM, Settings::default(), small).await;
    it.connect().await;
    let large = format!("data: {}\n\n", "x".repeat(5000));
    it.pass(large.as_bytes()).await;
    let message = it.event().await;
    assert_eq!((&message["size"], &message["truncated"]), (&json!(5000), &json!(true)));
    assert_eq!(message["message"], "x".repeat(1000));
    reads_back(&message);
    assert!(message["note"].as_str().is_some_and(|note| note.contains("1000 bytes")), "{message}");
    it.pass(b"data: small\n\n").await;
    assert_eq!(it.event().await["message"], "small");
}

#[tokio::test]
async fn secrets_of_a_stream_are_hidden() {
    let rules = Rules { defaults: true, ..Rules::default() };
    let settings = Settings { redaction: Redaction::new(rules), ..Settings::default() };
    let request = "GET /s?token=hunter2 HTTP/1.0\r\nHost: a\r\n\r\n";
    let mut it = Passing::with(request, STREAM, settings, |_| {}).await;
    let connect = it.connect().await;
    it.pass(b"event: password=hunter2\nid: token=hunter2\ndata: {\"password\":\"hunter2\"}\n\n")
        .await;
    let message = it.event().await;
    for event in [&connect, &message] {
        assert!(!event.to_string().contains("hunter2"), "{event}");
    }
    assert_eq!(message["message"]["password"], "[redacted]");
}
