//! WebSockets and polls: late frames, takeovers, heartbeats, ends.

use std::time::Duration;

use serde_json::{Value, json};

use wstap::hub;
use wstap::web::Web;

use super::{Api, PATIENCE, SHORT, frame};
use crate::harness::{Tap, until, within};

/// Returns the texts of a poll, and whether they were late.
fn texts(answer: &Value) -> Vec<(&str, bool)> {
    let items = answer.as_array().expect("an array").iter();
    items
        .map(|item| {
            let text = item["message"]["text"].as_str().expect("a text");
            (text, item["catchup"] == true)
        })
        .collect()
}

#[tokio::test]
async fn what_came_while_nobody_listened_comes_first_and_says_so() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    api.say("a", "early").await;
    let to_ann = json!([{"user": "bob", "pm_users": ["ann"], "message": {"text": "psst"}}]);
    api.post("/message", to_ann).await;
    let mut ws = api.ws(&id).await;
    for text in ["early", "psst"] {
        let told = frame(&mut ws).await;
        assert_eq!((&told["message"]["text"], &told["catchup"]), (&json!(text), &json!(true)));
    }
    api.say("a", "now").await;
    let told = frame(&mut ws).await;
    assert_eq!((&told["message"]["text"], &told["catchup"]), (&json!("now"), &json!(false)));
}

#[tokio::test]
async fn of_what_waits_the_last_hundred_stay() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    for n in 0..150 {
        api.say("a", &n.to_string()).await;
    }
    let mut ws = api.ws(&id).await;
    for n in 50..150 {
        assert_eq!(frame(&mut ws).await["message"]["text"], n.to_string());
    }
}

#[tokio::test]
async fn a_channel_that_stores_no_frames_tells_only_those_who_listen() {
    let api = Api::start().await;
    api.post("/channel_config", json!({"a": {"store_frames": false}})).await;
    let id = api.connect("ann", &["a", "b"]).await;
    api.say("a", "missed").await;
    api.say("b", "kept").await;
    let mut ws = api.ws(&id).await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "kept");
    api.say("a", "heard").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "heard");
}

#[tokio::test]
async fn what_waits_is_edited_and_deleted_like_what_is_kept() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let body = json!([{"user": "x", "channel": "a", "message": {"text": "one"}, "a\"b": 1}, {"user": "x", "channel": "a", "message": {"text": "two"}}]);
    let sent = api.post("/message", body).await;
    let edit = json!([{"uuid": sent[0]["uuid"], "channel": "a", "message": {"text": "ONE"}}]);
    api.call("PATCH", "/message", &edit.to_string()).await;
    let deletion = json!([{"uuid": sent[1]["uuid"], "channel": "a"}]);
    api.call("DELETE", "/message", &deletion.to_string()).await;
    let mut ws = api.ws(&id).await;
    let first = frame(&mut ws).await;
    assert_eq!((&first["message"]["text"], &first["a\"b"]), (&json!("ONE"), &json!(1)));
    assert!(first["edited"].is_string() && first["type"] == "message");
    for kind in ["message:edit", "message:delete"] {
        let told = frame(&mut ws).await;
        assert_eq!((&told["type"], &told["catchup"]), (&json!(kind), &json!(true)));
    }
}

#[tokio::test]
async fn a_poll_waits_for_something_and_gathers_a_burst() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let (answer, ()) = tokio::join!(api.poll(&id), async {
        api.listeners(1).await;
        let say = |text: &str| json!({"user": "x", "channel": "a", "message": {"text": text}});
        api.post("/message", json!([say("one"), say("two")])).await;
    });
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(texts(&answer.json()), [("one", false), ("two", false)]);
    api.say("a", "between").await;
    assert_eq!(texts(&api.poll(&id).await.json()), [("between", true)]);
}

#[tokio::test]
async fn a_poll_without_news_is_answered_after_5_seconds() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let begun = std::time::Instant::now();
    assert_eq!(api.poll(&id).await.body, "[]");
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_websocket_gets_an_empty_frame_every_5_seconds() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    assert_eq!(ws.json().await, json!([]));
    ws.send(r#"{"type":"heartbeat"}"#).await;
    ws.send("nonsense").await;
    ws.send_binary(&[0]).await;
    api.say("a", "still here").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "still here", "whatever it says");
}

#[tokio::test]
async fn a_request_for_the_head_of_a_poll_takes_nothing() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    api.say("a", "one").await;
    let head =
        api.tap.request("HEAD", &format!("/channelstream/listen?conn_id={id}"), &[], "").await;
    assert_eq!(head.status(), 200);
    assert_eq!(texts(&api.poll(&id).await.json()), [("one", true)]);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let limits = |web: &mut Web| {
        web.limits.ping_interval = PATIENCE;
        web.limits.pong_timeout = PATIENCE;
    };
    let api = Api::among(hub::Settings::default(), limits, |_| {}).await;
    let mut events = api.tap.events("?kind=close&format=full").await;
    let (silent, quiet) = (api.connect("silent", &["a"]).await, api.connect("quiet", &["a"]).await);
    // It does not read, and so answers no ping.
    let _silent = api.ws(&silent).await;
    let mut quiet = api.ws(&quiet).await;
    let answers = async { while quiet.next().await.is_some() {} };
    tokio::select! {
        () = answers => panic!("who answers stays"),
        close = events.json() => {
            assert_eq!(close["connectionId"], api.shown(&silent));
            assert_eq!(close["close"]["reason"], "nothing came within 3s of a ping");
        }
    }
}

#[tokio::test]
async fn a_newer_listener_takes_over() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let (first, second) = tokio::join!(api.poll(&id), async {
        api.listeners(1).await;
        let mut ws = api.ws(&id).await;
        api.say("a", "to the newer").await;
        frame(&mut ws).await
    });
    assert_eq!(first.body, "[]");
    assert_eq!(second["message"]["text"], "to the newer");
}

#[tokio::test]
async fn what_a_client_that_went_did_not_take_waits_for_the_next() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let path = format!("/channelstream/listen?conn_id={id}");
    within("one that goes in time", async {
        for handed in 1.. {
            // The client disconnects after a message was handed over and before the poll is answered. A
            // busy machine may be too slow for that in one round.
            let goes = async {
                api.listeners(1).await;
                api.say("a", "one").await;
                let numbers = async || api.post("/admin/admin.json", json!({})).await;
                while numbers().await["total_messages"] != handed {}
            };
            tokio::select! {
                _ = api.tap.request("GET", &path, &[], "") => {}
                () = goes => return,
            }
        }
    })
    .await;
    // The server has to notice the end first; until then the first poll listens.
    within("the message", async {
        loop {
            let answer = api.poll(&id).await.json();
            if texts(&answer).iter().any(|(text, _)| *text == "one") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_websocket_is_the_end_of_its_connection() {
    let api = Api::start().await;
    let mut events = api.tap.events("?kind=close&format=full").await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    api.say("a", "hi").await;
    frame(&mut ws).await;
    ws.close(4001, "bye").await;
    let close = events.json().await;
    assert_eq!(close["connectionId"], api.shown(&id));
    assert_eq!(
        close["close"],
        json!({"code": 4001, "reason": "bye", "clean": true, "by": "client"})
    );
    assert_eq!(api.channel("a").await["total_connections"], 0);
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    api.say("a", "hi").await;
    frame(&mut ws).await;
    ws.reset();
    assert_eq!(events.json().await["close"]["by"], "network");
}

#[tokio::test]
async fn a_websocket_may_come_back_at_once_and_misses_nothing() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let ws = api.ws(&id).await;
    ws.close(1000, "").await;
    api.say("a", "between").await;
    let mut ws = api.ws(&id).await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "between");
    api.witness_of_websockets().await;
    assert_eq!(api.tap.hub.numbers().connections, 1);
}

#[tokio::test]
async fn whoever_connects_again_has_time_anew_to_listen() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    api.ws(&id).await.close(1000, "").await;
    let again = json!({"username": "ann", "conn_id": id});
    assert_eq!(api.post("/connect", again).await["conn_id"], id.as_str());
    api.witness_of_websockets().await;
    let mut ws = api.ws(&id).await;
    api.say("a", "here again").await;
    assert_eq!(frame(&mut ws).await["message"]["text"], "here again");
}

#[tokio::test]
async fn a_connection_that_nobody_listens_to_ends_and_says_why() {
    let api = Api::with(|settings| settings.gc_connections = SHORT).await;
    let mut events = api.tap.events("?kind=close&format=full").await;
    api.connect("ann", &["a"]).await;
    let close = events.json().await["close"].clone();
    assert_eq!((&close["code"], &close["by"]), (&json!(4408), &json!("tap")));
    assert_eq!(close["reason"], "nobody has listened for 300ms");
}

#[tokio::test]
async fn disconnect_closes_the_websocket() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    let mut ws = api.ws(&id).await;
    api.say("a", "hi").await;
    frame(&mut ws).await;
    let body = json!({"conn_id": id}).to_string();
    // As the JavaScript client does, without a signature.
    let path = format!("/channelstream/disconnect?conn_id={id}");
    assert_eq!(api.tap.fetch("POST", &path, &[], &body).await.body, "true");
    assert_eq!(ws.closed().await, 1000);
    until("its end", || api.tap.hub.numbers().connections == 0).await;
    assert_eq!(api.tap.fetch("POST", &path, &[], &body).await.body, "false");
}

#[tokio::test]
async fn a_websocket_of_an_unknown_connection_is_closed_in_good_order() {
    let api = Api::start().await;
    let mut ws = api.ws("12345678-1234-5678-1234-567812345678").await;
    assert_eq!(ws.closed().await, 1000);
}

#[tokio::test]
async fn a_stop_ends_polls_and_websockets() {
    let mut api = Api::start().await;
    let (ann, bob) = (api.connect("ann", &["a"]).await, api.connect("bob", &["a"]).await);
    let mut ws = api.ws(&ann).await;
    let path = format!("/channelstream/listen?conn_id={bob}");
    let addr = api.tap.addr;
    let hub = api.tap.hub.clone();
    let poll = tokio::spawn(async move { Tap::of(addr, hub).get(&path).await });
    api.listeners(2).await;
    api.tap.stop().await;
    assert_eq!(ws.closed().await, 1001);
    assert_eq!(poll.await.expect("no panic").body, "[]");
}

#[tokio::test]
async fn one_who_reads_nothing_keeps_nobody_waiting() {
    const LARGE: usize = 200_000;
    let slow_client = hub::SlowClient::Close;
    let hub = hub::Settings { slow_client, ..hub::Settings::default() };
    let limits = |web: &mut Web| web.limits.pong_timeout = Duration::from_mins(2);
    let api = Api::among(hub, limits, |_| {}).await;
    let mut events = api.tap.events("?kind=close&format=full").await;
    let (slow, quick) = (api.connect("slow", &["a"]).await, api.connect("quick", &["a"]).await);
    let mut slow = api.ws(&slow).await;
    let mut quick = api.ws(&quick).await;
    let large = "x".repeat(LARGE);
    let mut told = 0;
    while api.tap.hub.numbers().connections == 2 {
        // 4 MiB wait in the keeper, as many in the queue of the hub, and some in the kernel.
        assert!(told < 150, "30 MB wait for one who reads nothing");
        api.say("a", &format!("{told} {large}")).await;
        let frame = frame(&mut quick).await;
        let text = frame["message"]["text"].as_str().expect("a text");
        assert!(text.starts_with(&format!("{told} ")));
        told += 1;
    }
    assert!(told > (8 << 20) / LARGE, "{told}");
    assert_eq!(slow.closed().await, 4429);
    assert_eq!(events.json().await["close"]["code"], 4429);
    api.say("a", "end").await;
    assert_eq!(frame(&mut quick).await["message"]["text"], "end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_listen_hear_everything_once_and_in_order() {
    const MESSAGES: u64 = 200;
    let api = std::sync::Arc::new(Api::start().await);
    let mut listeners = tokio::task::JoinSet::new();
    for n in 0..40 {
        let id = api.connect(&format!("user {}", n / 2), &["a"]).await;
        let api = std::sync::Arc::clone(&api);
        listeners.spawn(async move {
            let mut heard = Vec::new();
            let take = |heard: &mut Vec<u64>, item: &Value| {
                heard.push(item["message"]["n"].as_u64().expect("a number"));
            };
            if n % 2 == 0 {
                let mut ws = api.ws(&id).await;
                while heard.len() < 200 {
                    take(&mut heard, &frame(&mut ws).await);
                }
            } else {
                while heard.len() < 200 {
                    let answer = api.poll(&id).await.json();
                    answer.as_array().expect("an array").iter().for_each(|it| take(&mut heard, it));
                }
            }
            assert!(heard.iter().copied().eq(0..MESSAGES), "{heard:?}");
        });
    }
    for n in 0..MESSAGES {
        let message = json!([{"user": "system", "channel": "a", "message": {"n": n}}]);
        api.post("/message", message).await;
    }
    while let Some(done) = within("a listener", listeners.join_next()).await {
        done.expect("no panic");
    }
}
