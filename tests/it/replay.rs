//! Recordings played again, as clients and as a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tungstenite::Message as Frame;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;

use crate::harness::{Tap, Ws, until, within};
use crate::proxy::Front;
use crate::recording::{Running, shell};

/// The answers of a server to a message, and the number of its connection.
pub(crate) type Answer = fn(&str, usize) -> Vec<String>;

/// A server that says something at first, answers each message, and closes with 4100 at `bye`.
/// It takes the subprotocol `v2` where it is offered, and refuses `/no`.
async fn server(answer: Answer) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                #[allow(clippy::result_large_err, reason = "the library wants it so")]
                let shake = |request: &Request, mut response: Response| {
                    if request.uri().path() == "/no" {
                        let mut refusal = http::Response::new(None);
                        *refusal.status_mut() = http::StatusCode::PAYMENT_REQUIRED;
                        return Err(refusal);
                    }
                    if request.headers().contains_key("sec-websocket-protocol") {
                        let protocol = http::HeaderValue::from_static("v2");
                        response.headers_mut().insert("sec-websocket-protocol", protocol);
                    }
                    Ok(response)
                };
                let Ok(mut socket) = accept_hdr_async(tcp, shake).await else { return };
                let number = count.fetch_add(1, SeqCst);
                for text in answer("", number) {
                    let _ = socket.send(Frame::text(text)).await;
                }
                while let Some(Ok(frame)) = socket.next().await {
                    match frame {
                        Frame::Text(text) if text.as_str() == "bye" => {
                            let frame = CloseFrame { code: 4100.into(), reason: "".into() };
                            let _ = socket.close(Some(frame)).await;
                        }
                        Frame::Text(text) => {
                            for text in answer(&text, number) {
                                let _ = socket.send(Frame::text(text)).await;
                            }
                        }
                        Frame::Binary(_) => {
                            let _ = socket.send(frame).await;
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    addr
}

/// Answers in JSON, with an id that is another for each connection, and two answers to `two`.
pub(crate) fn session(text: &str, number: usize) -> Vec<String> {
    match text {
        "" => vec![format!("0{{\"sid\":\"session-{number}\",\"n\":1}}")],
        "two" => vec!["one".to_owned(), "two".to_owned()],
        text => vec![json!({"said": text, "now": number}).to_string()],
    }
}

/// Records what some clients say to a server.
pub(crate) async fn record(answer: Answer, folder: &Path) -> (std::net::SocketAddr, String) {
    let upstream = server(answer).await;
    let front = Front::of(upstream).await;
    let traffic = Tap::of(front.traffic, front.tap.hub.clone());
    let mut first = traffic.ws("/chat?room=7").await;
    let mut second = traffic.ws("/chat?room=8").await;
    for ws in [&mut first, &mut second] {
        ws.text().await;
        ws.send("hello").await;
        ws.text().await;
        ws.send("two").await;
        ws.text().await;
        ws.text().await;
    }
    first.send_binary(&[1, 2]).await;
    first.next().await.expect("an echo");
    first.close(4000, "").await;
    second.send("bye").await;
    assert_eq!(second.closed().await, 4100);
    let (_, head) = front.shake("/no", "").await;
    assert!(head.starts_with("HTTP/1.1 402 "), "{head}");
    let hub = &front.tap.hub;
    until("all events", || hub.connections().is_empty() && hub.head().1 >= 18).await;
    let file = folder.join("session.ndjson");
    let lines = front.tap.get("/api/events?format=ndjson&limit=all").await.body;
    std::fs::write(&file, lines).expect("written");
    (upstream, file.display().to_string())
}

pub(crate) async fn replay(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> =
        ["replay"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        shell(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await
    .expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_to_the_same_server_differs_in_ignored_values_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (upstream, file) = record(session, folder.path()).await;
    let url = format!("ws://{upstream}");
    let (code, diff, words) =
        replay(&[&file, &url, "--speed", "max", "--ignore", "sid", "--ignore", "now"]).await;
    assert_eq!((code, diff.as_str()), (0, ""), "{words}");
    assert!(
        words.contains("3 connections sent 6 messages; all 9 answers are as recorded"),
        "{words}"
    );
    let (code, diff, words) = replay(&[&file, &url, "--speed", "max", "--ignore", "now"]).await;
    assert_eq!(code, 1, "{words}");
    assert!(
        diff.contains("- 0{\"sid\":\"session-0\",\"n\":1}")
            && diff.contains("+ 0{\"sid\":\"session-"),
        "{diff}"
    );
    assert!(diff.contains("$.sid was \"session-"), "{diff}");
    assert!(words.contains("2 of 9 answers and 0 ends are not as recorded"), "{words}");
    assert!(!diff.contains('\u{1b}'), "plain where there is no terminal");
    let id = diff.split_whitespace().next().expect("a connection").to_owned();
    let (code, _, words) = replay(&[
        &file,
        &url,
        "--ignore",
        "sid",
        "--ignore",
        "now",
        "--connection",
        &id,
        "--timing",
    ])
    .await;
    assert!(
        code == 0 && words.contains("1 connections sent 3 messages") && words.contains("p99"),
        "{words}"
    );
    let hello = "message == \"hello\" || message.said == \"hello\"";
    let (code, diff, words) = replay(&[&file, &url, "--ignore", "now", "--filter", hello]).await;
    assert!(code == 0 && words.contains("sent 2 messages; all 2 answers"), "{diff}{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reports_different_answers_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, file) = record(session, folder.path()).await;
    let other = server(|text, number| match text {
        "two" => vec!["two".to_owned()],
        "hello" => vec!["{\"now\":9,\"said\":\"HELLO\"}".to_owned(), "more".to_owned()],
        text => session(text, number),
    })
    .await;
    let url = format!("ws://{other}");
    let arguments =
        [&file, &url, "--speed", "max", "--timeout", "0.3", "--ignore", "sid", "--ignore", "now"];
    let (code, diff, words) = replay(&arguments).await;
    assert_eq!(code, 1);
    for part in [
        "- {\"now\":0,\"said\":\"hello\"}",
        "+ {\"now\":9,\"said\":\"HELLO\"}",
        "$.said was \"hello\" and is \"HELLO\"",
        "+ more",
    ] {
        assert!(diff.contains(part), "{part} in {diff}");
    }
    assert!(words.contains("0 ends are not as recorded"), "{words}");
    let silent = server(|_, _| Vec::new()).await;
    let (code, diff, words) =
        replay(&[&file, &format!("ws://{silent}/no"), "--timeout", "0.3"]).await;
    assert!(code == 1 && diff.contains("it is refused with status 402"), "{diff}");
    assert!(words.contains("9 of 9 answers and 2 ends"), "{words}");
    let (code, diff, _) = replay(&[&file, "ws://127.0.0.1:1", "--timeout", "0.3"]).await;
    assert!(code == 1 && diff.contains("cannot be reached"), "{diff}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_expects_the_refusals_of_an_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("refused.har");
    let url = format!("ws://{}", server(session).await);
    for (path, code, words) in [("/no", 0, ""), ("/yes", 1, "it was refused with status 402")] {
        let entry = json!({
            "_resourceType": "websocket", "startedDateTime": "2025-03-01T10:00:00.000Z",
            "request": {"url": format!("ws://a.example{path}")}, "response": {"status": 402},
        });
        let archive = json!({"log": {"entries": [entry]}});
        std::fs::write(&file, archive.to_string()).expect("written");
        let file = file.to_str().expect("text");
        let (ended, diff, said) = replay(&[file, &url, "--timeout", "0.3"]).await;
        assert!(ended == code && diff.contains(words), "{path}: {diff} {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_accepts_any_order_and_carries_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let token: Answer = |text, number| match text {
        "" => vec![json!({"token": format!("token-{number}")}).to_string()],
        text if text == format!("token-{number}") => vec!["right".to_owned()],
        "hello" => vec!["a".to_owned(), "b".to_owned()],
        _ => vec!["wrong".to_owned()],
    };
    let upstream = server(token).await;
    let front = Front::of(upstream).await;
    let traffic = Tap::of(front.traffic, front.tap.hub.clone());
    let mut ws: Ws = traffic.ws("/").await;
    ws.text().await;
    ws.send("token-0").await;
    assert_eq!(ws.text().await, "right");
    ws.send("hello").await;
    ws.text().await;
    ws.text().await;
    ws.close(1000, "").await;
    let hub = &front.tap.hub;
    until("all events", || hub.connections().is_empty()).await;
    let file = folder.path().join("session.har").display().to_string();
    std::fs::write(&file, front.tap.get("/api/events?format=har").await.body).expect("written");
    let url = format!("ws://{upstream}");
    let (code, diff, _) = replay(&[&file, &url, "--ignore", "token"]).await;
    assert!(code == 1 && diff.contains("- right") && diff.contains("+ wrong"), "{diff}");
    let (code, _, words) = replay(&[&file, &url, "--ignore", "token", "--carry", "token"]).await;
    assert_eq!(code, 0, "{words}");
    let turned = server(|text, number| match text {
        "" => vec![json!({"token": format!("token-{number}")}).to_string()],
        "hello" => vec!["b".to_owned(), "a".to_owned()],
        _ => vec!["right".to_owned()],
    })
    .await;
    let url = format!("ws://{turned}");
    assert_eq!(replay(&[&file, &url, "--ignore", "token"]).await.0, 1);
    assert_eq!(replay(&[&file, &url, "--ignore", "token", "--any-order"]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stand_in_answers_the_clients_of_its_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, file) = record(session, folder.path()).await;
    let mut standing =
        Running::start(&["replay", "--serve", &file, "--listen", "127.0.0.1:0", "--speed", "max"]);
    let words = standing.says("Ctrl-C stops.").await;
    let at = words
        .split_whitespace()
        .find(|word| word.starts_with("ws://"))
        .expect("an address")
        .to_owned();
    // Twice, since each connection is played again when all have had their turn.
    for _ in 0..2 {
        let (code, diff, words) = replay(&[&file, &at, "--speed", "max"]).await;
        assert_eq!(code, 0, "{diff}{words}");
    }
    let addr = at.trim_start_matches("ws://").parse().expect("an address");
    let tap = Tap::of(addr, wstap::Hub::new(wstap::Settings::default()));
    // The path alone is enough, and messages may come in another order, or be others.
    let mut ws = tap.ws("/chat?room=9").await;
    ws.text().await;
    ws.send("two").await;
    assert_eq!((ws.text().await, ws.text().await), ("one".to_owned(), "two".to_owned()));
    ws.send("never said").await;
    assert!(ws.text().await.contains("\"said\":\"hello\""));
    standing.says("sent a message that is not recorded: never said").await;
    let url = format!("ws://{addr}/elsewhere");
    let tcp = tokio::net::TcpStream::connect(addr).await.expect("it is there");
    let refused = within("an answer", tokio_tungstenite::client_async(url, tcp)).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 404));
    standing.says("asks for /elsewhere, which is not recorded").await;
    standing.ends("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_of_hub_mode_replays_against_a_hub() {
    let tap = Tap::start().await;
    let mut ws = tap.registered("a").await;
    ws.send(r#"{"connectionId":"a","message":1}"#).await;
    ws.send("two").await;
    ws.close(1000, "").await;
    until("the close", || tap.hub.head().1 == 4).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hub.ndjson");
    std::fs::write(&file, tap.get("/api/events?format=ndjson").await.body).expect("written");
    let (code, _, words) =
        replay(&[&file.display().to_string(), &format!("ws://{}", tap.addr)]).await;
    assert_eq!(code, 0, "{words}");
    until("the same again", || tap.hub.head().1 == 8).await;
    let said = tap.get("/api/events?kind=message").await.json();
    let said: Vec<_> =
        said.as_array().expect("a list").iter().map(|event| event["message"].clone()).collect();
    assert_eq!(said, [json!(1), json!("two"), json!(1), json!("two")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reports_why_a_recording_cannot_be_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let empty = file("empty.ndjson", "");
    let odd = file("odd.ndjson", "hello\n");
    let har = file("none.har", "{\"log\":{\"entries\":[]}}");
    for (arguments, code, part) in [
        (vec![empty.as_str(), "ws://localhost:1"], 1, "no connection in it"),
        (vec![&odd, "ws://localhost:1"], 1, "line 1: this is no event of wstap"),
        (vec![&har, "ws://localhost:1"], 1, "no WebSocket messages"),
        (vec!["/nowhere", "ws://localhost:1"], 1, "/nowhere"),
        (vec![&odd, "localhost"], 2, "such as ws://localhost:9000"),
        (vec![&odd], 2, "URL"),
        (vec![&odd, "ws://a", "--speed", "1000"], 2, "from 0.1 to 100, or max"),
        (vec![&odd, "ws://a", "--ignore", "a..b"], 2, "keys joined by dots"),
        (vec![&odd, "ws://a", "--header", "x"], 2, "a name and a value"),
        (vec!["--serve", &odd, "--listen", "nowhere"], 1, "line 1"),
        (vec!["--serve", &odd, "ws://a"], 2, "cannot be used with"),
    ] {
        let (got, _, words) = replay(&arguments).await;
        assert!(got == code && words.contains(part), "{arguments:?}: {got} {words}");
    }
}

/// Returns a recording of a connection with so many messages, each with an answer.
fn conversation(messages: u64) -> String {
    let connect = r#"{"id":"1000-0","kind":"connect","connectionId":"a","path":"/","headers":{"origin":"http://localhost:1"},"upstream":"ws://localhost:1","status":101}"#;
    let message = |ms: u64, direction: &str, text: String| {
        json!({"id": format!("{ms}-0"), "kind": "message", "connectionId": "a", "direction": direction,
            "opcode": "text", "size": text.len(), "message": text, "wire": 9})
    };
    let pairs = (0..messages).flat_map(|n| {
        let ms = 1001 + 2 * n;
        [message(ms, "in", format!("q{n}")), message(ms + 1, "out", format!("a{n}"))]
    });
    let lines = pairs.map(|line| line.to_string());
    [connect.to_owned()].into_iter().chain(lines).map(|line| line + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_server_holds_a_connection_up_once_and_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    // Each missing answer for itself would take 600 s.
    std::fs::write(&file, conversation(300)).expect("written");
    let addr = server(|_, _| Vec::new()).await;
    let url = format!("ws://{addr}");
    let arguments = [file.as_str(), &url, "--speed", "max", "--timeout", "2"];
    let (code, _, said) = within("the replay", replay(&arguments)).await;
    assert_eq!(code, 1);
    assert!(said.contains("a: the server answers nothing"), "{said}");
    assert!(said.contains("sent 300 messages; 300 of 300 answers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_sends_the_origin_of_the_server_that_it_is_played_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    std::fs::write(&file, conversation(1)).expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let url = format!("ws://{addr}");
    let head = async {
        let (mut tcp, _) = listener.accept().await.expect("a client");
        crate::proxy::read_head(&mut tcp).await
    };
    let arguments = [file.as_str(), &url, "--timeout", "2"];
    let (head, (code, _, _)) =
        within("both", async { tokio::join!(head, replay(&arguments)) }).await;
    assert_eq!(code, 1);
    assert!(head.to_ascii_lowercase().contains(&format!("origin: http://{addr}\r\n")), "{head}");
}
