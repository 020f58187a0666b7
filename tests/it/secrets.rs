//! Thirty secrets, each in a place of its own, are in nothing that a server or a command shows: logs at
//! trace level, metrics, events, lists, errors, the audit log, `--print-config`, process titles.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::IntoResponse as _;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use tungstenite::Message as Frame;
use tungstenite::client::IntoClientRequest as _;

use crate::cli::{Running, output, wstap};
use crate::harness::{request_at, within};

/// Secrets by the places that they stand in, and everything that was shown.
#[derive(Default)]
struct Planted {
    secrets: Vec<(&'static str, String)>,
    shown: Vec<(String, String)>,
}

impl Planted {
    /// Makes a secret.
    fn secret(&mut self, place: &'static str) -> String {
        let secret = format!("planted-{:02}-{:016x}", self.secrets.len(), fastrand::u64(..));
        self.keep(place, &secret);
        secret
    }

    /// Keeps a secret that another program has made.
    fn keep(&mut self, place: &'static str, secret: &str) {
        self.secrets.push((place, secret.to_owned()));
    }

    fn show(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.shown.push((what.into(), text.into()));
    }

    /// Sends a request, and keeps the answer.
    async fn ask(
        &mut self,
        addr: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let answer = request_at(addr, method, path, headers, body).await;
        let (parts, rest) = answer.into_parts();
        let rest = within("a body", rest.collect()).await.expect("a body").to_bytes();
        let rest = String::from_utf8_lossy(&rest).into_owned();
        let mut head = String::new();
        for (name, value) in &parts.headers {
            // The cookie is set with the token that it is for.
            if name != "set-cookie" {
                writeln!(head, "{name}: {value:?}").expect("a String takes all");
            }
        }
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        self.show(what, format!("{head}\n{rest}"));
        (parts.status.as_u16(), rest)
    }

    /// Opens a WebSocket, sends frames, and keeps what comes back. Returns whether it was opened.
    async fn socket(
        &mut self,
        addr: SocketAddr,
        path: &str,
        protocol: &str,
        frames: &[String],
    ) -> bool {
        let mut request = format!("ws://{addr}{path}").into_client_request().expect("a URL");
        if !protocol.is_empty() {
            let value = protocol.parse().expect("a header");
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let tcp = tokio::net::TcpStream::connect(addr).await.expect("the server is there");
        let opened = within("a handshake", tokio_tungstenite::client_async(request, tcp)).await;
        let Ok((mut socket, answer)) = opened else { return false };
        self.show("a handshake", format!("{:?}", answer.headers()));
        for frame in frames {
            socket.send(Frame::text(frame.as_str())).await.expect("sent");
            if let Some(Ok(frame)) = within("an answer", socket.next()).await {
                self.show("a frame", frame.to_string());
            }
        }
        let _ = socket.close(None).await;
        true
    }

    /// Checks that no secret is in anything that was shown.
    fn check(&self) {
        assert!(self.secrets.len() >= 30, "{} secrets", self.secrets.len());
        assert!(self.shown.len() > 40, "{} texts", self.shown.len());
        for (place, secret) in &self.secrets {
            // The random part alone, in case that the rest is cut.
            let core = secret.rsplit('-').next().unwrap_or_default();
            let core = if core.len() >= 16 { core } else { secret };
            for (what, text) in &self.shown {
                let at = text.find(core);
                let around = at.map(|at| {
                    let from = text.floor_char_boundary(at.saturating_sub(100));
                    &text[from..text.ceil_char_boundary(at + core.len() + 20)]
                });
                assert!(at.is_none(), "the secret of {place} is in {what}: {around:?}");
            }
        }
    }
}

/// A server that publishes no keys, and judges requests by one cookie.
async fn judge(cookie: String) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let router = axum::Router::new().fallback(move |request: Request| {
        let shown = request.headers().get("cookie").and_then(|it| it.to_str().ok());
        let answer = match (request.uri().path(), shown) {
            ("/keys", _) => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            (_, Some(shown)) if shown.contains(&cookie) => {
                [("x-wstap-user", "eve"), ("x-wstap-grants", "observe,control")].into_response()
            }
            (_, Some(shown)) if shown.contains("broken") => {
                http::StatusCode::BAD_GATEWAY.into_response()
            }
            _ => http::StatusCode::UNAUTHORIZED.into_response(),
        };
        async move { answer }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// Returns the address that a line of the words of a server ends with.
fn addr_of(server: &Running, line: &str) -> SocketAddr {
    let words = server.words();
    let line = words.lines().find(|it| it.contains(line)).expect("the addresses are told");
    let addr = line.rsplit("//").next().expect("an address").split('/').next();
    addr.expect("an address").trim().parse().expect("an address")
}

const READS: [&str; 9] = [
    "/metrics",
    "/api/info",
    "/api/connections",
    "/api/listeners",
    "/api/channels",
    "/api/events?format=ndjson&limit=all",
    "/api/events?format=har",
    "/api/session",
    "/listen?wait=0s",
];

#[tokio::test]
async fn secrets_are_in_nothing_that_is_shown() {
    let mut planted = Planted::default();
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (tokens, audit) = (path("tokens"), path("audit"));
    let made = output(&["token", "new", "ann", "all", "--token-file", &tokens]).1;
    let token = made.trim().to_owned();
    planted.keep("the token of a file", &token);
    let hash = std::fs::read_to_string(&tokens).expect("the file");
    planted.keep("the hash of a token", hash.trim().rsplit(':').next().expect("a hash"));
    let key = planted.secret("the secret of HS256");
    std::fs::write(path("key"), format!("{key}-{key}")).expect("written");
    let cookie = planted.secret("the cookie that another server judges");
    let judge = judge(cookie.clone()).await;
    let (auth_key, jwks_key) =
        (planted.secret("the query of auth-url"), planted.secret("the query of jwks"));
    let signing = planted.secret("channelstream-secret");
    let admin = planted.secret("channelstream-admin-secret");
    let config = path("wstap.toml");
    let text = format!(
        "auth-url = \"http://{judge}/verify?key={auth_key}\"\njwks = \"http://{judge}/keys?key={jwks_key}\"\n\
         channelstream-secret = \"{signing}\"\n\n[[channel]]\nname = \"private/*\"\nprivate = true\n"
    );
    std::fs::write(&config, text).expect("written");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--config",
        &config,
        "--token-file",
        &tokens,
        "--jwt-key",
        &path("key"),
        "--audit-log",
        &audit,
    ];
    let mut server = Running::start(
        wstap()
            .args(arguments)
            .env("RUST_LOG", "trace")
            .env("WSTAP_CHANNELSTREAM_ADMIN_SECRET", &admin),
    );
    server.until("Ctrl-C stops.");
    let addr = addr_of(&server, "Events");

    // Each way to show a credential, good and bad.
    let bearer = format!("Bearer {token}");
    let auth = [("authorization", bearer.as_str())];
    for reads in READS {
        assert_eq!(planted.ask(addr, "GET", reads, &auth, "").await.0, 200, "{reads}");
    }
    let bad = planted.secret("a bad bearer");
    let basic = planted.secret("basic authorization");
    let jwt = planted.secret("a bad JSON Web Token");
    let forged = format!("Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTl9.{jwt}");
    for shown in [format!("Bearer {bad}"), format!("Basic {basic}"), forged] {
        let shown = [("authorization", shown.as_str())];
        assert_eq!(planted.ask(addr, "GET", "/api/info", &shown, "").await.0, 401);
        planted.ask(addr, "DELETE", "/api/connections/x", &shown, "").await;
    }
    let (bad_query, bad_ticket) = (planted.secret("a bad query"), planted.secret("a bad ticket"));
    let bad_cookie = planted.secret("a bad cookie");
    let broken = planted.secret("a cookie at which the other server fails");
    for (query, cookie, right) in [
        (format!("access_token={token}"), String::new(), 200),
        (format!("access_token={bad_query}"), String::new(), 401),
        (format!("ticket={bad_ticket}"), String::new(), 401),
        (String::new(), format!("wstap={token}"), 200),
        (String::new(), format!("wstap={bad_cookie}"), 401),
        (String::new(), format!("session={cookie}"), 200),
        (String::new(), format!("session=broken-{broken}"), 503),
    ] {
        let headers = [("cookie", cookie.as_str())];
        let headers = if cookie.is_empty() { &[][..] } else { &headers };
        let path = format!("/api/events?limit=1&{query}");
        assert_eq!(planted.ask(addr, "GET", &path, headers, "").await.0, right, "{path} {cookie}");
    }
    let (_, made) = planted.ask(addr, "POST", "/api/tickets", &auth, "").await;
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    planted.shown.pop();
    let ticket = made["ticket"].as_str().expect("a ticket").to_owned();
    planted.keep("a ticket", &ticket);
    let sign_in = planted.secret("a bad sign-in");
    let body = format!("{{\"token\":\"{sign_in}\"}}");
    planted.ask(addr, "POST", "/api/session", &[], &body).await;
    planted.ask(addr, "POST", "/api/session", &[], &format!("{{\"token\":{sign_in}}}")).await;
    planted.ask(addr, "POST", "/api/session", &[], &format!("{{\"token\":\"{token}\"}}")).await;

    // WebSockets: handshakes, secrets of registration, tokens of channels.
    let offered = planted.secret("a bad subprotocol");
    assert!(!planted.socket(addr, "/ws", &format!("chat, wstap.bearer.{offered}"), &[]).await);
    let registration = planted.secret("a registration");
    let (channel, joined) = (planted.secret("a token of a channel"), "private/a");
    let frames = [
        format!(
            r#"{{"type":"register","params":{{"connectionId":"a","secret":"{registration}"}}}}"#
        ),
        format!(
            r#"{{"type":"subscribe","params":{{"channels":["{joined}"],"token":"{channel}"}}}}"#
        ),
        format!(
            r#"{{"type":"subscribe","params":{{"channels":["{joined}"],"token":"{channel}"}},"#
        ),
    ];
    let by_subprotocol = format!("chat, wstap.bearer.{token}");
    assert!(planted.socket(addr, "/ws?ack=1", &by_subprotocol, &frames[..2]).await);
    assert!(planted.socket(addr, &format!("/ws?ack=1&ticket={ticket}"), "", &frames[2..]).await);
    let by_query = format!("/ws?ack=1&connectionId=b&access_token={token}");
    assert!(planted.socket(addr, &by_query, "", &["\"hello\"".to_owned()]).await);
    // A listener whose address has a token, while the list of listeners is read.
    let live = format!("/events?access_token={token}&format=full");
    let listening = request_at(addr, "GET", &live, &[], "").await;
    assert_eq!(listening.status(), 200);

    // Channelstream: signatures, and the page of its administrator.
    let (signature, endpoint) =
        (planted.secret("a bad signature"), planted.secret("a password of the administrator"));
    let signed =
        [("x-channelstream-secret", signature.as_str()), ("x-channelstream-endpoint", "/x")];
    planted.ask(addr, "POST", "/channelstream/connect", &signed, "{}").await;
    let form = format!("username=admin&password={endpoint}");
    let typed = [("content-type", "application/x-www-form-urlencoded")];
    planted.ask(addr, "POST", "/channelstream/admin/sign_in", &typed, &form).await;
    planted.ask(addr, "GET", "/channelstream/admin", &auth, "").await;

    // Requests that are wrong, with a secret in them.
    let (odd_key, odd_path) = (planted.secret("a cookie of no use"), planted.secret("a bad head"));
    planted.ask(addr, "GET", "/api/events?last=x", &[("cookie", &odd_key), auth[0]], "").await;
    planted.ask(addr, "PATCH", "/api/info", &[("authorization", &odd_path)], "").await;
    for reads in READS {
        planted.ask(addr, "GET", reads, &auth, "").await;
    }
    drop(listening);

    // The configuration, and its faults.
    let print = wstap()
        .args(arguments)
        .arg("--print-config")
        .env("WSTAP_CHANNELSTREAM_ADMIN_SECRET", &admin)
        .output()
        .expect("it runs");
    assert!(print.status.success());
    planted.show("--print-config", String::from_utf8_lossy(&print.stdout));
    let password = planted.secret("a password in an address");
    for flag in ["--upstream", "--auth-url", "--jwks"] {
        let url = format!("http://ann:{password}@127.0.0.1:9/");
        for more in [&["--print-config"][..], &[]] {
            let (_, out, words) = output(&[&["--listen", "no-address", flag, &url], more].concat());
            planted.show(format!("{flag} with a password"), out + &words);
        }
    }
    let client = planted.secret("the token of a command");
    let url = format!("http://{addr}");
    for command in ["watch", "export"] {
        let done = wstap().args([command, &url]).env("WSTAP_TOKEN", &client).output();
        let done = done.expect("it runs");
        assert!(!done.status.success());
        planted.show(command, format!("{done:?}"));
    }
    let (_, out, words) = output(&["watch", &format!("http://ann:{password}@127.0.0.1:9/")]);
    planted.show("watch with a password", out + &words);

    // A proxy, whose traffic has credentials of wstap.
    let (hidden, refused) =
        (planted.secret("a cookie of the upstream"), planted.secret("a bad query of traffic"));
    let mut proxy = Running::start(
        wstap()
            .args(["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0", "--proxy-auth"])
            .args(["--upstream", &format!("http://{judge}"), "--token-file", &tokens])
            .args(["--tap-http", "all"])
            .env("RUST_LOG", "trace"),
    );
    proxy.until("Ctrl-C stops.");
    let (traffic, observers) = (addr_of(&proxy, "Connect to"), addr_of(&proxy, "Events"));
    let cookies = format!("session={hidden}; wstap={token}");
    for (path, headers) in [
        (format!("/a?access_token={refused}"), &[][..]),
        (format!("/a?x=1&access_token={token}"), &[]),
        ("/b".to_owned(), &[("cookie", cookies.as_str())]),
        ("/c".to_owned(), &auth),
    ] {
        planted.ask(traffic, "GET", &path, headers, "").await;
    }
    let of_upstream = planted.secret("the authorization of the upstream");
    let own = [("authorization", of_upstream.as_str()), ("x-note", "1")];
    planted.ask(traffic, "GET", &format!("/d?access_token={token}"), &own, "").await;
    let (proxied, offered) =
        (planted.secret("a proxy authorization"), planted.secret("a subprotocol of traffic"));
    let offered = format!("wstap.bearer.{offered}");
    let refused = [("proxy-authorization", proxied.as_str()), ("sec-websocket-protocol", &offered)];
    planted.ask(traffic, "GET", "/e", &refused, "").await;
    planted.socket(traffic, &format!("/ws?access_token={token}"), &by_subprotocol, &[]).await;
    for reads in READS {
        planted.ask(observers, "GET", reads, &auth, "").await;
    }

    for (name, mut server) in [("the log of the hub", server), ("the log of the proxy", proxy)] {
        let title = std::fs::read(format!("/proc/{}/cmdline", server.pid()));
        planted.show("a process title", String::from_utf8_lossy(&title.unwrap_or_default()));
        server.signal("TERM");
        server.end();
        planted.show(name, server.words());
    }
    planted.show("the audit log", std::fs::read_to_string(&audit).expect("a log"));
    planted.check();
}
