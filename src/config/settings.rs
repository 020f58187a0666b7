//! The one list of all settings.

mod channelstream;

/// A setting: a flag, an environment variable and a key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The flag without its hyphens; also the key of the file.
    pub name: &'static str,
    /// What stands for the value in the help; empty for a switch.
    pub value: &'static str,
    /// The default, as it would be written; empty for none.
    pub default: &'static str,
    /// Whether it may be given more than once.
    pub repeatable: bool,
    /// What it does, in a sentence or two.
    pub help: &'static str,
    /// The heading that it stands under in the help.
    pub group: &'static str,
}

impl Setting {
    /// Returns the name of the environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("WSTAP_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }

    /// Returns what stands between two values in the environment variable.
    #[must_use]
    pub fn separator(&self) -> char {
        // Regular expressions have commas of their own.
        if self.name == "redact-pattern" { '\n' } else { ',' }
    }
}

const ADDRESSES: &str = "Addresses";
const PROXY: &str = "Proxy mode";
const HISTORY: &str = "History";
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";
const ACCESS: &str = "Who may do what";
const REDACTION: &str = "Redaction";
const OPERATION: &str = "Operation";

/// Every setting, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        value: "HOST:PORT",
        default: "localhost:8080",
        repeatable: true,
        help: "Address to serve at. Every address that the name resolves to is bound; port 0 takes a free one, which is printed",
        group: ADDRESSES,
    },
    Setting {
        name: "tap-listen",
        value: "HOST:PORT",
        default: "",
        repeatable: true,
        help: "Moves the observers' side (events, API, pages, metrics) to an address of its own; --listen then takes WebSockets only. In proxy mode it always has one: without this, localhost:8082",
        group: ADDRESSES,
    },
    Setting {
        name: "upstream",
        value: "URL",
        default: "",
        repeatable: false,
        help: "Proxy mode: everything that comes to --listen goes to this server (ws:, wss:, http: or https:) unchanged, and wstap shows its WebSockets. [[upstream]] in the file names several, by path and host",
        group: PROXY,
    },
    Setting {
        name: "preserve-host",
        value: "",
        default: "false",
        repeatable: false,
        help: "Passes the Host header on as it came, instead of the upstream's own name",
        group: PROXY,
    },
    Setting {
        name: "tap-control",
        value: "",
        default: "false",
        repeatable: false,
        help: "Shows pings and pongs of relayed connections too",
        group: PROXY,
    },
    Setting {
        name: "upstream-ca",
        value: "FILE",
        default: "",
        repeatable: false,
        help: "PEM file with the certificates that an upstream's may be signed by, instead of those that this machine trusts",
        group: PROXY,
    },
    Setting {
        name: "upstream-insecure",
        value: "",
        default: "false",
        repeatable: false,
        help: "Takes any certificate of an upstream; for development",
        group: PROXY,
    },
    Setting {
        name: "upstream-timeout",
        value: "DURATION",
        default: "10s",
        repeatable: false,
        help: "How long an upstream may take to accept a connection, TLS included, and to answer a WebSocket handshake; more is answered 504",
        group: PROXY,
    },
    Setting {
        name: "history-events",
        value: "N",
        default: "100000",
        repeatable: false,
        help: "Events kept in memory, for listeners that come back. 0 keeps none",
        group: HISTORY,
    },
    Setting {
        name: "history-bytes",
        value: "SIZE",
        default: "64MiB",
        repeatable: false,
        help: "Memory that they may take",
        group: HISTORY,
    },
    Setting {
        name: "history-age",
        value: "DURATION",
        default: "",
        repeatable: false,
        help: "How long they are kept at most; without it, as long as there is room",
        group: HISTORY,
    },
    Setting {
        name: "max-message-bytes",
        value: "SIZE",
        default: "1MiB",
        repeatable: false,
        help: "A larger message closes its connection with code 1009",
        group: LIMITS,
    },
    Setting {
        name: "max-connections",
        value: "N",
        default: "10000",
        repeatable: false,
        help: "WebSocket connections at one time; more are answered 503",
        group: LIMITS,
    },
    Setting {
        name: "max-listeners",
        value: "N",
        default: "10000",
        repeatable: false,
        help: "Listeners at one time; more are answered 503, an EventSource with a time to come back",
        group: LIMITS,
    },
    Setting {
        name: "max-per-address",
        value: "N",
        default: "",
        repeatable: false,
        help: "TCP connections from one address (of IPv6, from one /64). Without it 1000, and no limit on loopback",
        group: LIMITS,
    },
    Setting {
        name: "duplicate-id",
        value: "WHAT",
        default: "replace",
        repeatable: false,
        help: "What a second live connection with the same connectionId does: replace the first, or reject the second",
        group: LIMITS,
    },
    Setting {
        name: "max-channels",
        value: "N",
        default: "100000",
        repeatable: false,
        help: "Channels at one time",
        group: LIMITS,
    },
    Setting {
        name: "slow-client",
        value: "WHAT",
        default: "drop",
        repeatable: false,
        help: "What becomes of a client that does not keep up with its channels: drop the messages that its queue (256 messages, 4 MiB) has no room for, or close it with 4429",
        group: LIMITS,
    },
    Setting {
        name: "register-timeout",
        value: "DURATION",
        default: "10s",
        repeatable: false,
        help: "How long a WebSocket may stay without a connectionId",
        group: TIMES,
    },
    Setting {
        name: "ping-interval",
        value: "DURATION",
        default: "25s",
        repeatable: false,
        help: "How often a WebSocket is pinged",
        group: TIMES,
    },
    Setting {
        name: "pong-timeout",
        value: "DURATION",
        default: "20s",
        repeatable: false,
        help: "How long it may stay silent after a ping",
        group: TIMES,
    },
    Setting {
        name: "heartbeat",
        value: "DURATION",
        default: "15s",
        repeatable: false,
        help: "How often a listener without news gets a sign of life",
        group: TIMES,
    },
    Setting {
        name: "shutdown-grace",
        value: "DURATION",
        default: "10s",
        repeatable: false,
        help: "How long a stop may take: close events, ends of streams",
        group: TIMES,
    },
    Setting {
        name: "cors-origin",
        value: "ORIGIN",
        default: "",
        repeatable: true,
        help: "Origin whose pages may read the observers' side, such as https://app.example; without it, every one (*), and in proxy mode those on loopback. One that is named here may also send and close",
        group: ACCESS,
    },
    Setting {
        name: "ws-origin",
        value: "ORIGIN",
        default: "",
        repeatable: true,
        help: "Origin whose pages may open WebSockets, beside wstap's own; * is every one. Without it, those on loopback. Programs send no Origin and always may",
        group: ACCESS,
    },
    Setting {
        name: "host",
        value: "NAME",
        default: "",
        repeatable: true,
        help: "Host name that the observers' side answers to, beside loopback names and the bound addresses",
        group: ACCESS,
    },
    Setting {
        name: "jwt-key",
        value: "FILE",
        default: "",
        repeatable: false,
        help: "Key that tokens for private channels are checked with: a public key as PEM (RSA, EC P-256 or Ed25519), or else a secret for HS256 of at least 32 bytes",
        group: ACCESS,
    },
    Setting {
        name: "no-auth",
        value: "",
        default: "false",
        repeatable: false,
        help: "Lets everybody who reaches the server do everything; needed to listen beyond loopback",
        group: ACCESS,
    },
    channelstream::SECRET,
    channelstream::ALLOW_FROM,
    channelstream::TRUSTED_PROXY,
    channelstream::ENFORCE_HTTPS,
    channelstream::ANY_AGE,
    channelstream::GC_CONNECTIONS,
    channelstream::GC_USERS,
    channelstream::GC_CHANNELS,
    channelstream::ADMIN_USER,
    channelstream::ADMIN_SECRET,
    Setting {
        name: "redact",
        value: "PATH",
        default: "",
        repeatable: true,
        help: "Hides a value within messages before they are kept or shown: message.password, users[*].token, **.secret. A leading message. may be left out. Traffic itself never changes",
        group: REDACTION,
    },
    Setting {
        name: "redact-header",
        value: "NAME",
        default: "",
        repeatable: true,
        help: "Hides a header field of handshakes",
        group: REDACTION,
    },
    Setting {
        name: "redact-pattern",
        value: "REGEX",
        default: "",
        repeatable: true,
        help: "Hides what fits a regular expression, in texts, JSON strings and numbers, header fields, paths, connection ids and close reasons. A variable has one a line",
        group: REDACTION,
    },
    Setting {
        name: "redact-query",
        value: "NAME",
        default: "",
        repeatable: true,
        help: "Hides a query parameter of handshakes",
        group: REDACTION,
    },
    Setting {
        name: "redact-defaults",
        value: "",
        default: "false",
        repeatable: false,
        help: "Hides what is a secret nearly everywhere: passwords and tokens by the usual names, bearer and basic authorization, JSON Web Tokens, private keys, cookies, payment card numbers",
        group: REDACTION,
    },
    Setting {
        name: "redact-binary",
        value: "WHAT",
        default: "hide",
        repeatable: false,
        help: "Where anything is redacted, binary messages are hidden whole, since nobody can search them; keep shows them",
        group: REDACTION,
    },
    Setting {
        name: "open",
        value: "FILE",
        default: "",
        repeatable: false,
        help: "Shows a recording instead of traffic: lines of JSON as wstap record and export write them, or a HAR with WebSockets, also one of Chrome, Playwright or mitmproxy. --history-events does not limit it; --history-bytes does, above 4GiB",
        group: OPERATION,
    },
    Setting {
        name: "log-format",
        value: "FORMAT",
        default: "text",
        repeatable: false,
        help: "Logs go to stderr as text or json; RUST_LOG says how much (info, wstap=debug)",
        group: OPERATION,
    },
];
