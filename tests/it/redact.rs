//! What is to be hidden is seen nowhere, wherever it was said; and what passes is not touched.
//!
//! Every secret that is planted here has `unter` in it, also where it begins with an escape.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use flate2::{Compress, Compression, FlushCompress};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::redact::{Binary, Redaction, Rules};

use crate::cli::{Running, output, wstap};
use crate::harness::{Events, Tap, ask_blocking, until, within};
use crate::proxy::{Back, Front, SWITCH, echo, next_of_kind, read_head};

fn rules() -> Rules {
    Rules {
        paths: ["message.password", "**.note"].map(|path| path.parse().expect("a path")).into(),
        headers: vec!["User-Agent".into()],
        patterns: vec!["hunter-[0-9]+".parse().expect("a pattern")],
        query: vec!["q".into()],
        defaults: true,
        binary: Binary::Hide,
    }
}

fn settings() -> Settings {
    Settings { redaction: Redaction::new(rules()), ..Settings::default() }
}

/// A frame of a client, masked with zeros, or of a server.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let (mask, key): (u8, &[u8]) = if masked { (0x80, &[0; 4]) } else { (0, &[]) };
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("short");
    [&[first, mask | length], key, payload].concat()
}

fn deflated(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).expect("room");
    out.truncate(out.len() - 4);
    out
}

/// What a client says, with secrets in everything.
fn secrets(own_id: &str) -> Vec<Vec<u8>> {
    let text = |text: &str| frame(0x81, true, text.as_bytes());
    vec![
        text(r#"{"password":"hunterpath", "price":1.50}"#),
        text(&format!(
            r#"{{"connectionId":"{own_id}","message":{{"password":{{"a":"hunterdeep"}}}},"note":["huntersfield"]}}"#
        )),
        text(r#"{"pass\u0077ord":"hunterescape","x":"\u0068unter-6","x":"hunter-7"}"#),
        text("say hunter-8 and Authorization: Bearer hunterbearer.x"),
        text(r#"42["login",{"password":"huntersocketio"}]"#),
        text(r#"["card",4111111111111111,"5500 0000 0000 0004"]"#),
        text("form=1&api_key=hunterform"),
        frame(0x01, true, b"in fragments hun"),
        frame(0x80, true, b"ter-9 ended"),
        frame(0x82, true, b"hunter-10 in binary"),
    ]
}

fn close(masked: bool) -> Vec<u8> {
    frame(0x88, masked, &[&4000_u16.to_be_bytes()[..], b"bye hunter-11"].concat())
}

const HANDSHAKE: &str = "User-Agent: hunteragent\r\nAuthorization: Bearer hunterheader\r\n\
     Cookie: session=huntercookie\r\nX-Forwarded-For: hunter-3\r\nOrigin: http://localhost\r\n\
     Sec-WebSocket-Protocol: access_token, hunterprotocol\r\n";

const PATH: &str = "/ws/hunter-1?connectionId=room-hunter-2&q=hunterquery&x=%68unter-4\
     &access_token=hunteraccess&y=h%75nter-5";

/// Asserts that no secret stands in what was shown, in any form.
#[track_caller]
fn is_clean(what: &str, shown: &str) {
    let shown = shown.replace("counter", "");
    for secret in ["unter", "aHVudGVy", "41111111", "5500 0000", "0000 0004"] {
        assert!(!shown.contains(secret), "{secret} in {what}: {shown}");
    }
}

/// A listener in each form.
async fn listeners(tap: &Tap) -> Vec<(&'static str, Events)> {
    let mut all = Vec::new();
    for query in ["", "?names=1", "?format=full", "?format=ndjson"] {
        all.push((query, tap.events(query).await));
    }
    all
}

/// Reads everything that the observers' side shows of what has happened, and of who is here.
async fn everything(tap: &Tap) -> Vec<(String, String)> {
    let mut paths: Vec<String> = [
        "/api/events",
        "/api/events?format=ndjson&order=desc",
        "/api/events?format=har",
        "/listen?after=0-0&wait=0s",
        "/api/connections",
        "/api/channels",
        "/api/listeners",
        "/api/info",
        "/metrics",
    ]
    .map(str::to_owned)
    .into();
    let events = tap.get("/api/events").await.json();
    let ids = events.as_array().expect("a list").iter().filter_map(|event| event["id"].as_str());
    paths.extend(ids.map(|id| format!("/api/events/{id}")));
    for entry in tap.hub.connections() {
        let id = entry.id.as_str().replace('[', "%5B").replace(']', "%5D");
        paths.push(format!("/api/connections/{id}"));
    }
    let mut all = Vec::new();
    for path in paths {
        let answer = tap.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        all.push((path, answer.body));
    }
    all
}

async fn handshake(addr: SocketAddr) -> (TcpStream, String) {
    let mut tcp = TcpStream::connect(addr).await.expect("the server is there");
    tcp.write_all(request(PATH).as_bytes()).await.expect("sent");
    let head = read_head(&mut tcp).await;
    (tcp, head)
}

fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {HANDSHAKE}\r\n"
    )
}

#[tokio::test]
async fn no_secret_is_shown_anywhere_in_hub_mode() {
    let tap = Tap::with(settings(), |_| {}).await;
    let mut listeners = listeners(&tap).await;
    let (mut client, head) = handshake(tap.addr).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let sent = secrets("room-hunter-2");
    client.write_all(&sent.concat()).await.expect("sent");
    let events = sent.len(); // one for the connect, one less for the fragments
    until("all events", || tap.hub.head().1 >= events as u64).await;
    let shown_id = tap.hub.connections()[0].id.clone();
    let before = everything(&tap).await;

    let path =
        format!("/api/connections/{shown_id}/messages").replace('[', "%5B").replace(']', "%5D");
    let said = r#"{"password":"hunterpost"}"#;
    let headers = [("content-type", "application/json")];
    assert_eq!(tap.fetch("POST", &path, &headers, said).await.status, 202);
    let mut answer = vec![0; said.len() + 2];
    within("the message", client.read_exact(&mut answer)).await.expect("it comes");
    assert_eq!(answer, frame(0x81, false, said.as_bytes()), "what is sent is not touched");

    client.write_all(&close(true)).await.expect("sent");
    for (query, events) in &mut listeners {
        events.raw_until("\"close\"").await;
        is_clean(query, &events.raw);
        assert!(events.raw.contains("\"password\":\"[redacted]\","), "{}", events.raw);
        assert!(events.raw.contains("bye [redacted]") && events.raw.contains("1.50"));
    }
    for (path, shown) in before.into_iter().chain(everything(&tap).await) {
        is_clean(&path, &shown);
    }
    let all = tap.get("/api/events").await.json();
    let all = all.as_array().expect("a list");
    assert!(all.iter().all(|event| event["connectionId"] == shown_id.as_str()), "one connection");
    let of = |kind: &str| all.iter().filter(move |e| e["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("connect")[0]["headers"]["user-agent"], "[redacted]");
    assert_eq!(of("connect")[0]["headers"]["sec-websocket-protocol"], "access_token, [redacted]");
    let messages = of("message");
    assert_eq!(messages[0]["size"], sent[0].len() - 6, "sizes stay those of what was sent");
    assert_eq!(messages[2]["x"], Value::Null);
    let binary = messages.iter().find(|message| message["opcode"] == "binary").expect("one");
    assert_eq!((&binary["message"], &binary["encoding"]), (&"[redacted]".into(), &Value::Null));
    assert_eq!(of("close")[0]["close"]["reason"], "bye [redacted]");
}

#[tokio::test]
async fn an_id_with_a_secret_is_still_one_connections() {
    let tap = Tap::with(settings(), |_| {}).await;
    let mut first = tap.ws("/ws?connectionId=hunter-1").await;
    until("it", || tap.hub.numbers().connections == 1).await;
    let shown = tap.hub.connections()[0].id.clone();
    let _other = tap.ws("/ws?connectionId=hunter-2").await;
    until("the other", || tap.hub.numbers().connections == 2).await;
    let mut second = tap.ws("/ws?connectionId=hunter-1").await;
    assert_eq!(first.closed().await, 4409, "the same id replaces");
    second.send(r#"{"connectionId":"hunter-1","message":1}"#).await;
    second.send(r#"{"connectionId":"hunter-3","message":1}"#).await;
    assert_eq!(second.json().await["error"]["code"], "id_mismatch");
    until("two of them", || tap.hub.numbers().connections == 2).await;
    let path = format!("/api/events?kind=message&connection={}", encoded(shown.as_str()));
    let mine = tap.get(&path).await;
    assert_eq!(mine.json().as_array().map(Vec::len), Some(1));
    tap.get("/api/connections/hunter-1").await.is_problem(404, "not_found", "hunter-1");
    let path = format!("/api/connections/{}", encoded(shown.as_str()));
    assert_eq!(tap.fetch("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(second.closed().await, 1000);
}

fn encoded(id: &str) -> String {
    id.replace('[', "%5B").replace(']', "%5D").replace('~', "%7E")
}

#[tokio::test]
async fn no_secret_is_shown_anywhere_in_proxy_mode_and_every_byte_passes() {
    let back = Back::new().await;
    let front = Front::with(&format!("ws://{}", back.addr), settings(), |s| s.control = true).await;
    let mut listeners = listeners(&front.tap).await;
    let answer = format!(
        "{SWITCH}Sec-WebSocket-Protocol: hunter-12\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
         Set-Cookie: a=hunterset\r\n\r\n"
    );
    let ((mut client, got), (mut server, asked)) = tokio::join!(handshake(front.traffic), async {
        let (mut tcp, head) = back.accept().await;
        tcp.write_all(answer.as_bytes()).await.expect("sent");
        (tcp, head)
    });
    assert!(
        got.starts_with(answer.trim_end()),
        "the answer is not touched, but for a date behind it: {got}"
    );
    assert!(asked.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")), "{asked}");
    for line in HANDSHAKE.lines().filter(|line| !line.starts_with("X-Forwarded")) {
        assert!(asked.contains(line), "{line} in {asked}");
    }
    let compressed = deflated(r#"{"password":"huntercompressed","x":"hunter-13"}"#);
    let (half, rest) = compressed.split_at(compressed.len() / 2);
    let odd = [
        frame(0xc1, true, &deflated("a text with hunter-14")),
        frame(0x41, true, half),
        frame(0x80, true, rest),
        frame(0xc2, true, &deflated("hunter-15 in binary")),
        frame(0x89, true, b"hunter-16 ping"),
        frame(0x81, true, b"hunter-17, and \xff no UTF-8"),
    ];
    let said = [secrets("room-hunter-2"), odd.to_vec(), vec![close(true)]].concat().concat();
    client.write_all(&said).await.expect("sent");
    let mut heard = vec![0; said.len()];
    within("all of it", server.read_exact(&mut heard)).await.expect("it comes");
    assert!(heard == said, "what the client says is not touched");
    let reply = [
        frame(0x81, false, br#"{"password":"hunterreply"}"#),
        frame(0xc1, false, &deflated(r#"["hunter-18"]"#)),
        close(false),
    ]
    .concat();
    let before = everything(&front.tap).await;
    server.write_all(&reply).await.expect("sent");
    server.shutdown().await.expect("ended");
    let mut heard = Vec::new();
    within("all of it", client.read_to_end(&mut heard)).await.expect("it comes");
    assert!(heard == reply, "what the server says is not touched");
    drop(client);
    for (query, events) in &mut listeners {
        events.raw_until("\"close\"").await;
        is_clean(query, &events.raw);
    }
    for (path, shown) in before.into_iter().chain(everything(&front.tap).await) {
        is_clean(&path, &shown);
    }
    let all = front.tap.get("/api/events").await.json();
    let all = all.as_array().expect("a list");
    assert_eq!(all[0]["subprotocol"], "[redacted]");
    let compressed = all.iter().find(|e| e["fragments"] == 2 && e["compressed"] == true);
    let message = serde_json::json!({"password": "[redacted]", "x": "[redacted]"});
    assert_eq!(compressed.expect("one")["message"], message);
    let hidden = all.iter().filter(|e| e["message"] == "[redacted]").count();
    assert_eq!(hidden, 4, "two binary messages, a ping, and no text: {all:#?}");
}

#[tokio::test]
async fn no_secret_is_shown_of_a_handshake_that_fails() {
    let back = Back::new().await;
    let front = Front::with(&format!("ws://{}", back.addr), settings(), |_| {}).await;
    let mut events = front.tap.events("?format=full").await;
    let refusal = "HTTP/1.1 403 hunter-1\r\nContent-Length: 8\r\n\r\nhunter-2";
    let ((_client, got), ()) = tokio::join!(handshake(front.traffic), async {
        let (mut tcp, _) = back.accept().await;
        tcp.write_all(refusal.as_bytes()).await.expect("sent");
    });
    assert!(got.starts_with("HTTP/1.1 403 "), "{got}");
    let close = next_of_kind(&mut events, "close").await;
    is_clean("a refusal", &close.to_string());
    assert!(close["path"].as_str().is_some_and(|path| path.contains("q=[redacted]")), "{close}");
    drop(back);
    let (_client, got) = handshake(front.traffic).await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
    is_clean("a failure", &next_of_kind(&mut events, "close").await.to_string());
    for (path, shown) in everything(&front.tap).await {
        is_clean(&path, &shown);
    }
}

#[tokio::test]
async fn nothing_is_hidden_without_rules() {
    let front = Front::of(echo().await).await;
    let mut events = front.tap.events("?format=full").await;
    let (mut client, _) = front.shake("/?token=x", "").await;
    client.write_all(&frame(0x81, true, br#"{"password":"x"}"#)).await.expect("sent");
    assert_eq!(next_of_kind(&mut events, "connect").await["path"], "/?token=x");
    assert_eq!(next_of_kind(&mut events, "message").await["message"]["password"], "x");
}

/// Starts the program with all rules, and logs of everything.
fn server(more: &[&str]) -> Running {
    let mut command = wstap();
    command.env("RUST_LOG", "trace").env("WSTAP_REDACT_PATTERN", "hunter-[0-9]{1,3}\nunused");
    command.args(["--listen", "127.0.0.1:0", "--redact", "password", "--redact", "**.note"]);
    command.args(["--redact-header", "user-agent", "--redact-query", "q", "--redact-defaults"]);
    let mut server = Running::start(command.args(more));
    server.until("Ctrl-C stops.");
    server
}

fn say_everything(port: u16) {
    let mut tcp = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    tcp.write_all(request(PATH).as_bytes()).expect("sent");
    let mut byte = [0];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("more of a head");
        head.push(byte[0]);
    }
    tcp.write_all(&[secrets("room-hunter-2").concat(), close(true)].concat()).expect("sent");
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
}

/// Asserts that what is written of a server's events is clean, as an archive and as a recording.
fn files_are_clean(url: &str) {
    for format in ["har", "ndjson"] {
        let (code, written, said) = output(&["export", url, "--format", format]);
        assert_eq!(code, 0, "{said}");
        assert!(written.contains("bye [redacted]"), "{written}");
        is_clean(format, &written);
        is_clean("what export says", &said);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson").display().to_string();
    let record = Running::start(wstap().args(["record", url, &file, "--last", "100"]));
    let written = ask_blocking(
        || record.words(),
        || std::fs::read_to_string(&file).ok().filter(|it| it.contains("bye [redacted]")),
    );
    is_clean("a recording", &written);
    is_clean("what record says", &record.words());
}

#[test]
fn no_secret_stands_in_logs_or_in_what_is_printed_and_written() {
    let server = server(&[]);
    let mut watch = Running::start(wstap().args(["watch", &server.url(), "--last", "100"]));
    let mut lines =
        Running::start(wstap().args(["watch", &server.url(), "--last", "100", "--json"]));
    say_everything(server.port());
    watch.until("bye [redacted]");
    lines.until("bye [redacted]");
    is_clean("the logs", &server.words());
    is_clean("what watch prints", &watch.words());
    is_clean("what watch --json prints", &lines.words());
    files_are_clean(&server.url());
    assert!(server.words().contains("TRACE") || server.words().contains("DEBUG"), "there are logs");
}

#[test]
fn no_secret_stands_in_the_logs_of_proxy_mode() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", upstream.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        // The first connection is the check at the start, on which nothing is sent.
        let mut head = [0; 4096];
        let mut tcp = loop {
            let (mut tcp, _) = upstream.accept().expect("a connection");
            if tcp.read(&mut head).is_ok_and(|read| read > 0) {
                break tcp;
            }
        };
        tcp.write_all(format!("{SWITCH}\r\n").as_bytes()).expect("sent");
        tcp.write_all(&close(false)).expect("sent");
        tcp.shutdown(std::net::Shutdown::Write).expect("ended");
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest);
    });
    let server = server(&["--upstream", &url, "--tap-listen", "127.0.0.1:0"]);
    let words = server.words();
    let traffic = words.lines().find(|line| line.contains("Connect to")).expect("it is told");
    let port = traffic.trim_end().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let mut watch = Running::start(wstap().args(["watch", &server.url(), "--last", "100"]));
    say_everything(port.expect("a port"));
    watch.until("bye [redacted]");
    files_are_clean(&server.url());
    is_clean("the logs", &server.words());
    is_clean("what watch prints", &watch.words());
}
