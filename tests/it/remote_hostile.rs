//! Attacks on a server that decides by `--auth-url`: what it is told, what it is asked, and what happens
//! while it hangs.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::IntoResponse as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::{Running, wstap};
use crate::harness::within;
use crate::remote::{Other, addr, decide, get, serve};

/// Sends a head as it stands, and returns the status of the answer.
async fn raw(to: SocketAddr, target: &[u8], fields: &str) -> u16 {
    let mut tcp = TcpStream::connect(to).await.expect("the server is there");
    let tail = format!(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    tcp.write_all(&[b"GET ", target, tail.as_bytes()].concat()).await.expect("sent");
    let mut answer = Vec::new();
    within("an answer", tcp.read_to_end(&mut answer)).await.expect("read");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// The targets that the other server was told of.
fn told(other: &Other) -> Vec<Vec<u8>> {
    let seen = other.seen.lock().expect("no panic");
    let uri =
        |fields: &http::HeaderMap| fields.get("x-forwarded-uri").map(|it| it.as_bytes().to_vec());
    seen.iter().map(|(_, fields)| uri(fields).unwrap_or_default()).collect()
}

#[tokio::test]
async fn target_is_judged_as_it_was_sent() {
    let other = Other::start(Arc::new(decide)).await;
    let server = serve(&["--auth-url", &other.url("/verify")]);
    let field = "Authorization: Bearer ann\r\n";
    let utf8 = "/api/info?x=\u{e9}".as_bytes();
    assert_eq!(raw(addr(&server), utf8, field).await, 200);
    assert_eq!(told(&other), [utf8]);

    let origin = axum::Router::new().fallback(async || "page");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let upstream = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(listener, origin).await });
    let other = Other::start(Arc::new(decide)).await;
    let mut front = Running::start(
        wstap()
            .args(["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0", "--proxy-auth"])
            .args(["--upstream", &upstream, "--auth-url", &other.url("/verify")]),
    );
    front.until("Ctrl-C stops.");
    let words = front.words();
    let line = words.lines().find(|line| line.contains("Connect to")).expect("an address");
    let traffic = line.rsplit("//").next().and_then(|it| it.trim().parse().ok());
    let traffic = traffic.expect("an address");
    let targets = [&b"/public\\..\\admin"[..], b"/a|b", b"/a^b", b"/a_b", b"/\xff"];
    for target in targets {
        raw(traffic, target, field).await;
    }
    assert_eq!(told(&other), targets, "each is judged by itself");
}

#[tokio::test]
async fn client_cannot_say_that_its_request_is_one_about_a_request() {
    let other = Other::start(Arc::new(decide)).await;
    let server = serve(&["--auth-url", &other.url("/verify"), "--rate-sign-ins", "1"]);
    let mut refused = 0;
    for n in 0..30 {
        let wrong = format!("Bearer wrong-{n}");
        let headers = [("authorization", &*wrong), ("wstap-subrequest", "1")];
        match get(&server, "/api/info", &headers).await.status {
            401 => refused += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!((refused, other.asked()), (11, 11), "wrong credentials count");
}

#[tokio::test]
async fn server_asks_itself_once_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let own = format!("127.0.0.1:{port}");
    let url = format!("http://{own}/api/info");
    let mut server = Running::start(wstap().args(["--listen", &own, "--auth-url", &url]));
    server.until("Ctrl-C stops.");
    let answer = get(&server, "/api/info", &[("authorization", "Bearer x")]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"auth_unavailable".into()));
}

/// Were they asked about one after the other, the last would wait for more than a minute.
#[tokio::test]
async fn requests_wait_together_for_a_server_that_hangs_and_health_does_not() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/verify", hanging.local_addr().expect("it is bound"));
    let server = Arc::new(serve(&["--auth-url", &url]));
    let asking: Vec<_> = (0..15)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                get(&server, "/api/info", &[("authorization", "Bearer x")]).await.status
            })
        })
        .collect();
    let (first, _) = within("a question", hanging.accept()).await.expect("accepted");
    assert_eq!(get(&server, "/healthz", &[]).await.status, 200);
    assert_eq!(get(&server, "/readyz", &[]).await.status, 200);
    assert!(asking.iter().all(|it| !it.is_finished()), "they still wait");
    within("all answers", async {
        for one in asking {
            assert_eq!(one.await.expect("no panic"), 503);
        }
    })
    .await;
    drop((first, hanging));
}

#[tokio::test]
async fn ticket_is_judged_by_the_path_that_it_opens() {
    let other = Other::start(Arc::new(|request| {
        let uri = request.headers().get("x-forwarded-uri").and_then(|it| it.to_str().ok());
        match uri {
            Some(uri) if uri.starts_with("/api/connections") => {
                http::StatusCode::FORBIDDEN.into_response()
            }
            _ => decide(request),
        }
    }));
    let other = other.await;
    let server = serve(&["--auth-url", &other.url("/verify")]);
    let ticket = async || {
        let auth = [("authorization", "Bearer ann")];
        let made =
            crate::harness::request_at(addr(&server), "POST", "/api/tickets", &auth, "").await;
        let body = http_body_util::BodyExt::collect(made.into_body()).await.expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        body["ticket"].as_str().expect("a ticket").to_owned()
    };
    let path = format!("/api/connections?ticket={}", ticket().await);
    assert_eq!(get(&server, &path, &[]).await.status, 403);
    let path = format!("/api/info?ticket={}", ticket().await);
    assert_eq!(get(&server, &path, &[]).await.status, 200);
}
