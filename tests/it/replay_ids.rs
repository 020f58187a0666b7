//! `wstap replay`: ids of live clients, and handshakes with many header fields.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;
use wstap::hub::Settings;

use crate::harness::{Tap, Ws, within};
use crate::recording::{Running, shell};

/// Returns a recording of one connection, of messages that begin with `>` (client) or `<` (server).
fn recording(path: &str, messages: &[&str]) -> String {
    let mut lines = json!({"id": "1000-0", "kind": "connect", "connectionId": "a", "path": path,
        "upstream": "ws://localhost:1", "status": 101})
    .to_string()
        + "\n";
    for (n, message) in messages.iter().enumerate() {
        let direction = if message.starts_with('>') { "in" } else { "out" };
        let text = &message[1..];
        let json = serde_json::from_str::<Value>(text).is_ok();
        let message = if json { text.to_owned() } else { json!(text).to_string() };
        let ms = 1001 + n;
        writeln!(
            lines,
            r#"{{"id":"{ms}-0","kind":"message","connectionId":"a","direction":"{direction}","opcode":"text","size":{},"message":{message},"wire":9}}"#,
            text.len()
        )
        .expect("a String takes all");
    }
    lines
}

/// Stands in for the server of a recording.
async fn standing(file: &str) -> (Running, SocketAddr) {
    let server =
        Running::start(&["replay", "--serve", file, "--listen", "127.0.0.1:0", "--speed", "max"]);
    let words = server.says("Ctrl-C stops.").await;
    let at = words.split_whitespace().find_map(|word| word.strip_prefix("ws://"));
    (server, at.and_then(|at| at.parse().ok()).expect("an address"))
}

/// Says something, and asserts the answers.
async fn converse(ws: &mut Ws, conversation: &[&str]) {
    for line in conversation {
        if let Some(said) = line.strip_prefix('>') {
            ws.send(said).await;
        } else {
            assert_eq!(ws.text().await, line[1..]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stand_in_answers_with_the_ids_of_the_live_client() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, recorded, live) in [
        (
            "json-rpc",
            &[
                r#">{"jsonrpc":"2.0","id":1,"method":"open","params":{"count":1}}"#,
                r#"<{"jsonrpc":"2.0","id":1,"result":{"price":1.50,"count":1}}"#,
                r#"<{"jsonrpc":"2.0","method":"tick","params":[1]}"#,
                r#">{"jsonrpc":"2.0","id":2,"method":"close","params":{"count":1}}"#,
                r#"<{"jsonrpc":"2.0","id":2,"result":true}"#,
            ][..],
            &[
                r#">{"jsonrpc":"2.0","id":71,"method":"open","params":{"count":1}}"#,
                r#"<{"jsonrpc":"2.0","id":71,"result":{"price":1.50,"count":1}}"#,
                r#"<{"jsonrpc":"2.0","method":"tick","params":[1]}"#,
                r#">{"id":72,"jsonrpc":"2.0","method":"close","params":{"count":1}}"#,
                r#"<{"jsonrpc":"2.0","id":72,"result":true}"#,
            ][..],
        ),
        (
            "json-rpc, pipelined in another order",
            &[
                r#">{"id":"a","method":"slow"}"#,
                r#">{"id":"b","method":"fast"}"#,
                r#"<{"id":"b","result":"fast"}"#,
                r#"<{"id":"a","result":"slow"}"#,
            ],
            &[
                r#">{"id":"x","method":"fast"}"#,
                r#"<{"id":"x","result":"fast"}"#,
                r#">{"id":"y","method":"slow"}"#,
                r#"<{"id":"y","result":"slow"}"#,
            ],
        ),
        (
            "phoenix",
            &[
                r#">["3","3","room:lobby","phx_join",{}]"#,
                r#"<["3","3","room:lobby","phx_reply",{"status":"ok","response":{}}]"#,
                r#">[null,"4","phoenix","heartbeat",{}]"#,
                r#"<[null,"4","phoenix","phx_reply",{"status":"ok","response":{}}]"#,
                r#">["3","5","room:lobby","shout",{"body":"hi"}]"#,
                r#"<["3",null,"room:lobby","shout",{"body":"hi"}]"#,
                r#"<["3","5","room:lobby","phx_reply",{"status":"ok","response":{}}]"#,
            ],
            &[
                r#">["9","9","room:lobby","phx_join",{}]"#,
                r#"<["9","9","room:lobby","phx_reply",{"status":"ok","response":{}}]"#,
                r#">["9","10","room:lobby","shout",{"body":"hello"}]"#,
                r#"<["9",null,"room:lobby","shout",{"body":"hello"}]"#,
                r#"<["9","10","room:lobby","phx_reply",{"status":"ok","response":{}}]"#,
                r#">[null,"11","phoenix","heartbeat",{}]"#,
                r#"<[null,"11","phoenix","phx_reply",{"status":"ok","response":{}}]"#,
            ],
        ),
        (
            "socket.io",
            &[r#">420["add",2,3]"#, r"<430[5]", r#">421["add",2,4]"#, r"<431[6]"],
            &[r#">427["add",2,3]"#, r"<437[5]", r#">428["add",2,4]"#, r"<438[6]"],
        ),
    ] {
        let file = folder.path().join("day.ndjson").display().to_string();
        std::fs::write(&file, recording("/socket", recorded)).expect("written");
        let (server, addr) = standing(&file).await;
        let tap = Tap::of(addr, wstap::Hub::new(Settings::default()));
        // The recorded client, and one with other ids.
        for conversation in [recorded, live] {
            let mut ws = tap.ws("/socket").await;
            within(name, converse(&mut ws, conversation)).await;
            ws.close(1000, "").await;
        }
        assert!(!server.words().contains("not recorded"), "{name}: {}", server.words());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_with_more_than_124_header_fields_and_odd_targets_are_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    let path = "/a\"b<c>?q={1}|^";
    std::fs::write(&file, recording(path, &[">ping", "<pong"])).expect("written");
    // As the client: the server answers with 300 fields.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("it is bound"));
    let serve = async {
        let (mut tcp, _) = listener.accept().await.expect("a client");
        let head = crate::proxy::read_head(&mut tcp).await;
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.expect("a key").trim().as_bytes());
        let many = "X-Many: 1\r\n".repeat(300);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{many}Sec-WebSocket-Accept: {accept}\r\n\r\n\u{81}\u{4}pong"
        );
        let bytes: Vec<u8> = answer.chars().map(|char| char as u8).collect();
        tcp.write_all(&bytes).await.expect("sent");
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut rest).await;
        head
    };
    let recorded = file.clone();
    let replay = tokio::task::spawn_blocking(move || {
        shell(&["replay", &recorded, &url, "--speed", "max", "--timeout", "1"])
    });
    let (head, played) = within("both", async { tokio::join!(serve, replay) }).await;
    let (code, diff, words) = played.expect("no panic");
    assert_eq!((code, diff.as_str()), (0, ""), "{words}");
    assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{head}");
    // As the server: the client sends 300 fields.
    let (_server, addr) = standing(&file).await;
    let mut tcp = TcpStream::connect(addr).await.expect("it is there");
    let many = "X-Many: 1\r\n".repeat(300);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{many}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let head = within("an answer", crate::proxy::read_head(&mut tcp)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
}
