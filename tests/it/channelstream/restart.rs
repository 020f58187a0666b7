//! What of this API outlives a restart of a server with a log on disk.

use serde_json::{Value, json};
use wstap::hub;

use super::{Api, frame};
use crate::log::Directory;

/// Two channels, of which one keeps messages.
fn settings() -> hub::Settings {
    let rules = hub::ChannelRules { history: 3, presence: true, ..hub::ChannelRules::default() };
    let declared = hub::Declared { name: "news".parse().expect("a name"), rules };
    hub::Settings { channels: vec![declared], ..hub::Settings::default() }
}

fn texts(channel: &Value) -> Vec<&str> {
    let history = channel["history"].as_array().expect("a history");
    history.iter().map(|post| post["message"]["text"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn history_and_last_outlive_a_restart_and_presence_does_not() {
    let directory = Directory::new();
    let mut api = Api::logged(settings(), &directory.settings()).await;
    let id = api.connect("ann", &["news", "other"]).await;
    let mut ws = api.ws(&id).await;
    for text in ["one", "two", "three", "four"] {
        api.say("news", text).await;
        api.say("other", text).await;
    }
    assert_eq!(texts(&api.channel("news").await), ["two", "three", "four"]);
    let mut received = Vec::new();
    while received.len() < 8 {
        let next = frame(&mut ws).await;
        received.extend(next["message"]["text"].as_str().map(str::to_owned));
    }
    api.tap.stop().await;

    let mut api = Api::logged(settings(), &directory.settings()).await;
    let before = api.channel("news").await;
    assert_eq!(texts(&before), ["two", "three", "four"], "{before}");
    assert_eq!((&before["history"][0]["user"], &before["users"]), (&json!("system"), &json!([])));
    assert_eq!(before["total_connections"], 0);
    // The old connection and its channel without a history are gone.
    let gone = api.tap.get(&format!("/channelstream/listen?conn_id={id}")).await;
    assert_eq!(gone.status, 401, "{}", gone.body);
    let info = api.post("/info", json!({"info": {}})).await;
    assert_eq!((&info["channels"]["other"], &info["users"]), (&Value::Null, &json!([])));
    // Members of both protocols receive the same.
    let mut member = api.tap.registered("w").await;
    member.send(r#"{"type":"subscribe","params":{"channels":["news"],"last":2}}"#).await;
    let mut last = Vec::new();
    while last.len() < 2 {
        let item = member.json().await;
        last.extend(item["data"]["text"].as_str().map(str::to_owned));
    }
    assert_eq!(last, ["three", "four"]);
    api.connect("bob", &["news"]).await;
    api.say("news", "five").await;
    let after = api.channel("news").await;
    assert_eq!(texts(&after), ["three", "four", "five"]);
    assert_eq!(after["users"], json!(["bob", "w"]));
    assert_eq!(after["history"][0]["uuid"], before["history"][1]["uuid"], "it is known again");
    api.tap.stop().await;
}

#[tokio::test]
async fn history_of_an_earlier_process_begins_after_an_edit_or_a_deletion() {
    let directory = Directory::new();
    let mut api = Api::logged(settings(), &directory.settings()).await;
    api.connect("ann", &["news"]).await;
    api.say("news", "one").await;
    let message = json!([{"user": "system", "channel": "news", "message": {"text": "secret"}}]);
    let sent = api.post("/message", message).await;
    let delete = json!([{"uuid": sent[0]["uuid"], "channel": "news"}]);
    let answer = api.call("DELETE", "/message", &delete.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    api.say("news", "two").await;
    assert_eq!(texts(&api.channel("news").await), ["one", "two"]);
    api.tap.stop().await;

    let mut api = Api::logged(settings(), &directory.settings()).await;
    assert_eq!(texts(&api.channel("news").await), ["two"]);
    let second = api.channel("news").await["history"][0]["uuid"].clone();
    let delete = json!([{"uuid": second, "channel": "news"}]);
    api.call("DELETE", "/message", &delete.to_string()).await;
    api.connect("ann", &["news"]).await;
    assert_eq!(texts(&api.channel("news").await), [""; 0]);
    api.tap.stop().await;
}
