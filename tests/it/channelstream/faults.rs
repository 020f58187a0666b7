//! Faults of Channelstream 0.7.1 that wstap does not have. Each test is named after one.

use serde_json::json;
use wstap::hub;

use super::{Api, PATIENCE, SHORT, frame, now};
use crate::harness::{Tap, ask, until};

#[tokio::test]
async fn connections_without_channels_are_collected() {
    let api = Api::with(|settings| settings.gc_connections = PATIENCE).await;
    api.connect("ann", &[]).await;
    let heard = api.connect("bob", &[]).await;
    let ws = api.ws(&heard).await;
    api.connections(1).await;
    ws.close(1000, "").await;
    api.connections(0).await;
    let left = api.connect("eve", &[]).await;
    assert_eq!(api.get(&format!("/disconnect?conn_id={left}")).await.body, "true");
    api.connections(0).await;
}

#[tokio::test]
async fn unsubscribing_from_a_channel_that_a_user_is_not_in_parts_nobody() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"notify_presence": true}})).await;
    let ann = api.connect("ann", &["a"]).await;
    let bob = api.connect("bob", &[]).await;
    let mut ws = api.ws(&ann).await;
    let body = json!({"conn_id": bob, "channels": ["a", "nowhere"]});
    assert_eq!(api.post("/unsubscribe", body).await["unsubscribed_from"], json!([]));
    api.say("a", "end").await;
    assert_eq!(frame(&mut ws).await["type"], "message");
}

#[tokio::test]
async fn channel_config_changes_only_what_it_names() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"store_history": true, "history_size": 3}})).await;
    let told = api.post("/channel_config", json!({"a": {"notify_state": true}})).await;
    assert_eq!(
        told["channels"]["a"]["settings"],
        json!({"notify_presence": false, "store_history": true, "history_size": 3, "broadcast_presence_with_user_lists": false, "notify_state": true, "store_frames": true})
    );
}

#[tokio::test]
async fn a_history_size_of_0_keeps_nothing() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"store_history": true, "history_size": 0}})).await;
    for n in 0..23 {
        api.say("a", &n.to_string()).await;
    }
    assert_eq!(api.channel("a").await["history"], json!([]));
}

#[tokio::test]
async fn private_messages_stand_in_no_history() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"store_history": true}})).await;
    let body = json!([{"user": "ann", "channel": "a", "message": {"text": "psst"}, "pm_users": ["bob"]}, {"user": "ann", "channel": "a", "message": {"text": "hi"}}]);
    api.post("/message", body).await;
    let history = api.channel("a").await["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    assert_eq!(history[0]["message"]["text"], "hi");
}

#[tokio::test]
async fn a_conn_id_that_is_used_again_makes_no_ghost() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    let again = json!({"username": "ann", "channels": ["b"], "conn_id": id});
    assert_eq!(api.post("/connect", again).await["conn_id"], id.as_str());
    assert_eq!(api.channel("a").await["total_connections"], 1);
    api.say("b", "both").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "both", "the same connection goes on");
    // The connection of another user replaces it.
    let other = json!({"username": "bob", "channels": ["b"], "conn_id": id});
    api.post("/connect", other).await;
    assert_eq!(ws.closed().await, 4409);
    assert_eq!(api.channel("b").await["users"], json!(["bob"]));
    let mut ws = api.ws(&id).await;
    api.say("b", "to bob").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "to bob");
    assert_eq!(api.tap.hub.numbers().connections, 1);
}

#[tokio::test]
async fn a_connect_that_is_refused_takes_nobody_his_connection() {
    let duplicate_id = hub::DuplicateId::Reject;
    let settings = hub::Settings { duplicate_id, ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    let other = json!({"username": "bob", "channels": ["b"], "conn_id": id}).to_string();
    api.call("POST", "/connect", &other).await.is_problem(409, "replaced", "");
    let numbers = api.post("/admin/admin.json", json!({})).await;
    for (name, count) in
        [("remembered_user_count", 1), ("total_connections", 1), ("total_channels", 1)]
    {
        assert_eq!(numbers[name], count, "{name}");
    }
    api.say("a", "still here").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "still here");
    let again = json!({"conn_id": id, "channels": ["b"]});
    assert_eq!(api.post("/subscribe", again).await["subscribed_to"], json!(["b"]));
}

#[tokio::test]
async fn a_websocket_that_says_nothing_stays() {
    let api = Api::with(|settings| settings.gc_connections = PATIENCE).await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    // A connection of the same age that nobody listens to has ended.
    let eve = api.connect("eve", &["b"]).await;
    api.end_of(&eve).await;
    api.say("a", "still here").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "still here");
}

#[tokio::test]
async fn a_poll_whose_connection_ends_is_answered() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let (poll, ()) = tokio::join!(api.poll(&id), async {
        api.listeners(1).await;
        api.get(&format!("/disconnect?conn_id={id}")).await;
    });
    assert_eq!((poll.status, poll.body.as_str()), (200, "[]"));
    assert_eq!(api.poll(&id).await.status, 401);
}

#[tokio::test]
async fn users_who_poll_are_not_forgotten() {
    let api = Api::with(|settings| {
        settings.gc_users = SHORT;
        settings.gc_connections = PATIENCE;
    })
    .await;
    let ann = api.connect("ann", &["a"]).await;
    // This user connects later, and would be forgotten later.
    api.connect("eve", &["a"]).await;
    let polls = async {
        loop {
            assert_eq!(api.poll(&ann).await.status, 200);
        }
    };
    let eve_goes = async {
        // A query for the user would count as a use.
        ask("the end of who does not poll", async || {
            let numbers = api.post("/admin/admin.json", json!({})).await;
            (numbers["remembered_user_count"] != 2).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = polls => {}
        () = eve_goes => {}
    }
    let state = json!({"user": "ann", "user_state": {"x": 1}});
    assert_eq!(api.post("/user_state", state).await["user_state"], json!({"x": 1}));
}

#[tokio::test]
async fn malformed_json_is_400_and_not_500() {
    let api = Api::start().await;
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    for body in ["{", "nonsense", "{} {}", "\u{0}", &deep] {
        for path in ["/connect", "/message", "/info", "/channel_config"] {
            let answer = api.call("POST", path, body).await;
            answer.is_problem(400, "malformed", "JSON");
        }
    }
    api.call("POST", "/connect", "").await.is_problem(400, "malformed", "empty");
}

#[tokio::test]
async fn a_missing_or_odd_conn_id_is_told_and_not_500() {
    let api = Api::start().await;
    for path in ["/listen", "/listen?conn_id=", "/listen?conn_id=1"] {
        let answer = api.get(path).await;
        assert_eq!((answer.status, answer.json()), (422, json!(["Wrong UUID format"])), "{path}");
    }
    let unknown = api.poll("12345678-1234-5678-1234-567812345678").await;
    unknown.is_problem(401, "unauthorized", "connect again");
    let missing = api.get("/disconnect").await;
    assert_eq!(
        (missing.status, missing.json()),
        (422, json!({"conn_id": ["Field may not be null."]}))
    );
    let odd = api.get("/disconnect?conn_id=1").await;
    assert_eq!((odd.status, odd.json()), (422, json!({"conn_id": ["Not a valid UUID."]})));
    api.get("/ws").await.is_problem(426, "upgrade_required", "WebSocket");
}

#[tokio::test]
async fn errors_may_be_read_by_the_pages_that_made_them() {
    let api = Api::start().await;
    let origin = [("origin", "https://app.example")];
    for (method, path, status) in [
        ("POST", "/connect", 403),
        ("GET", "/listen", 422),
        ("GET", "/listen?conn_id=12345678-1234-5678-1234-567812345678", 401),
        ("GET", "/nowhere", 404),
        ("GET", "/connect", 405),
        ("GET", "/ws", 426),
        ("GET", "/disconnect?conn_id=12345678-1234-5678-1234-567812345678", 200),
    ] {
        let answer = api.tap.fetch(method, &format!("/channelstream{path}"), &origin, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
    let options = api.tap.fetch("OPTIONS", "/channelstream/disconnect", &origin, "").await;
    assert_eq!((options.status, options.body.as_str()), (200, ""));
    let fields = options.header("access-control-allow-headers").to_ascii_lowercase();
    assert!(fields.contains("content-type") && fields.contains("x-channelstream-secret"));
    assert!(options.header("access-control-allow-methods").contains("PATCH"));
}

#[tokio::test]
async fn origins_are_compared_whole() {
    let listed = wstap::auth::Origins::Listed(vec!["https://app.example".to_owned()]);
    let tap = Tap::with(hub::Settings::default(), |web| {
        let settings = wstap::channelstream::ChannelstreamSettings::new(super::SECRET);
        web.ws_origins = listed;
        let api = wstap::channelstream::Channelstream::new(web.hub.clone(), settings);
        web.apis.push(std::sync::Arc::new(api));
    })
    .await;
    for (origin, allowed) in [
        ("https://app.example", "https://app.example"),
        ("https://app.example.evil.org", ""),
        ("https://evil.org/https://app.example", ""),
        ("null", ""),
    ] {
        let headers = [("origin", origin)];
        let answer = tap.fetch("GET", "/channelstream/listen", &headers, "").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(answer.header("vary"), "origin");
    }
}

#[tokio::test]
async fn jsonp_cannot_be_made_to_say_something_else() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    api.say("a", "</script>\u{2028}").await;
    let path = format!("/listen?conn_id={id}&callback=app.received");
    let script = api.get(&path).await;
    assert_eq!(script.header("content-type"), "application/javascript; charset=utf-8");
    assert_eq!(script.header("x-content-type-options"), "nosniff");
    assert!(script.body.starts_with("/**/app.received([{") && script.body.ends_with("}]);"));
    assert!(!script.body.contains('\u{2028}') && script.body.contains("\\u2028"));
    for odd in ["alert(1)%2F%2F", "%3Cscript%3E", "a.b-c", "1a"] {
        let answer = api.get(&format!("/listen?conn_id={id}&callback={odd}")).await;
        answer.is_problem(400, "malformed", "callback");
    }
}

#[tokio::test]
async fn a_signature_of_the_far_future_is_refused() {
    let api = Api::start().await;
    let at = async |time: u64| {
        let signature = api.signer.sign("channelstream", time);
        let headers = [("x-channelstream-secret", signature.as_str())];
        api.tap.fetch("POST", "/channelstream/info", &headers, "").await.status
    };
    assert_eq!(at(now() + 30).await, 200, "clocks differ");
    assert_eq!(at(now() + 3600).await, 401);
}

#[tokio::test]
async fn a_secret_in_the_query_is_shown_nowhere() {
    let api = Api::start().await;
    let signature = api.signer.sign("channelstream", now());
    let path = format!("/channelstream/connect?secret={signature}");
    assert_eq!(api.tap.fetch("POST", &path, &[], r#"{"username":"ann"}"#).await.status, 200);
    let events = api.tap.get("/api/events").await.body;
    assert!(events.contains("\"path\":\"/channelstream/connect\""), "{events}");
    let shown = [events, api.tap.get("/api/connections").await.body];
    assert!(shown.iter().all(|text| !text.contains(&signature)));
}

#[tokio::test]
async fn empty_channels_are_collected() {
    let api = Api::with(|settings| settings.gc_channels = PATIENCE).await;
    let mut config = serde_json::Map::new();
    for n in 0..100 {
        config.insert(format!("c{n}"), json!({"notify_presence": true}));
    }
    api.post("/channel_config", config.into()).await;
    let id = api.connect("ann", &["stays"]).await;
    let _ws = api.ws(&id).await;
    assert_eq!(api.tap.hub.channels().len(), 101);
    until("the empty ones to go", || api.tap.hub.channels().len() == 1).await;
    let info = api.post("/info", json!({"info": {}})).await;
    assert_eq!(info["channels"].as_object().map(serde_json::Map::len), Some(1));
}

#[tokio::test]
async fn channels_of_others_are_shown_and_make_no_room_for_themselves() {
    let settings = hub::Settings { max_channels: 2, ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    api.post("/channel_config", json!({"a": {"store_history": true}})).await;
    api.post("/channel_config", json!({"b": {"store_history": true}})).await;
    let mut other = api.tap.registered("w").await;
    other.send(r#"{"type":"subscribe","params":{"channels":["theirs"]}}"#).await;
    until("it", || api.tap.hub.channels().len() == 1).await;
    let names = |told: &serde_json::Value| -> Vec<String> {
        told["channels"].as_object().expect("channels").keys().cloned().collect()
    };
    let info = api.post("/info", json!({"info": {}})).await;
    assert_eq!(names(&info), ["a", "b", "theirs"]);
    let theirs = &info["channels"]["theirs"];
    assert_eq!((&theirs["users"], &theirs["history"]), (&json!(["w"]), &json!([])));
    assert_eq!(theirs["settings"]["store_history"], false);
    assert_eq!(names(&api.post("/admin/admin.json", json!({})).await), ["a", "b", "theirs"]);
    assert_eq!(api.channel("theirs").await["uuid"], theirs["uuid"]);
    other.close(1000, "").await;
    until("its end", || api.tap.hub.channels().is_empty()).await;
    assert_eq!(names(&api.post("/info", json!({"info": {}})).await), ["a", "b"]);
    // A new channel replaces the one that has been idle for longest.
    api.post("/channel_config", json!({"a": {"notify_state": true}})).await;
    api.post("/channel_config", json!({"c": {"store_history": true}})).await;
    assert_eq!(names(&api.post("/info", json!({"info": {}})).await), ["a", "c"]);
}

#[tokio::test]
async fn info_tells_of_connections_where_that_is_asked() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let info = api.post("/info", json!({"info": {"include_connections": true}})).await;
    assert_eq!(info["users"], json!([{"user": "ann", "state": {}, "connections": [id]}]));
}

#[tokio::test]
async fn numbers_count_what_was_handed_to_listeners() {
    let api = Api::start().await;
    let heard = api.connect("ann", &["a"]).await;
    api.connect("bob", &["a"]).await;
    let mut ws = api.ws(&heard).await;
    api.say("a", "hi").await;
    frame(&mut ws).await;
    let numbers = api.post("/admin/admin.json", json!({})).await;
    assert_eq!(
        (&numbers["total_messages"], &numbers["total_unique_messages"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_second_websocket_stays_when_the_first_one_goes() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let mut first = api.ws(&id).await;
    api.say("a", "one").await;
    frame(&mut first).await;
    let mut second = api.ws(&id).await;
    assert_eq!(first.closed().await, 4409);
    drop(first);
    api.witness_of_websockets().await;
    api.say("a", "two").await;
    assert_eq!(frame(&mut second).await["message"]["text"], "two");
}
