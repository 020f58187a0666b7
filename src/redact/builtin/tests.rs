//! What the rules of `--redact-defaults` find, and what they leave.

use super::*;

fn found(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    spans(text, &mut all);
    all.sort_by_key(|span| (span.start, span.end));
    all.dedup();
    all.into_iter().map(|span| &text[span]).collect()
}

#[test]
fn secrets_are_known_by_their_looks() {
    for (text, secret) in [
        ("user=a&password=hunter2&x=1", "hunter2"),
        ("Password: \"two words\" x", "two words"),
        ("{'api_key': 'k y'}", "k y"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "abc/def"),
        ("Cookie: a=1; b=2\r\nX: y", "a=1; b=2"),
        ("curl -H 'Authorization: Digest x'", "Digest x'"),
        ("say Bearer abcdef123456.", "abcdef123456."),
        ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("x eyJhbGciOiJI.eyJzdWIiOiIx.c2ln y", "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln"),
        ("wss://me:word@host/", "me:word"),
        ("pay 4111 1111 1111 1111 now", "4111 1111 1111 1111"),
        ("5500-0000-0000-0004", "5500-0000-0000-0004"),
        ("n=378282246310005", "378282246310005"),
        ("12 4111 1111 1111 1111", "4111 1111 1111 1111"),
    ] {
        assert_eq!(found(text), [secret], "{text}");
    }
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----";
    assert_eq!(found(&format!("a\n{pem}\nb")), [pem]);
}

#[test]
fn secrets_are_known_by_what_stands_around_them() {
    for (text, secret) in [
        (":password => 'hunter2', :user => 'ann'", "hunter2"),
        ("'api_key' => \"k1\"", "k1"),
        ("password := hunter2", "hunter2"),
        ("<user>ann</user><password>hunter2</password>", "hunter2"),
        ("<wsse:Password Type=\"x\">hunter2</wsse:Password>", "hunter2"),
        ("<pin><![CDATA[12<34]]></pin>", "12<34"),
        ("login --user ann --password hunter2 --now", "hunter2"),
        ("login --api-key='k 1'", "k 1"),
        ("curl -u ann:hunter2 http://a/", "ann:hunter2"),
        ("git clone https://tokentokentoken@host/a.git", "tokentokentoken"),
        ("ssh://0123456789abcdef01@host/a", "0123456789abcdef01"),
        ("PASS oauth:abcdef123456\r\nNICK ann", "oauth:abcdef123456"),
        ("AUTHENTICATE YW5uAGh1bnRlcjI=", "YW5uAGh1bnRlcjI="),
        ("PRIVMSG NickServ :IDENTIFY hunter2", "hunter2"),
        ("Your verification code is 123456.", "123456"),
        ("123 456 is your Example login code", "123 456"),
        ("mfa_code=123456", "123456"),
        ("OTP: 4711", "4711"),
        ("http://a/cb?code=abc&x=1", "abc"),
        ("http://a/cb?x=1&state=abc", "abc"),
        ("SAMLResponse=PHNhbWw%2B&x=1", "PHNhbWw%2B"),
        ("code=abc&x=1", "abc"),
    ] {
        assert!(found(text).contains(&secret), "{text}: {:?}", found(text));
    }
}

#[test]
fn keys_of_providers_are_known_by_their_form() {
    let x = |length: usize| "aB3".repeat(length / 3 + 1)[..length].to_owned();
    for key in [
        format!("ghp_{}", x(36)),
        format!("github_pat_{}_{}", x(22), x(59)),
        format!("glpat-{}", x(20)),
        format!("xoxb-{}-{}", "1".repeat(12), x(24)),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        format!("AIza{}", x(35)),
        format!("sk_live_{}", x(24)),
        format!("sk-proj-{}", x(48)),
        format!("sk-ant-api03-{}", x(90)),
        format!("hf_{}", x(34)),
        format!("npm_{}", x(36)),
        format!("SG.{}.{}", x(22), x(43)),
        format!("1234567890:{}", x(35)),
        format!("dop_v1_{}", "0a".repeat(32)),
        format!("{}-us12", "0a".repeat(16)),
        format!("key-{}", "0a".repeat(16)),
        format!("M{}.{}.{}", x(23), x(6), x(27)),
    ] {
        assert_eq!(found(&format!("it is {key} .")), [key.as_str()], "{key}");
    }
    let hook = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX";
    assert_eq!(found(hook), ["T00000000/B00000000/XXXXXXXXXXXX"]);
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "Basic training begins at 10",
        "max_tokens 5",
        "1763670000123",
        "4111 1111 1111 1112",
        "0.4111111111111111",
        "1763670000123456789",
        "eyJ.x",
        "https://host/a:b@c",
        "41111111111111111111111111",
        "mutation Login($password: String!, $token: [Token!]!) { a }",
        "mutation ($password: String!) { login(password: $password) { id } }",
        "input Login { password: String! }",
        "passwordless: yes, hasPassword: true",
        "ssh://git@github.com/a/b",
        "close code=1006 state=open",
        "a risk-based-and-well-considered-task",
        "the state of the code is 1234",
        "<state>open</state>",
        "--no-password yes --verbose",
        "password: [redacted], x",
    ] {
        assert!(found(text).is_empty(), "{text} {:?}", found(text));
    }
    assert_eq!(found("password=$ecret1"), ["$ecret1"], "it is no variable that is declared");
    assert_eq!(found("$password = 'hunter2';"), ["hunter2"]);
}

#[test]
fn credentials_in_subprotocols_are_found() {
    for (list, shown) in [
        ("chat, access_token, abc", "chat, access_token, [redacted]"),
        ("bearer,abc,v2", "bearer,[redacted],v2"),
        ("base64url.bearer.authorization.k8s.io.abc, v4", "[redacted], v4"),
    ] {
        assert_eq!(subprotocols(list).as_deref(), Some(shown), "{list}");
    }
    assert_eq!(subprotocols("graphql-transport-ws, chat"), None);
}

#[test]
fn offered_subprotocols_are_hidden_but_for_the_one_agreed_on() {
    for (list, agreed, shown) in [
        ("bokeh, eyJzZXNz", Some("bokeh"), Some("bokeh, [redacted]")),
        ("header-eyJob3N0,graphql-ws", Some("graphql-ws"), Some("[redacted],graphql-ws")),
        ("realtime, openai-insecure-api-key.k", None, Some("[redacted], [redacted]")),
        ("chat", Some("chat"), None),
    ] {
        assert_eq!(offered_subprotocols(list, agreed).as_deref(), shown, "{list}");
    }
}
