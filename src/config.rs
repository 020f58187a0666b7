//! What the server is told: plain data with defaults, read from flags, environment and file.
//!
//! [`SETTINGS`] is the one list of all settings: the flags, the variables, the keys of the file,
//! the help and the table in `docs/settings.md` come from it. Flags win over the environment, the
//! environment over the file, the file over the defaults. All faults are told at once, each with
//! what would be right. Nothing else in wstap reads the environment.

mod channelstream;
mod settings;
mod sources;
mod tables;
mod values;

use std::time::Duration;

use crate::auth::Origins;
use crate::hub::{DuplicateId, Retention, Settings, SlowClient};
use crate::proxy::{Route, Trust};
use crate::redact::{Binary, Redaction, Rules};
use crate::session::Limits;

pub use settings::{SETTINGS, Setting};
pub use sources::{Faults, Source, Sources};
pub use values::Listen;

use sources::Reader;

/// Everything that the server can be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where WebSockets come in, and observers too unless `tap_listen` has addresses.
    pub listen: Vec<Listen>,
    /// Where observers come in, if that is apart.
    pub tap_listen: Vec<Listen>,
    /// What the hub is made of.
    pub hub: Settings,
    /// Times and sizes of WebSocket sessions.
    pub limits: Limits,
    /// At most so many connections from one address; `None` is the default rule.
    pub max_per_address: Option<usize>,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// Who may read the observers' side from a browser.
    pub cors_origins: Origins,
    /// Whose pages may open WebSockets.
    pub ws_origins: Origins,
    /// Host names that the observers' side answers to, beside its own.
    pub hosts: Vec<String>,
    /// The file with the key for tokens; the hub's authority is made of it.
    pub jwt_key: Option<String>,
    /// Whether everybody who reaches the server may do everything.
    pub no_auth: bool,
    /// Where traffic goes in proxy mode; `None` is hub mode.
    pub proxy: Option<ProxyConfig>,
    /// The recording that is shown instead of any traffic.
    pub open: Option<String>,
    /// The API of Channelstream, if there is to be one.
    pub channelstream: Option<crate::channelstream::Settings>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged, in the notation of `RUST_LOG`.
    pub log_filter: String,
}

/// What proxy mode is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Where requests go; the first that fits counts.
    pub routes: Vec<Route>,
    /// Whether the `Host` header is passed on as it came.
    pub preserve_host: bool,
    /// Whether pings and pongs are shown.
    pub control: bool,
    /// Whom an upstream's certificate has to be signed by.
    pub trust: Trust,
    /// How long a connection to an upstream may take to stand.
    pub timeout: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads a configuration from its sources.
    ///
    /// # Errors
    ///
    /// All faults of all sources together.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let mut reader = Reader::new(sources);
        let proxy = proxy(&mut reader);
        let mut tap_listen = reader.all("tap-listen", values::listen);
        if proxy.is_some() && tap_listen.is_empty() {
            tap_listen.push(Listen { host: "localhost".to_owned(), port: 8082 });
        }
        let open = reader.maybe("open", |text| Ok(text.to_owned()));
        if open.is_some() && proxy.is_some() {
            reader.fault("open and upstream exclude each other; one is right");
        }
        let channelstream = reader.channelstream();
        if channelstream.is_some() && (open.is_some() || proxy.is_some()) {
            reader
                .fault("channelstream-secret is for hub mode: without upstream and open is right");
        }
        let readers = if proxy.is_some() { Origins::Loopback } else { Origins::Any };
        let config = Self {
            listen: reader.all("listen", values::listen),
            tap_listen,
            hub: Settings {
                history: Retention {
                    events: reader.one("history-events", values::count),
                    bytes: reader.one("history-bytes", values::size),
                    age: reader.maybe("history-age", values::duration),
                },
                max_connections: reader.one("max-connections", values::count),
                max_listeners: reader.one("max-listeners", values::count),
                duplicate_id: reader.one("duplicate-id", |text| match text {
                    "replace" => Ok(DuplicateId::Replace),
                    "reject" => Ok(DuplicateId::Reject),
                    _ => Err("replace or reject"),
                }),
                heartbeat: reader.one("heartbeat", values::nonzero_duration),
                redaction: redaction(&mut reader),
                recording: open.is_some(),
                channels: reader.channels(),
                max_channels: reader.one("max-channels", values::count),
                slow_client: reader.one("slow-client", |text| match text {
                    "drop" => Ok(SlowClient::Drop),
                    "close" => Ok(SlowClient::Close),
                    _ => Err("drop or close"),
                }),
                authority: None,
            },
            limits: Limits {
                max_message_bytes: reader.one("max-message-bytes", values::size),
                register_timeout: reader.one("register-timeout", values::nonzero_duration),
                ping_interval: reader.one("ping-interval", values::nonzero_duration),
                pong_timeout: reader.one("pong-timeout", values::nonzero_duration),
            },
            max_per_address: reader.maybe("max-per-address", values::count),
            shutdown_grace: reader.one("shutdown-grace", values::duration),
            cors_origins: values::origins(&reader.all("cors-origin", values::origin), readers),
            ws_origins: values::origins(
                &reader.all("ws-origin", values::origin),
                Origins::Loopback,
            ),
            hosts: reader.all("host", values::host),
            jwt_key: reader.maybe("jwt-key", |text| Ok(text.to_owned())),
            no_auth: reader.one("no-auth", values::switch),
            proxy,
            open,
            channelstream,
            log_format: reader.one("log-format", |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("text or json"),
            }),
            log_filter: sources.variable("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
        };
        reader.finish()?;
        Ok(config)
    }
}

fn redaction(reader: &mut Reader<'_>) -> Redaction {
    Redaction::new(Rules {
        paths: reader.all("redact", str::parse),
        headers: reader.all("redact-header", values::name),
        patterns: reader.all("redact-pattern", str::parse),
        query: reader.all("redact-query", values::name),
        defaults: reader.one("redact-defaults", values::switch),
        binary: reader.one("redact-binary", |text| match text {
            "hide" => Ok(Binary::Hide),
            "keep" => Ok(Binary::Keep),
            _ => Err("hide or keep"),
        }),
    })
}

fn proxy(reader: &mut Reader<'_>) -> Option<ProxyConfig> {
    let mut routes = reader.routes();
    // One host before all, long paths before short ones: what is said last is said of the rest.
    routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.path.len())));
    routes.extend(reader.maybe("upstream", values::upstream).map(Route::all));
    let insecure = reader.one("upstream-insecure", values::switch);
    let file = reader.maybe("upstream-ca", |text| Ok(text.to_owned()));
    let trust = match file {
        Some(file) => {
            if insecure {
                reader.fault("upstream-ca and upstream-insecure exclude each other; one is right");
            }
            Trust::File(file)
        }
        None if insecure => Trust::Anybody,
        None => Trust::System,
    };
    let config = ProxyConfig {
        routes,
        preserve_host: reader.one("preserve-host", values::switch),
        control: reader.one("tap-control", values::switch),
        trust,
        timeout: reader.one("upstream-timeout", values::nonzero_duration),
    };
    (!config.routes.is_empty()).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ChannelRules;

    fn sources(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Sources {
        Sources {
            flags: flags
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
                .collect(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
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
    fn without_sources_all_defaults_hold() {
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
    fn the_file_may_use_the_types_of_toml() {
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
    fn all_faults_are_told_at_once_with_a_right_example() {
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
    fn redaction_is_on_once_there_is_a_rule() {
        assert!(
            !load(&[("redact-binary", "keep")], &[], None).expect("right").hub.redaction.is_on()
        );
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
    fn an_upstream_is_proxy_mode_with_the_observers_apart() {
        let config = load(&[("upstream", "ws://localhost:9000")], &[], None).expect("all right");
        let proxy = config.proxy.expect("proxy mode");
        assert_eq!(&*proxy.routes[0].upstream.url, "ws://localhost:9000");
        assert_eq!(config.tap_listen, [Listen { host: "localhost".to_owned(), port: 8082 }]);
        assert_eq!(config.cors_origins, Origins::Loopback);
        assert_eq!(proxy.trust, Trust::System);
    }

    #[test]
    fn the_file_routes_by_path_and_host_and_the_flag_takes_the_rest() {
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
    fn the_file_declares_channels() {
        let file = "[[channel]]\nname = \"prices/*\"\nprivate = true\nhistory = 10\nmax_members = 5\n\
                    [[channel]]\nname = \"chat\"\npresence = true\n";
        let hub = load(&[("slow-client", "close")], &[], Some(file)).expect("all right").hub;
        let prices =
            ChannelRules { private: true, history: 10, max_members: Some(5), presence: false };
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
    fn faults_of_upstreams_are_told_with_the_others() {
        let file = "heartbeat = \"soon\"\n[[upstream]]\npath = \"chat\"\nurl = \"ftp://a\"\n[[upstream]]\nulr = \"ws://a\"\n";
        let flags =
            [("upstream", "nowhere"), ("upstream-ca", "x.pem"), ("upstream-insecure", "true")];
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
    fn a_variable_that_is_no_setting_is_told_and_no_fault() {
        let env = [("WSTAP_CONFIG", "x"), ("WSTAP_HEARTBAET", "1s"), ("HOME", "/")];
        let told = sources(&[], &env, None).unknown_variables();
        assert_eq!(
            told,
            ["WSTAP_HEARTBAET: there is no such setting; did you mean WSTAP_HEARTBEAT?"]
        );
        assert!(load(&[], &env, None).is_ok());
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_by_line() {
        let faults = load(&[], &[], Some("listen = [\n\nheartbeat")).expect_err("no TOML");
        assert!(faults[0].starts_with("wstap.toml, line "), "{faults:?}");
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let sources = sources(
            &[("heartbeat", "1m"), ("host", "a.example")],
            &[("WSTAP_NO_AUTH", "true")],
            None,
        );
        let printed = sources.print();
        assert!(printed.contains("heartbeat = \"1m\" # --heartbeat"), "{printed}");
        assert!(printed.contains("no-auth = true # WSTAP_NO_AUTH"), "{printed}");
        let again = load(&[], &[], Some(&printed)).expect("what is printed is right");
        let first = Config::load(&sources).expect("all right");
        assert_eq!(format!("{again:?}"), format!("{first:?}"));
    }
}
