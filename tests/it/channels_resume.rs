//! Members that come back: kept messages fill the hole exactly, or the answer says that they do not.

use proptest::prelude::*;
use serde_json::{Value, json};
use wstap::event::{Body, Channel, Connect, EventId, Opcode};
use wstap::hub::{
    ChannelRules, Credential, Declared, Hub, Kept, Mailbox, Outgoing, Publication, Settings,
};

use crate::harness::{Tap, Ws};

const SECRET: &str = "5c0b9a3e8f1d47aa";

fn declared(name: &str, history: usize) -> Declared {
    let rules = ChannelRules { history, ..ChannelRules::default() };
    Declared { name: name.parse().expect("a pattern"), rules }
}

async fn publish(tap: &Tap, channel: &str, body: &str) -> String {
    let headers = [("content-type", "application/json")];
    let path = format!("/api/channels/{channel}/messages");
    let answer = tap.fetch("POST", &path, &headers, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn resume(ws: &mut Ws, channel: &str, after: &str) -> Value {
    let params = json!({"channels": [channel], "after": after});
    ws.send(&json!({"type": "subscribe", "params": params}).to_string()).await;
    assert!(ws.json().await["ack"].is_string());
    ws.json().await
}

#[tokio::test]
async fn history_fills_the_hole_of_a_member_that_was_away() {
    let channels = vec![declared("kept", 3), declared("*", 0)];
    let tap = Tap::with(Settings { channels, ..Settings::default() }, |_| {}).await;
    let seen = publish(&tap, "kept", "0").await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(publish(&tap, "kept", &n.to_string()).await);
    }
    let mut ws = tap.by_command("a", SECRET).await;
    let messages = |from: usize| {
        let all = ids.iter().zip(1..).skip(from);
        all.map(|(id, n)| json!({"id": id, "data": n})).collect::<Vec<_>>()
    };
    let resumed = resume(&mut ws, "kept", &seen).await;
    let whole =
        json!({"channel": "kept", "type": "resumed", "complete": true, "messages": messages(0)});
    assert_eq!(resumed, whole);
    // One more than is kept.
    publish(&tap, "kept", "4").await;
    assert_eq!(ws.json().await["data"], 4);
    let mut late = tap.by_command("late", SECRET).await;
    let resumed = resume(&mut late, "kept", &seen).await;
    assert_eq!(resumed["complete"], false);
    assert_eq!(resumed["messages"][0]["data"], 2, "what is kept comes all the same");
    let mut third = tap.by_command("third", SECRET).await;
    assert_eq!(resume(&mut third, "kept", &ids[0]).await["complete"], true);
}

#[tokio::test]
async fn a_hole_in_a_channel_without_history_is_told_only_if_there_is_one() {
    let tap = Tap::start().await;
    let mut stays = tap.by_command("stays", SECRET).await;
    stays.send(r#"{"type":"subscribe","params":{"channels":["news"]}}"#).await;
    let joined = stays.json().await["ack"].as_str().expect("an id").to_owned();
    let mut back = tap.by_command("back", SECRET).await;
    let resumed = resume(&mut back, "news", &joined).await;
    assert_eq!((&resumed["complete"], &resumed["messages"]), (&json!(true), &json!([])));
    publish(&tap, "news", "1").await;
    let mut late = tap.by_command("late", SECRET).await;
    assert_eq!(resume(&mut late, "news", &joined).await["complete"], false);
    // Nobody was in this one, and something was said.
    let said = publish(&tap, "empty", "1").await;
    assert_eq!(resume(&mut late, "empty", &joined).await["complete"], false);
    let mut later = tap.by_command("later", SECRET).await;
    assert_eq!(resume(&mut later, "never", &said).await["complete"], true);
}

#[tokio::test]
async fn an_event_of_another_time_is_a_hole() {
    let tap = Tap::start().await;
    let mut ws = tap.by_command("a", SECRET).await;
    assert_eq!(resume(&mut ws, "before", "1-0").await["complete"], false);
    assert_eq!(resume(&mut ws, "after", "9999999999999-0").await["complete"], false);
    ws.send(r#"{"type":"subscribe","params":{"channels":["x"],"after":"nonsense"}}"#).await;
    assert_eq!(ws.json().await["error"]["code"], "malformed");
}

#[derive(Debug, Clone)]
enum Act {
    Publish(u8, bool),
    Join(u8),
    Leave(u8),
    History(u8, u8),
    Resume(u8, usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0u8..2, prop::bool::weighted(0.9)).prop_map(|(c, keep)| Act::Publish(c, keep)),
        2 => (0u8..2).prop_map(Act::Join),
        2 => (0u8..2).prop_map(Act::Leave),
        1 => (0u8..2, 0u8..4).prop_map(|(c, n)| Act::History(c, n)),
        4 => (0u8..2, 0usize..12).prop_map(|(c, back)| Act::Resume(c, back)),
    ]
}

fn channel(n: u8) -> Channel {
    ["kept", "plain"][usize::from(n)].parse().expect("a channel")
}

async fn resumption(mailbox: &mut Mailbox) -> (Vec<EventId>, bool) {
    loop {
        let (_, next) = mailbox.queue.next().await.expect("an item");
        if let Outgoing::Resumed(_, resumption) = next {
            let ids = resumption.messages.iter().map(|event| event.id).collect();
            return (ids, resumption.complete);
        }
    }
}

fn connect(hub: &Hub) -> (wstap::hub::Connection, Mailbox) {
    let connect = Connect {
        remote: "127.0.0.1:1".parse().expect("an address"),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    };
    hub.connect_with_generated_id(None, connect).expect("there is room")
}

async fn obeys(acts: Vec<Act>) {
    let channels = vec![declared("kept", 3)];
    let hub = Hub::new(Settings { channels, ..Settings::default() });
    let (member, _mailbox) = connect(&hub);
    // Every message of each channel, and ids that a client may have seen last.
    let mut said: [Vec<EventId>; 2] = Default::default();
    let mut seen = vec![EventId { ms: 1, seq: 0 }];
    for act in acts {
        match act {
            Act::Publish(c, keep) => {
                let body = Body::Binary(b"x".as_slice().into());
                let publication =
                    Publication { keep, ..Publication::new(channel(c), Opcode::Binary, 1, body) };
                let id = hub.publish(publication).expect("there is room");
                said[usize::from(c)].push(id);
                seen.push(id);
            }
            Act::Join(c) => {
                seen.push(member.join(&[channel(c)], Credential::None, 0).expect("room"));
            }
            Act::Leave(c) => seen.push(member.leave(&[channel(c)]).expect("room")),
            Act::History(c, history) => {
                let rules = ChannelRules { history: history.into(), ..ChannelRules::default() };
                hub.configure(&channel(c), rules).expect("room");
            }
            Act::Resume(c, back) => {
                let after = seen[seen.len().saturating_sub(back + 1)];
                let (connection, mut mailbox) = connect(&hub);
                connection
                    .join(&[channel(c)], Credential::None, Kept::After(after))
                    .expect("there is room");
                let (got, complete) = resumption(&mut mailbox).await;
                let all = said[usize::from(c)].iter().copied().filter(|id| *id > after);
                let all: Vec<_> = all.collect();
                assert!(
                    got.is_sorted() && got.iter().all(|id| all.contains(id)),
                    "{got:?} of {all:?}"
                );
                assert!(!complete || got == all, "complete, and {got:?} of {all:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_called_complete_is_complete(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(obeys(acts));
    }
}
