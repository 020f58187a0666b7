//! Events that were written are read back the same.

use super::*;
use crate::event::EventId;
use crate::wire::full;
use proptest::prelude::*;

fn written(event: &Event) -> String {
    let mut out = Vec::new();
    full(event, &mut out);
    String::from_utf8(out).expect("text")
}

#[track_caller]
fn comes_back(body: EventBody) {
    let connection = match body {
        EventBody::Lost(_) => ConnectionId::nobody(),
        _ => "ä\"b".parse().expect("an id"),
    };
    let event = Draft::new(connection, body).stamp(EventId { ms: 1_763_670_000_123, seq: 7 });
    let line = written(&event);
    let Recorded::Event(again) = read(&line).expect("an event") else { panic!("{line}") };
    assert_eq!(written(&again), line);
    assert_eq!(format!("{again:?}"), format!("{event:?}"));
}

fn connect() -> Connect {
    let answer = Answer {
        upstream: "ws://localhost:9".into(),
        status: 101,
        time: Duration::from_micros(1500),
        subprotocol: Some("chat".to_owned()),
        extensions: None,
        ..Answer::default()
    };
    Connect {
        remote: ([127, 0, 0, 1], 4711).into(),
        path: "/a?b=\"".to_owned(),
        headers: vec![("user-agent", "x".to_owned()), ("origin", "null".to_owned())],
        answer: Some(Box::new(answer)),
        user: Some("ann".parse().expect("a user")),
    }
}

fn text(text: &str) -> Message {
    let body = Body::Value(Json::parse(text).unwrap_or_else(|| Json::string(text)));
    Message::new(Direction::Out, Opcode::Text, text.len(), body)
}

#[test]
fn every_kind_of_event_comes_back() {
    comes_back(EventBody::Connect(Box::new(connect())));
    comes_back(EventBody::Connect(Box::new(Connect { answer: None, ..connect() })));
    let (channel, user) = ("news".parse().expect("one"), "ann".parse().expect("one"));
    comes_back(EventBody::Join(Box::new(Presence { channel, user })));
    let routing = Routing {
        channel: Some("ä b".parse().expect("one")),
        user: Some("ann".parse().expect("one")),
        to: vec!["b".parse().expect("one"), "c".parse().expect("one")],
        except: vec!["\"".parse().expect("one")],
    };
    comes_back(EventBody::Message(Message { routing: Some(Box::new(routing)), ..text("{}") }));
    comes_back(EventBody::Lost(5));
    for content in
        ["x", "\"x\"", "null", "1.0", "[ 1, 2 ]", "{\"a\":12345678901234567890}", "\"\\ud800\""]
    {
        comes_back(EventBody::Message(text(content)));
    }
    let frame_info = |note: Option<&str>| {
        Some(FrameInfo {
            wire: 40,
            fragments: 3,
            compressed: true,
            truncated: false,
            note: note.map(Into::into),
        })
    };
    comes_back(EventBody::Message(Message {
        frame_info: frame_info(None),
        synthetic: true,
        ..text("[]")
    }));
    // The beginnings of an array and of a number.
    for beginning in ["\"[1,2\"", "\"12\"", "\"\\\"a\""] {
        let cut = FrameInfo { truncated: true, ..frame_info(Some("cut")).expect("some") };
        let (size, frame_info) = (beginning.len() as u64, Some(cut));
        comes_back(EventBody::Message(Message { size, frame_info, ..text(beginning) }));
    }
    let binary = Body::Binary(vec![0, 255].into());
    comes_back(EventBody::Message(Message::new(Direction::In, Opcode::Ping, 2, binary)));
    let absent = Message {
        opcode: None,
        size: 0,
        body: Body::Absent,
        frame_info: frame_info(Some("odd")),
        ..text("")
    };
    comes_back(EventBody::Message(absent));
    let wire = TransportStats {
        bytes: Flow { inward: 1, outward: 2 },
        client_silence: Duration::from_millis(5),
        server_silence: Duration::ZERO,
        note: Some("late".into()),
        comments: None,
    };
    let close = Close {
        code: 1006,
        reason: "gone".to_owned(),
        clean: false,
        by: ClosedBy::Server,
        duration: Duration::from_millis(1500),
        messages: Flow { inward: 3, outward: 4 },
        bytes: Flow { inward: 5, outward: 6 },
        wire: Some(wire),
        refused: None,
    };
    comes_back(EventBody::Close(Box::new(close.clone())));
    let refused = Some(Box::new(connect()));
    comes_back(EventBody::Close(Box::new(Close { wire: None, refused, ..close })));
}

#[test]
fn event_stream_comes_back() {
    let stream = EventStream {
        method: "POST".to_owned(),
        encoding: Some("br".to_owned()),
        note: Some("not read".into()),
        of_wstap: false,
    };
    let mut connect = connect();
    connect.answer.as_mut().expect("an answer").event_stream = Some(Box::new(stream));
    connect.headers.push(("last-event-id", "7".to_owned()));
    assert_eq!(connect.transport(), Transport::Sse);
    comes_back(EventBody::Connect(Box::new(connect)));
    for (name, id) in [(Some("add"), None), (None, Some("7")), (Some("add"), Some("7"))] {
        let event = EventFields::of(name.unwrap_or_default(), id.unwrap_or_default());
        comes_back(EventBody::Message(Message { event, ..text("x") }));
    }
    let line = r#"{"id":"1-0","time":"1970-01-01T00:00:00.001Z","kind":"close","connectionId":"a","close":{"code":1005,"reason":"","clean":true,"by":"server"},"duration":0.500,"messages":{"in":0,"out":1},"bytes":{"in":0,"out":1},"wire":{"in":0,"out":9},"silence":{"in":0.500,"out":0.000},"comments":3,"transport":"sse"}"#;
    let Ok(Recorded::Event(close)) = read(line) else { panic!("{line}") };
    assert_eq!(written(&close), line);
}

#[test]
fn a_clients_own_object_comes_back_as_such() {
    for (own, size) in [
        (r#"{"connectionId":"ä\"b","message":"x"}"#, 0),
        (r#"{"connectionId":"ä\"b","message":{"a":1},"b":2}"#, 0),
        (r#"{"connectionId":"ä\"b","b":[2]}"#, 0),
        (r#"{"connectionId":"ä\"b","message":"x"}"#, 9),
    ] {
        let json = crate::json::object(own, |_, _| {}).expect("an object");
        let size = own.len() + size;
        comes_back(EventBody::Message(Message::new(
            Direction::In,
            Opcode::Text,
            size,
            Body::Object(json),
        )));
    }
}

#[test]
fn a_gap_without_an_id_is_a_listeners() {
    let gap = Gap { missed: None, after: Some(EventId { ms: 1, seq: 2 }), before: None };
    let mut line = Vec::new();
    crate::wire::full_gap(&gap, &mut line);
    let line = String::from_utf8(line).expect("text");
    assert!(matches!(read(&line), Ok(Recorded::Gap(again)) if again == gap));
}

#[test]
fn what_is_no_event_is_told() {
    for (text, part) in [
        ("{}", "missing field `kind`"),
        ("hello", "no event of wstap"),
        (r#"{"kind":"x","id":"1-0","connectionId":"a"}"#, "no kind of events \"x\""),
        (r#"{"kind":"message","id":"1","connectionId":"a"}"#, "no id"),
        (r#"{"kind":"message","id":"1-0"}"#, "no connectionId"),
        (r#"{"kind":"message","id":"1-0","connectionId":"a"}"#, "no direction"),
        (r#"{"kind":"close","id":"1-0","connectionId":"a"}"#, "no close"),
    ] {
        let fault = read(text).expect_err(text).to_string();
        assert!(fault.contains(part), "{part} in {fault}");
    }
}

proptest! {
    #[test]
    fn any_text_message_comes_back(content: String) {
        comes_back(EventBody::Message(text(&content)));
    }

    #[test]
    fn what_is_read_is_written_the_same_again(
        size in 0u64..60,
        message in prop::sample::select(vec!["null", "1.0", "\"x\"", "\"\"", "[ 1 ]", "\"AP8=\"", "{\"a\":null}"]),
        more in prop::sample::subsequence(
            vec![
                "\"fields\":{\"b\":1}", "\"fields\":{}", "\"encoding\":\"base64\"", "\"wire\":9",
                "\"note\":\"odd\"", "\"synthetic\":true", "\"fragments\":3", "\"compressed\":true",
            ],
            0..8,
        ),
        opcode in prop::sample::select(vec!["\"text\"", "\"binary\"", "\"ping\"", "null"]),
    ) {
        let more: String = more.iter().flat_map(|member| [",", member]).collect();
        let line = format!(
            "{{\"id\":\"1-0\",\"kind\":\"message\",\"connectionId\":\"a\",\"direction\":\"in\",\"opcode\":{opcode},\"size\":{size},\"message\":{message}{more}}}"
        );
        if let Ok(Recorded::Event(event)) = read(&line) {
            let once = written(&event);
            let Ok(Recorded::Event(again)) = read(&once) else { panic!("{once}") };
            prop_assert_eq!(written(&again), once);
        }
    }

    #[test]
    fn any_text_is_read_without_harm(text in "[\\[\\]{}\":,a-z0-9\\\\-]{0,80}") {
        let _ = read(&text);
    }
}
