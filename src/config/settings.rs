//! The settings of the server, one field each: flag, environment variable and key of the file.
//!
//! The fields are declared for clap: the name of a field is that of its flag, its doc comment the
//! help, `default_value` the default, a `Vec` may be given more than once. The command line
//! ([`Flags`](super::Flags)), the environment and the file are all read by these declarations.

#![allow(rustdoc::bare_urls, reason = "these comments are help texts of the command line")]
#![expect(clippy::doc_markdown, reason = "the comments of fields are the help on a terminal")]

mod channelstream;

use std::time::Duration;

use super::values;
use super::values::LogFormat;
use crate::auth::Network;
use crate::hub::{DuplicateId, LogSync, SlowClient};
use crate::proxy::{ForwardedHeaders, TapHttp, Upstream};
use crate::redact::{Binary, Path, Pattern};
use crate::server::Listen;
pub(super) use channelstream::ChannelstreamArgs;

/// Every setting, in the order of the help.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    #[command(flatten)]
    pub(super) addresses: AddressArgs,
    #[command(flatten)]
    pub(super) proxy: ProxyArgs,
    #[command(flatten)]
    pub(super) history: HistoryArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) times: TimeArgs,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(flatten)]
    pub(super) transport: TransportArgs,
    #[command(flatten)]
    pub(super) channelstream: ChannelstreamArgs,
    #[command(flatten)]
    pub(super) redaction: RedactionArgs,
    #[command(flatten)]
    pub(super) operation: OperationArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Addresses")]
pub(super) struct AddressArgs {
    /// Address to serve at. Every address that the name resolves to is bound; port 0 takes a free
    /// port, which is printed
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8080", value_parser = values::listen)]
    pub(super) listen: Vec<Listen>,
    /// Serves events, API, pages and metrics at an address of their own; --listen then accepts
    /// WebSockets only. Proxy mode always has such an address: localhost:8082 if this is not set
    #[arg(long, value_name = "HOST:PORT", value_parser = values::listen)]
    pub(super) tap_listen: Vec<Listen>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Proxy mode")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct ProxyArgs {
    /// Proxy mode: forwards all requests to --listen to this server (ws:, wss:, http: or https:)
    /// unchanged, and shows its WebSockets. 3000 is http://localhost:3000. [[upstream]] in the file
    /// names several servers, by path and host
    #[arg(long, value_name = "URL", value_parser = values::upstream)]
    pub(super) upstream: Option<Upstream>,
    /// Forwards the Host header of the client to an upstream elsewhere too, which gets its own name
    /// without it. An upstream on this machine always gets that of the client
    #[arg(long)]
    pub(super) preserve_host: bool,
    /// Sends the upstream's own name as Host, and instead of that of the client in Origin and
    /// Referer; for servers that accept listed names only
    #[arg(long)]
    pub(super) rewrite_origin: bool,
    /// X-Forwarded-* and traceparent: add the client, pass them as they came, or strip them
    #[arg(long, value_name = "ACTION", default_value = "add", value_parser = values::forwarded_headers)]
    pub(super) forwarded_headers: ForwardedHeaders,
    /// Plain HTTP requests as events of kind request: off, errors (those that fail) or all. They are
    /// counted in any case
    #[arg(long, value_name = "WHICH", default_value = "errors", value_parser = values::tap_http)]
    pub(super) tap_http: TapHttp,
    /// Does not show event streams (text/event-stream) that pass as connections; they are plain
    /// requests then
    #[arg(long)]
    pub(super) no_tap_sse: bool,
    /// Shows pings and pongs of relayed connections too
    #[arg(long)]
    pub(super) tap_control: bool,
    /// PEM file with the certificates of the authorities that may sign the certificate of an
    /// upstream, instead of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    pub(super) upstream_ca: Option<String>,
    /// Accepts any certificate of an upstream; for development
    #[arg(long)]
    pub(super) upstream_insecure: bool,
    /// Time limit for an upstream to accept a connection, TLS included, and to answer a WebSocket
    /// handshake; after that, clients get 504
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::nonzero_duration)]
    pub(super) upstream_timeout: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "History")]
pub(super) struct HistoryArgs {
    /// Events kept in memory for listeners that reconnect. 0 keeps none
    #[arg(long = "history-events", value_name = "N", default_value = "100000", value_parser = values::count)]
    pub(super) events: usize,
    /// Memory for the events kept
    #[arg(long = "history-bytes", value_name = "SIZE", default_value = "64MiB", value_parser = values::size)]
    pub(super) bytes: usize,
    /// Maximum age of the events kept; without it, age does not matter
    #[arg(long = "history-age", value_name = "DURATION", value_parser = values::duration)]
    pub(super) age: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log on disk")]
pub(super) struct LogArgs {
    /// Keeps every event in DIR/events.db, a SQLite database, also over restarts. The directory is
    /// made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<String>,
    /// How much of the log a power cut may take: the events of a DURATION, or with always nothing
    /// that was told to a listener or acknowledged. A process that is killed takes nothing
    #[arg(long, value_name = "always|DURATION", default_value = "1s", value_parser = values::sync)]
    pub(super) sync: LogSync,
    /// Disk space for the log; the oldest events are deleted
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = values::size)]
    pub(super) log_bytes: usize,
    /// Maximum age of the events in the log; without it, age does not matter
    #[arg(long, value_name = "DURATION", value_parser = values::nonzero_duration)]
    pub(super) log_age: Option<Duration>,
    /// Maximum number of the events in the log; without it, their number does not matter
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) log_events: Option<usize>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Maximum size of a message; a larger one closes its connection with code 1009. In proxy mode it
    /// passes, and is kept up to here
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = values::size)]
    pub(super) max_message_bytes: usize,
    /// WebSocket connections at one time; more are answered 503
    #[arg(long, value_name = "N", default_value = "10000", value_parser = values::count)]
    pub(super) max_connections: usize,
    /// Listeners at one time; more are answered 503, an EventSource with a time to reconnect
    #[arg(long, value_name = "N", default_value = "10000", value_parser = values::count)]
    pub(super) max_listeners: usize,
    /// TCP connections from one address (of IPv6, from one /64). Without it 1000, and no limit on
    /// loopback
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) max_per_address: Option<usize>,
    /// WebSocket handshakes a second from one address (of IPv6, from one /64); more are answered 429.
    /// What ten seconds allow may come at once; 0 is no limit. Without it 200, and no limit on loopback
    /// and in proxy mode
    #[arg(long, value_name = "N", value_parser = values::rate)]
    pub(super) rate_handshakes: Option<u64>,
    /// Other requests a second from one address, those to an upstream not among them; more are answered
    /// 429. Without it 1000, and no limit on loopback
    #[arg(long, value_name = "N", value_parser = values::rate)]
    pub(super) rate_calls: Option<u64>,
    /// Wrong credentials a second from one address; after more, credentials that are new are answered
    /// 429
    #[arg(long, value_name = "N", default_value = "100", value_parser = values::rate)]
    pub(super) rate_sign_ins: u64,
    /// Frames a second from one WebSocket; more close it with 4429. In proxy mode it does not apply.
    /// Without it 50000, and no limit on loopback
    #[arg(long, value_name = "N", value_parser = values::rate)]
    pub(super) rate_frames: Option<u64>,
    /// Bytes a second from one WebSocket; more close it with 4429. In proxy mode it does not apply.
    /// Without it 256MiB, and no limit on loopback
    #[arg(long, value_name = "SIZE", value_parser = values::rate_of_bytes)]
    pub(super) rate_bytes: Option<u64>,
    /// Action when a second live connection has the same connectionId: replace the first, or reject
    /// the second
    #[arg(long, value_name = "ACTION", default_value = "replace", value_parser = values::duplicate_id)]
    pub(super) duplicate_id: DuplicateId,
    /// Channels at one time
    #[arg(long, value_name = "N", default_value = "100000", value_parser = values::count)]
    pub(super) max_channels: usize,
    /// Action when a client does not keep up with its channels: drop the messages that do not fit
    /// into its queue (256 messages, 4 MiB), or close it with 4429
    #[arg(long, value_name = "ACTION", default_value = "drop", value_parser = values::slow_client)]
    pub(super) slow_client: SlowClient,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Times")]
pub(super) struct TimeArgs {
    /// Time limit for a WebSocket to send its connectionId
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::nonzero_duration)]
    pub(super) register_timeout: Duration,
    /// Time limit for the head of a request, from the end of the previous one
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::nonzero_duration)]
    pub(super) head_timeout: Duration,
    /// Time limit for the body of a request. Proxied bodies have none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::nonzero_duration)]
    pub(super) body_timeout: Duration,
    /// Time in which a client that reads nothing is disconnected. In front of an upstream it does not
    /// apply
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::nonzero_duration)]
    pub(super) stall_timeout: Duration,
    /// Time between two pings of a WebSocket
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = values::nonzero_duration)]
    pub(super) ping_interval: Duration,
    /// Time limit for a WebSocket to send something after a ping
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = values::nonzero_duration)]
    pub(super) pong_timeout: Duration,
    /// Processor time that a response of /api/events may use for events that its filter or text
    /// passes over
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::nonzero_duration)]
    pub(super) search_time: Duration,
    /// Time between two heartbeats of an idle event stream
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = values::nonzero_duration)]
    pub(super) heartbeat: Duration,
    /// Time limit for a graceful shutdown: close events, ends of streams
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    pub(super) shutdown_grace: Duration,
    /// On SIGTERM, how long /readyz is 503 before the shutdown begins, so that a load balancer sends
    /// no more clients
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = values::duration)]
    pub(super) drain_delay: Duration,
    /// Time over which a shutdown spreads the ends of many connections and the returns of many
    /// listeners; within half of --shutdown-grace
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(super) drain_time: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Origin whose pages may read events, API and metrics, such as https://app.example; without
    /// it, every origin (*), and in proxy mode those on loopback. An origin that is named here may
    /// also send and close
    #[arg(long, value_name = "ORIGIN", value_parser = values::origin)]
    pub(super) cors_origin: Vec<String>,
    /// Origin whose pages may open WebSockets, in addition to wstap's own; * is every origin.
    /// Without it, those on loopback. Programs that send no Origin are always accepted
    #[arg(long, value_name = "ORIGIN", value_parser = values::origin)]
    pub(super) ws_origin: Vec<String>,
    /// Host name that events, API and pages answer to, in addition to loopback names and the bound
    /// addresses
    #[arg(long, value_name = "NAME", value_parser = values::host)]
    pub(super) host: Vec<String>,
    /// File with the hashes of tokens and what each grants, a line each, as wstap token new prints
    /// it. A file that changes is read again
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<String>,
    /// Key that verifies JSON Web Tokens: a public key as PEM (RSA, EC P-256 or Ed25519), or else a
    /// secret for HS256 of at least 32 bytes. Their claim wstap says what they grant
    #[arg(long, value_name = "FILE")]
    pub(super) jwt_key: Option<String>,
    /// Keys that verify JSON Web Tokens by their id (kid): a JWKS in a file, or at an https: address
    /// (http: on this machine). A file that changes is read again; an address every 5 minutes, and
    /// at most once a minute for a key that is not known
    #[arg(long, value_name = "FILE|URL")]
    pub(super) jwks: Option<String>,
    /// Name of which aud of a JSON Web Token must contain one. Without it, an aud must contain wstap,
    /// and may be missing
    #[arg(long, value_name = "NAME", value_parser = values::secret)]
    pub(super) jwt_audience: Vec<String>,
    /// Value of which iss of a JSON Web Token must be one. Without it, every issuer is accepted
    #[arg(long, value_name = "NAME", value_parser = values::secret)]
    pub(super) jwt_issuer: Vec<String>,
    /// Asks this address about each request whose token no other setting knows: 2xx grants what the
    /// answer has in X-Wstap-User and X-Wstap-Grants, 401 and 403 refuse. Answers count for 10 s
    #[arg(long, value_name = "URL")]
    pub(super) auth_url: Option<String>,
    /// Proxy mode: requests to the upstream need the grant connect too. Their credential of wstap is cut
    /// before they go on
    #[arg(long)]
    pub(super) proxy_auth: bool,
    /// Asks for no credentials: accepts everything from every client that reaches the server. To
    /// listen beyond loopback takes this, or credentials
    #[arg(long)]
    pub(super) no_auth: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS and proxies")]
pub(super) struct TransportArgs {
    /// PEM file with the certificate of all addresses, and those between it and the authority: serves
    /// https: and wss:, with HTTP/2 for observers. A file that changes is read again, and on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert: Option<String>,
    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key: Option<String>,
    /// PEM file with authorities: only clients with a certificate that one of them has signed may
    /// connect
    #[arg(long, value_name = "FILE")]
    pub(super) tls_client_ca: Option<String>,
    /// Proxy in front of wstap: an address, or a network such as 10.0.0.0/8. The client, the scheme
    /// and the host that it names in Forwarded or X-Forwarded-For, -Proto and -Host are believed
    #[arg(long = "trusted-proxy", value_name = "NETWORK")]
    pub(super) trusted_proxies: Vec<Network>,
    /// Connections of a trusted proxy begin with a header of the PROXY protocol, version 1 or 2
    #[arg(long)]
    pub(super) proxy_protocol: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Redaction")]
pub(super) struct RedactionArgs {
    /// Hides a value within messages before they are kept or shown: message.password,
    /// users[*].token, **.secret. A leading message. may be left out. The traffic itself does not
    /// change
    #[arg(long, value_name = "PATH")]
    pub(super) redact: Vec<Path>,
    /// Hides a header field of handshakes
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    pub(super) redact_header: Vec<String>,
    /// Hides text that matches a regular expression, in texts, JSON strings and numbers, header
    /// fields, paths, connection ids and close reasons. The variable has one on each line
    #[arg(long, value_name = "REGEX")]
    pub(super) redact_pattern: Vec<Pattern>,
    /// Hides a query parameter of handshakes
    #[arg(long, value_name = "NAME", value_parser = values::name)]
    pub(super) redact_query: Vec<String>,
    /// Hides common secrets: passwords and tokens by their usual names, bearer and basic
    /// authorization, JSON Web Tokens, private keys, cookies, payment card numbers
    #[arg(long)]
    pub(super) redact_defaults: bool,
    /// Binary messages cannot be searched: where any redaction is on, hide hides them whole, and
    /// keep shows them
    #[arg(long, value_name = "ACTION", default_value = "hide", value_parser = values::binary)]
    pub(super) redact_binary: Binary,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Operation")]
pub(super) struct OperationArgs {
    /// Shows a recording instead of traffic: lines of JSON as wstap record and export write them,
    /// or a HAR with WebSockets, also of Chrome, Playwright or mitmproxy. --history-events does not
    /// limit it; --history-bytes does, above 4GiB
    #[arg(long, value_name = "FILE")]
    pub(super) open: Option<String>,
    /// Writes who read, sent, closed and was refused to this file, a JSON object a line; - is standard
    /// output. SIGHUP opens the file again
    #[arg(long, value_name = "FILE")]
    pub(super) audit_log: Option<String>,
    /// Level of the logs: error, warn, info, debug or trace, or a filter such as wstap=debug,warn.
    /// RUST_LOG wins over it
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = values::log_level)]
    pub(super) log_level: String,
    /// Format of the logs on stderr: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = values::log_format)]
    pub(super) log_format: LogFormat,
}
