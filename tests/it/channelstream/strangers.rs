//! Pages of other origins, and the secrecy of `conn_id`.

use serde_json::json;
use wstap::auth::Origins;
use wstap::channelstream::{Admin, Secret};
use wstap::hub;

use super::{Api, frame};

#[tokio::test]
async fn conn_id_is_on_no_stream_and_in_no_list() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"notify_presence": true}})).await;
    let mut events = api.tap.events("?format=full").await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    api.connect("bob", &["a"]).await;
    let joined = frame(&mut ws).await;
    let connect = events.json().await;
    assert_eq!(connect["connectionId"], api.shown(&id));
    let channel = api.tap.get("/api/channels/a").await;
    assert_eq!(channel.status, 200, "{}", channel.body);
    let shown = [
        joined.to_string(),
        connect.to_string(),
        channel.body,
        api.tap.get("/api/connections").await.body,
        api.tap.get("/api/events?format=json").await.body,
        api.tap.get("/api/channels").await.body,
        api.tap.get("/api/listeners").await.body,
    ];
    for text in shown {
        assert!(!text.contains(&id), "{text}");
    }
    // The id in the lists lets a client neither listen nor disconnect.
    let shown = api.shown(&id);
    assert_eq!(api.poll(&shown).await.status, 401);
    let path = format!("/channelstream/disconnect?conn_id={shown}");
    assert_eq!(api.tap.fetch("POST", &path, &[], "").await.body, "false");
    assert_eq!(api.tap.hub.numbers().connections, 2);
}

#[tokio::test]
async fn page_of_another_origin_neither_listens_nor_disconnects() {
    let listed = Origins::Listed(vec!["https://app.example".to_owned()]);
    let server = |web: &mut wstap::web::Web| web.ws_origins = listed;
    let api = Api::among(hub::Settings::default(), server, |_| {}).await;
    let id = api.connect("ann", &["a"]).await;
    api.say("a", "secret").await;
    let evil = ("origin", "https://evil.example");
    let cross = ("sec-fetch-site", "cross-site");
    let refused = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let path = format!("/channelstream{path}conn_id={id}");
        let answer = api.tap.fetch(method, &path, headers, "").await;
        answer.is_problem(403, "forbidden", "--ws-origin");
    };
    for headers in [&[evil][..], &[cross], &[cross, ("referer", "https://evil.example/page")]] {
        refused("GET", "/listen?callback=stolen&", headers).await;
        let path = format!("/channelstream/listen?conn_id={id}");
        assert_eq!(api.tap.request("HEAD", &path, headers, "").await.status(), 403);
        refused("GET", "/disconnect?", headers).await;
        refused("POST", "/disconnect?", headers).await;
    }
    let app = [("origin", "https://app.example"), cross];
    let path = format!("/channelstream/listen?conn_id={id}");
    let answer = api.tap.fetch("GET", &path, &app, "").await;
    assert!(answer.status == 200 && answer.body.contains("secret"), "{}", answer.body);
    let script = [("referer", "https://app.example/"), cross];
    api.say("a", "again").await;
    let answer = api.tap.fetch("GET", &format!("{path}&callback=cb"), &script, "").await;
    assert!(answer.body.starts_with("/**/cb([{"), "{}", answer.body);
    assert_eq!(api.tap.hub.numbers().connections, 1);
}

#[tokio::test]
async fn browser_disconnects_by_post_only() {
    let api = Api::start().await;
    let id = api.connect("ann", &[]).await;
    let path = format!("/channelstream/disconnect?conn_id={id}");
    for site in ["same-origin", "none", "cross-site"] {
        let answer = api.tap.fetch("GET", &path, &[("sec-fetch-site", site)], "").await;
        answer.is_problem(405, "method_not_allowed", "POST");
    }
    let headers = [("sec-fetch-site", "same-origin"), ("origin", "http://localhost")];
    assert_eq!(api.tap.fetch("POST", &path, &headers, "").await.body, "true");
    api.connections(0).await;
}

/// Starts a server with an account.
async fn with_account() -> Api {
    Api::with(|settings| settings.admin = Some(Admin::new("admin", Secret::new("pa55")))).await
}

const SIGN_IN: &str = "/channelstream/admin/sign_in";
const RIGHT: &str = "username=admin&password=pa55";

#[tokio::test]
async fn guesses_from_one_address_do_not_lock_out_another() {
    let api = with_account().await;
    let wrong = "username=admin&password=x";
    // The proxy on this machine is trusted to name the client.
    let guess = |from: &'static str, form: &'static str| {
        let api = &api;
        async move { api.tap.fetch("POST", SIGN_IN, &[("x-forwarded-for", from)], form).await.status }
    };
    let guesses = async {
        loop {
            let both = (guess("2001:db8::1", wrong), guess("2001:db8::2", wrong));
            let (first, second) = tokio::join!(both.0, both.1);
            let mut both = [first, second];
            both.sort_unstable();
            assert_eq!(both, [200, 429], "a network of IPv6 is one client");
        }
    };
    let owner = async {
        for _ in 0..10 {
            assert_eq!(guess("203.0.113.7", RIGHT).await, 302);
        }
    };
    tokio::select! {
        () = guesses => unreachable!("it guesses for ever"),
        () = owner => {}
    }
}

#[tokio::test]
async fn ticket_is_invalid_after_sign_out() {
    let api = with_account().await;
    let mut tickets = Vec::new();
    for _ in 0..2 {
        let cookie = api.tap.fetch("POST", SIGN_IN, &[], RIGHT).await;
        let cookie = cookie.header("set-cookie").to_owned();
        tickets.push(cookie.split(';').next().expect("a pair").to_owned());
    }
    let status = async |ticket: &str, path: &str| {
        let path = format!("/channelstream/admin{path}");
        api.tap.fetch("GET", &path, &[("cookie", ticket)], "").await.status
    };
    assert_eq!(status(&tickets[0], "").await, 200);
    // A page of another site cannot sign anybody out.
    let headers = [("cookie", tickets[0].as_str()), ("sec-fetch-site", "cross-site")];
    let answer = api.tap.fetch("GET", "/channelstream/admin/sign_out", &headers, "").await;
    answer.is_problem(403, "forbidden", "other sites");
    assert_eq!(status(&tickets[0], "/sign_out").await, 302);
    assert_eq!(status(&tickets[0], "").await, 302, "the ticket has ended");
    assert_eq!(status(&tickets[1], "").await, 200, "another one has not");
}

#[tokio::test]
async fn signed_in_browser_is_shown_no_conn_id() {
    let api = with_account().await;
    let id = api.connect("ann", &["a"]).await;
    let cookie = api.tap.fetch("POST", SIGN_IN, &[], RIGHT).await;
    let cookie = cookie.header("set-cookie").to_owned();
    let headers = [("cookie", cookie.split(';').next().expect("a pair"))];
    let figures = api.tap.fetch("GET", "/channelstream/admin/admin.json", &headers, "").await;
    let figures = figures.json();
    assert_eq!(figures["users"][0]["connections"], json!([api.shown(&id)]));
    assert!(!figures.to_string().contains(&id));
}
