//! What expressions mean, and that hostile ones are refused or end.

use super::*;
use crate::event::{
    Body, Close, ClosedBy, Connect, Draft, EventBody, EventId, Flow, Handshake, Message, Opcode,
    Transport,
};
use crate::json::{Json, NoObject};
use std::time::{Duration, Instant};

fn stamped(body: EventBody) -> Event {
    let connection = "a".parse().expect("an id");
    Draft::new(connection, body).stamp(EventId { ms: 1_763_670_000_123, seq: 0 })
}

fn with_body(body: Body) -> Event {
    let size = body.len();
    stamped(EventBody::Message(Message::new(Direction::In, Opcode::Text, size, body)))
}

/// A message whose value is this JSON.
fn message(json: &str) -> Event {
    with_body(Body::Value(Json::parse(json).expect("JSON")))
}

fn object(json: &str) -> Event {
    let json: Result<Json, NoObject> = crate::json::object(json, |_, _| {});
    with_body(Body::Object(json.expect("an object")))
}

fn connect() -> Event {
    stamped(EventBody::Connect(Box::new(Connect {
        remote: ([127, 0, 0, 1], 4711).into(),
        path: "/ws?room=7".to_owned(),
        headers: vec![("user-agent", "curl/8".to_owned()), ("origin", "null".to_owned())],
        answer: None,
        user: None,
    })))
}

fn close() -> Event {
    stamped(EventBody::Close(Box::new(Close {
        code: 1006,
        reason: "gone".to_owned(),
        clean: false,
        by: ClosedBy::Network,
        duration: Duration::from_micros(1_500_400),
        messages: Flow { inward: 3, outward: 1 },
        bytes: Flow { inward: 300, outward: 100 },
        wire: None,
        refused: None,
    })))
}

#[test]
fn every_event_of_a_connection_has_its_handshake() {
    let handshake = Arc::new(Handshake {
        remote: ([127, 0, 0, 1], 4711).into(),
        path: "/graphql?a=1".into(),
        subprotocol: Some("graphql-ws".into()),
        user: "ann".parse().ok(),
        transport: Transport::Sse,
        of_wstap: true,
    });
    for event in [message("1"), close()] {
        assert!(!holds("has(path) || has(remote) || has(subprotocol) || has(user)", &event));
        let event = Event { handshake: Some(Arc::clone(&handshake)), ..event };
        all_hold(
            &event,
            &[
                "path.startsWith(\"/graphql\") && kind in [\"message\", \"close\"]",
                "subprotocol == \"graphql-ws\" && user == \"ann\"",
                "transport == \"sse\"",
                "remote == \"127.0.0.1:4711\"",
                "!has(headers) && !has(upstream)",
            ],
        );
        let without = Filter { without_observers: true, ..Filter::default() };
        assert!(!without.selects(&event) && !without.selects_all());
    }
}

#[test]
fn text_sees_utf8_within_bytes() {
    let event = with_body(Body::Binary(b"\x00\x01hello \xc3\xa4\xff\x80world".to_vec().into()));
    all_hold(
        &event,
        &[
            "text(message).contains(\"hello \u{e4}\")",
            "text(message).matches(\"wor.d$\")",
            "message.startsWith(\"AAFoZWxsb\")",
        ],
    );
    assert!(!holds("text(message).contains(\"AAFo\")", &event));
}

fn holds(expression: &str, event: &Event) -> bool {
    let parsed = Expression::parse(expression);
    parsed.unwrap_or_else(|fault| panic!("{expression}: {fault}")).holds(event)
}

#[track_caller]
fn all_hold(event: &Event, expressions: &[&str]) {
    for expression in expressions {
        assert!(holds(expression, event), "{expression}");
    }
}

#[track_caller]
fn none_holds(event: &Event, expressions: &[&str]) {
    for expression in expressions {
        assert!(!holds(expression, event), "{expression}");
    }
}

#[test]
fn values_of_a_field_are_alternatives_and_fields_are_conditions() {
    let event = |connection: &str, direction| {
        let body = Body::Binary(Box::default());
        let message = Message::new(direction, Opcode::Binary, 0, body);
        let connection = connection.parse().expect("an id");
        Draft::new(connection, EventBody::Message(message)).stamp(EventId::default())
    };
    let filter = Filter {
        connections: ["a", "b"].map(|id| id.parse().expect("an id")).into(),
        directions: [Direction::In].into_iter().collect(),
        ..Filter::default()
    };
    assert!(filter.selects(&event("a", Direction::In)));
    assert!(filter.selects(&event("b", Direction::In)));
    assert!(!filter.selects(&event("a", Direction::Out)));
    assert!(!filter.selects(&event("c", Direction::In)));
    assert!(!filter.selects_all());
    let expression = Expression::parse("connectionId == 'b'").expect("right");
    let filter = Filter { expression: Some(Arc::new(expression)), ..filter };
    assert!(!filter.selects(&event("a", Direction::In)));
    assert!(filter.selects(&event("b", Direction::In)));
}

#[test]
fn the_default_selects_all() {
    assert!(Filter::default().selects_all());
    assert!(Filter::default().selects(&connect()));
}

/// What is written to listeners is what expressions see: each key of the full JSON is a name,
/// and its value the one that is written.
#[test]
fn every_key_of_the_full_json_is_a_name_with_its_value() {
    let own = r#"{"connectionId":"a","x":[1,{"y":null}],"message":{"n":-1.5},"z":"\u00e4"}"#;
    let binary = with_body(Body::Binary(vec![0, 1, 254, 255].into()));
    for event in [connect(), close(), message("[1,2]"), object(own), binary] {
        let mut json = Vec::new();
        crate::wire::full(&event, &mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        for (key, value) in json.as_object().expect("an object") {
            assert!(holds(&format!("has({key}) && {key} == {value}"), &event), "{key} {value}");
        }
    }
}

#[test]
fn conditions_are_as_in_cel() {
    let event = object(
        r#"{"connectionId":"a","message":{"price":101.5,"n":7,"big":18446744073709551615,
            "items":[{"price":5},{"price":10.0}],"text":"Hello, \"Wörld\"","ok":true,
            "none":null,"a-b":1},"user":"bob"}"#,
    );
    all_hold(
        &event,
        &[
            "kind == 'message' && message.price > 100.0",
            "message.price > 100",
            "message.n == 7.0 && message.n == 7u && 7 < 7.5",
            "message.big == 18446744073709551615u && message.big > 1",
            "message.items[0].price == 5 && message.items[1].price == 10",
            "message['a-b'] == 1 && message[\"n\"] + 1 == 8",
            "message.text.contains('Wörld') && message.text.startsWith(\"Hell\")",
            "message.text.endsWith('\"') && message.text.size() == 14",
            "size(message.items) == 2 && size(fields) == 1 && size('äö') == 2",
            "message.text.matches('^H.*rld.$') && !message.text.matches('^x')",
            "message.text.lowerAscii().contains('hello')",
            "message.ok && message.none != 1 || false",
            "message.none == null && message.none != 0 && message.ok != 'true'",
            "has(message.price) && !has(message.cost) && has(fields) && !has(remote)",
            "fields.user == 'bob' && 'user' in fields && !('message' in fields)",
            "connectionId in ['a', 'b'] && 5 in [1, 5.0] && !('c' in ['a'])",
            "'n' in message && !(1 in message)",
            "message.items.exists(i, i.price >= 10) && !message.items.all(i, i.price > 5)",
            "message.items.exists_one(i, i.price == 5) && message.exists(k, k == 'n')",
            "message.n % 4 == 3 && -message.n == -7 && message.n / 2 == 3 && 7.0 / 2.0 == 3.5",
            "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 - 2 - 1 == 4",
            "true ? message.ok : message.missing",
            "message.n > 5 ? message.ok : false",
            "int('12') == 12 && double(1) == 1.0 && string(1.5) == '1.5' && int(2.9) == 2",
            "uint(3) == 3u && bool('true') && string(message.n) == '7'",
            "[1, 2][1] == 2 && {'a': {'b': 1}}.a.b == 1 && {'a': 1} == {'a': 1.0}",
            "message.items == [{'price': 5}, {'price': 10}]",
            "size > 100 && size(connectionId) == 1 && id == '1763670000123-0'",
            "time > '2025-11-20T20:20:00Z' || time.startsWith('2025-11-20T20:20:00.123')",
            "direction in ['in'] && opcode == 'text' && channel == null",
            "'a' + 'b' == 'ab' && 'a' < 'b' && false < true",
            "!!message.ok && --1 == 1 && - 1 < 0",
            "-9223372036854775808 < 0 && 0x10 == 16",
            "message.missing == 1 || message.ok",
            "message.ok || message.missing == 1",
            "!(message.missing == 1 && false)",
            "1 == 1 == true",
            "text(message.items) == '[{\"price\":5},{\"price\":10.0}]' && text('a') == 'a'",
            "text(fields) == '{\"user\":\"bob\"}' && text(message).contains('Wörld')",
            "text(null) == 'null' && text(1) + text(1.5) + text([true]) == '11.5[true]'",
        ],
    );
    all_hold(&connect(), &["headers['user-agent'].startsWith('curl') && path.contains('room')"]);
    all_hold(&close(), &["close.code == 1006 && !close.clean && duration > 1.5 == false"]);
    all_hold(&close(), &["messages.in == 3 && bytes['out'] == 100 && close.by == 'network'"]);
}

#[test]
fn what_has_no_answer_is_false_whichever_way_it_is_asked() {
    let event = message(r#"{"n":1,"s":"x","l":[1],"max":9223372036854775807,"none":null}"#);
    none_holds(
        &event,
        &[
            "message.price > 5",
            "!(message.price > 5)",
            "message.price != 5",
            "message.price == null",
            "has(message.a.b)",
            "!has(message.a.b)",
            "message.n > '0'",
            "!(message.n > '0')",
            "message.none < 1",
            "message.s + 1 == 'x1'",
            "message.n + 1.5 > 0.0",
            "message.max + 1 > 0",
            "-(message.max) - 2 < 0",
            "message.n / 0 == 0",
            "message.n % 0 == 0",
            "!message.n",
            "message.n",
            "message.n && true",
            "message.l[1] == 1",
            "message.l[-1] == 1",
            "message.l['0'] == 1",
            "message.l[0.5] == 1",
            "message.s[0] == 'x'",
            "message.s.price == 1",
            "message.n.contains('1')",
            "message.s.contains(1)",
            "'x' in message.s",
            "message.n.exists(x, x == 1)",
            "message.l.all(x, x.y == 1)",
            "int('x') == 0 || double('') == 0.0 || bool('yes')",
            "int(1e300) == 0",
            "size(message.n) == 1",
            "remote == '' || close.code == 1000 || fields.x == 1",
            "message.n > 0 ? message.missing : true",
            "message.s ? true : true",
        ],
    );
    none_holds(&connect(), &["message == null", "!(message == null)", "size >= 0"]);
    none_holds(&message("\"text\""), &["message.price > 5", "!has(message.price)"]);
    all_hold(&message("[[1]]"), &["message[0][0] == 1", "size(message) == 1"]);
}

#[test]
fn elements_beyond_a_thousand_have_no_answer() {
    let list = |count: usize| {
        let items: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        message(&format!("[{}]", items.join(",")))
    };
    all_hold(&list(1000), &["message.exists(x, x == 999)", "message.all(x, x >= 0)"]);
    all_hold(&list(5000), &["message.exists(x, x == 999)", "!message.all(x, x < 999)"]);
    none_holds(
        &list(1001),
        &[
            "message.exists(x, x == 1000)",
            "message.all(x, x >= 0)",
            "message.exists_one(x, x == 1)",
        ],
    );
    all_hold(&list(5000), &["4999 in message", "size(message) == 5000", "message[4999] == 4999"]);
}

#[test]
fn of_a_repeated_key_the_last_counts() {
    let event = object(r#"{"a":1,"message":{"x":1,"y":0,"x":2},"a":3,"message":{"x":5,"x":6}}"#);
    all_hold(&event, &["message.x == 6 && size(message) == 1 && fields == {'a': 3}"]);
}

#[test]
fn a_body_that_no_number_or_string_can_hold_has_no_answer() {
    for json in ["1e999", r#"{"a":"\ud800","b":1}"#] {
        let event = message(json);
        none_holds(&event, &["message == 1", "message.b == 1"]);
        all_hold(&event, &["kind == 'message' && !has(message)"]);
    }
}

#[test]
fn a_fault_is_told_with_its_column_and_what_would_be_right() {
    for (source, position, part) in [
        ("", 1, "unexpected the end, expected a value"),
        ("size >", 7, "unexpected the end, expected a value"),
        ("size > 1 size", 10, "unexpected `size`, expected an operator"),
        ("kind == 'ä' and size > 1", 13, "unexpected `and`, expected an operator such as =="),
        ("price > 5", 1, "an event has no `price`, expected one of id, time, kind,"),
        ("kind = 'message'", 6, "expected `==`"),
        ("size > 100 && (kind == 'a'", 27, "expected `)`"),
        ("message.items[0", 16, "expected `]`"),
        ("message.", 9, "expected the name of a field"),
        ("message.price()", 9, "there is no function `price` of a value"),
        ("foo(1)", 1, "there is no function `foo`"),
        ("size(1, 2) == 1", 1, "size with 2 arguments, expected 1"),
        ("has(1)", 5, "expected a field, such as has(message.price)"),
        ("message.matches(kind)", 17, "expected a pattern in quotes"),
        ("message.matches('(')", 17, "the pattern cannot be read: unclosed group"),
        ("message.matches('a{9999}')", 17, "the pattern is too large"),
        ("message.exists(x, message.all(y, y == x))", 27, "inside of another"),
        ("message.exists(1, true)", 16, "a name for the element"),
        ("message.exists(x, true) && x == 1", 28, "an event has no `x`"),
        ("{'a': 1, 'a': 2} == message", 10, "this key stands twice"),
        ("{1: 2} == message", 2, "a key in quotes"),
        ("9223372036854775808 > 1", 1, "the number is too large"),
        ("size", 1, "neither true nor false, expected a condition"),
        ("size + 1", 1, "a condition"),
        ("'a'", 1, "a condition"),
        ("a\u{301}", 2, "the character"),
    ] {
        let fault = Expression::parse(source).expect_err(source);
        assert_eq!(fault.position, position, "{source}: {fault}");
        assert!(fault.to_string().contains(part), "{source}: {part:?} in {fault}");
    }
}

#[test]
fn depth_is_bounded_and_the_length_of_conjunctions_is_not() {
    for (nests, deepest) in [
        ((|n| format!("{}true{}", "(".repeat(n), ")".repeat(n))) as fn(usize) -> String, 31),
        (|n| format!("1{} == 1", "+1".repeat(n)), 30),
        (|n| format!("message{} == 1", "[0]".repeat(n)), 30),
        (|n| format!("message{} == 1", ".a".repeat(n)), 30),
        (|n| format!("{}true", "!".repeat(n)), 31),
        (|n| format!("{}true", "true ? true : ".repeat(n)), 31),
        (|n| format!("message == {}1{}", "[".repeat(n), "]".repeat(n)), 30),
    ] {
        assert!(Expression::parse(&nests(deepest)).is_ok(), "{}", nests(deepest));
        let fault = Expression::parse(&nests(deepest + 1)).expect_err("too deep");
        assert!(fault.to_string().contains("deeper than 32"), "{fault}");
    }
    let many = vec!["size==1"; 100].join("||");
    assert!(holds(&format!("{many}||true"), &close()));
}

#[test]
fn hostile_expressions_end_in_an_error() {
    let hostile = [
        "(".repeat(1024),
        "[".repeat(1024),
        "!".repeat(1024),
        "-".repeat(1024),
        "{\"a\":".repeat(200),
        "size(".repeat(200),
        format!("1{}==1", "+1".repeat(500)),
        format!("message{}", "[0]".repeat(300)),
        format!("message{}", ".a".repeat(500)),
        "a?".repeat(500),
        "1?".repeat(500),
        "true?true:".repeat(100),
        format!("message.exists(x,{})", vec!["x==1"; 100].join("||")),
        format!("kind == '{}'", "x".repeat(2000)),
        format!("kind == {}", "9".repeat(1000)),
        format!("kind == 1e{}", "9".repeat(1000)),
        format!("kind == 1.{}x", "9".repeat(1000)),
        format!("kind == '{}", "\\u0041".repeat(100)),
        format!("kind == \"\"\"{}", "\"".repeat(900).replace("\"\"\"", "\"\"\\\"")),
        "kind.matches('((a{50}){50}){50}')".to_owned(),
        format!("kind.matches('{}')", "(a*)*".repeat(190)),
        format!("kind.matches('{}')", "[^\u{1f600}]{99}".repeat(50)),
        format!("kind.matches('{}{}')", "(".repeat(400), ")".repeat(400)),
        vec!["kind.matches('[^ä]{50}')"; 30].join("||"),
        "\u{1f600}".repeat(256),
        "\0".repeat(1024),
        "x".repeat(1 << 20),
        "'".repeat(1023),
        "&&".repeat(500),
    ];
    for source in hostile {
        let start = Instant::now();
        let parsed = Expression::parse(&source);
        let took = start.elapsed();
        assert!(parsed.is_err(), "{source}");
        // Far above the 1 ms that it may take, for builds without optimisation.
        assert!(took < Duration::from_secs(5), "{took:?} for {source}");
    }
}

#[test]
fn an_expression_that_is_right_takes_bounded_time_at_hostile_events() {
    let items = vec![r#"{"t":"xxxxxxxxxxxxxxxx","n":[[[[1]]]]}"#; 20_000].join(",");
    let event = message(&format!("{{\"items\":[{items}],\"t\":\"{}\"}}", "x".repeat(1 << 18)));
    for source in [
        "message.items.exists(i, message.t.contains('y') && i.t == 'y')",
        "message.items.exists(i, message.items == [i])",
        "message.items.exists(i, message.items[19999].t == i.t + 'y')",
        "message.items.exists(i, i in message.items && false)",
        "message.items.all(i, message.t.matches('(x+x+)+y'))",
        "message.items.exists(i, (message.t + message.t).size() == 1)",
        "message.items.exists(i, message.t.upperAscii() == message.t.lowerAscii())",
    ] {
        assert!(!holds(source, &event), "{source}");
    }
}
