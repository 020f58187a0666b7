//! The configuration of the server: plain data, read from flags, environment variables and a file.
//!
//! A setting is declared once, as a field in `config/settings.rs`: its flag, variable, key of the
//! file, default, help and type come from there, and [`SETTINGS`] lists them all. Flags win over
//! variables, variables over the file, the file over the defaults. All faults are reported together,
//! each with an example of a right value. No other module reads the environment.

mod declared;
mod file;
mod flags;
mod places;
mod reload;
mod setting;
mod settings;
mod source;
mod sources;
mod tables;
mod values;

use std::time::Duration;

use crate::auth::{ExpectedClaims, Origins};
use crate::hub::{Declared, LogSettings, Retention, Settings};
use crate::proxy::{
    ForwardedHeaders, HostHeader, InvalidUpstream, Route, TapHttp, Trust, Upstream,
};
use crate::rate::{Rate, Rates};
use crate::redact::{Redaction, Rules};
use crate::server::{CertificateFiles, Listen, Times, TrustedProxies};
use crate::session::Limits;

pub use flags::Flags;
pub use reload::Changes;
pub(crate) use setting::suggestion;
pub use setting::{SETTINGS, Setting};
pub use source::{Faults, Source};
pub use sources::{Sources, token_variable};
pub use values::LogFormat;

use settings::{LogArgs, ProxyArgs, RedactionArgs, ServerArgs, TransportArgs};

/// The configuration of the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses for WebSockets, and for observers too if `tap_listen` is empty.
    pub listen: Vec<Listen>,
    /// Addresses for observers only.
    pub tap_listen: Vec<Listen>,
    /// Settings of the hub. The authority is made of `jwt_key` later.
    pub hub: Settings,
    /// Times and sizes of WebSocket sessions.
    pub limits: Limits,
    /// Maximum connections from one address; `None` is the default rule.
    pub max_per_address: Option<usize>,
    /// How long a peer may take.
    pub times: Times,
    /// How much an address may do in a second.
    pub rates: Rates,
    /// Time limit of a graceful shutdown.
    pub shutdown_grace: Duration,
    /// How long `/readyz` is 503 before the shutdown begins.
    pub drain_delay: Duration,
    /// Origins whose pages may read events, API and metrics.
    pub cors_origins: Origins,
    /// Origins whose pages may open WebSockets.
    pub ws_origins: Origins,
    /// Host names that events, API and pages answer to, in addition to the server's own.
    pub hosts: Vec<String>,
    /// File with the key that verifies JSON Web Tokens.
    pub jwt_key: Option<String>,
    /// File with the hashes of tokens.
    pub token_file: Option<String>,
    /// File or address with the keys that verify JSON Web Tokens.
    pub jwks: Option<String>,
    /// The values of `aud` and `iss` that JSON Web Tokens are accepted with.
    pub claims: ExpectedClaims,
    /// Address that judges requests.
    pub auth_url: Option<String>,
    /// Whether proxied traffic needs the grant `connect`.
    pub proxy_auth: bool,
    /// Whether everything is accepted from every client.
    pub no_auth: bool,
    /// The certificate of the server; `None` is a server without TLS.
    pub certificate: Option<CertificateFiles>,
    /// The proxies that are believed about the addresses of clients.
    pub proxies: TrustedProxies,
    /// Settings of proxy mode; `None` is hub mode.
    pub proxy: Option<ProxyConfig>,
    /// The log on disk; `None` keeps events in memory only.
    pub log: Option<LogSettings>,
    /// The recording that is shown instead of traffic.
    pub open: Option<String>,
    /// Settings of the API of Channelstream; `None` if it is off.
    pub channelstream: Option<crate::channelstream::ChannelstreamSettings>,
    /// File of the audit log, or `-`.
    pub audit_log: Option<String>,
    /// Format of the logs.
    pub log_format: LogFormat,
    /// Filter of the logs, in the notation of `RUST_LOG`.
    pub log_filter: String,
}

/// The configuration of proxy mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The routes; the first that matches a request counts.
    pub routes: Vec<Route>,
    /// The `Host` that upstreams get.
    pub host: HostHeader,
    /// Whether upstreams get their own name in `Origin` and `Referer`.
    pub rewrite_origin: bool,
    /// What becomes of `X-Forwarded-*` and `traceparent`.
    pub forwarded: ForwardedHeaders,
    /// Which plain requests are events.
    pub tap_http: TapHttp,
    /// Whether event streams that pass are shown as connections.
    pub tap_sse: bool,
    /// Whether pings and pongs are shown.
    pub control: bool,
    /// Authorities that may sign the certificate of an upstream.
    pub trust: Trust,
    /// Time limit for connecting to an upstream.
    pub timeout: Duration,
}

/// Parses an upstream of proxy mode as `--upstream` does: `3000` and `localhost:3000` are
/// `http://localhost:3000`.
///
/// # Errors
///
/// If the text is neither a port, a host with a port, nor the URL of a server.
pub fn read_upstream(text: &str) -> Result<Upstream, InvalidUpstream> {
    values::upstream(text)
}

impl Config {
    /// Reads the configuration from its sources.
    ///
    /// # Errors
    ///
    /// All faults of all sources together.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let file = sources.read_file();
        let mut faults = file.faults.clone();
        let args: ServerArgs = declared::parse(&sources.all_given(&file), &mut faults);
        let routes = tables::routes(&file.tables, &mut faults);
        let channels = tables::channels(&file.tables, &mut faults);
        let log_filter = sources.variable("RUST_LOG");
        let config = Self::new(args, routes, channels, log_filter, &mut faults);
        if faults.0.is_empty() { Ok(config) } else { Err(faults) }
    }

    fn new(
        args: ServerArgs,
        routes: Vec<Route>,
        channels: Vec<Declared>,
        log_filter: Option<String>,
        faults: &mut Faults,
    ) -> Self {
        let ServerArgs { addresses, history, log, limits, times, access, operation, .. } = args;
        let proxy = proxy(args.proxy, routes, faults);
        let mut tap_listen = addresses.tap_listen;
        if proxy.is_some() && tap_listen.is_empty() {
            tap_listen.push(Listen { host: "localhost".to_owned(), port: 8082 });
        }
        let routes = proxy.iter().flat_map(|proxy| &proxy.routes);
        places::check(&addresses.listen, &tap_listen, routes, faults);
        let open = operation.open;
        if open.is_some() && proxy.is_some() {
            faults.add("open and upstream exclude each other; remove one of them");
        }
        if open.is_some() && log.data_dir.is_some() {
            faults.add("open and data-dir exclude each other; remove one of them");
        }
        let channelstream = args.channelstream.settings();
        if channelstream.is_some() && (open.is_some() || proxy.is_some()) {
            faults.add("channelstream-secret is for hub mode; remove it, or upstream and open");
        }
        let handshakes = if proxy.is_some() { Rate::NONE } else { HANDSHAKES };
        let credentials = [&access.token_file, &access.jwt_key, &access.jwks, &access.auth_url];
        if access.proxy_auth && proxy.is_none() {
            faults.add("proxy-auth is for proxy mode; name an upstream, or remove it");
        } else if access.proxy_auth && credentials.iter().all(|it| it.is_none()) {
            faults.add("proxy-auth needs credentials: token-file, jwt-key, jwks or auth-url");
        } else if access.proxy_auth && access.no_auth {
            faults.add("proxy-auth and no-auth exclude each other; remove one of them");
        }
        let readers = if proxy.is_some() { Origins::Loopback } else { Origins::Any };
        Self {
            listen: addresses.listen,
            tap_listen,
            hub: Settings {
                history: Retention {
                    events: history.events,
                    bytes: history.bytes,
                    age: history.age,
                },
                max_connections: limits.max_connections,
                max_listeners: limits.max_listeners,
                duplicate_id: limits.duplicate_id,
                heartbeat: times.heartbeat,
                redaction: redaction(args.redaction),
                recording: open.is_some(),
                channels,
                max_channels: limits.max_channels,
                slow_client: limits.slow_client,
                search_time: times.search_time,
                drain_time: times.drain_time,
                authority: None,
            },
            limits: Limits {
                max_message_bytes: limits.max_message_bytes,
                register_timeout: times.register_timeout,
                ping_interval: times.ping_interval,
                pong_timeout: times.pong_timeout,
                frames: limits.rate_frames.map_or(FRAMES, Rate::everywhere),
                bytes: limits.rate_bytes.map_or(BYTES, Rate::everywhere),
            },
            times: Times {
                head: times.head_timeout,
                body: times.body_timeout,
                stall: times.stall_timeout,
            },
            rates: Rates {
                handshakes: limits.rate_handshakes.map_or(handshakes, Rate::everywhere),
                calls: limits.rate_calls.map_or(CALLS, Rate::everywhere),
                sign_ins: Rate::everywhere(limits.rate_sign_ins),
            },
            max_per_address: limits.max_per_address,
            shutdown_grace: times.shutdown_grace,
            drain_delay: times.drain_delay,
            cors_origins: values::origins(access.cors_origin, readers),
            ws_origins: values::origins(access.ws_origin, Origins::Loopback),
            hosts: access.host,
            jwt_key: access.jwt_key,
            token_file: access.token_file,
            jwks: access.jwks,
            claims: ExpectedClaims { audiences: access.jwt_audience, issuers: access.jwt_issuer },
            auth_url: access.auth_url,
            proxy_auth: access.proxy_auth,
            no_auth: access.no_auth,
            proxies: proxies(&args.transport, faults),
            certificate: certificate(args.transport, faults),
            proxy,
            log: self::log(log),
            open,
            channelstream,
            audit_log: operation.audit_log,
            log_format: operation.log_format,
            log_filter: log_filter.unwrap_or(operation.log_level),
        }
    }
}

/// Handshakes of one address: the browsers of a large office after a restart, 2,000 at once, are below
/// it; a flood of this rate takes 2 % of a processor.
const HANDSHAKES: Rate = Rate::beyond_loopback(200);

/// Requests of one address: those of a hundred pages that are reloaded ten times a second.
const CALLS: Rate = Rate::beyond_loopback(1000);

/// Frames of one WebSocket: a tenth of what a server takes in.
const FRAMES: Rate = Rate::beyond_loopback(50_000);

/// Bytes of one WebSocket: a link of 2 Gbit/s.
const BYTES: Rate = Rate::beyond_loopback(256 << 20);

fn proxies(args: &TransportArgs, faults: &mut Faults) -> TrustedProxies {
    let TransportArgs { trusted_proxies, proxy_protocol, .. } = args;
    if *proxy_protocol && trusted_proxies.is_empty() {
        faults.add("proxy-protocol needs the address of the proxy; add trusted-proxy");
    }
    TrustedProxies { networks: trusted_proxies.clone(), proxy_protocol: *proxy_protocol }
}

fn certificate(args: TransportArgs, faults: &mut Faults) -> Option<CertificateFiles> {
    let TransportArgs { tls_cert, tls_key, tls_client_ca: client_ca, .. } = args;
    match (tls_cert, tls_key) {
        (Some(cert), Some(key)) => Some(CertificateFiles { cert, key, client_ca }),
        (None, None) => {
            if client_ca.is_some() {
                faults.add("tls-client-ca needs tls-cert and tls-key; add them");
            }
            None
        }
        (Some(_), None) => {
            faults.add("tls-cert needs the private key of the certificate; add tls-key");
            None
        }
        (None, Some(_)) => {
            faults.add("tls-key needs the certificate of the key; add tls-cert");
            None
        }
    }
}

fn log(args: LogArgs) -> Option<LogSettings> {
    Some(LogSettings {
        directory: args.data_dir?.into(),
        sync: args.sync,
        bytes: Some(args.log_bytes as u64),
        age: args.log_age,
        events: args.log_events.map(|events| events as u64),
    })
}

fn redaction(args: RedactionArgs) -> Redaction {
    Redaction::new(Rules {
        paths: args.redact,
        headers: args.redact_header,
        patterns: args.redact_pattern,
        query: args.redact_query,
        defaults: args.redact_defaults,
        binary: args.redact_binary,
    })
}

fn proxy(args: ProxyArgs, mut routes: Vec<Route>, faults: &mut Faults) -> Option<ProxyConfig> {
    routes.extend(args.upstream.map(Route::all));
    let trust = match args.upstream_ca {
        Some(_) if args.upstream_insecure => {
            faults.add("upstream-ca and upstream-insecure exclude each other; remove one of them");
            Trust::System
        }
        Some(file) => Trust::File(file),
        None if args.upstream_insecure => Trust::Anybody,
        None => Trust::System,
    };
    if args.preserve_host && args.rewrite_origin {
        faults.add("preserve-host and rewrite-origin exclude each other; remove one of them");
    }
    let config = ProxyConfig {
        routes,
        host: if args.preserve_host { HostHeader::Client } else { HostHeader::Auto },
        rewrite_origin: args.rewrite_origin,
        forwarded: args.forwarded_headers,
        tap_http: args.tap_http,
        tap_sse: !args.no_tap_sse,
        control: args.tap_control,
        trust,
        timeout: args.upstream_timeout,
    };
    (!config.routes.is_empty()).then_some(config)
}

#[cfg(test)]
mod tests;
