//! `wstap serve`: binds the addresses, prints them, and serves until a signal.

#![expect(clippy::doc_markdown, reason = "the comments of fields are the help on a terminal")]

mod announce;
mod certificate;
mod check;
mod logging;
mod reload;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::again;
use super::audit::AuditLog;
use super::credentials::Credentials;
use super::failure::{Failure, print};
use super::file;
use super::running::{End, Ending};
use super::service::{self, Passed};
use crate::access::Access;
use crate::auth::Hosts;
use crate::channelstream::{self, Channelstream};
use crate::config::{Config, Faults, Flags, ProxyConfig, Sources, read_upstream, suggestion};
use crate::hub::Hub;
use crate::proxy::{Dialer, Proxy, ProxySettings};
use crate::rate::RateLimits;
use crate::server::{BindError, Listen, MaxPerAddress, Server, Tls, Transport, bind};
use crate::web::{Api, Web};
use announce::url;
pub(super) use check::Check;
use logging::LogLevel;
use reload::Reload;
use routes::{Bound, Routes};

/// Run the server (the default command)
#[derive(Debug, Args)]
#[command(after_help = FIRST_EXAMPLES, after_long_help = EXAMPLES)]
pub(super) struct Serve {
    /// Server to stand in front of, as --upstream: 3000, localhost:3000 or a URL
    #[arg(value_name = "UPSTREAM", value_parser = in_front_of)]
    in_front_of: Option<String>,
    #[command(flatten)]
    given: Given,
    /// Prints the configuration that would apply, with the source of each value
    #[arg(long, help_heading = "Operation", hide_short_help = true)]
    print_config: bool,
}

#[derive(Debug, Args)]
struct Given {
    #[command(flatten)]
    flags: Flags,
    /// Reads settings from a TOML file [variable: WSTAP_CONFIG]
    #[arg(long, value_name = "FILE", help_heading = "Operation", hide_short_help = true)]
    config: Option<String>,
}

pub(super) const FIRST_EXAMPLES: &str = "\
Examples:
  wstap          serve on http://localhost:8080
  wstap 3000     show the traffic between clients and localhost:3000
  wstap watch    follow the traffic in this terminal";

/// The commands, for a suggestion.
pub(super) const COMMANDS: [&str; 9] =
    ["serve", "watch", "export", "record", "inspect", "replay", "check", "token", "completions"];

/// Reads the argument that stands for `--upstream`. A word without a dot, colon or slash is rather
/// a command that does not exist.
fn in_front_of(text: &str) -> Result<String, String> {
    match read_upstream(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(invalid) if text.contains(['.', ':', '/']) => Err(invalid.to_string()),
        Err(_) => {
            let names = COMMANDS.into_iter().map(str::to_owned);
            Err(format!(
                "neither a command nor an upstream, such as 3000, localhost:3000 or wss://api.example{}",
                suggestion(text, names)
            ))
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Every flag is also an environment variable, --max-listeners as WSTAP_MAX_LISTENERS, and a key of the
file that --config names, as max-listeners = 100. Flags win over variables, variables over the file.

Examples:
  wstap                                        serve on http://localhost:8080
  curl -N localhost:8080/events                see the traffic
  wstap watch                                  the same, in colour
  wstap 3000                                   see the traffic between clients and localhost:3000
  wstap --upstream ws://localhost:9000         the same for another server
  wstap --listen localhost:8080 --tap-listen localhost:8082
                                               observers on a port of their own
  wstap --listen 0.0.0.0:8080 --no-auth        open to every machine that can connect
  wstap --open traffic.har                     a recording instead of traffic";

impl Given {
    fn sources(self) -> Result<Sources, Faults> {
        Sources::new(self.flags.0, self.config.as_deref())
    }
}

impl Serve {
    pub(super) fn run(mut self) -> Result<(), Failure> {
        if let Some(upstream) = self.in_front_of {
            let flags = &mut self.given.flags.0;
            if flags.insert("upstream".to_owned(), vec![upstream]).is_some() {
                let twice = "the upstream is given twice; remove --upstream or the argument";
                return Err(Failure::Usage(twice.to_owned()));
            }
        }
        let names_upstream = self.given.flags.0.contains_key("upstream");
        let sources = self.given.sources()?;
        let mut config = Config::load(&sources)?;
        if self.print_config {
            return print(sources.print().as_bytes());
        }
        let credentials = Credentials::read(&config)?;
        let tls = certificate::read(&config)?;
        let level = logging::to_stderr(config.log_format, &config.log_filter);
        credentials.announce();
        config.hub.authority = credentials.authority();
        if config.hub.redaction.is_on() {
            logging::panics_without_message();
        }
        for unknown in sources.unknown_variables() {
            tracing::warn!("{unknown}");
        }
        raise_open_files_limit(&config);
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::of("cannot start"))?;
        let start = Start { sources, credentials, tls, names_upstream, level };
        let served = runtime.block_on(serve(&config, start));
        // After a second signal, tasks that still run are not waited for.
        runtime.shutdown_background();
        served
    }
}

/// What a server starts with, apart from its configuration.
struct Start {
    /// Where the configuration comes from.
    sources: Sources,
    credentials: Credentials,
    tls: Option<Tls>,
    /// Whether the command line names the upstream, which is then checked.
    names_upstream: bool,
    level: LogLevel,
}

async fn serve(config: &Config, start: Start) -> Result<(), Failure> {
    let Start { sources, credentials, tls, names_upstream, level } = start;
    let mut ending = Ending::new()?;
    let access = credentials.access(config.no_auth);
    // Without credentials, whoever reaches the server may do everything.
    let open = config.no_auth || access.is_guarded();
    let passed = Passed::take()?;
    if let Some(address) = passed.exposed().filter(|_| !open) {
        let listen = Listen { host: address.ip().to_string(), port: address.port() };
        return Err(Failure::Usage(BindError::Exposed { listen }.to_string()));
    }
    let traffic = bind_each(&config.listen, "listen", open, passed.traffic).await?;
    let observers = bind_each(&config.tap_listen, "tap-listen", open, passed.observers).await?;
    let hub = hub(config)?;
    let observed = observers.iter().flat_map(|(_, all)| all);
    let observed = observed.filter_map(|listener| listener.local_addr().ok()).collect();
    let log = AuditLog::open(config, &hub)?;
    let access = access.audited(log.audit(&config.hub.redaction));
    let web = web(config, &hub, access, &traffic, &observers)?;
    let routes = Routes::new(&web);
    let endpoints = routes.endpoints(&web, traffic, observers);
    let max_per_address = MaxPerAddress::new(config.max_per_address);
    let (asker, requests) = again::pair();
    hub.run(credentials.watch(requests, hub.stopping().clone()));
    let mut readers = vec![asker];
    if let Some(tls) = tls.clone() {
        let (asker, requests) = again::pair();
        hub.run(certificate::watch(tls, requests, hub.stopping().clone()));
        readers.push(asker);
    }
    let reload = Reload {
        web: web.clone(),
        routes,
        max_per_address: max_per_address.clone(),
        level,
        log: log.clone(),
        readers,
        rates: config.rates,
    };
    hub.run(reload.watch(sources, hub.stopping().clone())?);
    announce::announce(&web, config);
    service::ready("serving");
    hub.run(service::watchdog(hub.stopping().clone()));
    if let Some(proxy) = web.proxy.clone().filter(|_| names_upstream) {
        hub.run(async move { proxy.check().await });
    }
    let stop = CancellationToken::new();
    let server = Server { endpoints, max_per_address: config.max_per_address };
    let transport = Transport {
        tls,
        proxies: config.proxies.clone(),
        without_websockets: observed,
        times: config.times,
        max_per_address: Some(max_per_address),
    };
    let (draining, grace) = (hub.draining().clone(), config.shutdown_grace);
    let mut running = std::pin::pin!(server.run_over(transport, hub, stop.clone(), grace));
    let end = tokio::select! {
        () = running.as_mut() => {
            log.finish();
            return Ok(());
        }
        end = ending.next() => end,
    };
    draining.cancel();
    let delay = config.drain_delay;
    if end == End::Terminate && !delay.is_zero() {
        service::stopping("draining");
        tracing::info!(
            "stopping after {delay:?}, in which the server is not ready and still serves"
        );
        tokio::select! {
            () = running.as_mut() => {
                log.finish();
                return Ok(());
            }
            () = tokio::time::sleep(delay) => {}
            _ = ending.next() => {}
        }
    }
    service::stopping("stopping");
    tracing::info!("stopping within {grace:?}; once more Ctrl-C is at once");
    stop.cancel();
    tokio::select! {
        () = running => tracing::info!("stopped"),
        _ = ending.next() => tracing::warn!("stopped at once"),
    }
    log.finish();
    Ok(())
}

fn hub(config: &Config) -> Result<Hub, Failure> {
    if let Some(log) = &config.log {
        let hub = Hub::with_log(config.hub.clone(), log);
        return hub.map_err(|error| Failure::Failed(error.to_string()));
    }
    let Some(path) = &config.open else { return Ok(Hub::new(config.hub.clone())) };
    let (hub, events) = file::hub(path, config.hub.clone())?;
    tracing::info!("{events} events of {path}");
    Ok(hub)
}

/// Binds addresses, unless sockets were passed that stand for them.
async fn bind_each(
    asked: &[Listen],
    flag: &'static str,
    open: bool,
    passed: Vec<TcpListener>,
) -> Result<Bound, Failure> {
    if !passed.is_empty() {
        let named = |listener: TcpListener| {
            let address = listener.local_addr().map_err(Failure::of("cannot serve a socket"))?;
            let host = match address.ip() {
                ip if ip.is_loopback() => "localhost".to_owned(),
                ip => ip.to_string(),
            };
            Ok((Listen { host, port: address.port() }, vec![listener]))
        };
        return passed.into_iter().map(named).collect();
    }
    let mut bound = Vec::new();
    for listen in asked {
        let listeners = bind(listen, flag, open).await.map_err(|error| match error {
            BindError::Exposed { .. } => Failure::Usage(error.to_string()),
            BindError::Unknown { .. } | BindError::Taken { .. } | BindError::Failed { .. } => {
                Failure::Failed(error.to_string())
            }
        })?;
        bound.push((listen.clone(), listeners));
    }
    Ok(bound)
}

fn web(
    config: &Config,
    hub: &Hub,
    access: Access,
    traffic: &Bound,
    observers: &Bound,
) -> Result<Web, Failure> {
    let apart = !observers.is_empty();
    let bound: Vec<SocketAddr> = traffic
        .iter()
        .chain(observers)
        .flat_map(|(_, all)| all)
        .filter_map(|l| l.local_addr().ok())
        .collect();
    let hosts = Arc::new(Hosts::new(&bound, &config.hosts));
    let proxy = config.proxy.as_ref();
    let proxy = proxy.map(|proxy| self::proxy(proxy, config, hub, (bound, Arc::clone(&hosts))));
    let rates = RateLimits::new(config.rates, hub.metrics());
    let schemes = if config.certificate.is_some() { ("wss", "https") } else { ("ws", "http") };
    Ok(Web {
        hub: hub.clone(),
        limits: config.limits,
        cors: config.cors_origins.clone(),
        ws_origins: config.ws_origins.clone(),
        hosts,
        websocket: traffic.iter().map(|bound| url(schemes.0, bound)).collect(),
        observers: (if apart { observers } else { traffic })
            .iter()
            .map(|bound| url(schemes.1, bound))
            .collect(),
        apart,
        proxy: proxy.transpose()?,
        recording: config.open.as_deref().map(file::name),
        apis: config.channelstream.iter().map(|settings| channelstream(hub, settings)).collect(),
        access: access.limited(rates.clone()),
        rates,
        proxy_auth: config.proxy_auth,
        started: Instant::now(),
    })
}

fn channelstream(hub: &Hub, settings: &channelstream::ChannelstreamSettings) -> Arc<dyn Api> {
    Arc::new(Channelstream::new(hub.clone(), settings.clone()))
}

fn proxy(
    proxy: &ProxyConfig,
    config: &Config,
    hub: &Hub,
    (own, hosts): (Vec<SocketAddr>, Arc<Hosts>),
) -> Result<Proxy, Failure> {
    let tls = proxy.routes.iter().any(|route| route.upstream.tls);
    let dialer = Dialer::new(own, tls.then_some(&proxy.trust), proxy.timeout);
    let dialer = dialer.map_err(|error| Failure::Usage(error.to_string()))?;
    let settings = ProxySettings {
        routes: proxy.routes.clone(),
        host: proxy.host,
        rewrite_origin: proxy.rewrite_origin,
        hosts,
        forwarded: proxy.forwarded,
        tap_http: proxy.tap_http,
        tap_sse: proxy.tap_sse,
        control: proxy.control,
        max_message_bytes: config.limits.max_message_bytes,
    };
    Ok(Proxy::new(hub.clone(), settings, dialer))
}

/// Raises the limit of open files as far as the system allows, and warns if that is not enough.
fn raise_open_files_limit(config: &Config) {
    let wanted =
        (config.hub.max_connections as u64).saturating_add(config.hub.max_listeners as u64);
    // In addition to them: pages, API calls, and the files of the process itself.
    match rlimit::increase_nofile_limit(wanted.saturating_add(2048)) {
        Ok(limit) if limit < wanted => tracing::warn!(
            "the system allows {limit} open files, which is less than --max-connections and --max-listeners need; raise it with ulimit -n"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}
