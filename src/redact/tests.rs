//! Redaction as a whole: what it hides, and that it changes nothing else.

mod within_text;

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::rules::HIDDEN_JSON;
use super::*;
use crate::event::{Answer, Body, Direction, Opcode};
use crate::json::{Json, MAX_DEPTH};

fn rules(paths: &[&str], patterns: &[&str], defaults: bool) -> Rules {
    Rules {
        paths: paths.iter().map(|path| path.parse().expect("a path")).collect(),
        patterns: patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect(),
        defaults,
        ..Rules::default()
    }
}

fn id(text: &str) -> ConnectionId {
    text.parse().expect("an id")
}

fn shown(redaction: &Redaction, body: Body) -> Body {
    let message = Message::new(Direction::In, Opcode::Text, 7, body);
    let EventBody::Message(message) =
        redaction.draft(&id("a"), EventBody::Message(message)).into_inner().body
    else {
        panic!("a message stays one");
    };
    assert_eq!(message.size, 7, "the size is that of what passed");
    message.body
}

/// Returns what is shown of a text that a client sends.
fn value(rules: Rules, text: &str) -> String {
    let json = Json::parse(text).unwrap_or_else(|| Json::string(text));
    match shown(&Redaction::new(rules), Body::Value(json)) {
        Body::Value(json) => json.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn object(rules: Rules, text: &str) -> String {
    match shown(&Redaction::new(rules), Body::Object(Json::parse(text).expect("JSON"))) {
        Body::Object(json) => json.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_hide_whole_values_and_change_nothing_else() {
    for (path, text, expected) in [
        (
            "message.password",
            r#"{ "n":1.50, "password" : {"a":[1,"}"]}, "z":12345678901234567890}"#,
            r#"{ "n":1.50, "password" : "[redacted]", "z":12345678901234567890}"#,
        ),
        ("password", r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"[redacted]"}"#),
        ("a", r#"{"a":1,"b":2,"a":[3]}"#, r#"{"a":"[redacted]","b":2,"a":"[redacted]"}"#),
        (
            "users[*].token",
            r#"{"users":[{"token":"x","id":1},{"token":null}]}"#,
            r#"{"users":[{"token":"[redacted]","id":1},{"token":"[redacted]"}]}"#,
        ),
        ("[1]", "[1, 2, 3]", r#"[1, "[redacted]", 3]"#),
        ("**.secret", r#"[{"x":{"secret":1e999}}]"#, r#"[{"x":{"secret":"[redacted]"}}]"#),
        ("message", "{\"a\":1}", "\"[redacted]\""),
        ("**", "17", "\"[redacted]\""),
        ("a", r#"{"b":{"a":1}}"#, r#"{"b":{"a":1}}"#),
    ] {
        assert_eq!(value(rules(&[path], &[], false), text), expected, "{path}");
    }
}

#[test]
fn a_path_holds_for_a_clients_own_object_too() {
    let text = r#"{"connectionId":"a","message":{"password":"x","b":1},"password":2,"c":3}"#;
    let hidden = r#"{"connectionId":"a","message":{"password":"[redacted]","b":1},"password":"[redacted]","c":3}"#;
    for path in ["password", "message.password", "fields.password"] {
        let hidden = if path == "fields.password" {
            hidden.replace("{\"password\":\"[redacted]\"", "{\"password\":\"x\"")
        } else {
            hidden.to_owned()
        };
        assert_eq!(object(rules(&[path], &[], false), text), hidden, "{path}");
    }
    let whole =
        r#"{"connectionId":"a","message":"[redacted]","password":"[redacted]","c":"[redacted]"}"#;
    assert_eq!(object(rules(&["**"], &[], false), text), whole, "its id stays");
    let id_alone = r#"{"connectionId":"a","b":1}"#;
    assert_eq!(object(rules(&["connectionId"], &[], false), id_alone), id_alone);
}

#[test]
fn patterns_hide_what_fits_and_numbers_whole() {
    let pattern = |pattern, text| value(rules(&[], &[pattern], false), text);
    assert_eq!(
        pattern("sec-[0-9]+", r#"["a sec-1 b",{"sec-2":7}]"#),
        r#"["a [redacted] b",{"sec-2":7}]"#
    );
    assert_eq!(pattern("sec-[0-9]+", r#""\u0073ec-1\n""#), r#""[redacted]\n""#);
    assert_eq!(pattern("sec-[0-9]+", "plain \"sec-1\""), r#""plain \"[redacted]\"""#);
    assert_eq!(pattern("^[0-9]{9}$", "[123456789,1234567890]"), r#"["[redacted]",1234567890]"#);
    assert_eq!(pattern("ab|b", r#""ab b abb""#), r#""[redacted] [redacted] [redacted]""#);
    let both = rules(&[], &["abc", "bcd"], false);
    assert_eq!(value(both, r#""xabcdx""#), r#""x[redacted]x""#, "what overlaps is hidden whole");
    let many = "ab ".repeat(1000);
    assert_eq!(pattern("ab", &many), "\"[redacted]\"", "so many that all is hidden");
}

#[test]
fn text_that_is_no_json_is_searched_for_keys() {
    let hidden = |text: &str| value(rules(&["message.password"], &[], false), text);
    assert_eq!(
        hidden(r#"42["login",{"password":"x y"}]"#),
        r#""42[\"login\",{\"password\":\"[redacted]\"}]""#
    );
    assert_eq!(
        hidden(r#"{"inner":"{\"password\":\"x\"}"}"#),
        r#"{"inner":"{\"password\":\"[redacted]\"}"}"#
    );
    let deep = format!("{}{{\"password\":\"hunter2\"}}{}", "[".repeat(500), "]".repeat(500));
    assert!(!hidden(&deep).contains("hunter2"), "deeper than JSON may be");
    let deep =
        "[".repeat(MAX_DEPTH - 1) + "{\"password\":\"hunter2\"}" + &"]".repeat(MAX_DEPTH - 1);
    assert!(!value(rules(&["**.password"], &[], false), &deep).contains("hunter2"));
}

#[test]
fn what_cannot_be_searched_is_hidden_whole_unless_it_is_kept() {
    let binary = || Body::Binary([1, 2, 3].into());
    let on = rules(&["a"], &[], false);
    let keep = Rules { binary: Binary::Keep, ..on.clone() };
    let whole = |body| matches!(body, Body::Value(json) if json.as_str() == HIDDEN_JSON);
    assert!(whole(shown(&Redaction::new(on.clone()), binary())));
    assert!(matches!(shown(&Redaction::new(keep), binary()), Body::Binary(_)));
    assert!(matches!(shown(&Redaction::default(), binary()), Body::Binary(_)));
    let empty = Body::Binary([].into());
    assert!(matches!(shown(&Redaction::new(on.clone()), empty), Body::Binary(_)));
    assert!(matches!(shown(&Redaction::new(on.clone()), Body::Absent), Body::Absent));
    let large = Json::string(&"x".repeat((1 << 20) + 1));
    assert!(whole(shown(&Redaction::new(on), Body::Value(large))));
}

#[test]
fn handshakes_are_shown_without_what_is_hidden() {
    let connect = || Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/a%20sec-1/sec%2D2?x=1&password=hunter2&t=sec-3&u=sec%2d4&acc%65ss_token=no".into(),
        headers: vec![
            ("user-agent", "me sec-5".into()),
            ("sec-websocket-protocol", "chat, access_token, abc".into()),
        ],
        user: None,
        answer: Some(Box::new(Answer {
            upstream: "ws://a".into(),
            status: 101,
            time: Duration::ZERO,
            subprotocol: Some("sec-6".into()),
            extensions: Some("x".into()),
            ..Answer::default()
        })),
    };
    let patterns = Redaction::new(Rules {
        query: vec!["password".into()],
        headers: vec!["Sec-WebSocket-Extensions".into()],
        ..rules(&[], &["sec-[0-9]"], false)
    });
    let shown = patterns.connect(connect());
    let path = "/a%20[redacted]/[redacted]?x=1&password=[redacted]&t=[redacted]&u=[redacted]&acc%65ss_token=no";
    assert_eq!(shown.path, path);
    assert_eq!(shown.headers[0].1, "me [redacted]");
    assert_eq!(shown.headers[1].1, "chat, access_token, abc");
    let answer = shown.answer.as_ref().expect("it has one");
    assert_eq!(answer.subprotocol.as_deref(), Some("[redacted]"));
    assert_eq!(answer.extensions.as_deref(), Some("[redacted]"));
    let usual = Redaction::new(rules(&[], &[], true)).connect(connect());
    assert!(usual.path.ends_with("&acc%65ss_token=[redacted]"), "{}", usual.path);
    assert_eq!(usual.headers[1].1, "[redacted], [redacted], [redacted]", "sec-6 is agreed on");
    assert_eq!(Redaction::default().connect(connect()).path, connect().path);
}

#[test]
fn an_id_with_a_secret_is_shown_without_and_told_apart() {
    let redaction = Redaction::new(rules(&[], &["sec-[0-9]+"], false));
    assert_eq!(redaction.id(id("room-7")), id("room-7"));
    let (one, two) = (redaction.id(id("x-sec-1")), redaction.id(id("x-sec-2")));
    assert!(one.as_str().starts_with("x-[redacted]~"), "{one}");
    assert_ne!(one, two);
    assert_eq!(one, redaction.id(id("x-sec-1")));
    assert_eq!(redaction.id(id(&format!("sec-1{}", "x".repeat(123)))).as_str().len(), 128);
    let text = r#"{"connectionId":"x-sec-1","message":1}"#;
    let message = Message::new(
        Direction::In,
        Opcode::Text,
        1,
        Body::Object(Json::parse(text).expect("JSON")),
    );
    let draft = redaction.draft(&one, EventBody::Message(message));
    let EventBody::Message(Message { body: Body::Object(json), .. }) = &draft.body else {
        panic!()
    };
    assert_eq!(json.as_str(), format!("{{\"connectionId\":\"{one}\",\"message\":1}}"));
}

#[test]
fn a_listeners_query_holds_no_credential_even_without_rules() {
    let query = "kind=message&access_token=abc&acc%65ss_token=abc&ticket=1".to_owned();
    let shown = "kind=message&access_token=[redacted]&acc%65ss_token=[redacted]&ticket=[redacted]";
    assert_eq!(Redaction::default().query(query), shown);
    assert_eq!(Redaction::default().query("a=%20b+c&d".to_owned()), "a=%20b+c&d");
    let redaction = Redaction::new(rules(&[], &["sec-[0-9]"], false));
    assert_eq!(redaction.query("connection=sec-1".to_owned()), "connection=[redacted]");
}

#[test]
fn rules_that_cannot_hold_are_refused_with_what_would_be_right() {
    let fault = |text: &str| text.parse::<Pattern>().expect_err(text).to_string();
    assert!(fault("a(").contains("unclosed group"), "{}", fault("a("));
    assert!(fault("a*").contains("empty text"));
    assert!(fault(r"\w{5000}").contains("exceeds"), "{}", fault(r"\w{5000}"));
    assert!(!Redaction::new(Rules::default()).is_on());
    assert!(Redaction::new(rules(&["a"], &[], false)).is_on());
}

/// JSON as somebody wrote it.
#[derive(Debug, Clone)]
enum Tree {
    Token(String),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("password".to_owned()),
        Just("a".to_owned()),
        Just("users".to_owned()),
        Just("message".to_owned()),
        Just("api_key".to_owned()),
        ".{0,3}",
    ]
}

fn tree(text: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Tree> {
    let token = prop_oneof!["-?[1-9][0-9]{0,20}\\.[0-9]{1,3}e[0-9]", "true|false|null|0"];
    let leaf = prop_oneof![token.prop_map(Tree::Token), text.prop_map(Tree::Text)];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            prop::collection::vec((key(), inner), 0..4).prop_map(Tree::Object),
        ]
    })
}

/// A way to a value: keys as they are, elements by number.
type Way = Vec<Result<String, usize>>;

/// Writes a tree, with escapes and white space that depend on `salt`, and hides what `hide` says.
fn write(tree: &Tree, salt: u32, way: &mut Way, hide: &dyn Fn(&Way) -> bool) -> String {
    let string = |text: &str| {
        let mut out = "\"".to_owned();
        for char in text.chars() {
            let mut units = [0; 2];
            let plain = !matches!(char, '"' | '\\' | '\0'..='\x1f');
            if plain && !(u32::from(char) + salt).is_multiple_of(3) {
                out.push(char);
            } else {
                let units = char.encode_utf16(&mut units).iter();
                units.for_each(|unit| write!(out, "\\u{unit:04x}").expect("a String takes all"));
            }
        }
        out + "\""
    };
    if hide(way) {
        return HIDDEN_JSON.to_owned();
    }
    let blank = if salt.is_multiple_of(2) { "" } else { " " };
    let mut inner = |step, tree| {
        way.push(step);
        let text = write(tree, salt, way, hide);
        way.pop();
        text
    };
    match tree {
        Tree::Token(token) => token.clone(),
        Tree::Text(text) => string(text),
        Tree::Array(list) => {
            let list = list.iter().enumerate().map(|(n, tree)| inner(Err(n), tree));
            format!("[{blank}{}]", list.collect::<Vec<_>>().join(","))
        }
        Tree::Object(members) => {
            let members = members.iter().map(|(key, tree)| {
                format!("{}{blank}:{blank}{}", string(key), inner(Ok(key.clone()), tree))
            });
            format!("{{{}{blank}}}", members.collect::<Vec<_>>().join(&format!("{blank},")))
        }
    }
}

fn key_at(way: &[Result<String, usize>], n: usize, key: &str) -> bool {
    way.get(n).is_some_and(|step| step.as_deref() == Ok(key))
}

proptest! {
    #[test]
    fn redacted_json_is_the_same_json_apart_from_what_is_hidden(
        tree in tree("[a-z {}\\[\\]:,é\u{1f600}\n]{0,8}"),
        salt in 0_u32..6,
    ) {
        let text = write(&tree, salt, &mut Vec::new(), &|_| false);
        let json = Json::parse(&text).expect("JSON");
        let expected = write(&tree, salt, &mut Vec::new(), &|way| {
            let deep = way.last().is_some_and(|last| last.as_deref() == Ok("password"));
            let way = if key_at(way, 0, "message") { &way[1..] } else { &way[..] };
            let users = way.len() == 3 && key_at(way, 0, "users") && way[1] == Err(0);
            deep || users && key_at(way, 2, "a")
        });
        // `message.message.users[0].a` is no reading of the path.
        prop_assume!(!text.contains("message"));
        let shown = value(rules(&["**.password", "users[0].a"], &[], false), json.as_str());
        prop_assert_eq!(shown, expected);
    }

    #[test]
    fn no_secret_survives_wherever_it_stands(
        tree in tree("[a-z\"\\\\ ]{0,6}(sEc-[0-9]{3})?[ \"\\\\é]{0,3}"),
        salt in 0_u32..6,
    ) {
        let text = write(&tree, salt, &mut Vec::new(), &|_| false);
        for pattern in ["sEc-[0-9]{3}", "sEc-[0-9]{3}|^nothing$"] {
            let shown = value(rules(&[], &[pattern], false), &text);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
            prop_assert!(Json::parse(&shown).is_some());
            prop_assert!(!read.to_string().contains("sEc-"), "{}", shown);
        }
    }

    #[test]
    fn looking_first_changes_nothing(
        tree in tree("[a-z ]{0,4}(4111 1111 1111 1111|Bearer abcdefghij|pin|x=1|token=y|code is 1234|glpat-0123456789abcdefghij|<pin>1</pin>)?"),
        salt in 0_u32..6,
    ) {
        let text = write(&tree, salt, &mut Vec::new(), &|_| false);
        let search = Search::new(rules(&["**.users", "a.a"], &["x=[0-9]"], true));
        let json = Json::parse(&text).expect("JSON");
        prop_assert_eq!(body::rewritten(&search, &json, None), json::rewritten(json.as_str(), None, &search));
    }

    #[test]
    fn any_text_and_any_address_is_shown_without_harm(text in "[a-z\"\\\\{}:%?&=/+0-9é,. -]{0,60}") {
        let redaction = Redaction::new(rules(&["a", "**.b"], &["a+b", "[0-9]$"], true));
        let _ = shown(&redaction, Body::Value(Json::string(&text)));
        let _ = redaction.query(text.clone());
        if let Ok(id) = text.parse() {
            let _ = redaction.id(id);
        }
    }
}
