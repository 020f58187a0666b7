//! Credentials that other servers judge: `--jwks URL` and `--auth-url`, with a small server that
//! publishes keys, or decides, and counts what it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::cli::{Running, output};
use crate::harness::{Answer, LIMIT, ask, request_at, within};

/// A server whose answers the test sets.
pub(crate) struct Other {
    addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    /// The fields and targets of the requests.
    pub(crate) seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

pub(crate) type Answers = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

impl Other {
    pub(crate) async fn start(answer: Answers) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let (asked, seen) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (count, note) = (Arc::clone(&asked), Arc::clone(&seen));
        let router = axum::Router::new().fallback(move |request: Request| {
            count.fetch_add(1, SeqCst);
            let entry = (request.uri().to_string(), request.headers().clone());
            note.lock().expect("no panic").push(entry);
            let answer = answer(&request);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, asked, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

/// A pair of keys of Ed25519: the half that signs, and the member of a JWKS.
fn pair(id: &str) -> (EncodingKey, Value) {
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let x = URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&pair).as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x});
    (EncodingKey::from_ed_der(pkcs8.as_ref()), jwk)
}

fn token(id: &str, key: &EncodingKey, lasts: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let exp = i64::try_from(now).expect("seconds") + lasts;
    let claims = json!({"sub": "ann", "exp": exp, "wstap": {"observe": true}});
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &claims, key).expect("claims are JSON")
}

pub(crate) fn addr(server: &Running) -> SocketAddr {
    server.url().trim_start_matches("http://").parse().expect("an address")
}

pub(crate) async fn get(server: &Running, path: &str, headers: &[(&str, &str)]) -> Answer {
    let response = request_at(addr(server), "GET", path, headers, "").await;
    let (parts, body) = response.into_parts();
    let body = within("a body", http_body_util::BodyExt::collect(body)).await.expect("a body");
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn status(server: &Running, token: &str) -> u16 {
    get(server, "/api/info", &[("authorization", &format!("Bearer {token}"))]).await.status
}

pub(crate) fn serve(arguments: &[&str]) -> Running {
    Running::server(&[&["--listen", "127.0.0.1:0"], arguments].concat())
}

fn keys(set: &Mutex<Vec<Value>>) -> Response {
    let keys = set.lock().expect("no panic").clone();
    json!({"keys": keys}).to_string().into_response()
}

#[tokio::test]
async fn key_that_is_added_to_the_set_is_fetched_for_the_first_token_that_names_it() {
    let ((old, old_jwk), (new, new_jwk)) = (pair("old"), pair("new"));
    let set = Arc::new(Mutex::new(vec![old_jwk]));
    let published = Arc::clone(&set);
    let other = Other::start(Arc::new(move |_| keys(&published))).await;
    let server = serve(&["--jwks", &other.url("/keys")]);
    assert_eq!(status(&server, &token("old", &old, 60)).await, 200);
    assert_eq!(status(&server, &token("old", &new, 60)).await, 401, "another key of the same name");
    assert_eq!(status(&server, &token("old", &old, -60)).await, 401, "an expired token");
    assert_eq!(status(&server, "a.b.c").await, 401);
    assert_eq!(other.asked(), 1, "nothing of these asks for keys");
    set.lock().expect("no panic").push(new_jwk);
    let fresh = token("new", &new, 60);
    let both = tokio::join!(status(&server, &fresh), status(&server, &fresh));
    assert_eq!(both, (200, 200));
    assert_eq!(other.asked(), 2, "one fetch for both");
    for n in 0..50 {
        assert_eq!(status(&server, &token(&format!("unknown-{n}"), &new, 60)).await, 401);
    }
    assert_eq!(other.asked(), 2, "the next fetch for an unknown key is a minute away");
    assert_eq!(status(&server, &token("old", &old, 60)).await, 200);
}

#[tokio::test]
async fn token_that_chooses_an_address_is_not_followed() {
    let ((key, jwk), (forged, forged_jwk)) = (pair("1"), pair("evil"));
    let set = Arc::new(Mutex::new(vec![jwk]));
    let other = Other::start(Arc::new(move |_| keys(&set))).await;
    let evil = Mutex::new(vec![forged_jwk.clone()]);
    let evil = Other::start(Arc::new(move |_| keys(&evil))).await;
    let server = serve(&["--jwks", &other.url("/keys")]);
    let mut header = Header { kid: Some("evil".to_owned()), ..Header::new(Algorithm::EdDSA) };
    header.jku = Some(evil.url("/keys"));
    header.jwk = serde_json::from_value(forged_jwk).expect("a key");
    header.x5u = Some(evil.url("/certificates"));
    let claims = json!({"exp": 4_000_000_000_u64, "iss": evil.url(""), "wstap": {"observe": true}});
    let token = jsonwebtoken::encode(&header, &claims, &forged).expect("claims are JSON");
    assert_eq!(status(&server, &token).await, 401);
    assert_eq!(evil.asked(), 0);
    assert_eq!(status(&server, &self::token("1", &key, 60)).await, 200);
}

#[tokio::test]
async fn last_good_keys_stay_when_a_fetch_fails() {
    let (key, jwk) = pair("1");
    let set = Mutex::new(vec![jwk]);
    let faults = Arc::new(AtomicUsize::new(0));
    let fault = Arc::clone(&faults);
    let other = Other::start(Arc::new(move |_| match fault.load(SeqCst) {
        0 => keys(&set),
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        2 => (StatusCode::FOUND, [("location", "/other")]).into_response(),
        3 => "x".repeat(600 << 10).into_response(),
        _ => "{\"keys\":[]}".into_response(),
    }));
    let other = other.await;
    for fault in 1..=4 {
        faults.store(0, SeqCst);
        let mut server = serve(&["--jwks", &other.url("/keys")]);
        assert_eq!(status(&server, &token("1", &key, 60)).await, 200);
        faults.store(fault, SeqCst);
        let before = other.asked();
        assert_eq!(status(&server, &token("2", &key, 60)).await, 401);
        server.until("the last ones stay");
        assert_eq!(other.asked(), before + 1, "no redirect is followed");
        assert_eq!(status(&server, &token("1", &key, 60)).await, 200);
    }
}

/// A token is neither good nor bad then.
#[tokio::test]
async fn without_keys_a_token_is_answered_with_503() {
    let (key, jwk) = pair("1");
    let set = Mutex::new(vec![jwk]);
    let is_down = Arc::new(AtomicUsize::new(1));
    let down = Arc::clone(&is_down);
    let other = Other::start(Arc::new(move |_| match down.load(SeqCst) {
        0 => keys(&set),
        _ => StatusCode::BAD_GATEWAY.into_response(),
    }));
    let other = other.await;
    let server = serve(&["--jwks", &other.url("/keys")]);
    let good = token("1", &key, 60);
    let bearer = format!("Bearer {good}");
    let cookie = format!("wstap={good}");
    for field in [("authorization", bearer.as_str()), ("cookie", &cookie)] {
        let answer = get(&server, "/api/info", &[field]).await;
        answer.is_problem(503, "auth_unavailable", "");
    }
    assert_eq!(get(&server, "/api/info", &[]).await.status, 401, "without a token");
    is_down.store(0, SeqCst);
    ask("the keys", async || (status(&server, &good).await == 200).then_some(())).await;
    assert_eq!(status(&server, "a.b.c").await, 401);
}

#[tokio::test]
async fn keys_of_a_file_are_read_again_when_it_changes() {
    let ((old, old_jwk), (new, new_jwk)) = (pair("old"), pair("new"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("keys.json");
    let write = |keys: &[&Value]| {
        std::fs::write(&file, json!({"keys": keys}).to_string()).expect("written");
    };
    write(&[&old_jwk]);
    let mut server = serve(&["--jwks", file.to_str().expect("text")]);
    assert_eq!(status(&server, &token("old", &old, 60)).await, 200);
    assert_eq!(status(&server, &token("new", &new, 60)).await, 401);
    write(&[&new_jwk, &new_jwk["x"]]);
    server.until("1 keys");
    let end = std::time::Instant::now() + LIMIT;
    while status(&server, &token("new", &new, 60)).await != 200 {
        assert!(std::time::Instant::now() < end, "{}", server.words());
    }
    assert_eq!(status(&server, &token("old", &old, 60)).await, 401);
}

#[test]
fn addresses_of_keys_are_encrypted_or_on_this_machine() {
    for (flag, value, right) in [
        ("--jwks", "http://id.example/keys", "https:"),
        ("--jwks", "ftp://id.example/keys", "https://id.example/keys"),
        ("--jwks", "https://user:secret@id.example/keys", "no credentials"),
        ("--auth-url", "verify", "https://id.example/keys"),
        ("--jwks", "/no/such/file", "jwks /no/such/file"),
    ] {
        let (code, _, words) = output(&[flag, value, "--listen", "127.0.0.1:0"]);
        assert_eq!(code, 2, "{flag} {value}: {words}");
        assert!(words.contains(right) && !words.contains("secret"), "{flag} {value}: {words}");
    }
}

/// Decides as an authenticating server does: by a cookie or a token.
pub(crate) fn decide(request: &Request) -> Response {
    let text = |name: &str| {
        request.headers().get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
    };
    let shown = format!("{} {}", text("authorization"), text("cookie"));
    let all = r#"{"observe":true,"connect":true,"publish":["*"],"subscribe":["*"],"control":true}"#;
    let grants = |user: &str, grants: &str| {
        let fields = [("x-wstap-user", user.to_owned()), ("x-wstap-grants", grants.to_owned())];
        (StatusCode::NO_CONTENT, fields).into_response()
    };
    match shown.as_str() {
        it if it.contains("ann") => grants("ann", all),
        it if it.contains("news") => {
            grants("bob", r#"{"observe":true,"filter":"channel == \"news\""}"#)
        }
        it if it.contains("nothing") => StatusCode::OK.into_response(),
        it if it.contains("forbidden") => StatusCode::FORBIDDEN.into_response(),
        it if it.contains("broken") => StatusCode::BAD_GATEWAY.into_response(),
        it if it.contains("moved") => {
            (StatusCode::FOUND, [("location", "/sign-in")]).into_response()
        }
        it if it.contains("odd") => grants("eve", "{\"observe\":"),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[tokio::test]
async fn another_server_decides_by_the_fields_of_the_request() {
    let other = Other::start(Arc::new(decide)).await;
    let server = serve(&["--auth-url", &other.url("/verify?app=wstap")]);
    for (shown, right, code) in [
        ("", 401, "unauthorized"),
        ("Bearer wrong", 401, "unauthorized"),
        ("Bearer forbidden", 403, "forbidden"),
        ("Bearer nothing", 403, "forbidden"),
        ("Bearer broken", 503, "auth_unavailable"),
        ("Bearer moved", 503, "auth_unavailable"),
        ("Bearer odd", 503, "auth_unavailable"),
        ("Bearer ann", 200, ""),
        ("Basic ann", 200, ""),
    ] {
        let headers = [("authorization", shown)];
        let headers = if shown.is_empty() { &[][..] } else { &headers };
        let answer = get(&server, "/api/connections", headers).await;
        assert_eq!(answer.status, right, "{shown}: {answer:?}");
        if right != 200 {
            assert_eq!(answer.json()["code"], code, "{shown}");
        }
        // Open routes do not depend on it.
        assert_eq!(get(&server, "/healthz", headers).await.status, 200, "{shown}");
    }
    let ann = get(&server, "/api/session", &[("cookie", "session=ann")]).await.json();
    assert_eq!((&ann["user"], &ann["grants"]["control"]), (&"ann".into(), &true.into()));
    let foreign = [("cookie", "session=ann"), ("origin", "http://evil.example")];
    assert_eq!(get(&server, "/api/info", &foreign).await.status, 401, "a page of another origin");
    let news = get(&server, "/api/session", &[("authorization", "Bearer news")]).await.json();
    assert_eq!(news["grants"]["filter"], "channel == \"news\"");
    for place in ["/api/info?access_token=ann", "/api/info"] {
        let cookie = [("cookie", "wstap=ann")];
        let cookie = if place.contains('?') { &[][..] } else { &cookie };
        assert_eq!(get(&server, place, cookie).await.status, 200, "{place}");
    }
}

#[tokio::test]
async fn subrequest_has_what_the_caller_sent_and_no_fields_of_one_connection() {
    let other = Other::start(Arc::new(decide)).await;
    let server = serve(&["--auth-url", &other.url("/verify?app=wstap")]);
    let headers = [
        ("cookie", "session=ann"),
        ("x-request-id", "7"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-for", "1.2.3.4"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("traceparent", "00-1-1-01"),
    ];
    let path = "/api/events?limit=1";
    assert_eq!(get(&server, path, &headers).await.status, 200);
    let (target, fields) = other.seen.lock().expect("no panic").last().expect("asked").clone();
    assert_eq!(target, "/verify?app=wstap");
    let own = addr(&server).to_string();
    for (name, value) in [
        ("cookie", "session=ann"),
        ("x-request-id", "7"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-uri", path),
        ("x-original-uri", path),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", &own),
    ] {
        assert_eq!(
            fields.get(name).map(http::HeaderValue::as_bytes),
            Some(value.as_bytes()),
            "{name}"
        );
    }
    for name in ["connection", "x-hop", "te", "traceparent"] {
        assert!(!fields.contains_key(name), "{name}: {fields:?}");
    }
    // Requests that send the same are asked about once.
    let before = other.asked();
    for n in 0..20 {
        let trace = format!("00-{n}-1-01");
        let mut again = headers;
        again[7].1 = &trace;
        assert_eq!(get(&server, path, &again).await.status, 200);
    }
    assert_eq!(other.asked(), before);
    assert_eq!(get(&server, path, &[("cookie", "session=other")]).await.status, 401);
    assert_eq!(other.asked(), before + 1);
}

#[tokio::test]
async fn caller_that_another_server_knows_joins_private_channels_and_uses_tickets() {
    let other = Other::start(Arc::new(decide)).await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("wstap.toml");
    std::fs::write(&file, "[[channel]]\nname = \"*\"\nprivate = true\n").expect("written");
    let config = file.to_str().expect("text");
    let server = serve(&["--config", config, "--auth-url", &other.url("/verify")]);
    let auth = [("authorization", "Bearer ann")];
    let made = request_at(addr(&server), "POST", "/api/tickets", &auth, "").await;
    let body = http_body_util::BodyExt::collect(made.into_body()).await.expect("a body").to_bytes();
    let ticket: Value = serde_json::from_slice(&body).expect("JSON");
    let ticket = ticket["ticket"].as_str().expect("a ticket");
    let url = format!("ws://{}/ws?connectionId=a&ack=1&ticket={ticket}", addr(&server));
    let tcp = tokio::net::TcpStream::connect(addr(&server)).await.expect("the server is there");
    let (socket, _) = within("a handshake", tokio_tungstenite::client_async(url, tcp))
        .await
        .expect("the handshake is accepted");
    let mut ws = crate::harness::Ws { socket };
    ws.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
    assert!(ws.json().await["ack"].is_string());
    ws.send(r#"{"type":"publish","params":{"channel":"news","message":1}}"#).await;
    let answers = [ws.json().await, ws.json().await];
    assert!(answers.iter().any(|it| it["data"] == 1), "{answers:?}");
    let channel = get(&server, "/api/channels/news", &auth).await.json();
    assert_eq!(channel["users"], json!(["ann"]));
}

#[tokio::test]
async fn server_that_is_asked_about_itself_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("it is bound");
    drop(listener);
    let url = format!("http://{own}/api/info");
    let server = Running::server(&["--listen", &own.to_string(), "--auth-url", &url]);
    let answer = get(&server, "/api/info", &[]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"auth_unavailable".into()));
}
