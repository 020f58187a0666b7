//! JSON within text, and the rules of `--redact-defaults` for whole messages and handshakes.

use super::*;

#[test]
fn the_mark_is_a_string_of_json_within_other_text() {
    let usual = |text: &str| value(rules(&["message.secretive"], &["sec-[0-9]+"], true), text);
    for (text, shown) in [
        (r#"42["login",{"password":12345}]"#, r#"42["login",{"password":"[redacted]"}]"#),
        (
            r#"42["login",{"password":{"a":[1]},"b":2}]"#,
            r#"42["login",{"password":"[redacted]","b":2}]"#,
        ),
        (
            r#"42["a",{"secretive":[1],"hasPassword":true}]"#,
            r#"42["a",{"secretive":"[redacted]","hasPassword":true}]"#,
        ),
        (r#"42["pay",4111111111111111,"sec-1"]"#, r#"42["pay","[redacted]","[redacted]"]"#),
        (
            r#"42["a",{"authorization":"Digest x","max_tokens":512}]"#,
            r#"42["a",{"authorization":"[redacted]","max_tokens":512}]"#,
        ),
        (r#"42["a","\u0073ec-1\n"]"#, r#"42["a","[redacted]\n"]"#),
        (
            r#"{"type":1,"arguments":[{"pin":1}]}"#,
            r#"{"type":1,"arguments":[{"pin":"[redacted]"}]}"#,
        ),
        (
            "{\"pin\":1}\u{1e}{\"pin\":2}\u{1e}",
            "{\"pin\":\"[redacted]\"}\u{1e}{\"pin\":\"[redacted]\"}\u{1e}",
        ),
        (r#"42["cut",4111111111111111,"x"#, r#"42["cut","[redacted]","x"#),
        (r#"{"a":NaN,"pin":1234}"#, r#"{"a":NaN,"pin":"[redacted]"}"#),
        (r#"login password={"a":1}, x"#, "login password=[redacted], x"),
        (r"say \u0073ec\u002d1 now", "say [redacted] now"),
        (r"say pass\u0077ord=hunter2 now", r"say pass\u0077ord=[redacted] now"),
        (r#"42["a",{"passwordless":true}]"#, r#"42["a",{"passwordless":true}]"#),
    ] {
        let shown = Json::parse(shown).unwrap_or_else(|| Json::string(shown));
        assert_eq!(usual(text), shown.as_str(), "{text}");
    }
    let inner = r#"{"inner":"{\"pin\":1234,\"list\":[4111111111111111]}"}"#;
    let shown = r#"{"inner":"{\"pin\":\"[redacted]\",\"list\":[\"[redacted]\"]}"}"#;
    assert_eq!(usual(inner), shown);
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    for text in [
        r#"{"query":"mutation Login($password: String!) { login(password: $password) { id } }"}"#,
        r#"{"passwordless":true,"hasPassword":false,"token":null,"code":1006,"state":"open"}"#,
        r#"{"code":"ERR_HTTP2_STREAM","passwordlessLogin":"allowed"}"#,
    ] {
        assert_eq!(value(rules(&[], &[], true), text), text);
    }
    let login = r#"{"query":"mutation ($password: String!) { a }","variables":{"password":"x"}}"#;
    assert_eq!(value(rules(&[], &[], true), login), login.replace("\"x\"", HIDDEN_JSON));
    let mfa = r#"{"type":"mfa","code":"123456","otp":123456,"SAMLResponse":"PHNh"}"#;
    let shown =
        r#"{"type":"mfa","code":"[redacted]","otp":"[redacted]","SAMLResponse":"[redacted]"}"#;
    assert_eq!(value(rules(&[], &[], true), mfa), shown);
}

#[test]
fn many_brackets_cost_little() {
    for text in ["[".repeat(1 << 20), "{\"a\":[".repeat(140_000), "[1,{\"".repeat(170_000)] {
        let _ = value(rules(&["password"], &["sec-[0-9]"], true), &format!("{text} sec-1"));
    }
}

#[test]
fn callbacks_of_sign_in_are_shown_without_their_codes() {
    let redaction = Redaction::new(rules(&[], &[], true));
    let mut connect = Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/cb?code=a&state=b&SAMLResponse=c&code_verifier=d&x=1".into(),
        headers: vec![("sec-websocket-protocol", "bokeh, eyJzZXNzaW9u".into())],
        user: None,
        answer: None,
    };
    let shown = redaction.connect(connect.clone());
    let hidden =
        "code=[redacted]&state=[redacted]&SAMLResponse=[redacted]&code_verifier=[redacted]";
    assert_eq!(shown.path, format!("/cb?{hidden}&x=1"));
    assert_eq!(shown.headers[0].1, "bokeh, [redacted]", "hub mode agrees on the first");
    let answer = Answer {
        upstream: "ws://a".into(),
        status: 403,
        time: Duration::ZERO,
        subprotocol: None,
        extensions: None,
        ..Answer::default()
    };
    connect.answer = Some(Box::new(answer));
    assert_eq!(
        redaction.connect(connect).headers[0].1,
        "[redacted], [redacted]",
        "none is agreed on"
    );
}
