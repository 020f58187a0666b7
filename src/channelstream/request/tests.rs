//! Faults are reported in the words of the original.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn raw(value: &Value) -> Raw {
    RawValue::from_string(value.to_string()).expect("JSON")
}

/// Asserts what the answer to a body says is wrong with it.
#[track_caller]
fn wrong<T: std::fmt::Debug>(
    read: impl Fn(&RawValue) -> Result<T, Fault>,
    body: &Value,
    told: &Value,
) {
    assert_eq!(&read(&raw(body)).expect_err("it is wrong"), told, "{body}");
}

#[test]
fn faults_of_connect_are_told_in_the_words_of_the_original() {
    let read = Connect::read;
    wrong(read, &json!({}), &json!({"username": ["Missing data for required field."]}));
    wrong(read, &json!([]), &json!({"_schema": ["Invalid input type."]}));
    wrong(read, &json!({"username": null}), &json!({"username": ["Field may not be null."]}));
    wrong(
        read,
        &json!({"username": ""}),
        &json!({"username": ["Length must be between 1 and 512."]}),
    );
    wrong(
        read,
        &json!({"username": "x".repeat(513), "channels": ["a", ""], "conn_id": "1"}),
        &json!({
            "username": ["Length must be between 1 and 512."],
            "channels": {"1": ["Length must be between 1 and 256."]},
            "conn_id": ["Not a valid UUID."],
        }),
    );
    wrong(
        read,
        &json!({"username": 5, "channels": "a", "user_state": {"a": [], "b": 1}}),
        &json!({
            "username": ["Not a valid string."],
            "channels": ["Not a valid list."],
            "user_state": {"a": {"value": ["Value is not type of string, integer, boolean or float."]}},
        }),
    );
    wrong(
        read,
        &json!({"username": "a", "channel_configs": {"c": {"history_size": -1, "store_frames": "perhaps"}}}),
        &json!({"channel_configs": {"c": {"value": {
            "history_size": ["Must be at least 0."],
            "store_frames": ["Not a valid boolean."],
        }}}}),
    );
    wrong(
        read,
        &json!({"username": "a", "fresh_user_state": 1, "info": 1, "state_public_keys": [null]}),
        &json!({
            "fresh_user_state": ["Not a valid mapping type."],
            "info": {"_schema": ["Invalid input type."]},
            "state_public_keys": {"0": ["Field may not be null."]},
        }),
    );
}

#[test]
fn faults_of_the_other_calls_are_told_likewise() {
    let subscribe = |raw: &RawValue| Subscribe::read(&raw.to_owned(), None, |_| false).map(drop);
    wrong(
        subscribe,
        &json!({}),
        &json!({
            "conn_id": ["Field may not be null."],
            "channels": ["Missing data for required field."],
        }),
    );
    let id = "12345678-1234-5678-1234-567812345678";
    wrong(
        subscribe,
        &json!({"conn_id": id, "channels": []}),
        &json!({
            "conn_id": ["Unknown connection"],
            "channels": ["Shorter than minimum length 1."],
        }),
    );
    let user_state = |raw: &RawValue| UserState::read(raw, |_| false);
    wrong(user_state, &json!({}), &json!({"user": ["Missing data for required field."]}));
    wrong(user_state, &json!({"user": "x"}), &json!({"user": ["Unknown user"]}));
    wrong(Info::body, &json!({}), &json!({"info": ["Missing data for required field."]}));
    wrong(
        channel_config,
        &json!({"c": {"history_size": "many"}, "d": 1}),
        &json!({
            "c": {"history_size": ["Not a valid integer."]},
            "d": {"_schema": ["Invalid input type."]},
        }),
    );
}

#[test]
fn faults_of_messages_are_told_by_their_places() {
    let messages = |raw: &RawValue| schema::many(&raw.to_owned(), Message::read).map(drop);
    wrong(messages, &json!({}), &json!({"_schema": ["Invalid input type."]}));
    wrong(
        messages,
        &json!([{}, {"user": "a"}, {"user": "a", "message": 1, "timestamp": "soon", "uuid": 1}, 5]),
        &json!({
            "0": {"user": ["Missing data for required field."]},
            "2": {
                "message": ["Not a valid mapping type."],
                "timestamp": ["Not a valid datetime."],
                "uuid": ["Not a valid UUID."],
            },
            "3": {"_schema": ["Invalid input type."]},
        }),
    );
    let deletions = |raw: &RawValue| schema::many(&raw.to_owned(), Delete::read).map(drop);
    wrong(
        deletions,
        &json!([{"channel": "a"}]),
        &json!({"0": {"uuid": ["Missing data for required field."]}}),
    );
}

#[test]
fn what_is_not_known_is_ignored_at_the_top_and_passed_on_in_messages() {
    let body = json!({"username": "a", "type": "x", "nonsense": {"b": 1}});
    assert!(Connect::read(&raw(&body)).is_ok());
    let body =
        json!({"user": "a", "channel": null, "type": "message", "catchup": true, "colour": "red"});
    let message = Message::read(&raw(&body)).expect("a message");
    assert_eq!(message.extra.keys().collect::<Vec<_>>(), ["colour"]);
    assert!(!message.delivery.has_destination());
}

#[test]
fn words_and_numbers_are_truth_values_and_digits_a_count() {
    let body = json!({"notify_presence": "true", "store_history": 1, "history_size": "7", "notify_state": 0});
    let change = Change::read(&raw(&body)).expect("settings");
    let settings = change.apply(ChannelSettings::default());
    assert!(settings.notify_presence && settings.store_history && settings.store_frames);
    assert_eq!(settings.history_size, 7);
}

/// Values that are like what calls take, and not quite.
fn odd() -> impl Strategy<Value = Value> {
    let names = ["username", "channels", "uuid", "user", "message", "info", "conn_id", "a"];
    let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
    let texts = ["", "a", "\u{0}", "12345678-1234-5678-1234-567812345678", "2010-01-01T01:01Z"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(texts.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let members = proptest::collection::btree_map(name.clone(), inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_told_to_be_wrong(body in odd()) {
        let raw = raw(&body);
        let told = [
            Connect::read(&raw).map(drop),
            Subscribe::read(&raw, None, |_| true).map(drop),
            UserState::read(&raw, |_| true).map(drop),
            Info::body(&raw).map(drop),
            channel_config(&raw).map(drop),
            disconnect(&raw, None).map(drop),
            schema::many(&raw, Message::read).map(drop),
            schema::many(&raw, Edit::read).map(drop),
            schema::many(&raw, Delete::read).map(drop),
        ];
        for fault in told.into_iter().filter_map(Result::err) {
            prop_assert!(fault.as_object().is_some_and(|faults| !faults.is_empty()), "{fault}");
        }
    }
}
