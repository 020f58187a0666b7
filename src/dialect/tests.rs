//! Frames of hub mode, valid and invalid.

use super::invalid::MAX_NAMES;
use super::*;
use crate::event::{InvalidChannel, InvalidClientSecret, InvalidConnectionId, InvalidEventId};
use proptest::prelude::*;
use serde_json::json;

fn first(text: &str) -> Result<(String, Option<String>), InvalidFrame> {
    registration(text).map(|first| match first {
        First::Id(id, body) => (id.to_string(), body.map(shown)),
        First::Command(id, command) => {
            (id.map_or(String::new(), |id| id.to_string()), Some(format!("{command:?}")))
        }
    })
}

fn binary(bytes: &[u8]) -> Result<Option<Command>, InvalidFrame> {
    super::binary(bytes, &"a".parse().expect("an id"))
}

fn later(text: &str) -> Result<Option<String>, InvalidFrame> {
    message(text, &"a".parse().expect("an id")).map(|said| match said {
        Parsed::Nothing => None,
        Parsed::Message(body) => Some(shown(body)),
        Parsed::Command(command) => Some(format!("{command:?}")),
    })
}

fn shown(body: Body) -> String {
    match body {
        Body::Object(json) => format!("object {}", json.as_str()),
        Body::Value(json) => format!("value {}", json.as_str()),
        Body::Binary(bytes) => format!("binary {bytes:?}"),
        Body::Absent => unreachable!("what a client sends is kept"),
    }
}

#[test]
fn the_first_frame_registers() {
    let id = |text: &str| first(text).map(|(id, _)| id);
    assert_eq!(first(r#"{"connectionId":"a"}"#), Ok(("a".into(), None)));
    assert_eq!(first(" {\"connectionId\" :\"a\"}\n"), Ok(("a".into(), None)));
    assert_eq!(id(r#"{"connectionId":1700000000000}"#), Ok("1700000000000".into()));
    assert_eq!(id(r#"{"connectionId":1.50}"#), Ok("1.50".into()));
    assert_eq!(id(r#"{"connection\u0049d":"\u00e9"}"#), Ok("é".into()));
    assert_eq!(
        first(r#"{"connectionId":"a","message":1}"#),
        Ok(("a".into(), Some(r#"object {"connectionId":"a","message":1}"#.into())))
    );
}

#[test]
fn a_first_frame_that_does_not_register_is_refused() {
    for text in [
        "",
        "hello",
        "{}",
        "[]",
        "null",
        r#"["connectionId"]"#,
        r#"{"message":1}"#,
        r#"{"a":{"connectionId":"a"}}"#,
    ] {
        assert_eq!(first(text), Err(InvalidFrame::NoRegistration), "{text}");
    }
    for id in ["\"\"", "null", "true", "{}", "[\"a\"]", "\"a\\n\"", "\"\\u0000\"", "\"\\ud800\""] {
        let text = format!("{{\"connectionId\":{id}}}");
        assert_eq!(first(&text), Err(InvalidFrame::InvalidId(InvalidConnectionId)), "{text}");
    }
}

#[test]
fn an_object_with_the_own_id_is_passed_on_as_it_is() {
    let text = r#"{"z":1,"connectionId":"a","message":{"n":1.0},"message":12345678901234567890}"#;
    assert_eq!(later(text), Ok(Some(format!("object {text}"))));
}

#[test]
fn a_repeated_registration_is_no_event() {
    assert_eq!(later(r#"{"connectionId":"a"}"#), Ok(None));
}

#[test]
fn anything_else_becomes_the_message() {
    for text in ["{}", r#"{"x":1}"#, "[1,2]", "1e400", "\"s\"", "null"] {
        assert_eq!(later(text), Ok(Some(format!("value {text}"))), "{text}");
    }
    assert_eq!(later("hello \"you\"\n"), Ok(Some(r#"value "hello \"you\"\n""#.into())));
    assert_eq!(later(""), Ok(Some("value \"\"".into())));
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(later(&deep), Ok(Some(format!("value \"{deep}\""))));
}

#[test]
fn a_frame_for_another_connection_is_refused() {
    for text in [
        r#"{"connectionId":"b","message":1}"#,
        r#"{"connectionId":"b"}"#,
        r#"{"connectionId":null}"#,
        r#"{"connectionId":["a"]}"#,
    ] {
        assert_eq!(later(text), Err(InvalidFrame::IdMismatch), "{text}");
    }
    let twice = r#"{"connectionId":"a","connection\u0049d":"b","message":1}"#;
    assert_eq!(later(twice), Err(InvalidFrame::RepeatedId));
    assert_eq!(first(twice), Err(InvalidFrame::RepeatedId));
}

#[test]
fn a_forged_close_is_refused() {
    for text in [r#"{"connectionId":"a","close":{"connectionId":"b"}}"#, r#"{"\u0063lose":1}"#] {
        assert_eq!(later(text), Err(InvalidFrame::ReservedKey), "{text}");
    }
    assert_eq!(first(r#"{"connectionId":"a","close":1}"#), Err(InvalidFrame::ReservedKey));
}

#[test]
fn commands_are_read_in_text_and_in_binary_frames() {
    let channels = |names: &[&str]| names.iter().map(|it| it.parse().expect("one")).collect();
    let text = r#"{"params":{"channels":["a","b/c"],"token":" ","x":1},"type":"subscribe"}"#;
    let command =
        Command::Subscribe { channels: channels(&["a", "b/c"]), token: None, last: 0, after: None };
    assert_eq!(binary(text.as_bytes()), Ok(Some(command.clone())));
    assert_eq!(later(text), Ok(Some(format!("{command:?}"))));
    assert_eq!(first(text), Ok((String::new(), Some(format!("{command:?}")))));
    let text = r#"{"type":"subscribe","params":{"channels":["a"],"token":"t","last":5}}"#;
    let token = Some("t".to_owned());
    let command = Command::Subscribe { channels: channels(&["a"]), token, last: 5, after: None };
    assert_eq!(binary(text.as_bytes()), Ok(Some(command)));
    let text = r#"{"type":"unsubscribe","params":{"channels":["a"]}}"#;
    let command = Command::Unsubscribe { channels: channels(&["a"]) };
    assert_eq!(binary(text.as_bytes()), Ok(Some(command)));
    let text = r#"{"type":"publish","params":{"channel":"a","message":{"n":1.0}}}"#;
    let message = Json::parse(r#"{"n":1.0}"#).expect("JSON");
    let command = Command::Publish { channel: "a".parse().expect("one"), message };
    assert_eq!(binary(text.as_bytes()), Ok(Some(command)));
}

#[test]
fn a_command_that_cannot_be_read_is_refused_with_a_right_one() {
    for text in [
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","params":null}"#,
        r#"{"type":"subscribe","params":{"channels":[]}}"#,
        r#"{"type":"subscribe","params":{"channels":"a"}}"#,
        r#"{"type":"subscribe","params":{"channels":["a",1]}}"#,
        r#"{"type":"unsubscribe","params":{}}"#,
        r#"{"type":"publish","params":{"channel":"a"}}"#,
        r#"{"type":"publish","params":{"message":1}}"#,
    ] {
        let refusal = later(text).expect_err(text);
        assert!(matches!(refusal, InvalidFrame::Command(_)), "{text}: {refusal}");
        assert!(refusal.to_string().contains("something like {\"type\":"), "{refusal}");
        assert_eq!(binary(text.as_bytes()), Err(refusal));
    }
    let text = r#"{"type":"subscribe","params":{"channels":[""]}}"#;
    assert_eq!(later(text), Err(InvalidFrame::InvalidChannel(InvalidChannel)));
}

#[test]
fn a_command_names_at_most_1000_channels() {
    for kind in ["subscribe", "unsubscribe"] {
        let command = |count: usize| {
            let names: Vec<String> = (0..count).map(|it| it.to_string()).collect();
            json!({"type": kind, "params": {"channels": names}}).to_string()
        };
        assert!(matches!(later(&command(MAX_NAMES)), Ok(Some(_))), "{kind}");
        let refusal = later(&command(MAX_NAMES + 1)).expect_err(kind);
        assert_eq!(refusal, InvalidFrame::TooManyNames);
        assert!(refusal.to_string().contains("several commands are right"), "{refusal}");
    }
}

#[test]
fn a_command_with_its_own_id_is_carried_out_and_its_token_is_no_message() {
    for text in [
        r#"{"connectionId":"a","type":"subscribe","params":{"channels":["b"],"token":"t"}}"#,
        r#"{"params":{"channels":["b"]},"type":"unsubscribe","connection\u0049d":"a"}"#,
        r#"{"type":"publish","connectionId":"a","x":1,"params":{"channel":"b","message":1}}"#,
    ] {
        let command = binary(text.as_bytes()).expect(text).expect("a command");
        let shown = Some(format!("{command:?}"));
        assert_eq!(later(text), Ok(shown.clone()), "{text}");
        assert_eq!(first(text), Ok(("a".into(), shown)), "{text}");
        let First::Command(id, said) = binary_registration(text.as_bytes()).expect(text) else {
            panic!("{text}");
        };
        assert_eq!((id, said), (Some("a".parse().expect("an id")), command));
    }
    let one = |id: &str, more: &str| {
        format!(r#"{{"connectionId":{id},{more}"type":"subscribe","params":{{"channels":["b"]}}}}"#)
    };
    for (text, refusal) in [
        (one(r#""b""#, ""), InvalidFrame::IdMismatch),
        (one(r#""a""#, r#""connectionId":"b","#), InvalidFrame::RepeatedId),
        (one(r#""a""#, r#""close":1,"#), InvalidFrame::ReservedKey),
    ] {
        assert_eq!(later(&text), Err(refusal), "{text}");
        assert_eq!(binary(text.as_bytes()), Err(refusal), "{text}");
    }
    let nobody = one("\"\"", "");
    assert_eq!(first(&nobody), Err(InvalidFrame::InvalidId(InvalidConnectionId)));
    let wrong = r#"{"connectionId":"a","type":"subscribe","params":{"channels":"b","token":"t"}}"#;
    assert!(matches!(later(wrong), Err(InvalidFrame::Command(_))), "not published either");
}

#[test]
fn what_only_looks_like_a_command_is_a_message() {
    for text in [
        r#"{"type":"subscribe","id":"1","payload":{"query":"subscription{x}"}}"#,
        r#"{"type":"move","params":{"x":1}}"#,
        r#"{"type":["subscribe"],"params":{"channels":["a"]}}"#,
        r#"[{"type":"subscribe","params":{"channels":["a"]}}]"#,
    ] {
        assert_eq!(later(text), Ok(Some(format!("value {text}"))), "{text}");
        assert_eq!(binary(text.as_bytes()), Ok(None), "{text}");
    }
    for own in [
        r#"{"connectionId":"a","type":"subscribe"}"#,
        r#"{"connectionId":"a","type":"subscribe","params":["channels"]}"#,
        r#"{"connectionId":"a","type":"publish","params":{"text":"hello"}}"#,
        r#"{"connectionId":"a","type":"move","params":{"channel":"a"}}"#,
    ] {
        assert_eq!(later(own), Ok(Some(format!("object {own}"))), "{own}");
        assert_eq!(first(own), Ok(("a".into(), Some(format!("object {own}")))), "{own}");
        assert_eq!(binary(own.as_bytes()), Ok(None), "{own}");
    }
    for bytes in [&b"{"[..], b"", b"{\"type\":\"subscribe\"", b"\xff{}"] {
        assert_eq!(binary(bytes), Ok(None), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn every_text_is_read_or_refused(text: String) {
        let _ = first(&text);
        let _ = later(&text);
        let _ = binary(text.as_bytes());
        let _ = binary_registration(text.as_bytes());
    }
}

#[test]
fn a_broken_command_is_refused_and_not_published_with_its_token() {
    for text in [
        r#"{"type":"subscribe","params":{"channels":["a"],"token":"secret"}"#,
        r#" {"params":{"token":"secret","channels":["a"]} "type" : "subscribe"}"#,
        r#"{"connectionId":"a","type":"subscribe","params":{"channels":["a"],"token":"secret}}"#,
        r#"{"type":"unsubscribe","params":{"channels":["a"]}},"#,
    ] {
        let refusal = later(text).expect_err(text);
        assert!(matches!(refusal, InvalidFrame::Command(_)), "{text}: {refusal}");
        assert_eq!(binary(text.as_bytes()), Err(refusal), "{text}");
    }
    let deep = "[".repeat(200);
    let text = format!(r#"{{"type":"publish","params":{{"channel":"a","message":{deep}"#);
    assert!(matches!(later(&text), Err(InvalidFrame::Command(_))));
    for text in [
        r#"{"type":"subscribe""#,
        r#"{"type":"move","params":{"token":"x"}"#,
        r#"say {"type":"subscribe","params":{}}"#,
        r#"{"kind":"subscribe","params":{"type":1}"#,
    ] {
        assert!(matches!(later(text), Ok(Some(_))), "{text} is text of another program");
    }
}

#[test]
fn register_and_ping_are_commands_only_with_their_own_parameters() {
    let secret = "0123456789abcdef";
    let register =
        format!(r#"{{"type":"register","params":{{"connectionId":"a","secret":"{secret}"}}}}"#);
    for text in [
        register.clone(),
        format!(r#"{{"connectionId":"a","type":"register","params":{{"secret":"{secret}"}}}}"#),
    ] {
        let First::Command(id, Command::Register(registration)) =
            registration(&text).expect("a command")
        else {
            panic!("{text}");
        };
        assert_eq!(registration.id.or(id), Some("a".parse().expect("an id")));
        assert!(registration.secret.matches(&secret.parse().expect("a secret")));
        assert!(!later(&text).expect("a command").expect("a command").contains(secret));
    }
    for (wrong, refusal) in [
        (register.replace(secret, "short"), InvalidFrame::InvalidSecret(InvalidClientSecret)),
        (
            register.replace("\"0123456789abcdef\"", "1"),
            InvalidFrame::InvalidSecret(InvalidClientSecret),
        ),
        (register.replace("\"a\"", "\"\""), InvalidFrame::InvalidId(InvalidConnectionId)),
    ] {
        assert_eq!(registration(&wrong).expect_err(&wrong), refusal);
        assert_eq!(later(&wrong), Err(refusal), "a secret is not published");
    }
    for (ping, id) in [
        (r#"{"type":"ping","params":{"id":1}}"#, "1"),
        (r#"{"params":{"id":"x"},"type":"ping"}"#, r#""x""#),
    ] {
        let Ok(Parsed::Command(Command::Ping(read))) = message(ping, &"a".parse().expect("an id"))
        else {
            panic!("{ping}");
        };
        assert_eq!(read.as_str(), id);
    }
    let long = format!(r#"{{"type":"ping","params":{{"id":"{}"}}}}"#, "x".repeat(127));
    for text in [
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","params":{}}"#,
        r#"{"type":"ping","params":{"id":{}}}"#,
        r#"{"type":"ping","params":{"id":1,"x":1}}"#,
        r#"{"type":"ping","params":{"id":1},"x":1}"#,
        r#"{"type":"register","params":{"connectionId":"a"}}"#,
        r#"{"type":"register","params":{"user":"a","secret":"0123456789abcdef"}}"#,
        long.as_str(),
    ] {
        assert_eq!(later(text), Ok(Some(format!("value {text}"))), "a message of another program");
    }
    assert_eq!(later(r#"{"type":"ping","params":{"id":1}"#).map(|it| it.is_some()), Ok(true));
}

#[test]
fn subscribe_takes_an_event_and_publish_takes_base64() {
    let subscribe = |after: &str| {
        later(&format!(r#"{{"type":"subscribe","params":{{"channels":["a"],"after":"{after}"}}}}"#))
    };
    assert!(
        subscribe("17-2").expect("a command").expect("one").contains("EventId { ms: 17, seq: 2 }")
    );
    assert_eq!(subscribe("17"), Err(InvalidFrame::InvalidEventId(InvalidEventId)));
    let publish = |message: &str| {
        let params = format!(r#"{{"channel":"a","message":{message},"encoding":"base64"}}"#);
        binary(format!(r#"{{"type":"publish","params":{params}}}"#).as_bytes())
    };
    let bytes =
        Command::PublishBytes { channel: "a".parse().expect("one"), bytes: [0, 255].into() };
    assert_eq!(publish(r#""AP8=""#), Ok(Some(bytes)));
    assert_eq!(publish(r#""AP8""#), Err(InvalidFrame::InvalidBase64));
    assert!(matches!(publish("1"), Err(InvalidFrame::Command(_))));
}
