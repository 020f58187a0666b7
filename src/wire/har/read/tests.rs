//! Archives of other programs, and odd ones.

use super::*;
use crate::wire::full;

fn lines(text: &str) -> Vec<String> {
    let line = |recorded| {
        let mut out = Vec::new();
        match recorded {
            Recorded::Event(event) => full(&event, &mut out),
            Recorded::Gap(gap) => crate::wire::full_gap(&gap, &mut out),
        }
        String::from_utf8(out).expect("text")
    };
    read(text).expect("an archive").recorded.into_iter().map(line).collect()
}

fn archive(messages: &str) -> String {
    format!(
        r#"{{"log":{{"entries":[{{"request":{{"url":"https://a.example/"}}}},
        {{"startedDateTime":"2025-11-20T20:20:00.000Z","request":{{"url":"wss://a.example:1/x?y=1#z",
        "headers":[{{"name":"Origin","value":"null"}},{{"name":"Cookie","value":"secret"}}]}},
        "response":{{"status":101,"headers":[{{"name":"Sec-WebSocket-Protocol","value":"v2"}}]}},
        "_webSocketMessages":{messages}}}]}}}}"#
    )
}

#[test]
fn seconds_and_milliseconds_are_distinguished() {
    for unit in ["1763670000.5", "1763670000500", "1763670000500.4"] {
        let text = archive(&format!(
            r#"[{{"type":"send","time":{unit},"opcode":1,"data":"hi"}},
            {{"type":"receive","time":{unit},"opcode":2,"data":"AP8="}},
            {{"type":"error","time":{unit},"opcode":-1,"data":"x"}}]"#
        ));
        let lines = lines(&text);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains(r#""id":"1763670000000-0""#), "{}", lines[0]);
        assert!(lines[0].contains(r#""path":"/x?y=1","headers":{"origin":"null"},"subprotocol":"v2","upstream":"wss://a.example:1""#), "{}", lines[0]);
        assert!(
            lines[1].contains(r#""id":"1763670000500-0""#)
                && lines[1].contains(r#""direction":"in","opcode":"text","size":2"#),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].contains(r#""id":"1763670000500-1""#)
                && lines[2].contains(r#""message":"AP8=","encoding":"base64""#),
            "{}",
            lines[2]
        );
    }
}

#[test]
fn messages_without_a_time_keep_their_order() {
    let text = archive(
        r#"[{"type":"receive","time":-1,"opcode":1,"data":"1"},{"type":"send","time":-1,"opcode":1,"data":"2"}]"#,
    );
    let ids: Vec<_> = lines(&text).iter().map(|line| line[7..22].to_owned()).collect();
    assert_eq!(ids, ["1763670000000-0", "1763670000000-1", "1763670000000-2"]);
}

#[test]
fn fields_that_are_missing_null_or_of_another_type_do_not_refuse_the_archive() {
    let odd = [
        "7",
        "null",
        "{}",
        r#"{"request":{}}"#,
        r#"{"request":null,"response":{"status":null,"headers":{}},"timings":[]}"#,
        r#"{"request":{"url":5,"headers":[1,{"name":"a","value":7}]},"_resourceType":{}}"#,
        r#"{"request":{"url":"https://a"},"response":{"statusText":"\ud800"},"_wstap":"x"}"#,
    ];
    for odd in odd {
        let text = archive(
            r#"[{"type":"send","time":null,"opcode":null,"data":"hi"},{"type":7},null,
            {"type":"receive","time":"x","opcode":1,"data":"\ud800","_wstap":[]}]"#,
        );
        let text = text.replace(r#"{"entries":["#, &format!(r#"{{"entries":[{odd},"#));
        let lines = lines(&text);
        assert_eq!(lines.len(), 3, "{odd}: {lines:?}");
        assert!(lines[1].contains(r#""message":"hi""#), "{odd}: {lines:?}");
    }
}

#[test]
fn archive_without_messages_is_an_error() {
    let none = read(r#"{"log":{"entries":[]}}"#).expect_err("none").to_string();
    assert!(none.contains("no WebSocket messages"), "{none}");
    let apart = r#"{"log":{"entries":[{"request":{"url":"ws://a"},"response":{"content":{"_file":"x.jsonl"}}}]}}"#;
    let apart = read(apart).expect_err("apart").to_string();
    assert!(apart.contains("content: \"embed\""), "{apart}");
    assert!(read("{\"log\":1}").is_err() && read("[]").is_err());
    assert!(is_har(" { \"log\" : {") && is_har("\u{feff}{\"log\":") && !is_har("{\"id\":\"log\""));
}
