//! Refused calls change nothing, and histories have the order of deliveries.

use std::sync::Arc;

use serde_json::{Value, json};
use wstap::hub::{self, ChannelRules, Declared};

use super::{Api, frame};
use crate::harness::within;

#[tokio::test]
async fn refused_connect_changes_neither_users_nor_channels() {
    let rules = ChannelRules { max_members: Some(1), ..ChannelRules::default() };
    let declared = Declared { name: "small".parse().expect("a pattern"), rules };
    let settings =
        hub::Settings { channels: vec![declared], max_channels: 3, ..hub::Settings::default() };
    let api = Api::over(settings, |_| {}).await;
    let body = json!({"username": "ann", "channels": ["small"], "user_state": {"n": 1}});
    let id = api.post("/connect", body).await["conn_id"].as_str().expect("an id").to_owned();
    let ann = json!({"user": "ann", "user_state": {}});
    let refused = [
        // The channel is full; this would also take the place of ann's connection.
        json!({"username": "bob", "conn_id": id, "channels": ["new", "small"],
            "channel_configs": {"new": {"notify_presence": true}}}),
        // There are too many channels.
        json!({"username": "ann", "channels": ["b", "c", "d"], "user_state": {"n": 2},
            "state_public_keys": ["n"]}),
        json!({"username": "ann", "conn_id": id, "channels": ["b", "c", "d"],
            "user_state": {"n": 2}}),
    ];
    for body in refused {
        let answer = api.call("POST", "/connect", &body.to_string()).await;
        answer.is_problem(503, "full", "");
        let numbers = api.post("/admin/admin.json", json!({})).await;
        for (name, count) in [
            ("remembered_user_count", 1),
            ("unique_user_count", 1),
            ("total_connections", 1),
            ("total_channels", 1),
        ] {
            assert_eq!(numbers[name], count, "{name} after {body}");
        }
        let state = api.post("/user_state", ann.clone()).await;
        assert_eq!((&state["user_state"], &state["public_keys"]), (&json!({"n": 1}), &json!([])));
    }
    let body = json!({"conn_id": id, "channels": ["b", "c", "d"]}).to_string();
    api.call("POST", "/subscribe", &body).await.is_problem(503, "full", "");
    assert_eq!(api.post("/admin/admin.json", json!({})).await["total_channels"], 1);
    let mut ws = api.ws(&id).await;
    api.say("small", "still here").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn history_has_the_order_in_which_members_receive_messages() {
    const SENDERS: usize = 8;
    const EACH: usize = 40;
    let api = Arc::new(Api::start().await);
    let config = json!({"a": {"store_history": true, "history_size": 1000}});
    api.post("/channel_config", config).await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let api = Arc::clone(&api);
        senders.spawn(async move {
            for n in 0..EACH {
                // Half of them come from another protocol.
                if sender % 2 == 0 {
                    api.say("a", &format!("{sender} {n}")).await;
                } else {
                    let body = json!(format!("{sender} {n}")).to_string();
                    let headers = [("content-type", "application/json")];
                    let path = "/api/channels/a/messages";
                    let answer = api.tap.fetch("POST", path, &headers, &body).await;
                    assert_eq!(answer.status, 202, "{}", answer.body);
                }
            }
        });
    }
    let text = |item: &Value| item["message"]["text"].as_str().expect("a text").to_owned();
    let mut received = Vec::new();
    while received.len() < SENDERS * EACH {
        received.push(text(&frame(&mut ws).await));
    }
    while let Some(done) = within("a sender", senders.join_next()).await {
        done.expect("no panic");
    }
    let history = api.channel("a").await["history"].clone();
    let kept: Vec<_> = history.as_array().expect("a history").iter().map(text).collect();
    assert_eq!(kept, received);
}
