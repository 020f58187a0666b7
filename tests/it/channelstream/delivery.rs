//! Delivery to channels and users: messages, presence, states, edits; and the event stream.

use serde_json::{Value, json};
use wstap::hub;
use wstap::redact::{Redaction, Rules};

use super::{Api, frame};
use crate::harness::until;

#[tokio::test]
async fn a_message_reaches_the_members_of_its_channel() {
    let api = Api::start().await;
    let (ann, bob) = (api.connect("ann", &["a"]).await, api.connect("bob", &["b"]).await);
    let (mut ann, mut bob) = (api.ws(&ann).await, api.ws(&bob).await);
    let message = json!([{"type": "message", "user": "system", "channel": "a", "message": {"n": 1}, "colour": "red"}]);
    let answer = api.post("/message", message).await;
    let (uuid, timestamp) = (answer[0]["uuid"].clone(), answer[0]["timestamp"].clone());
    assert_eq!(
        answer,
        json!([{"channel": "a", "uuid": uuid, "timestamp": timestamp, "user": "system", "message": {"n": 1}, "edited": null, "pm_users": [], "exclude_users": [], "no_history": false, "colour": "red"}])
    );
    let told = frame(&mut ann).await;
    assert_eq!(
        told,
        json!({"channel": "a", "uuid": uuid, "timestamp": timestamp, "user": "system", "message": {"n": 1}, "edited": null, "catchup": false, "type": "message", "colour": "red"})
    );
    api.say("b", "next").await;
    assert_eq!(frame(&mut bob).await["message"]["text"], "next", "and nothing of another channel");
}

#[tokio::test]
async fn messages_go_to_some_or_to_all_but_some() {
    let api = Api::start().await;
    let mut sockets = Vec::new();
    for user in ["ann", "bob", "eve"] {
        let id = api.connect(user, &["a"]).await;
        sockets.push(api.ws(&id).await);
    }
    let to = |text: &str, pm: Value, exclude: Value, channel: Value| json!({"user": "system", "channel": channel, "message": {"text": text}, "pm_users": pm, "exclude_users": exclude});
    let messages = json!([
        to("to bob", json!(["bob", "nobody"]), json!([]), json!("a")),
        to("not to bob", json!([]), json!(["bob"]), json!("a")),
        to("excluded wins", json!(["bob", "eve"]), json!(["bob"]), json!("a")),
        to("wherever", json!(["ann", "bob"]), json!([]), json!(null)),
        to("to nobody", json!([]), json!([]), json!(null)),
        to("end", json!([]), json!([]), json!("a")),
    ]);
    let answer = api.post("/message", messages).await;
    assert_eq!(answer.as_array().map(Vec::len), Some(5), "what is for nobody is left out");
    let expected = [
        vec!["not to bob", "wherever", "end"],
        vec!["to bob", "wherever", "end"],
        vec!["not to bob", "excluded wins", "end"],
    ];
    for (ws, expected) in sockets.iter_mut().zip(expected) {
        for text in expected {
            let told = frame(ws).await;
            assert_eq!(told["message"]["text"], text);
            assert!(told.get("pm_users").is_none() && told.get("exclude_users").is_none());
        }
    }
}

#[tokio::test]
async fn edits_and_deletions_reach_whom_the_message_reached_and_change_what_is_kept() {
    let api = Api::start().await;
    let configs = json!({"a": {"store_history": true}});
    let body = json!({"username": "ann", "channels": ["a"], "channel_configs": configs});
    let id = api.post("/connect", body).await["conn_id"].as_str().expect("an id").to_owned();
    let mut ws = api.ws(&id).await;
    let body = json!([{"user": "ann", "channel": "a", "message": {"text": "one"}}, {"user": "ann", "channel": "a", "message": {"text": "two"}}]);
    let sent = api.post("/message", body).await;
    let uuids = [sent[0]["uuid"].clone(), sent[1]["uuid"].clone()];
    let edit = json!([{"uuid": uuids[0], "channel": "a", "timestamp": "2010-01-01T01:01", "edited": "2010-01-01T01:02Z", "message": {"text": "ONE"}}]);
    let answer = api.call("PATCH", "/message", &edit.to_string()).await.json();
    assert_eq!(
        answer,
        json!([{"channel": "a", "uuid": uuids[0], "timestamp": "2010-01-01T01:01:00", "edited": "2010-01-01T01:02:00+00:00", "message": {"text": "ONE"}, "pm_users": [], "exclude_users": [], "no_history": false}])
    );
    let deletion = json!([{"uuid": uuids[1], "channel": "a"}]);
    let answer = api.call("DELETE", "/message", &deletion.to_string()).await.json();
    assert_eq!(answer[0]["uuid"], uuids[1]);
    let kinds = ["message", "message", "message:edit", "message:delete"];
    let mut told = Vec::new();
    for kind in kinds {
        let frame = frame(&mut ws).await;
        assert_eq!(frame["type"], kind);
        told.push(frame);
    }
    assert_eq!(
        told[2],
        json!({"channel": "a", "uuid": uuids[0], "timestamp": "2010-01-01T01:01:00", "edited": "2010-01-01T01:02:00+00:00", "message": {"text": "ONE"}, "type": "message:edit"})
    );
    assert_eq!(told[3], json!({"channel": "a", "uuid": uuids[1], "type": "message:delete"}));
    let history = api.channel("a").await["history"].clone();
    assert_eq!(
        history,
        json!([{"channel": "a", "uuid": uuids[0], "timestamp": "2010-01-01T01:01:00", "user": "ann", "edited": "2010-01-01T01:02:00+00:00", "message": {"text": "ONE"}, "pm_users": [], "exclude_users": [], "no_history": false, "catchup": false, "type": "message"}])
    );
}

#[tokio::test]
async fn presence_is_told_with_the_first_connection_and_the_last() {
    let api = Api::start().await;
    let configs =
        json!({"a": {"notify_presence": true, "broadcast_presence_with_user_lists": true}});
    let body = json!({"username": "ann", "channels": ["a"], "channel_configs": configs, "fresh_user_state": {"mood": "good", "pin": 1}, "state_public_keys": ["mood"]});
    let ann = api.post("/connect", body).await["conn_id"].as_str().expect("an id").to_owned();
    let mut ann = api.ws(&ann).await;
    let state = json!({"username": "bob", "channels": ["a"], "fresh_user_state": {"color": "red", "pin": 2}, "state_public_keys": ["color"]});
    let mut tabs = Vec::new();
    for _ in 0..2 {
        tabs.push(api.post("/connect", state.clone()).await["conn_id"].clone());
    }
    let joined = frame(&mut ann).await;
    let (uuid, timestamp) = (&joined["uuid"], &joined["timestamp"]);
    assert_eq!(
        joined,
        json!({"uuid": uuid, "type": "presence", "user": "bob", "users": [{"user": "ann", "state": {"mood": "good"}}, {"user": "bob", "state": {"color": "red"}}], "timestamp": timestamp, "channel": "a", "message": {"action": "joined"}, "state": {"color": "red"}, "catchup": false})
    );
    for tab in &tabs {
        assert_eq!(api.post("/disconnect", json!({"conn_id": tab})).await, true);
        if tab == &tabs[0] {
            api.connections(2).await;
            api.say("a", "still here").await;
        }
    }
    assert_eq!(frame(&mut ann).await["message"]["text"], "still here", "one tab is left");
    let parted = frame(&mut ann).await;
    assert_eq!((&parted["message"]["action"], &parted["user"]), (&json!("parted"), &json!("bob")));
    assert_eq!((&parted["state"], &parted["users"][0]["user"]), (&json!(null), &json!("ann")));
}

#[tokio::test]
async fn a_change_of_the_public_state_is_told_where_that_is_wanted() {
    let api = Api::start().await;
    let configs = json!({"a": {"notify_state": true}});
    let body = json!({"username": "ann", "channels": ["a", "b"], "channel_configs": configs, "user_state": {"color": "red", "pin": 1}, "state_public_keys": ["color"]});
    let ann = api.post("/connect", body).await["conn_id"].as_str().expect("an id").to_owned();
    let mut ws = api.ws(&ann).await;
    let change = json!({"user": "ann", "user_state": {"color": "blue", "pin": 2, "new": null}});
    let answer = api.post("/user_state", change).await;
    assert_eq!(
        answer,
        json!({"user_state": {"color": "blue", "pin": 2}, "changed_state": [{"key": "color", "value": "blue"}, {"key": "pin", "value": 2}], "public_keys": ["color"]})
    );
    let told = frame(&mut ws).await;
    assert_eq!(
        (&told["type"], &told["user"], &told["channel"]),
        (&json!("user_state_change"), &json!("ann"), &json!("a"))
    );
    assert_eq!(
        told["message"],
        json!({"state": {"color": "blue"}, "changed": [{"key": "color", "value": "blue"}]})
    );
    let nothing = api
        .post(
            "/user_state",
            json!({"user": "ann", "user_state": {"pin": 2}, "state_public_keys": []}),
        )
        .await;
    assert_eq!((&nothing["changed_state"], &nothing["public_keys"]), (&json!([]), &json!([])));
    api.say("a", "end").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "end", "and once only");
}

#[tokio::test]
async fn the_event_stream_shows_it_and_other_dialects_speak_with_it() {
    let api = Api::start().await;
    let mut events = api.tap.events("?format=full&channel=a").await;
    let id = api.connect("ann", &["a"]).await;
    let mut theirs = api.ws(&id).await;
    let mut ours = api.tap.registered("w").await;
    ours.send(r#"{"type":"subscribe","params":{"channels":["a"]}}"#).await;
    let join = events.json().await;
    assert_eq!(
        (&join["kind"], &join["user"], &join["connectionId"]),
        (&json!("join"), &json!("ann"), &json!(api.shown(&id)))
    );
    assert_eq!(events.json().await["user"], "w");
    api.say("a", "hello").await;
    let event = events.json().await;
    assert_eq!((&event["message"], &event["user"]), (&json!({"text": "hello"}), &json!("system")));
    assert_eq!(ours.json().await, json!({"channel": "a", "data": {"text": "hello"}}));
    assert_eq!(frame(&mut theirs).await["message"]["text"], "hello");
    ours.send(r#"{"type":"publish","params":{"channel":"a","message":"hi"}}"#).await;
    let told = frame(&mut theirs).await;
    assert_eq!(
        (&told["message"], &told["user"], &told["type"]),
        (&json!({"text": "hi"}), &json!("w"), &json!("message"))
    );
    assert_eq!(told["uuid"].as_str().map(str::len), Some(36));
    let body = r#"{"price":1.250}"#;
    let headers = [("content-type", "application/json")];
    let published = api.tap.fetch("POST", "/api/channels/a/messages", &headers, body).await;
    assert_eq!(published.status, 202);
    let told = frame(&mut theirs).await;
    assert_eq!((&told["message"], &told["user"]), (&json!({"price": 1.25}), &json!("system")));
    let seen = api.channel("a").await;
    assert_eq!((&seen["users"], &seen["total_connections"]), (&json!(["ann", "w"]), &json!(2)));
}

#[tokio::test]
async fn what_others_publish_stands_in_a_history_too() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"store_history": true}})).await;
    let id = api.connect("ann", &["a"]).await;
    let mut theirs = api.ws(&id).await;
    api.tap.fetch("POST", "/api/channels/a/messages", &[], "\"hi\"").await;
    let told = frame(&mut theirs).await;
    let history = api.channel("a").await["history"].clone();
    assert_eq!(
        (&history[0]["uuid"], &history[0]["message"]),
        (&told["uuid"], &json!({"text": "hi"}))
    );
}

#[tokio::test]
async fn private_channels_open_to_those_whom_a_signed_call_lets_in() {
    let rules = hub::ChannelRules { private: true, presence: true, ..hub::ChannelRules::default() };
    let declared = hub::Declared { name: "vip".parse().expect("a name"), rules };
    let settings = hub::Settings { channels: vec![declared], ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    let id = api.connect("ann", &["vip"]).await;
    let mut ws = api.ws(&id).await;
    api.say("vip", "secret").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "secret");
    assert_eq!(api.channel("vip").await["settings"]["notify_presence"], true);
    let mut outsider = api.tap.registered("w").await;
    outsider.send(r#"{"type":"subscribe","params":{"channels":["vip"]}}"#).await;
    assert_eq!(outsider.json().await["error"]["code"], "unauthorized");
}

#[tokio::test]
async fn what_is_sent_to_one_connection_reaches_its_client_in_its_own_words() {
    let api = Api::start().await;
    let id = api.connect("ann", &[]).await;
    let mut ws = api.ws(&id).await;
    let id = api.shown(&id);
    let headers = [("content-type", "application/json")];
    let path = format!("/api/connections/{id}/messages");
    assert_eq!(api.tap.fetch("POST", &path, &headers, "{\"a\":1}").await.status, 202);
    let told = frame(&mut ws).await;
    assert_eq!((&told["message"], &told["channel"]), (&json!({"a": 1}), &json!(null)));
    let answer =
        api.tap.fetch("DELETE", &format!("/api/connections/{id}?code=4005"), &[], "").await;
    assert_eq!((answer.status, ws.closed().await), (204, 4005));
    until("its end", || api.tap.hub.numbers().connections == 0).await;
}

#[tokio::test]
async fn what_is_redacted_is_hidden_from_those_who_watch_and_from_nobody_else() {
    let paths = vec!["message.password".parse().expect("a path")];
    let rules = Rules { paths, ..Rules::default() };
    let settings = hub::Settings { redaction: Redaction::new(rules), ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    let message = json!([{"user": "bob", "channel": "a", "message": {"password": "hunter2"}}]);
    let sent = api.post("/message", message).await;
    assert_eq!(frame(&mut ws).await["message"]["password"], "hunter2");
    let edit =
        json!([{"uuid": sent[0]["uuid"], "channel": "a", "message": {"password": "hunter3"}}]);
    api.call("PATCH", "/message", &edit.to_string()).await;
    assert_eq!(frame(&mut ws).await["message"]["password"], "hunter3");
    let body = r#"{"password":"hunter4"}"#;
    let headers = [("content-type", "application/json")];
    api.tap.fetch("POST", "/api/channels/a/messages", &headers, body).await;
    assert_eq!(frame(&mut ws).await["message"]["password"], "hunter4");
    let events = api.tap.get("/api/events").await.body;
    assert!(events.contains("[redacted]"), "{events}");
    assert!(!events.contains("hunter"), "{events}");
}
