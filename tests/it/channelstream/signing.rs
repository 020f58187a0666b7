//! Signatures and addresses of calls, and the errors for others.

use serde_json::json;
use wstap::channelstream::{Channelstream, Network, Signer};
use wstap::hub;

use super::{Api, now};
use crate::harness::Tap;

#[tokio::test]
async fn without_a_secret_there_is_no_such_api() {
    let tap = Tap::start().await;
    for path in ["/channelstream/", "/channelstream/connect", "/channelstream/listen"] {
        tap.get(path).await.is_problem(404, "not_found", path);
    }
}

#[tokio::test]
async fn a_call_is_signed_in_a_header_or_in_the_query() {
    let api = Api::start().await;
    let body = r#"{"username":"ann"}"#;
    assert_eq!(api.call("POST", "/connect", body).await.status, 200);
    let signature = api.signer.sign("/connect", now());
    let path = format!("/channelstream/connect?secret={signature}");
    assert_eq!(api.tap.fetch("POST", &path, &[], body).await.status, 200);
    let none = api.tap.fetch("POST", "/channelstream/connect", &[], body).await;
    none.is_problem(403, "forbidden", "signature");
    for wrong in [Signer::new(b"other").sign("x", now()), "x".to_owned(), String::new()] {
        let headers = [("x-channelstream-secret", wrong.as_str())];
        let answer = api.tap.fetch("POST", "/channelstream/connect", &headers, body).await;
        assert_eq!((answer.status, answer.json()), (401, json!({"request": "Bad Signature"})));
    }
}

#[tokio::test]
async fn a_signature_is_good_for_a_minute_unless_age_is_not_looked_at() {
    let answer = async |api: &Api, at: u64| {
        let signature = api.signer.sign("channelstream", at);
        let headers = [("x-channelstream-secret", signature.as_str())];
        api.tap.fetch("POST", "/channelstream/info", &headers, "").await.status
    };
    let api = Api::start().await;
    assert_eq!(answer(&api, now() - 50).await, 200);
    assert_eq!(answer(&api, now() - 70).await, 401);
    let lenient = Api::with(|settings| settings.any_age = true).await;
    assert_eq!(answer(&lenient, now() - 1_000_000).await, 200);
}

#[tokio::test]
async fn calls_come_from_listed_addresses() {
    let api = Api::with(|settings| {
        settings.allow_from = vec!["10.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let answer = api.call("POST", "/info", "").await;
    answer.is_problem(403, "forbidden", "--channelstream-allow-from 127.0.0.1");
    let behind = async |forwarded: &str| {
        let signature = api.signer.sign("channelstream", now());
        let headers =
            [("x-channelstream-secret", signature.as_str()), ("x-forwarded-for", forwarded)];
        api.tap.fetch("POST", "/channelstream/info", &headers, "").await.status
    };
    assert_eq!(behind("10.1.2.3").await, 200, "the proxy on this machine is trusted");
    assert_eq!(behind("10.1.2.3, 127.0.0.1").await, 200, "so are several in a row");
    assert_eq!(behind("10.1.2.3, 192.0.2.1").await, 403, "whoever stands further left may lie");
    assert_eq!(behind("nonsense").await, 403);
}

#[tokio::test]
async fn a_caller_whom_a_proxy_names_unreadably_is_refused() {
    let api = Api::start().await;
    let behind = async |forwarded: &[&str]| {
        let signature = api.signer.sign("channelstream", now());
        let mut headers = vec![("x-channelstream-secret", signature.as_str())];
        headers.extend(forwarded.iter().map(|value| ("x-forwarded-for", *value)));
        api.tap.fetch("POST", "/channelstream/info", &headers, "").await
    };
    for odd in
        ["", "unknown", "_hidden", "192.0.2.1é", "127.0.0.1é", "127.0.0.1, é", "1.2.3", "::1]"]
    {
        behind(&[odd]).await.is_problem(403, "forbidden", "X-Forwarded-For");
    }
    behind(&["127.0.0.1", "é"]).await.is_problem(403, "forbidden", "X-Forwarded-For");
    behind(&["é", "192.0.2.1"]).await.is_problem(403, "forbidden", "calls from 192.0.2.1");
    for ours in ["127.0.0.1", "127.0.0.1:4711", "[::1]:4711", "[::1]", "::1", "127.0.0.1,::1"] {
        assert_eq!(behind(&[ours]).await.status, 200, "{ours}");
    }
    for foreign in ["192.0.2.1:4711", "[2001:db8::1]:80", "é, 192.0.2.1, 127.0.0.1"] {
        behind(&[foreign]).await.is_problem(403, "forbidden", "calls from");
    }
}

#[tokio::test]
async fn who_is_no_trusted_proxy_is_not_believed() {
    let api = Api::with(|settings| {
        settings.allow_from = vec!["10.0.0.0/8".parse().expect("a network")];
        settings.trusted_proxies = vec!["192.0.2.1".parse::<Network>().expect("an address")];
        settings.enforce_https = true;
    })
    .await;
    let signature = api.signer.sign("channelstream", now());
    let headers = [
        ("x-channelstream-secret", signature.as_str()),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
    ];
    let answer = api.tap.fetch("POST", "/channelstream/info", &headers, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (406, "SSL is required"));
}

#[tokio::test]
async fn where_https_is_enforced_a_trusted_proxy_says_what_came_over_it() {
    let api = Api::with(|settings| settings.enforce_https = true).await;
    for path in ["/", "/connect", "/listen", "/nowhere"] {
        assert_eq!(api.get(path).await.status, 406, "{path}");
    }
    let signature = api.signer.sign("channelstream", now());
    let mut headers =
        vec![("x-channelstream-secret", signature.as_str()), ("x-forwarded-proto", "https")];
    let connect = r#"{"username":"ann"}"#;
    let answer = api.tap.fetch("POST", "/channelstream/connect", &headers, connect).await;
    assert_eq!(answer.status, 200);
    headers[1].1 = "https, http";
    let answer = api.tap.fetch("POST", "/channelstream/connect", &headers, connect).await;
    assert_eq!(answer.status, 406, "the last hop counts");
    // As in the original, WebSockets are exempt.
    let id = Api::start().await.connect("bob", &[]).await;
    assert_eq!(api.ws(&id).await.closed().await, 1000);
}

#[tokio::test]
async fn the_api_stands_on_the_traffic_side() {
    let hub = wstap::Hub::new(wstap::Settings::default());
    let settings = wstap::channelstream::ChannelstreamSettings::new(super::SECRET);
    let own = Channelstream::new(hub.clone(), settings);
    let web = wstap::web::Web {
        apis: vec![std::sync::Arc::new(own.clone())],
        apart: true,
        observers: vec!["http://localhost:8082".to_owned()],
        ..wstap::web::Web::new(hub.clone())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let service = web.traffic().into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    let api = Api { tap: Tap::of(addr, hub), own, signer: Signer::new(super::SECRET.as_bytes()) };
    api.connect("ann", &["a"]).await;
    let docs = api.get("/api-explorer").await;
    assert_eq!((docs.status, docs.header("location")), (307, "http://localhost:8082/api/docs"));
    serving.abort();
}

/// Makes room by leaving a channel, which is then replaced by another.
async fn more_room(api: &Api) -> String {
    let numbers = api.post("/admin/admin.json", json!({})).await;
    let id = numbers["users"][0]["connections"][0].as_str().expect("an id").to_owned();
    api.post("/unsubscribe", json!({"conn_id": id, "channels": ["a"]})).await;
    api.post("/channel_config", json!({"c": {"notify_presence": true}})).await;
    let info = api.post("/info", json!({"info": {}})).await;
    let names: Vec<_> = info["channels"].as_object().expect("channels").keys().collect();
    assert_eq!(names, ["b", "c"]);
    id
}

#[tokio::test]
async fn what_is_over_a_limit_is_told_as_full_and_makes_nothing() {
    let settings =
        hub::Settings { max_connections: 1, max_channels: 2, ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    api.connect("ann", &["a", "b"]).await;
    let more = api.call("POST", "/connect", r#"{"username":"bob"}"#).await;
    more.is_problem(503, "full", "try again later");
    let more = api.call("POST", "/channel_config", r#"{"c":{"notify_presence":true}}"#).await;
    more.is_problem(503, "full", "channels");
    let numbers = api.post("/admin/admin.json", json!({})).await;
    assert_eq!(
        (&numbers["remembered_user_count"], &numbers["total_channels"]),
        (&json!(1), &json!(2))
    );
    let id = more_room(&api).await;
    let mut ws = api.ws(&id).await;
    ws.send(&"x".repeat(2 << 20)).await;
    assert_eq!(ws.closed().await, 1009);
    let large = format!("[{}]", " ".repeat(2 << 20));
    api.call("POST", "/message", &large).await.is_problem(413, "too_large", "bytes");
}
