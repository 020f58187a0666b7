//! `wstap check`: checks the configuration, or the server that runs with it.

use std::time::Duration;

use clap::Args;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Given, certificate};
use crate::cli::client::{Problem, Target, get};
use crate::cli::credentials::Credentials;
use crate::cli::failure::Failure;
use crate::cli::reach::Reach;
use crate::config::Config;
use crate::server::Listen;

/// Time limit for the answer of a server. A health check is repeated after seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Check the configuration and print all of its faults
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Check {
    /// Asks the server that runs at the address of the configuration whether it is alive, and fails if
    /// it is not: a health check for containers
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    given: Given,
}

const EXAMPLES: &str = "\
Examples:
  wstap check --config wstap.toml
  WSTAP_HEARTBEAT=5s wstap check               variables too
  wstap check --live                           is the server at localhost:8080 alive?";

impl Check {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let sources = self.given.sources()?;
        let config = Config::load(&sources)?;
        if self.live {
            return ask(&config);
        }
        certificate::read(&config)?;
        Credentials::read(&config)?;
        for unknown in sources.unknown_variables() {
            anstream::eprintln!("wstap: {unknown}");
        }
        anstream::eprintln!("the configuration is right");
        Ok(())
    }
}

/// Asks the server that a configuration describes whether it is alive.
fn ask(config: &Config) -> Result<(), Failure> {
    let listen = config.tap_listen.first().or(config.listen.first());
    let listen = listen.ok_or_else(|| Failure::Usage("there is no address to ask".to_owned()))?;
    if listen.port == 0 {
        let right = "check --live needs an address with a port, such as --listen localhost:8080";
        return Err(Failure::Usage(right.to_owned()));
    }
    let host = match listen.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let address = Listen { host: host.to_owned(), port: listen.port };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("cannot start"))?;
    let asking = async {
        if answers_strangers(config) {
            answer(config, &address).await
        } else {
            connect(&address).await
        }
    };
    match runtime.block_on(async { timeout(PATIENCE, asking).await }) {
        Ok(asked) => asked?,
        Err(_elapsed) => return Err(Failure::Failed(format!("{address}: no answer"))),
    }
    anstream::eprintln!("{address}: alive");
    Ok(())
}

/// Returns whether the server answers a request of this machine that has neither a certificate nor a
/// header of the PROXY protocol.
fn answers_strangers(config: &Config) -> bool {
    let asks = config.certificate.as_ref().is_some_and(|files| files.client_ca.is_some());
    !asks && !config.proxies.proxy_protocol
}

async fn answer(config: &Config, address: &Listen) -> Result<(), Failure> {
    let scheme = if config.certificate.is_some() { "https" } else { "http" };
    // It is a connection of this machine to itself, under a name that the certificate may not have.
    let reach = Reach { insecure: true, ..Reach::default() };
    let target = Target::of(&format!("{scheme}://{address}"), "/healthz", "", &reach)?;
    let mut body = Vec::new();
    let asked = get(&target, |data| {
        body.extend_from_slice(&data[..data.len().min(64)]);
        Ok(())
    });
    asked.await.map_err(|problem| match problem {
        Problem::Lost(words) => Failure::Failed(words.replace("; is wstap running there?", "")),
        problem => problem.into(),
    })?;
    match body.as_slice() {
        b"ok\n" => Ok(()),
        _ => Err(Failure::Failed(format!("{address}: another server answers"))),
    }
}

/// Only connects.
async fn connect(address: &Listen) -> Result<(), Failure> {
    let connected = TcpStream::connect((address.host.as_str(), address.port)).await;
    connected.map_err(|error| Failure::Failed(format!("{address}: {error}")))?;
    Ok(())
}
