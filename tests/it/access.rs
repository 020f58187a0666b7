//! Credentials: every route without one, with a bad one, with one that does not suffice and with the
//! right one, in each of its places; and what a narrowed grant sees.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use wstap::access::Access;
use wstap::auth::{Authority, Denied, Grant, Observe, Pattern};
use wstap::hub::{ChannelRules, Declared, Settings};

use crate::harness::{Tap, within};

/// Tokens that the test can change.
#[derive(Debug, Default)]
struct Tokens(Mutex<Vec<(&'static str, Grant)>>);

impl Authority for Tokens {
    fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
        let all = self.0.lock().expect("no test panics here");
        let found = all.iter().find(|(known, _)| *known == token);
        found.map(|(_, grant)| grant.clone()).ok_or_else(|| Denied("unknown".to_owned()))
    }
}

fn named(user: &str, grant: Grant) -> Grant {
    Grant { user: Some(user.parse().expect("a user")), ..grant }
}

fn observing(filter: &str) -> Grant {
    Grant { observe: Observe::Matching(filter.into()), ..Grant::default() }
}

const GRANTS: [&str; 4] = ["observe", "connect", "publish", "control"];

/// A server with a token for everything, one for each grant, and one for nothing.
async fn guarded() -> (Tap, Access) {
    let only = |name: &str| Grant {
        observe: if name == "observe" { Observe::All } else { Observe::Nothing },
        connect: name == "connect",
        publish: (name == "publish").then(Pattern::all).into_iter().collect(),
        control: name == "control",
        ..Grant::default()
    };
    let mut all = vec![("all", Grant::all()), ("nothing", Grant::default())];
    all.extend(GRANTS.map(|name| (name, only(name))));
    all.push(("expired", Grant { expires: Some(1), ..Grant::all() }));
    all.push(("news", named("ann", observing("channel == \"news\""))));
    all.push(("sport", named("bob", observing("channel == \"sport\""))));
    start(all).await
}

async fn start(tokens: Vec<(&'static str, Grant)>) -> (Tap, Access) {
    let access = Access::guarded(vec![Arc::new(Tokens(Mutex::new(tokens)))]);
    let authority: Arc<dyn Authority> = Arc::new(access.clone());
    let settings = Settings { authority: Some(authority), ..Settings::default() };
    let own = access.clone();
    (Tap::with(settings, move |web| web.access = own).await, access)
}

/// What each operation of the description needs; `None` is open to everybody.
fn needs(method: &str, path: &str) -> Option<&'static str> {
    match (method, path) {
        ("get", "/events" | "/listen" | "/metrics" | "/api/info") => Some("observe"),
        ("get", "/ws") => Some("connect"),
        ("post", "/api/channels/{channel}/messages") => Some("publish"),
        ("post", "/api/connections/{id}/messages")
        | ("delete", "/api/connections/{id}" | "/api/listeners/{id}") => Some("control"),
        ("get", path)
            if ["events", "connections", "channels", "listeners"].iter().any(|list| {
                path.strip_prefix("/api/").is_some_and(|rest| rest.split('/').next() == Some(list))
            }) =>
        {
            Some("observe")
        }
        ("post", "/api/tickets") => Some("any"),
        // Without a credential they are the page to sign in on.
        ("get", "/" | "/es-client" | "/es-client.html" | "/ws-client" | "/ws-client.html") => {
            Some("any")
        }
        ("get" | "post" | "delete", "/api/session")
        | (
            "get",
            "/wstap.js" | "/wstap/{file}" | "/static/{file}" | "/api/docs" | "/api/openapi.json"
            | "/api/asyncapi.json" | "/healthz" | "/readyz",
        ) => None,
        other => panic!("{other:?}: what does this route need?"),
    }
}

const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Returns the status of a request with further headers.
async fn status(tap: &Tap, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut all = headers.to_vec();
    if path.starts_with("/ws?") || path == "/ws" {
        all.extend(HANDSHAKE);
    }
    let body = if path.starts_with("/api/session") { "{\"token\":\"all\"}" } else { "" };
    tap.request(&method.to_uppercase(), path, &all, body).await.status().as_u16()
}

fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys();
        methods
            .filter(|key| ["get", "post", "delete", "put", "patch", "head"].contains(&key.as_str()))
            .map(|method| (method.clone(), path.clone()))
            .collect::<Vec<_>>()
    });
    each.collect()
}

#[tokio::test]
async fn every_route_asks_for_its_grant() {
    let (tap, _access) = guarded().await;
    let document = tap.get("/api/openapi.json").await.json();
    let operations = operations(&document);
    assert!(operations.len() > 25, "{operations:?}");
    for (method, path) in operations {
        let filled = path
            .replace("{id}", "1-0")
            .replace("{channel}", "news")
            .replace("/wstap/{file}", "/wstap/index.js")
            .replace("{file}", "wstap.css");
        let filled = if filled == "/listen" { "/listen?wait=0s".to_owned() } else { filled };
        let with = async |token: &str| {
            status(&tap, &method, &filled, &[("authorization", &format!("Bearer {token}"))]).await
        };
        let (joint, own) = (if filled.contains('?') { "&" } else { "?" }, path.starts_with("/ws"));
        // The same by each of the other places.
        let by = async |place: &str, token: &str| {
            let (mut target, mut headers) = (filled.clone(), Vec::new());
            let cookie = format!("a=b; wstap={token}");
            let offered = format!("chat, wstap.bearer.{token}");
            match place {
                "cookie" => headers.push(("cookie", cookie.as_str())),
                "subprotocol" => headers.push(("sec-websocket-protocol", offered.as_str())),
                "query" => target = format!("{target}{joint}access_token={token}"),
                _ => {
                    let auth = [("authorization", format!("Bearer {token}"))];
                    let auth = [(auth[0].0, auth[0].1.as_str())];
                    let made = tap.fetch("POST", "/api/tickets", &auth, "").await;
                    let ticket = match made.status {
                        201 => made.json()["ticket"].as_str().expect("a ticket").to_owned(),
                        _ => token.to_owned(),
                    };
                    target = format!("{target}{joint}ticket={ticket}");
                }
            }
            if own {
                headers.extend(HANDSHAKE);
            }
            tap.request(&method.to_uppercase(), &target, &headers, "").await.status().as_u16()
        };
        let none = status(&tap, &method, &filled, &[]).await;
        let Some(need) = needs(&method, &path) else {
            assert!(none < 400, "{method} {path} without a credential: {none}");
            continue;
        };
        assert_eq!(none, 401, "{method} {path} without a credential");
        assert_eq!(with("unknown").await, 401, "{method} {path} with an unknown token");
        assert_eq!(with("expired").await, 401, "{method} {path} with an expired token");
        assert!(![401, 403].contains(&with("all").await), "{method} {path} with everything");
        for token in GRANTS.into_iter().chain(["nothing"]) {
            let found = with(token).await;
            if need == token || need == "any" {
                assert!(![401, 403].contains(&found), "{method} {path} with {token}: {found}");
            } else {
                assert_eq!(found, 403, "{method} {path} with {token}");
            }
        }
        for place in ["cookie", "subprotocol", "query", "ticket"] {
            let name = format!("{method} {path} by {place}");
            for token in ["unknown", "expired"] {
                assert_eq!(by(place, token).await, 401, "{name} with {token}");
            }
            assert!(![401, 403].contains(&by(place, "all").await), "{name} with everything");
            let found = by(place, "nothing").await;
            assert_eq!(found == 403, need != "any", "{name} with nothing: {found}");
            assert_ne!(found, 401, "{name} with nothing");
        }
    }
}

#[tokio::test]
async fn credential_may_stand_in_each_of_its_places() {
    let (tap, _access) = guarded().await;
    let host = tap.addr.to_string();
    let own = format!("http://{host}");
    for path in ["/api/info", "/ws"] {
        let with = async |query: &str, headers: &[(&str, &str)]| {
            status(&tap, "get", &format!("{path}{query}"), headers).await
        };
        let good = if path == "/ws" { 101 } else { 200 };
        assert_eq!(with("", &[("authorization", "bearer all")]).await, good);
        // An unknown query parameter is malformed where parameters are read, and this one is not.
        assert_eq!(with("?access_token=all", &[]).await, good);
        assert_eq!(with("?access_token=wrong", &[]).await, 401);
        assert_eq!(with("", &[("cookie", "wstap=all")]).await, good);
        assert_eq!(with("", &[("cookie", "wstap=all"), ("origin", &own)]).await, good);
        let foreign = [("cookie", "wstap=all"), ("origin", "http://localhost:1")];
        assert_eq!(with("", &foreign).await, 401, "a cookie of another page");
        let offered = [("sec-websocket-protocol", "wstap, wstap.bearer.all")];
        assert_eq!(with("", &offered).await, good);
        assert_eq!(with("", &[("cookie", "wstap=wrong")]).await, 401);
        let made = tap.fetch("POST", "/api/tickets", &[("authorization", "Bearer all")], "").await;
        assert_eq!((made.status, made.header("cache-control")), (201, "no-store"));
        let ticket = made.json()["ticket"].as_str().expect("a ticket").to_owned();
        assert_eq!(with(&format!("?ticket={ticket}"), &[]).await, good);
        assert_eq!(with(&format!("?ticket={ticket}"), &[]).await, 401, "a ticket is good once");
    }
}

#[tokio::test]
async fn pages_of_observers_with_an_address_of_their_own_ask_for_a_token_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("tokens");
    let file = file.to_str().expect("text");
    let made = crate::cli::output(&["token", "new", "ann", "--token-file", file]);
    let bearer = format!("Bearer {}", made.1.trim());
    let apart = ["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0"];
    let open = crate::cli::Running::server(&apart);
    let guarded = crate::cli::Running::server(&[&apart[..], &["--token-file", file]].concat());
    for (server, headers, right) in [
        (&open, &[][..], (200, "Overview")),
        (&guarded, &[][..], (401, "Sign in")),
        (&guarded, &[("authorization", bearer.as_str())][..], (200, "Overview")),
    ] {
        let addr = server.url().trim_start_matches("http://").parse().expect("an address");
        for path in ["/", "/es-client", "/ws-client"] {
            let answer = crate::harness::request_at(addr, "GET", path, headers, "").await;
            let status = answer.status().as_u16();
            let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body");
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            assert!(status == right.0 && body.contains(right.1), "{path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn page_signs_in_by_a_cookie_that_scripts_cannot_read() {
    let (tap, _access) = guarded().await;
    let refused = tap.fetch("POST", "/api/session", &[], "{\"token\":\"wrong\"}").await;
    refused.is_problem(401, "unauthorized", "unknown");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    tap.fetch("POST", "/api/session", &[], "token").await.is_problem(400, "malformed", "JSON");
    let answer = tap.fetch("POST", "/api/session", &[], "{\"token\":\" news \"}").await;
    assert_eq!(answer.header("set-cookie"), "wstap=news; Path=/; HttpOnly; SameSite=Strict");
    let session = answer.json();
    assert_eq!((&session["user"], &session["signedIn"]), (&"ann".into(), &true.into()));
    assert_eq!(session["grants"]["filter"], "channel == \"news\"");
    let shown = tap.fetch("GET", "/api/session", &[("cookie", "wstap=news")], "").await.json();
    assert_eq!(shown, session);
    let nobody = tap.get("/api/session").await.json();
    assert_eq!((&nobody["required"], &nobody["signedIn"]), (&true.into(), &false.into()));
    let gone = tap.fetch("DELETE", "/api/session", &[("cookie", "wstap=news")], "").await;
    assert!(gone.header("set-cookie").starts_with("wstap=; ") && gone.status == 204);
    assert!(gone.header("set-cookie").ends_with("Max-Age=0"));
}

#[tokio::test]
async fn credential_of_a_handshake_is_on_no_stream_and_names_the_user() {
    let token = "secret-token-1234567890";
    let (tap, _access) = start(vec![(token, named("ann", Grant::all()))]).await;
    let bearer = format!("Bearer {token}");
    let mut events = tap.events_with("?format=full", &[("authorization", &bearer)]).await;
    let url = format!("ws://{}/ws?connectionId=a&access_token={token}", tap.addr);
    let tcp = tokio::net::TcpStream::connect(tap.addr).await.expect("the server is there");
    let mut request =
        tungstenite::client::IntoClientRequest::into_client_request(url).expect("a URL");
    let offered = format!("wstap.bearer.{token}, chat").parse().expect("a header");
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let (_socket, answer) =
        within("a handshake", tokio_tungstenite::client_async(request, tcp)).await.expect("101");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    let connect = events.next().await.data;
    assert!(connect.contains("\"connect\"") && connect.contains("\"user\":\"ann\""), "{connect}");
    let auth = [("authorization", bearer.as_str())];
    for path in
        ["/api/connections", "/api/listeners", "/api/events", "/metrics", "/api/events?format=har"]
    {
        let body = tap.fetch("GET", path, &auth, "").await.body;
        assert!(!body.contains(token), "{path}: {body}");
    }
    assert!(!connect.contains(token), "{connect}");
}

#[tokio::test]
async fn commands_on_channels_need_their_grants() {
    let grant = Grant {
        connect: true,
        subscribe: vec!["news/*".parse().expect("a pattern")],
        publish: vec!["chat".parse().expect("a pattern")],
        ..Grant::default()
    };
    let chat = Grant { subscribe: vec!["chat".parse().expect("a pattern")], ..Grant::default() };
    let (tap, _access) = start(vec![("client", grant), ("chat", chat)]).await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1&access_token=client").await;
    let command = |kind: &str, params: &str| format!("{{\"type\":\"{kind}\",\"params\":{params}}}");
    for (frame, right) in [
        (command("subscribe", r#"{"channels":["news/a"]}"#), true),
        (command("subscribe", r#"{"channels":["news/a","chat"]}"#), false),
        (command("subscribe", r#"{"channels":["chat"],"token":"unknown"}"#), false),
        (command("subscribe", r#"{"channels":["chat"],"token":"chat"}"#), true),
        (command("publish", r#"{"channel":"news/a","message":1}"#), false),
        ("\"a message of no channel\"".to_owned(), true),
    ] {
        ws.send(&frame).await;
        let answer = ws.json().await;
        assert_eq!(answer.get("ack").is_some(), right, "{frame}: {answer}");
    }
}

#[tokio::test]
async fn streams_and_sockets_end_with_the_token() {
    let tokens = Arc::new(Tokens::default());
    let set = |user: &'static str| {
        let all = vec![("all", Grant::all()), ("other", named(user, Grant::all()))];
        *tokens.0.lock().expect("no test panics here") = all;
    };
    set("ann");
    let authority: Arc<dyn Authority> = Arc::<Tokens>::clone(&tokens);
    let access = Access::guarded(vec![Arc::clone(&authority)]);
    let own = access.clone();
    let tap = Tap::with(Settings::default(), move |web| web.access = own).await;
    let mut kept = tap.events("?kind=close&access_token=all").await;
    let mut ends = tap.events("?kind=message&access_token=other").await;
    let mut ws = tap.ws("/ws?connectionId=a&access_token=other").await;
    let id = "a".parse().expect("an id");
    crate::harness::until("the registration", || tap.hub.connection(&id).is_some()).await;
    access.replace(vec![Arc::clone(&authority)]);
    ws.send("\"still here\"").await;
    assert!(ends.next().await.data.contains("still here"), "what grants the same goes on");
    // The token has another grant now.
    set("bob");
    access.replace(vec![authority]);
    let end = ends.next().await;
    assert_eq!(end.name, "end");
    assert!(end.data.contains("\"unauthorized\""), "{}", end.data);
    assert_eq!(ws.closed().await, 4401);
    assert!(kept.next().await.data.contains("4401"), "other streams go on");
}

/// Neither of the tokens has a time of expiry.
#[tokio::test]
async fn member_leaves_when_the_token_of_its_command_is_withdrawn() {
    let tokens = Arc::new(Tokens::default());
    let subscribing = |channel: &str| Grant {
        connect: true,
        subscribe: vec![channel.parse().expect("a pattern")],
        ..Grant::default()
    };
    *tokens.0.lock().expect("no panic") = vec![
        ("client", subscribing("news")),
        ("lent", named("ann", subscribing("chat"))),
        ("secret", subscribing("private")),
    ];
    let access = Access::guarded(vec![Arc::<Tokens>::clone(&tokens)]);
    let private = ChannelRules { private: true, ..ChannelRules::default() };
    let private = Declared { name: "private".parse().expect("a pattern"), rules: private };
    let authority: Arc<dyn Authority> = Arc::new(access.clone());
    let settings =
        Settings { authority: Some(authority), channels: vec![private], ..Settings::default() };
    let own = access.clone();
    let tap = Tap::with(settings, move |web| web.access = own).await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1&access_token=client").await;
    for (channel, token) in [("news", ""), ("chat", "lent"), ("private", "secret")] {
        let token =
            if token.is_empty() { String::new() } else { format!(",\"token\":\"{token}\"") };
        let params = format!("{{\"channels\":[\"{channel}\"]{token}}}");
        ws.send(&format!("{{\"type\":\"subscribe\",\"params\":{params}}}")).await;
        assert!(ws.json().await["ack"].is_string(), "{channel}");
    }
    let connection = tap.hub.connection(&"a".parse().expect("an id")).expect("it is there");
    let names = || connection.channels().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((names().len(), connection.user().is_some()), (3, true));
    // What still grants the same changes nothing.
    access.changed();
    tokens.0.lock().expect("no panic").retain(|(token, _)| *token != "lent");
    access.changed();
    let left = ws.json().await;
    assert!(left.to_string().contains("chat"), "{left}");
    assert_eq!((names(), connection.user()), (vec!["news".into(), "private".into()], None));
    tokens.0.lock().expect("no panic").retain(|(token, _)| *token != "secret");
    access.changed();
    let left = ws.json().await;
    assert!(left.to_string().contains("private"), "{left}");
    assert_eq!(names(), ["news"]);
}

#[tokio::test]
async fn expired_token_ends_its_stream() {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let soon = Grant { expires: Some(now.as_secs() + 2), ..Grant::all() };
    let (tap, _access) = start(vec![("soon", soon)]).await;
    let rest = tap.get("/events?format=ndjson&access_token=soon").await.body;
    assert!(rest.contains("{\"kind\":\"end\",\"error\":{\"code\":\"unauthorized\""), "{rest}");
}

/// Has 40 connections join one of two channels, publish to it and to none, and end or stay. Returns an
/// event of each.
async fn traffic(tap: &Tap, random: &mut fastrand::Rng) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..40 {
        let side = random.choice(["news", "sport"]).expect("two");
        let mut ws = tap.ws(&format!("/ws?connectionId={side}-{n}&access_token=all&ack=1")).await;
        for frame in [
            format!(r#"{{"type":"subscribe","params":{{"channels":["{side}"]}}}}"#),
            format!(
                r#"{{"type":"publish","params":{{"channel":"{side}","message":"of {side} {n}"}}}}"#
            ),
            format!("\"of {side}, to no channel\""),
        ] {
            ws.send(&frame).await;
            while ws.json().await.get("ack").is_none() {}
        }
        ids.extend(tap.hub.head().0.map(|id| id.to_string()));
        if random.bool() {
            ws.close(1000, side).await;
        } else {
            tokio::spawn(ws.stay());
        }
    }
    ids
}

/// Returns a way to ask for events, connections, channels or numbers.
fn question(random: &mut fastrand::Rng, ids: &[String], own: &str, other: &str) -> String {
    let id = random.choice(ids).expect("an id");
    let side = random.choice([own, other]).expect("two");
    let mut path = match random.u8(..9) {
        0 => format!("/api/events/{id}"),
        1 => return random.choice(["/metrics", "/api/listeners"]).expect("two").to_owned(),
        2 => return format!("/api/channels/{side}"),
        3 => return format!("/api/connections/{side}-{}", random.u8(..40)),
        4 => {
            let lists = ["/api/connections", "/api/channels", "/api/info"];
            return random.choice(lists).expect("three").to_owned();
        }
        5 => format!("/listen?wait=0s&after={id}"),
        _ => {
            let format = random.choice(["json", "ndjson", "har", "marks"]).expect("four");
            let limit = random.choice(["all", "7", "1000"]).expect("three");
            let text = format!("&order=desc&text={side}");
            let text = if format != "har" && random.bool() { &text } else { "" };
            let start = ["", "&last=50", "&since=1h", &format!("&last_event_id={id}")];
            let start = random.choice(start).expect("four");
            format!("/api/events?format={format}&limit={limit}{text}{start}")
        }
    };
    if path.contains('?') {
        let filter = |expression: &str| {
            let encoded: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
            format!("&filter={encoded}")
        };
        let more = match random.u8(..6) {
            0 => filter("true"),
            1 => filter(&format!("channel == \"{side}\" || size >= 0 || kind != \"\"")),
            2 => format!("&channel={side}"),
            3 => format!("&connection={side}-{}", random.u8(..40)),
            4 => "&kind=message&kind=close".to_owned(),
            _ => String::new(),
        };
        path.push_str(&more);
    }
    path
}

/// Two callers whose grants have nothing in common never see anything of each other, however they ask.
#[tokio::test]
async fn disjoint_grants_see_nothing_of_each_other() {
    let (tap, _access) = guarded().await;
    let mut random = fastrand::Rng::with_seed(12);
    let ids = traffic(&tap, &mut random).await;
    let (mut seen, mut refused) = (0, 0);
    for n in 0..400 {
        let (own, other) = if n % 2 == 0 { ("news", "sport") } else { ("sport", "news") };
        let path = question(&mut random, &ids, own, other);
        let bearer = format!("Bearer {own}");
        let answer = tap.fetch("GET", &path, &[("authorization", &bearer)], "").await;
        // What is not there is quoted in the error, and what was asked for says nothing.
        if answer.status == 404 {
            refused += 1;
            continue;
        }
        assert!(!answer.body.contains(other), "{own} asked {path} and saw: {}", answer.body);
        assert!(!answer.body.contains("to no channel"), "{own} asked {path}");
        seen += usize::from(answer.body.contains(&format!("of {own}")));
    }
    assert!(seen > 30 && refused > 5, "{seen} answers with events, {refused} refused");
    // Counts are of what may be seen.
    let mut counts = Vec::new();
    for token in ["news", "sport", "all"] {
        let bearer = format!("Bearer {token}");
        let path = "/api/events?format=marks&limit=all";
        let answer = tap.fetch("GET", path, &[("authorization", &bearer)], "").await;
        counts.push(answer.json()["count"].as_u64().expect("a count"));
    }
    assert!(counts[0] > 20 && counts[1] > 20 && counts[0] + counts[1] < counts[2], "{counts:?}");
}

#[tokio::test]
async fn live_stream_is_narrowed_by_the_grant() {
    let (tap, _access) = guarded().await;
    let mut news = tap.events("?format=full&access_token=news").await;
    let mut ws = tap.ws("/ws?connectionId=a&access_token=all").await;
    for channel in ["sport", "news", "sport", "news"] {
        let join =
            format!("{{\"type\":\"subscribe\",\"params\":{{\"channels\":[\"{channel}\"]}}}}");
        ws.send(&join).await;
        let command = format!(
            "{{\"type\":\"publish\",\"params\":{{\"channel\":\"{channel}\",\"message\":1}}}}"
        );
        ws.send(&command).await;
    }
    for kind in ["join", "message", "message"] {
        let event = news.json().await;
        assert_eq!((&event["kind"], &event["channel"]), (&kind.into(), &"news".into()), "{event}");
    }
}

/// Streams of two callers whose grants have nothing in common, with the heartbeats between the events,
/// from their beginning and after an event of each other.
#[tokio::test]
async fn streams_of_disjoint_grants_show_nothing_of_each_other() {
    let mut tokens = vec![("all", Grant::all())];
    tokens.push(("news", named("ann", observing("channel == \"news\""))));
    tokens.push(("sport", named("bob", observing("channel == \"sport\""))));
    let access = Access::guarded(vec![Arc::new(Tokens(Mutex::new(tokens)))]);
    let authority: Arc<dyn Authority> = Arc::new(access.clone());
    let settings = Settings {
        authority: Some(authority),
        heartbeat: std::time::Duration::from_millis(20),
        ..Settings::default()
    };
    let tap = Tap::with(settings, move |web| web.access = access).await;
    let sides = [("news", "sport"), ("sport", "news")];
    let mut streams = Vec::new();
    for (own, other) in sides {
        for query in ["format=full", "format=plain&names=1", "format=full&filter=true&kind=message"]
        {
            let query = format!("?{query}&access_token={own}");
            streams.push((own, other, tap.events(&query).await));
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    let ids = traffic(&tap, &mut random).await;
    // Late ones, which begin after an event that they may not see.
    for (own, other) in sides {
        for id in ids.iter().take(4) {
            let query = format!("?format=full&last_event_id={id}&access_token={own}");
            streams.push((own, other, tap.events(&query).await));
        }
        streams.push((own, other, tap.events(&format!("?last=1000&access_token={own}")).await));
    }
    let id_of = |answer: &crate::harness::Answer| {
        let all = answer.json();
        let all = all.as_array().expect("events").iter();
        all.map(|event| event["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let mut own_ids = std::collections::HashMap::new();
    for (own, _) in sides {
        let bearer = format!("Bearer {own}");
        let path = "/api/events?limit=all&format=json";
        let answer = tap.fetch("GET", path, &[("authorization", &bearer)], "").await;
        own_ids.insert(own, id_of(&answer));
    }
    // The last event of each side ends the reading, and some heartbeats follow it.
    for side in ["news", "sport"] {
        let auth = [("authorization", "Bearer all"), ("content-type", "text/plain")];
        let path = format!("/api/channels/{side}/messages");
        let sent = tap.fetch("POST", &path, &auth, &format!("the last of {side}")).await;
        assert_eq!(sent.status, 202);
        let id = sent.json()["id"].as_str().expect("an id").to_owned();
        own_ids.get_mut(side).expect("a side").push(id);
    }
    for (own, other, mut stream) in streams {
        let end = format!("the last of {own}");
        stream.raw_until(&end).await;
        let beats = stream.raw.matches("\n:").count();
        within("heartbeats", async {
            while stream.raw.matches("\n:").count() < beats + 3 {
                stream.raw_more().await;
            }
        })
        .await;
        assert!(!stream.raw.contains(other), "{own} saw {other}: {}", stream.raw);
        let known = &own_ids[own];
        for id in stream.raw.lines().filter_map(|line| line.strip_prefix("id: ")) {
            assert!(known.iter().any(|it| it == id), "{own} saw the id {id} of another event");
        }
    }
}

/// A narrowed grant with `control` acts on what it sees only; the rest does not exist for it.
#[tokio::test]
async fn narrowed_control_reaches_visible_connections_only() {
    let narrowed = Grant { control: true, ..observing("connectionId == \"own\"") };
    let (tap, _access) = start(vec![("all", Grant::all()), ("narrowed", narrowed)]).await;
    let _own = tap.ws("/ws?connectionId=own&access_token=all").await;
    let _other = tap.ws("/ws?connectionId=other&access_token=all").await;
    for id in ["own", "other"] {
        let id = id.parse().expect("an id");
        crate::harness::until("the registration", || tap.hub.connection(&id).is_some()).await;
    }
    let auth = [("authorization", "Bearer narrowed")];
    for (method, path, right) in [
        ("POST", "/api/connections/other/messages", 404),
        ("DELETE", "/api/connections/other", 404),
        ("DELETE", "/api/listeners/1", 403),
        ("POST", "/api/connections/own/messages", 202),
        ("DELETE", "/api/connections/own", 204),
    ] {
        let answer = tap.fetch(method, path, &auth, "1").await;
        assert_eq!(answer.status, right, "{method} {path}: {answer:?}");
    }
    assert!(tap.hub.connection(&"other".parse().expect("an id")).is_some());
}

/// Channelstream's servers sign their calls: a token of wstap opens none of them.
#[tokio::test]
async fn routes_of_channelstream_are_not_opened_by_tokens() {
    let access = Access::guarded(vec![Arc::new(Tokens(Mutex::new(vec![("all", Grant::all())])))]);
    let tap = Tap::with(Settings::default(), move |web| {
        let settings = wstap::channelstream::ChannelstreamSettings::new("a secret of its own");
        let api = wstap::channelstream::Channelstream::new(web.hub.clone(), settings);
        web.apis = vec![Arc::new(api)];
        web.access = access;
    })
    .await;
    let signed = ["connect", "subscribe", "unsubscribe", "user_state", "message", "channel_config"];
    let calls = signed.map(|path| ("POST", path)).into_iter();
    let calls = calls.chain([
        ("PATCH", "message"),
        ("DELETE", "message"),
        ("POST", "info"),
        ("GET", "info"),
        ("GET", "admin/admin.json"),
        ("GET", "listen"),
        ("GET", "ws"),
    ]);
    for (method, path) in calls {
        let path = format!("/channelstream/{path}");
        for headers in [&[][..], &[("authorization", "Bearer all")], &[("cookie", "wstap=all")]] {
            let answer = tap.fetch(method, &path, headers, "{}").await;
            assert!(answer.status >= 400 || answer.status == 303, "{method} {path}: {answer:?}");
        }
    }
}
