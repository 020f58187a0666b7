//! Names through proxy mode: Host, Origin, redirects, cookies, and refusals because of them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wstap::hub::Settings;
use wstap::proxy::{ForwardedHeaders, HostHeader, ProxySettings};
use wstap::redact::{Redaction, Rules};

use crate::harness::within;
use crate::proxy::{Back, Front, SWITCH, next_of_kind, read_head};

async fn front(back: &Back, change: impl FnOnce(&mut ProxySettings)) -> Front {
    let upstream = format!("http://{}", back.addr);
    Front::with(&upstream, Settings::default(), |settings| {
        settings.host = HostHeader::Auto;
        change(settings);
    })
    .await
}

/// Returns the value of a field of a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A server that compares Origin with Host, as Tornado, gorilla, Bokeh and Django do.
async fn same_origin(back: &Back) -> (TcpStream, String) {
    let (mut tcp, head) = back.accept().await;
    let host = field(&head, "host").expect("a host");
    let same = field(&head, "origin").is_none_or(|origin| origin == format!("http://{host}"));
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\nCross origin refused";
    let answer = if same { format!("{SWITCH}\r\n") } else { refusal.to_owned() };
    tcp.write_all(answer.as_bytes()).await.expect("sent");
    (tcp, head)
}

#[tokio::test]
async fn server_on_this_machine_that_compares_origin_with_host_accepts_a_page_of_wstap() {
    let back = Back::new().await;
    let front = front(&back, |_| {}).await;
    let origin = format!("Origin: http://{}\r\n", front.traffic);
    let ((_, head), _server) = tokio::join!(front.shake("/", &origin), same_origin(&back));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn server_with_a_list_of_origins_accepts_one_that_is_rewritten() {
    let back = Back::new().await;
    let front = front(&back, |settings| settings.rewrite_origin = true).await;
    let more = format!("Origin: http://{0}\r\nReferer: http://{0}/a\r\n", front.traffic);
    let ((_, answer), (_server, head)) = tokio::join!(front.shake("/", &more), same_origin(&back));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let own = format!("http://{}", back.addr);
    assert_eq!(field(&head, "host"), Some(&*back.addr.to_string()));
    assert_eq!(field(&head, "origin"), Some(&*own));
    assert_eq!(field(&head, "referer"), Some(&*format!("{own}/a")));
}

#[tokio::test]
async fn page_of_a_rebound_name_is_not_taken_for_one_of_the_upstream() {
    let back = Back::new().await;
    let front = front(&back, |settings| settings.rewrite_origin = true).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let request = "GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n";
    client.write_all(request.as_bytes()).await.expect("sent");
    let (_server, head) = back.accept().await;
    assert_eq!(field(&head, "host"), Some("evil.example"));
    assert_eq!(field(&head, "origin"), Some("http://evil.example"));
}

#[tokio::test]
async fn redirect_and_cookie_that_name_the_upstream_name_wstap() {
    let back = Back::new().await;
    let upstream = format!("http://localhost:{}", back.addr.port());
    let front = Front::with(&upstream, Settings::default(), |_| {}).await;
    let mut client = TcpStream::connect(front.traffic).await.expect("there");
    let request = format!("GET /docs HTTP/1.1\r\nHost: {}\r\n\r\n", front.traffic);
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut server, _) = back.accept().await;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {upstream}/docs/\r\n\
         Set-Cookie: a=1; Domain=localhost; Path=/\r\nContent-Length: 0\r\n\r\n"
    );
    server.write_all(answer.as_bytes()).await.expect("sent");
    let head = read_head(&mut client).await;
    assert_eq!(field(&head, "location"), Some(&*format!("http://{}/docs/", front.traffic)));
    assert_eq!(field(&head, "set-cookie"), Some("a=1; Path=/"));
}

#[tokio::test]
async fn refused_handshake_says_what_would_help() {
    let back = Back::new().await;
    let paths = vec!["**.token".parse().expect("a path")];
    let redaction = Redaction::new(Rules { paths, ..Rules::default() });
    let settings = Settings { redaction, ..Settings::default() };
    let front = Front::with(&format!("http://{}", back.addr), settings, |_| {}).await;
    let mut events = front.tap.events("?format=full").await;
    let body = format!("{{\"token\": \"hunter2\", \"why\": \"{}\"}}", "x".repeat(5000));
    let refuse = async {
        let (mut tcp, _) = back.accept().await;
        let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json";
        let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        tcp.write_all(answer.as_bytes()).await.expect("sent");
        tcp
    };
    let more = format!("Origin: http://{}\r\n", front.traffic);
    let ((mut client, head), _server) = tokio::join!(front.shake("/ws", &more), refuse);
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let mut passed = vec![0; body.len()];
    within("the body", client.read_exact(&mut passed)).await.expect("it passes");
    assert!(passed == body.as_bytes());
    let close = next_of_kind(&mut events, "close").await;
    assert_eq!(close["status"], 403);
    assert_eq!(close["headers"]["host"], back.addr.to_string());
    assert_eq!(close["headers"]["origin"], format!("http://{}", front.traffic));
    let (answer, hint) = (close["answer"].as_str(), close["hint"].as_str());
    let (answer, hint) = (answer.expect("a text"), hint.expect("a text"));
    assert!(answer.starts_with("{\"token\": \"[redacted]\"") && answer.len() < 2100, "{answer}");
    assert!(hint.contains("--preserve-host") && hint.contains("--rewrite-origin"), "{hint}");
}

#[tokio::test]
async fn forwarded_headers_are_left_out_where_that_is_asked_for() {
    let back = Back::new().await;
    for (mode, left) in [
        (ForwardedHeaders::Strip, None),
        (ForwardedHeaders::Pass, Some("1.2.3.4")),
        (ForwardedHeaders::Add, Some("1.2.3.4, 127.0.0.1")),
    ] {
        let front = front(&back, |settings| settings.forwarded = mode).await;
        let shake = front.shake("/", "X-Forwarded-For: 1.2.3.4\r\n");
        let (_, (_server, head)) = tokio::join!(shake, same_origin(&back));
        assert_eq!(field(&head, "x-forwarded-for"), left);
        let added = mode == ForwardedHeaders::Add;
        assert_eq!(field(&head, "traceparent").is_some(), added);
        assert_eq!(field(&head, "x-forwarded-host").is_some(), added);
    }
}
