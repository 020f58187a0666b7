//! The filter language against the crate `cel`: random expressions of the subset at random events,
//! one by one. Where `cel` has an error, ours is false.
//!
//! Left out are the deliberate differences: `has(x)` of a name, `text()`, integers beyond 2^53
//! compared with doubles (which `cel` rounds and ours does not), `.in` (a word that CEL keeps), `\w` and its like (which are ASCII
//! in RE2 and so in ours), a list plus a map (a list of `cel`, nothing in CEL), and lists of more than 1,000 elements.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::Key;
use cel::{Context, Program, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wstap::event::{
    Body, Close, ClosedBy, Connect, Direction, Draft, Event, EventBody, EventId, Flow, Message,
    Opcode,
};
use wstap::filter::Expression;
use wstap::json::Json;

/// What `cel` needs to parse and evaluate without optimisation: it recurses on its input, and
/// overflows a usual stack at some 256 bytes.
const STACK: usize = 512 << 20;

#[test]
fn every_expression_says_what_cel_says() {
    let check = || {
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(Config { cases: 4 * config.cases, ..config });
        let (asked, answered) = (Cell::new(0), Cell::new(0));
        let checked = runner.run(&(condition(), event()), |(source, event)| {
            let ours = match Expression::parse(&source) {
                Ok(expression) => expression.holds(&event),
                // Random nesting may be beyond the bounds.
                Err(fault) if fault.wrong.contains("deeper") || fault.wrong.contains("steps") => {
                    return Ok(());
                }
                Err(fault) => return Err(TestCaseError::fail(format!("{source}: {fault}"))),
            };
            asked.set(asked.get() + 1);
            if source.contains("double(") && is_beyond_doubles(&source, &event) {
                return Ok(());
            }
            let theirs = theirs(&source, &event);
            answered.set(answered.get() + u32::from(theirs.is_some()));
            prop_assert_eq!(ours, theirs == Some(true), "{}", source);
            Ok(())
        });
        if let Err(fault) = checked {
            panic!("{fault}");
        }
        let (asked, answered) = (asked.get(), answered.get());
        assert!(answered > asked / 4, "cel has an answer to {answered} of {asked}");
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(check);
    thread.expect("a thread").join().expect("all agree");
}

/// Returns whether there is an integer that a double does not hold.
fn is_beyond_doubles(source: &str, event: &Event) -> bool {
    let mut json = Vec::new();
    wstap::wire::full(event, &mut json);
    let json = String::from_utf8_lossy(&json).into_owned();
    let huge = ["922337203685477580", "18446744073709551615"];
    huge.iter().any(|huge| json.contains(huge) || source.contains(huge))
}

/// Returns the answer of `cel`, if it has one.
fn theirs(source: &str, event: &Event) -> Option<bool> {
    let program = Program::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault:?}"));
    let mut json = Vec::new();
    wstap::wire::full(event, &mut json);
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let mut context = Context::default();
    for (key, value) in json.as_object().expect("an object") {
        context.add_variable_from_value(key.clone(), value_of(value));
    }
    match program.execute(&context) {
        Ok(Value::Bool(answer)) => Some(answer),
        _ => None,
    }
}

/// Integers are int, as ours are; the crate's own conversion makes them uint.
fn value_of(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or(number.as_u64().map(Value::UInt))
            .or(number.as_f64().map(Value::Float))
            .expect("a number"),
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => {
            Value::List(Arc::new(items.iter().map(value_of).collect()))
        }
        serde_json::Value::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| (Key::from(key.clone()), value_of(value)));
            Value::Map(entries.collect::<HashMap<_, _>>().into())
        }
    }
}

/// A place in an event, a literal, or something made of these; mostly of a type that fits.
fn value() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => place(),
        2 => number(),
        2 => string(),
        1 => prop::sample::select(vec!["true", "false", "null", "[]", "{}"]).prop_map(str::to_owned),
    ];
    let tree = leaf.prop_recursive(3, 16, 3, |inner| {
        let few = prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            2 => (inner.clone(), reckoning(), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            1 => (flat(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("([{a}] + [{b}])")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => few.clone().prop_map(|items| format!("[{}]", items.join(", "))),
            1 => few.prop_map(|items| {
                let entries = items.iter().enumerate().map(|(n, item)| format!("'k{n}': {item}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            2 => (prop::sample::select(vec!["size", "int", "uint", "double", "string", "bool"]), inner.clone())
                .prop_map(|(function, a)| format!("{function}({a})")),
            1 => inner.clone().prop_map(|a| format!("({a}).size()")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} == {b} ? {b} : {c})")),
        ]
    });
    tree.boxed()
}

fn condition() -> BoxedStrategy<String> {
    let numeric = prop_oneof![
        1 => number(),
        2 => prop::sample::select(vec![
            "size", "size", "message.n", "message.d", "double(message.n)", "size(message.s)", "close.code",
            "message.n % 2", "message.d * 2.0", "int(message.d)", "size(message.l)", "duration",
        ]).prop_map(str::to_owned),
    ];
    let textual = prop_oneof![
        1 => string(),
        2 => prop::sample::select(vec![
            "message.s", "kind", "connectionId", "message.m.b", "message.s + 'b'", "string(size)",
            "message.l[0]", "fields.user",
        ]).prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        12 => (numeric.clone(), relation(), numeric).prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        4 => (textual.clone(), relation(), textual.clone())
            .prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        3 => (textual.clone(), question(), textual).prop_map(|(a, ask, b)| format!("({a}).{ask}({b})")),
        3 => (value(), relation(), value()).prop_map(|(a, relation, b)| format!("{a} {relation} {b}")),
        2 => (value(), value()).prop_map(|(a, b)| format!("{a} in {b}")),
        1 => (value(), prop::sample::select(vec!["'^a'", "'b+$'", "r'^[0-9.]+$'", "'(a|b)*c'"]))
            .prop_map(|(a, pattern)| format!("({a}).matches({pattern})")),
        2 => prop::sample::select(vec![
            "has(message.n)", "has(message.m.a)", "has(message.missing)", "has(message.l.a)",
            "has(close.code)", "has(fields.user)",
        ]).prop_map(str::to_owned),
        2 => (list(), quantifier(), relation(), value())
            .prop_map(|(list, all, relation, b)| format!("({list}).{all}(x, x {relation} {b})")),
        1 => (list(), quantifier(), quantity())
            .prop_map(|(list, all, about)| format!("({list}).{all}(x, {about})")),
        1 => place(),
        1 => Just("true".to_owned()),
    ];
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            2 => several.clone().prop_map(|all| format!("({})", all.join(" && "))),
            2 => several.prop_map(|all| format!("({})", all.join(" || "))),
            2 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
        ]
    });
    // Of an odd result both say no, which shows little: what compares is a condition.
    tree.prop_map(|condition| format!("({condition}) == true")).boxed()
}

fn place() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec![
        "kind",
        "connectionId",
        "direction",
        "size",
        "channel",
        "message",
        "fields",
        "close",
        "headers",
        "duration",
        "messages",
        "remote",
        "message.n",
        "message.n",
        "message.d",
        "message.s",
        "message.s",
        "message.l",
        "message.l[0]",
        "message.l[1].a",
        "message.m",
        "message.m.a",
        "message['m']['b']",
        "message.missing",
        "message.n.a",
        "fields.user",
        "close.code",
        "close.clean",
        "close.by",
        "headers['user-agent']",
        "messages['in']",
    ])
    .prop_map(str::to_owned)
}

/// What is never a list.
fn flat() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        number(),
        string(),
        prop::sample::select(vec!["size", "kind", "message.d", "duration", "-size"])
            .prop_map(str::to_owned),
    ]
}

fn list() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec!["message.l", "message.m", "message", "[1, 'a', null]", "headers"])
        .prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec![
        "0",
        "1",
        "2",
        "-1",
        "3u",
        "0u",
        "1.0",
        "0.5",
        "-2.5",
        "1e3",
        "0x10",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615u",
    ])
    .prop_map(str::to_owned)
}

fn string() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec![
        "''",
        "'a'",
        "'ab'",
        "\"n\"",
        "'1'",
        "'2.5'",
        "'true'",
        "'message'",
        "'\\u00e4\\n'",
        "r'\\'",
        "'in'",
    ])
    .prop_map(str::to_owned)
}

fn reckoning() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["-", "*", "/", "%"])
}

fn relation() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
}

fn question() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["contains", "startsWith", "endsWith"])
}

fn quantifier() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["exists", "all", "exists_one"])
}

fn quantity() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec![
        "x.a > 1",
        "has(x.a)",
        "x in message",
        "size(x) > 0",
        "x == message.n",
    ])
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![0_i64, 1, 2, -1, 16, i64::MAX, i64::MIN]).prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        prop::sample::select(vec![0.0, 0.5, 1.0, -2.5, 1e3]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "1", "2.5", "true", "ä\n", "\\", "n"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let keys = prop::sample::select(vec!["n", "d", "s", "l", "m", "a", "b"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(keys.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A message in which the places that expressions ask for are often there.
fn typical() -> impl Strategy<Value = serde_json::Value> {
    (json(), json(), json(), json(), any::<u8>()).prop_map(|(n, s, item, a, shape)| {
        let mut message = serde_json::json!({
            "n": n, "d": 2.5, "s": s, "l": [item, {"a": a.clone()}], "m": {"a": a, "b": "ab"}
        });
        // Mostly with what fits.
        if shape % 4 != 0 {
            message["n"] = i64::from(shape % 3).into();
        }
        if shape % 3 != 0 {
            message["s"] = "ab".into();
        }
        message
    })
}

fn event() -> impl Strategy<Value = Event> {
    let message = |body: Body| {
        EventBody::Message(Message::new(Direction::In, Opcode::Text, body.len(), body))
    };
    let value = prop_oneof![3 => typical(), 1 => json()];
    let what = prop_oneof![
        6 => value.clone().prop_map(move |json| {
            message(Body::Value(Json::parse(&json.to_string()).expect("JSON")))
        }),
        3 => (value, json()).prop_map(move |(json, user)| {
            let own = serde_json::json!({"connectionId": "a", "message": json, "user": user});
            message(Body::Object(Json::parse(&own.to_string()).expect("JSON")))
        }),
        1 => prop::collection::vec(any::<u8>(), 0..4)
            .prop_map(move |bytes| message(Body::Binary(bytes.into()))),
        1 => Just(()).prop_map(|()| EventBody::Connect(Box::new(Connect {
            remote: ([127, 0, 0, 1], 1).into(),
            path: "/ws".to_owned(),
            headers: vec![("user-agent", "ab".to_owned())],
            answer: None,
            user: None,
        }))),
        1 => Just(()).prop_map(|()| EventBody::Close(Box::new(Close {
            code: 1001,
            reason: "a".to_owned(),
            clean: true,
            by: ClosedBy::Client,
            duration: std::time::Duration::from_millis(500),
            messages: Flow { inward: 1, outward: 2 },
            bytes: Flow::default(),
            wire: None,
            refused: None,
        }))),
    ];
    what.prop_map(|what| {
        let connection = "a".parse().expect("an id");
        Draft::new(connection, what).stamp(EventId { ms: 1_763_670_000_123, seq: 0 })
    })
}
