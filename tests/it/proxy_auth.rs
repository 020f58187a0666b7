//! `--proxy-auth`: proxied traffic needs a grant, and its credential does not reach the upstream.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use tokio::io::AsyncWriteExt as _;

use crate::cli::{Running, output, wstap};
use crate::harness::{ask, request_at, within};
use crate::proxy::{Back, SWITCH, read_head};

/// An upstream that notes what it is asked.
async fn upstream() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let note = Arc::clone(&seen);
    let router = axum::Router::new().fallback(move |request: Request| {
        let entry = format!("{} {:?}", request.uri(), request.headers());
        note.lock().expect("no panic").push(entry);
        async { "page" }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, seen)
}

/// A token for everything, one for nothing but reading, and the folder with their file.
struct Tokens {
    dir: tempfile::TempDir,
    all: String,
    small: String,
}

impl Tokens {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("tokens");
        let file = file.to_str().expect("text");
        let made = |name: &str, grants: &str| {
            let (code, out, words) = output(&["token", "new", name, grants, "--token-file", file]);
            assert_eq!(code, 0, "{words}");
            out.trim().to_owned()
        };
        let (all, small) = (made("ann", "all"), made("bob", "observe"));
        Self { dir, all, small }
    }

    /// Takes a token out of the file.
    fn remove(&self, name: &str) {
        let text = std::fs::read_to_string(self.file()).expect("the file");
        let name = format!("{name} ");
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with(&name)).collect();
        std::fs::write(self.file(), kept.join("\n")).expect("written");
    }

    fn file(&self) -> String {
        self.dir.path().join("tokens").display().to_string()
    }
}

/// The program in front of an upstream, and the address of its traffic.
fn front(port: u16, tokens: &Tokens, more: &[&str]) -> (Running, std::net::SocketAddr) {
    let upstream = format!("http://127.0.0.1:{port}");
    let ports = ["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0"];
    let mut server = Running::start(
        wstap()
            .args(ports)
            // An upstream that a flag names is connected to at the start.
            .env("WSTAP_UPSTREAM", upstream)
            .args(["--token-file", &tokens.file()])
            .args(more),
    );
    server.until("Ctrl-C stops.");
    let words = server.words();
    let line = words.lines().find(|line| line.contains("Connect to")).expect("an address");
    let addr = line.rsplit("//").next().expect("an address").trim().parse().expect("an address");
    (server, addr)
}

#[tokio::test]
async fn proxied_request_needs_connect_and_its_credential_stays_here() {
    let (port, seen) = upstream().await;
    let tokens = Tokens::new();
    let (_server, addr) = front(port, &tokens, &["--proxy-auth"]);
    let (all, small) = (&tokens.all, &tokens.small);
    let bearer = |token: &str| format!("Bearer {token}");
    let cookie = format!("a=1; wstap={all}; b=2");
    let protocols = format!("chat, wstap.bearer.{all}");
    let query = format!("/x?a=%20&access_token={all}&b=1");
    let (with_all, with_small) = (bearer(all), bearer(small));
    for (path, headers, status, right) in [
        ("/x", vec![], 401, ""),
        ("/x", vec![("authorization", "Bearer wrong")], 401, ""),
        ("/x", vec![("authorization", &*with_small)], 403, ""),
        ("/x?access_token=wrong", vec![], 401, ""),
        ("/x", vec![("authorization", &*with_all)], 200, "/x "),
        ("/x", vec![("cookie", &*cookie)], 200, "a=1; b=2"),
        ("/x", vec![("sec-websocket-protocol", &*protocols)], 200, "\"chat\""),
        (&query, vec![], 200, "/x?a=%20&b=1 "),
        // The other credential is that of the upstream.
        (&query, vec![("authorization", "Bearer of-upstream")], 200, "Bearer of-upstream"),
    ] {
        let answer = request_at(addr, "GET", path, &headers, "").await;
        assert_eq!(answer.status().as_u16(), status, "{path} {headers:?}");
        let last = seen.lock().expect("no panic").pop();
        match last {
            Some(last) if status == 200 => {
                assert!(last.contains(right), "{right} in {last}");
                assert!(!last.contains(all.as_str()) && !last.contains(small.as_str()), "{last}");
            }
            Some(last) => panic!("{status} reached the upstream: {last}"),
            None => assert_ne!(status, 200, "{path}"),
        }
    }
}

#[tokio::test]
async fn cookie_of_the_pages_does_not_reach_the_upstream_without_proxy_auth_either() {
    let (port, seen) = upstream().await;
    let tokens = Tokens::new();
    let (_server, addr) = front(port, &tokens, &[]);
    let cookie = format!("a=1; wstap={}", tokens.all);
    let headers = [("cookie", cookie.as_str()), ("authorization", "Bearer of-upstream")];
    assert_eq!(request_at(addr, "GET", "/", &headers, "").await.status(), 200);
    let last = seen.lock().expect("no panic").pop().expect("it is asked");
    assert!(last.contains("\"a=1\"") && last.contains("of-upstream"), "{last}");
    assert!(!last.contains(&tokens.all), "{last}");
}

#[tokio::test]
async fn relayed_socket_ends_with_its_token_and_has_its_user() {
    let back = Back::new().await;
    let tokens = Tokens::new();
    let (server, addr) = front(back.addr.port(), &tokens, &["--proxy-auth"]);
    let mut tcp = tokio::net::TcpStream::connect(addr).await.expect("the server is there");
    let head = format!(
        "GET /x HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chat, wstap.bearer.{}\r\n\r\n",
        tokens.all
    );
    tcp.write_all(head.as_bytes()).await.expect("sent");
    let (mut upstream, asked) = back.accept().await;
    assert!(asked.contains("chat") && !asked.contains("bearer"), "{asked}");
    upstream.write_all(format!("{SWITCH}\r\n").as_bytes()).await.expect("sent");
    assert!(read_head(&mut tcp).await.starts_with("HTTP/1.1 101"));
    let observers = server.url().trim_start_matches("http://").parse().expect("an address");
    let bearer = format!("Bearer {}", tokens.small);
    let auth = [("authorization", bearer.as_str())];
    let list = request_at(observers, "GET", "/api/connections", &auth, "").await;
    let list = http_body_util::BodyExt::collect(list.into_body()).await.expect("a body");
    let list = String::from_utf8_lossy(&list.to_bytes()).into_owned();
    assert!(list.contains("\"user\":\"ann\"") && !list.contains(&tokens.all), "{list}");
    tokens.remove("ann");
    let mut close = [0; 4];
    let read = tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut close);
    within("a close frame", read).await.expect("a frame");
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 4401));
}

#[test]
fn proxy_auth_needs_an_upstream_and_credentials() {
    for (arguments, right) in [
        (&["--proxy-auth"][..], "proxy mode"),
        (&["--proxy-auth", "--upstream", "http://127.0.0.1:9"], "needs credentials"),
        (
            &["--proxy-auth", "--upstream", "http://127.0.0.1:9", "--jwt-key", "k", "--no-auth"],
            "exclude each other",
        ),
    ] {
        let (code, _, words) = output(arguments);
        assert!(code == 2 && words.contains(right), "{arguments:?}: {words}");
    }
}

/// What the application has in a place of wstap is its own.
#[tokio::test]
async fn parameters_of_the_application_do_not_count_as_wrong_beside_a_good_credential() {
    let (port, seen) = upstream().await;
    let tokens = Tokens::new();
    let (_server, addr) = front(port, &tokens, &["--proxy-auth", "--rate-sign-ins", "1"]);
    let bearer = format!("Bearer {}", tokens.all);
    for n in 0..30 {
        let path = format!("/page?access_token=own-{n}&ticket=42");
        let answer = request_at(addr, "GET", &path, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status(), 200, "{n}");
    }
    assert!(
        seen.lock()
            .expect("no panic")
            .iter()
            .any(|it| it.contains("access_token=own-29&ticket=42"))
    );
    let wrong = request_at(addr, "GET", "/page?ticket=43", &[], "").await;
    assert_eq!(wrong.status(), 401, "none of them has counted");
}

/// An event stream, an answer without a length, and one with it. None of them ends by itself.
#[tokio::test]
async fn proxied_stream_ends_with_its_token_and_a_download_does_not() {
    let answer = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    let stream = answer("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked");
    let lines = answer("Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked");
    let sized = answer("Content-Type: application/zip\r\nContent-Length: 9");
    for (head, more, ends) in [
        (&stream, &["--proxy-auth"][..], true),
        (&stream, &["--proxy-auth", "--no-tap-sse"], true),
        (&lines, &["--proxy-auth"], true),
        (&sized, &["--proxy-auth"], false),
        (&stream, &[], false),
    ] {
        let back = Back::new().await;
        let tokens = Tokens::new();
        let (server, addr) = front(back.addr.port(), &tokens, more);
        let mut tcp = tokio::net::TcpStream::connect(addr).await.expect("the server is there");
        let asked = format!(
            "GET /x HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\n\r\n",
            tokens.all
        );
        tcp.write_all(asked.as_bytes()).await.expect("sent");
        let (mut upstream, _) = back.accept().await;
        upstream.write_all(head.as_bytes()).await.expect("sent");
        assert!(read_head(&mut tcp).await.starts_with("HTTP/1.1 200"));
        let observers = server.url().trim_start_matches("http://").parse().expect("an address");
        tokens.remove("ann");
        // The witness that the server has read the file.
        let bearer = format!("Bearer {}", tokens.all);
        let auth = [("authorization", bearer.as_str())];
        ask("the file is read", async || {
            let answer = request_at(observers, "GET", "/api/connections", &auth, "").await;
            (answer.status() == 401).then_some(())
        })
        .await;
        let mut rest = Vec::new();
        if ends {
            let end = tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut rest);
            within("the end of the stream", end).await.expect("it is read");
            assert!(!rest.ends_with(b"0\r\n\r\n"), "it is cut off: {rest:?}");
        } else {
            let body: &[u8] = if head == &sized { b"123456789" } else { b"9\r\n123456789\r\n" };
            upstream.write_all(body).await.expect("it is still open");
            rest.resize(body.len(), 0);
            let read = tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut rest);
            within("the rest", read).await.expect("it is read");
            assert_eq!(rest, body);
        }
        if ends && head == &stream && more.len() == 1 {
            let bearer = format!("Bearer {}", tokens.small);
            let auth = [("authorization", bearer.as_str())];
            let close = ask("its close", async || {
                let list = request_at(observers, "GET", "/api/events?kind=close", &auth, "").await;
                let list =
                    http_body_util::BodyExt::collect(list.into_body()).await.expect("a body");
                let list = String::from_utf8_lossy(&list.to_bytes()).into_owned();
                list.contains("\"close\"").then_some(list)
            })
            .await;
            assert!(close.contains("4401") && close.contains("grants this no more"), "{close}");
        }
    }
}
