use super::*;
use crate::hub::{ChannelRules, SlowClient};

fn sources(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Sources {
    Sources {
        flags: flags
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        file: file.map(|text| ("wstap.toml".to_owned(), text.to_owned())),
    }
}

fn load(
    flags: &[(&str, &str)],
    env: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Config, Vec<String>> {
    Config::load(&sources(flags, env, file)).map_err(|faults| faults.0)
}

#[test]
fn defaults_apply_without_sources() {
    let config = load(&[], &[], None).expect("the defaults are right");
    let defaults = Settings::default();
    assert_eq!(config.hub.max_connections, defaults.max_connections);
    assert_eq!(config.hub.history.events, defaults.history.events);
    assert_eq!(config.hub.history.bytes, defaults.history.bytes);
    assert_eq!(config.hub.heartbeat, defaults.heartbeat);
    assert_eq!(config.limits.max_message_bytes, Limits::default().max_message_bytes);
    assert_eq!(config.limits.ping_interval, Limits::default().ping_interval);
    assert_eq!(config.listen, [Listen { host: "localhost".to_owned(), port: 8080 }]);
    assert_eq!((config.cors_origins, config.ws_origins), (Origins::Any, Origins::Loopback));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = Some("heartbeat = \"3s\"\nping_interval = \"3s\"\npong-timeout = \"3s\"\n");
    let env = [("WSTAP_HEARTBEAT", "2s"), ("WSTAP_PING_INTERVAL", "2s")];
    let config = load(&[("heartbeat", "1s")], &env, file).expect("all right");
    assert_eq!(config.hub.heartbeat, Duration::from_secs(1));
    assert_eq!(config.limits.ping_interval, Duration::from_secs(2));
    assert_eq!(config.limits.pong_timeout, Duration::from_secs(3));
    assert_eq!(config.limits.register_timeout, Duration::from_secs(10));
}

#[test]
fn file_accepts_the_types_of_toml() {
    let file = "listen = [\"127.0.0.1:1\", \"[::1]:2\"]\nhistory-events = 5\nno-auth = true\ncors-origin = \"https://a.example\"";
    let config =
        load(&[], &[("WSTAP_HOST", "a.example, b.example")], Some(file)).expect("all right");
    assert_eq!(config.listen[1], Listen { host: "::1".to_owned(), port: 2 });
    assert_eq!(config.hub.history.events, 5);
    assert!(config.no_auth);
    assert_eq!(config.cors_origins, Origins::Listed(vec!["https://a.example".to_owned()]));
    assert_eq!(config.hosts, ["a.example", "b.example"]);
}

#[test]
fn all_faults_are_reported_together_with_an_example() {
    let file = "heartbeat = \"soon\"\nlisten = [\"nowhere\"]\nhistry-events = 5\nmax-listeners = { a = 1 }";
    let env = [("WSTAP_MAX_MESSAGE_BYTES", "1XB")];
    let faults = load(&[("duplicate-id", "both"), ("ping-interval", "0s")], &env, Some(file))
        .expect_err("all wrong");
    let told = faults.join("\n");
    for part in [
        "wstap.toml, line 1: heartbeat = \"soon\"",
        "such as 15s",
        "wstap.toml, line 2: listen = \"nowhere\"",
        "such as localhost:8080",
        "wstap.toml, line 3: there is no setting \"histry-events\"; did you mean history-events?",
        "wstap.toml, line 4: max-listeners",
        "WSTAP_MAX_MESSAGE_BYTES = \"1XB\"",
        "such as 64MiB",
        "--duplicate-id = \"both\": replace or reject",
        "--ping-interval = \"0s\"",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

#[test]
fn redaction_is_on_with_a_rule() {
    assert!(!load(&[("redact-binary", "keep")], &[], None).expect("right").hub.redaction.is_on());
    // A comma is part of a regular expression; lists of paths have commas between them.
    let env = [("WSTAP_REDACT_PATTERN", "[0-9]{1,3}\nb+"), ("WSTAP_REDACT", "a.b, **.c")];
    let redaction = load(&[], &env, None).expect("right").hub.redaction;
    let id = "a123".parse().expect("an id");
    assert!(redaction.is_on() && redaction.id(id).as_str().starts_with("a[redacted]~"));
    for (name, value, right) in [
        ("redact", "a..b", "users[*].token"),
        ("redact-pattern", "(a", "unclosed group"),
        ("redact-query", "a=b", "a name alone"),
        ("redact-header", "", "a name alone"),
        ("redact-binary", "no", "hide or keep"),
    ] {
        let told = load(&[(name, value)], &[], None).expect_err("wrong");
        let fault = format!("--{name} = {value:?}: ");
        assert!(told[0].starts_with(&fault) && told[0].contains(right), "{told:?}");
    }
}

#[test]
fn upstream_turns_on_proxy_mode_with_separate_observers() {
    let config = load(&[("upstream", "ws://localhost:9000")], &[], None).expect("all right");
    let proxy = config.proxy.expect("proxy mode");
    assert_eq!(&*proxy.routes[0].upstream.url, "ws://localhost:9000");
    assert_eq!(config.tap_listen, [Listen { host: "localhost".to_owned(), port: 8082 }]);
    assert_eq!(config.cors_origins, Origins::Loopback);
    assert_eq!(proxy.trust, Trust::System);
}

#[test]
fn port_and_host_with_a_port_are_short_for_a_url() {
    for (text, url) in [
        ("3000", "http://localhost:3000"),
        ("localhost:9000", "http://localhost:9000"),
        ("[::1]:9000/", "http://[::1]:9000"),
        ("wss://a.example", "wss://a.example"),
    ] {
        let config = load(&[("upstream", text), ("listen", "8081")], &[], None);
        let config = config.expect("all right");
        assert_eq!(&*config.proxy.expect("proxy mode").routes[0].upstream.url, url);
        assert_eq!(config.listen, [Listen { host: "localhost".to_owned(), port: 8081 }]);
    }
    for text in ["0", "99999", "a/b:1", "watch", ":80", "localhost:"] {
        assert!(read_upstream(text).is_err(), "{text}");
    }
}

#[test]
fn upstream_at_an_address_of_wstap_itself_is_a_fault() {
    for (flags, told) in [
        (
            &[("upstream", "8080")][..],
            "http://localhost:8080 is an address of wstap itself (listen = localhost:8080); serve at another one, such as --listen 8081",
        ),
        (
            &[("upstream", "ws://127.0.0.1:8082")],
            "ws://127.0.0.1:8082 is an address of wstap itself (tap-listen = localhost:8082); serve at another one, such as --tap-listen 8083",
        ),
        (
            &[("upstream", "3000"), ("listen", "0.0.0.0:3000")],
            "http://localhost:3000 is an address of wstap itself (listen = 0.0.0.0:3000); serve at another one, such as --listen 8081",
        ),
        (
            &[("upstream", "3000"), ("listen", "8082")],
            "listen and tap-listen are both localhost:8082; serve at another one, such as --listen 8081",
        ),
    ] {
        assert_eq!(load(flags, &[], None).expect_err("a fault"), [told]);
    }
    for flags in [
        &[("upstream", "3000")][..],
        &[("upstream", "http://[::1]:3000"), ("listen", "127.0.0.1:3000")],
        &[("upstream", "http://api.example:8080")],
        &[("upstream", "3000"), ("listen", "localhost:0"), ("tap-listen", "localhost:0")],
    ] {
        assert!(load(flags, &[], None).is_ok(), "{flags:?}");
    }
}

#[test]
fn file_routes_by_path_and_host_and_flag_takes_the_rest() {
    let file = "[[upstream]]\npath = \"/chat\"\nurl = \"ws://a\"\n\
                [[upstream]]\npath = \"/chat/admin\"\nurl = \"wss://b\"\n\
                [[upstream]]\nhost = \"Api.Example\"\nurl = \"http://c:1\"\n";
    let config = load(&[("upstream", "ws://d")], &[], Some(file)).expect("all right");
    let proxy = config.proxy.expect("proxy mode");
    let to = |host, path| {
        let fits = proxy.routes.iter().find(|route| route.fits(host, path));
        fits.map(|route| route.upstream.url.to_string())
    };
    assert_eq!(to(None, "/chat/1").as_deref(), Some("ws://a"));
    assert_eq!(to(None, "/chat/admin").as_deref(), Some("wss://b"));
    assert_eq!(to(Some("api.example:80"), "/chat").as_deref(), Some("http://c:1"));
    assert_eq!(to(Some("x"), "/").as_deref(), Some("ws://d"));
}

#[test]
fn file_declares_channels() {
    let file = "[[channel]]\nname = \"prices/*\"\nprivate = true\nhistory = 10\nmax_members = 5\n\
                [[channel]]\nname = \"chat\"\npresence = true\n";
    let hub = load(&[("slow-client", "close")], &[], Some(file)).expect("all right").hub;
    let prices = ChannelRules { private: true, history: 10, max_members: Some(5), presence: false };
    assert_eq!(hub.channels[0].rules, prices);
    assert!(hub.channels[0].name.fits(&"prices/gold".parse().expect("a channel")));
    assert_eq!(hub.channels[1].rules, ChannelRules { presence: true, ..Default::default() });
    assert_eq!(hub.slow_client, SlowClient::Close);
    let file = "[[channel]]\nname = \"a*b\\n\"\nprivat = true\nhistory = \"x\"\n[[channel]]\nprivate = 7\n";
    let told = load(&[], &[], Some(file)).expect_err("all wrong").join("\n");
    for part in [
        "wstap.toml, line 3: there is no key \"privat\" in [[channel]]; there are name, private,",
        "wstap.toml, line 2: name = \"a*b\\n\": a pattern is the name of a channel",
        "wstap.toml, line 4: history = \"x\": a number is written in digits",
        "wstap.toml, line 5: [[channel]] needs a name, such as name = \"news\"",
        "wstap.toml, line 6: private = \"7\"",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

#[test]
fn faults_of_upstreams_are_reported_with_the_others() {
    let file = "heartbeat = \"soon\"\n[[upstream]]\npath = \"chat\"\nurl = \"ftp://a\"\n[[upstream]]\nulr = \"ws://a\"\n";
    let flags = [("upstream", "nowhere"), ("upstream-ca", "x.pem"), ("upstream-insecure", "true")];
    let told = load(&flags, &[], Some(file)).expect_err("all wrong").join("\n");
    for part in [
        "wstap.toml, line 1: heartbeat",
        "wstap.toml, line 3: path = \"chat\": a path begins with a slash",
        "wstap.toml, line 4: url = \"ftp://a\": an upstream is the URL",
        "wstap.toml, line 6: there is no key \"ulr\" in [[upstream]]; there are path, host and url",
        "wstap.toml, line 5: [[upstream]] needs a url",
        "--upstream = \"nowhere\": an upstream is the URL",
        "upstream-ca and upstream-insecure exclude each other",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

#[test]
fn unknown_variable_is_a_warning_with_a_suggestion() {
    let env = [("WSTAP_CONFIG", "x"), ("WSTAP_HEARTBAET", "1s"), ("HOME", "/")];
    let told = sources(&[], &env, None).unknown_variables();
    assert_eq!(told, ["WSTAP_HEARTBAET: there is no such setting; did you mean WSTAP_HEARTBEAT?"]);
    assert!(load(&[], &env, None).is_ok());
}

#[test]
fn syntax_error_of_the_file_names_its_line() {
    let faults = load(&[], &[], Some("listen = [\n\nheartbeat")).expect_err("no TOML");
    assert!(faults[0].starts_with("wstap.toml, line "), "{faults:?}");
}

#[test]
fn printed_configuration_reads_back_as_the_same() {
    let sources =
        sources(&[("heartbeat", "1m"), ("host", "a.example")], &[("WSTAP_NO_AUTH", "true")], None);
    let printed = sources.print();
    assert!(printed.contains("heartbeat = \"1m\" # --heartbeat"), "{printed}");
    assert!(printed.contains("no-auth = true # WSTAP_NO_AUTH"), "{printed}");
    let again = load(&[], &[], Some(&printed)).expect("what is printed is right");
    let first = Config::load(&sources).expect("all right");
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
}
