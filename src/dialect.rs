//! What a client says in hub mode: text of a frame in, meaning out.
//!
//! Pure: it knows neither sockets nor the hub, and cannot fail on any input but by a [`Refusal`]
//! that says what would be right.
//!
//! ```text
//! {"connectionId":"a"}                      registers; later, no event
//! {"connectionId":"a","message":"hello"}    passed on as it is
//! {"price":100.5}   [1,2]   true            the value becomes `message`
//! hello                                     the text becomes `message`
//! {"type":"subscribe","params":{…}}       is carried out, with its own id or without: `channelize`
//! ```

mod channelize;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::event::{Body, ConnectionId, InvalidChannel, InvalidConnectionId};
use crate::json::{self, Json, Key, NoObject};
pub use channelize::{Command, delivery, expelled, present};
use channelize::{MAX_NAMES, Name};

/// Why a frame is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first frame does not register.
    #[error(
        "the first frame must be a JSON object with a connectionId, such as {{\"connectionId\":\"a\"}}"
    )]
    NoRegistration,
    /// The first frame registers under something that is no id.
    #[error(transparent)]
    InvalidId(#[from] InvalidConnectionId),
    /// The key `connectionId` occurs twice: readers would not agree on whose the frame is.
    #[error("connectionId stands twice in the object; once would be right")]
    RepeatedId,
    /// A registered client speaks for another connection.
    #[error(
        "this connection is registered under another connectionId; leave the key out or send the same"
    )]
    IdMismatch,
    /// The key `close` is how the server tells of the end of a connection; nobody may forge it.
    #[error("the key \"close\" is reserved for the server; put it inside \"message\"")]
    ReservedKey,
    /// A command whose parameters cannot be read.
    #[error("this command cannot be read; something like {0} is right")]
    Command(&'static str),
    /// A command on more channels than one may name.
    #[error("a command names at most {MAX_NAMES} channels; several commands are right for more")]
    TooManyNames,
    /// A command on something that is no channel.
    #[error(transparent)]
    InvalidChannel(#[from] InvalidChannel),
}

/// What a first frame says.
#[derive(Debug)]
pub enum First {
    /// Who it is, and the frame again if it says more than that.
    Id(ConnectionId, Option<Body>),
    /// What it wants, and who it is; without an id, under whatever one.
    Command(Option<ConnectionId>, Command),
}

/// What a later frame says.
#[derive(Debug)]
pub enum Parsed {
    /// Who it is, once more: no event.
    Nothing,
    /// Something for those who listen.
    Message(Body),
    /// Something that is carried out.
    Command(Command),
}

/// Reads the first text frame of a connection that has no id yet.
///
/// # Errors
///
/// If it does not register.
pub fn registration(text: &str) -> Result<First, Refusal> {
    let mut head = Head::default();
    let Ok(whole) = json::object(text, |key, value| head.member(key, value)) else {
        return Err(Refusal::NoRegistration);
    };
    let command = head.command();
    head.check()?;
    let id = head.id.map(registered).transpose()?;
    match (command, id) {
        (Some(name), id) => Ok(First::Command(id, name.command(head.params)?)),
        (None, Some(id)) => Ok(First::Id(id, head.says_more.then_some(Body::Object(whole)))),
        (None, None) => Err(Refusal::NoRegistration),
    }
}

/// Reads the first frame of a connection that has no id yet, if it is binary: only a command
/// registers so.
///
/// # Errors
///
/// If it is none, or its parameters cannot be read.
pub fn binary_registration(bytes: &[u8]) -> Result<First, Refusal> {
    let (head, name) = binary_command(bytes).ok_or(Refusal::NoRegistration)?;
    head.check()?;
    let id = head.id.map(registered).transpose()?;
    Ok(First::Command(id, name.command(head.params)?))
}

/// Reads a text frame of the connection `own`.
///
/// # Errors
///
/// If it speaks for another connection or forges a close.
pub fn message(text: &str, own: &ConnectionId) -> Result<Parsed, Refusal> {
    let mut head = Head::default();
    match json::object(text, |key, value| head.member(key, value)) {
        Ok(whole) => {
            let command = head.command();
            head.check()?;
            head.speaks_for(own)?;
            match (command, head.id) {
                (Some(name), _) => name.command(head.params).map(Parsed::Command),
                (None, None) => Ok(Parsed::Message(Body::Value(whole))),
                (None, Some(_)) if head.says_more => Ok(Parsed::Message(Body::Object(whole))),
                (None, Some(_)) => Ok(Parsed::Nothing),
            }
        }
        Err(NoObject::OtherJson(value)) => Ok(Parsed::Message(Body::Value(value))),
        Err(NoObject::NoJson) => Ok(Parsed::Message(Body::Value(Json::string(text)))),
    }
}

/// Reads a binary frame of the connection `own`, if it is a command: the clients of channelize may
/// write theirs in either kind of frame. `None` is for bytes that are what they are.
///
/// # Errors
///
/// If it is a command whose parameters cannot be read, or one for another connection.
pub fn binary(bytes: &[u8], own: &ConnectionId) -> Result<Option<Command>, Refusal> {
    let Some((head, name)) = binary_command(bytes) else { return Ok(None) };
    head.check()?;
    head.speaks_for(own)?;
    name.command(head.params).map(Some)
}

fn binary_command(bytes: &[u8]) -> Option<(Head<'_>, Name)> {
    /// Commands are short: a larger one would be a publication, which can come as text.
    const LONGEST: usize = 64 << 10;
    let text = Some(bytes).filter(|bytes| bytes.len() <= LONGEST && bytes.starts_with(b"{"))?;
    let mut head = Head::default();
    json::object(std::str::from_utf8(text).ok()?, |key, value| head.member(key, value)).ok()?;
    let name = head.command()?;
    Some((head, name))
}

/// What the top level of an object says.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that was seen or not")]
struct Head<'a> {
    id: Option<&'a RawValue>,
    repeated_id: bool,
    close: bool,
    says_more: bool,
    command: Option<Name>,
    params: Option<&'a RawValue>,
    /// Something beside these two.
    others: bool,
}

impl<'a> Head<'a> {
    fn member(&mut self, key: Key<'_>, value: &'a RawValue) {
        if key.is("type") {
            self.command = Name::read(value);
        } else if key.is("params") {
            self.params = Some(value);
        } else {
            self.others = true;
        }
        if key.is("connectionId") {
            self.repeated_id |= self.id.replace(value).is_some();
        } else if key.is("close") {
            self.close = true;
        } else {
            self.says_more = true;
        }
    }

    /// Returns the command that it is. Programs have messages of their own with such a type: one
    /// without `params`, and with other keys, is theirs. One that says whose it is has other keys, and
    /// is a command if its `params` name channels: it may hold a token, which no listener may see.
    fn command(&self) -> Option<Name> {
        self.command.filter(|_| match self.id {
            Some(_) => self.params.is_some_and(names_channels),
            None => self.params.is_some() || !self.others,
        })
    }

    /// Refuses what nobody may say. What else a command without an id holds is not looked at.
    fn check(&self) -> Result<(), Refusal> {
        if self.repeated_id {
            Err(Refusal::RepeatedId)
        } else if self.close && (self.id.is_some() || self.command().is_none()) {
            Err(Refusal::ReservedKey)
        } else {
            Ok(())
        }
    }

    /// Refuses what speaks for another connection than `own`; without an id it is its own.
    fn speaks_for(&self, own: &ConnectionId) -> Result<(), Refusal> {
        match self.id {
            Some(id) if id_text(id).as_deref() != Some(own.as_str()) => Err(Refusal::IdMismatch),
            _ => Ok(()),
        }
    }
}

fn names_channels(params: &RawValue) -> bool {
    let mut names = false;
    let read = json::object(params.get(), |key, _| {
        names |= key.is("channels") || key.is("channel");
    });
    names && read.is_ok()
}

fn registered(id: &RawValue) -> Result<ConnectionId, Refusal> {
    Ok(id_text(id).ok_or(InvalidConnectionId)?.parse()?)
}

/// Returns the text of a JSON string, or the digits of a number as they came.
fn id_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok(),
        [b'-' | b'0'..=b'9', ..] => Some(Cow::Borrowed(value.get())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn first(text: &str) -> Result<(String, Option<String>), Refusal> {
        registration(text).map(|first| match first {
            First::Id(id, body) => (id.to_string(), body.map(shown)),
            First::Command(id, command) => {
                (id.map_or(String::new(), |id| id.to_string()), Some(format!("{command:?}")))
            }
        })
    }

    fn binary(bytes: &[u8]) -> Result<Option<Command>, Refusal> {
        super::binary(bytes, &"a".parse().expect("an id"))
    }

    fn later(text: &str) -> Result<Option<String>, Refusal> {
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
            assert_eq!(first(text), Err(Refusal::NoRegistration), "{text}");
        }
        for id in
            ["\"\"", "null", "true", "{}", "[\"a\"]", "\"a\\n\"", "\"\\u0000\"", "\"\\ud800\""]
        {
            let text = format!("{{\"connectionId\":{id}}}");
            assert_eq!(first(&text), Err(Refusal::InvalidId(InvalidConnectionId)), "{text}");
        }
    }

    #[test]
    fn an_object_with_the_own_id_is_passed_on_as_it_is() {
        let text =
            r#"{"z":1,"connectionId":"a","message":{"n":1.0},"message":12345678901234567890}"#;
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
    fn nobody_speaks_for_another_connection() {
        for text in [
            r#"{"connectionId":"b","message":1}"#,
            r#"{"connectionId":"b"}"#,
            r#"{"connectionId":null}"#,
            r#"{"connectionId":["a"]}"#,
        ] {
            assert_eq!(later(text), Err(Refusal::IdMismatch), "{text}");
        }
        let twice = r#"{"connectionId":"a","connection\u0049d":"b","message":1}"#;
        assert_eq!(later(twice), Err(Refusal::RepeatedId));
        assert_eq!(first(twice), Err(Refusal::RepeatedId));
    }

    #[test]
    fn nobody_forges_a_close() {
        for text in [r#"{"connectionId":"a","close":{"connectionId":"b"}}"#, r#"{"\u0063lose":1}"#]
        {
            assert_eq!(later(text), Err(Refusal::ReservedKey), "{text}");
        }
        assert_eq!(first(r#"{"connectionId":"a","close":1}"#), Err(Refusal::ReservedKey));
    }

    #[test]
    fn commands_are_read_in_text_and_in_binary_frames() {
        let channels = |names: &[&str]| names.iter().map(|it| it.parse().expect("one")).collect();
        let text = r#"{"params":{"channels":["a","b/c"],"token":" ","x":1},"type":"subscribe"}"#;
        let command =
            Command::Subscribe { channels: channels(&["a", "b/c"]), token: None, last: 0 };
        assert_eq!(binary(text.as_bytes()), Ok(Some(command.clone())));
        assert_eq!(later(text), Ok(Some(format!("{command:?}"))));
        assert_eq!(first(text), Ok((String::new(), Some(format!("{command:?}")))));
        let text = r#"{"type":"subscribe","params":{"channels":["a"],"token":"t","last":5}}"#;
        let token = Some("t".to_owned());
        let command = Command::Subscribe { channels: channels(&["a"]), token, last: 5 };
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
            assert!(matches!(refusal, Refusal::Command(_)), "{text}: {refusal}");
            assert!(refusal.to_string().contains("something like {\"type\":"), "{refusal}");
            assert_eq!(binary(text.as_bytes()), Err(refusal));
        }
        let text = r#"{"type":"subscribe","params":{"channels":[""]}}"#;
        assert_eq!(later(text), Err(Refusal::InvalidChannel(InvalidChannel)));
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
            assert_eq!(refusal, Refusal::TooManyNames);
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
            format!(
                r#"{{"connectionId":{id},{more}"type":"subscribe","params":{{"channels":["b"]}}}}"#
            )
        };
        for (text, refusal) in [
            (one(r#""b""#, ""), Refusal::IdMismatch),
            (one(r#""a""#, r#""connectionId":"b","#), Refusal::RepeatedId),
            (one(r#""a""#, r#""close":1,"#), Refusal::ReservedKey),
        ] {
            assert_eq!(later(&text), Err(refusal), "{text}");
            assert_eq!(binary(text.as_bytes()), Err(refusal), "{text}");
        }
        let nobody = one("\"\"", "");
        assert_eq!(first(&nobody), Err(Refusal::InvalidId(InvalidConnectionId)));
        let wrong =
            r#"{"connectionId":"a","type":"subscribe","params":{"channels":"b","token":"t"}}"#;
        assert!(matches!(later(wrong), Err(Refusal::Command(_))), "not published either");
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
}
