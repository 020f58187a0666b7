//! Reads everything again on SIGHUP: the certificate, the files of credentials, the configuration, of
//! which the settings apply that can change while the server runs. Opens the audit log again. A faulty
//! file changes nothing; what the other files change does not depend on it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::logging::{self, LogLevel};
use super::routes::Routes;
use crate::cli::again::Asker;
use crate::cli::audit::AuditLog;
use crate::cli::failure::Failure;
use crate::cli::service;
use crate::config::{Changes, Config, Faults, Sources};
use crate::rate::{RateLimits, Rates};
use crate::server::MaxPerAddress;
use crate::web::Web;

/// What is replaced.
pub(super) struct Reload {
    pub(super) web: Web,
    pub(super) routes: Routes,
    pub(super) max_per_address: MaxPerAddress,
    pub(super) level: LogLevel,
    pub(super) log: AuditLog,
    /// The tasks that read the certificate and the credentials.
    pub(super) readers: Vec<Asker>,
    /// The rates that apply. What addresses have used is forgotten only when these change.
    pub(super) rates: Rates,
}

impl Reload {
    /// Reads everything again at each SIGHUP, until the server stops. The supervisor is notified when
    /// all of it is done.
    ///
    /// # Errors
    ///
    /// If the signal cannot be waited for.
    pub(super) fn watch(
        mut self,
        started: Sources,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
        let hangups = signal(SignalKind::hangup());
        let mut hangups = hangups.map_err(Failure::of("cannot wait for signals"))?;
        Ok(async move {
            let mut current = started.clone();
            while stop.run_until_cancelled(hangups.recv()).await.flatten().is_some() {
                service::reloading();
                self.log.reopen();
                for reader in &self.readers {
                    reader.ask().await;
                }
                let mut status = "serving";
                match read(&current) {
                    Ok((new, config)) => {
                        // A change that waits for a restart is named each time.
                        let (live, later) =
                            (current.changes(&new).live, started.changes(&new).later);
                        self.apply(&config);
                        self.say(&new, Changes { live, later });
                        current = new;
                    }
                    Err(faults) => {
                        let faults = faults.0.join("; ");
                        tracing::error!("{faults}; the settings stay as they were");
                        status = "serving with the settings from before a faulty reload";
                    }
                }
                service::ready(status);
            }
        })
    }

    /// Takes over the settings that can change. Those that have not changed keep their effect.
    fn apply(&mut self, config: &Config) {
        let web = &mut self.web;
        // Each channel that exists is looked at.
        tokio::task::block_in_place(|| web.hub.replace_settings(&config.hub));
        self.max_per_address.set(config.max_per_address);
        self.level.set(&config.log_filter);
        if config.hub.redaction.is_on() {
            logging::panics_without_message();
        }
        web.limits.max_message_bytes = config.limits.max_message_bytes;
        web.limits.frames = config.limits.frames;
        web.limits.bytes = config.limits.bytes;
        if self.rates != config.rates {
            self.rates = config.rates;
            web.rates = RateLimits::new(config.rates, web.hub.metrics());
        }
        let access = web.access.clone().audited(self.log.audit(&config.hub.redaction));
        web.access = access.limited(web.rates.clone());
        self.routes.replace(web);
    }

    fn say(&self, new: &Sources, changes: Changes) {
        let Changes { mut live, mut later } = changes;
        if self.web.proxy.is_some() {
            // The relay has read it.
            let of_relay = |name: &String| name == "max-message-bytes";
            later.extend(live.iter().filter(|name| of_relay(name)).cloned());
            live.retain(|name| !of_relay(name));
        }
        let Some((file, _)) = &new.file else {
            return tracing::info!("no configuration file to read again (--config)");
        };
        if live.is_empty() {
            tracing::info!("{file}: read again; no setting to apply");
        } else {
            tracing::info!("{file}: read again; applied: {}", live.join(", "));
        }
        if !later.is_empty() {
            tracing::warn!("{file}: applied after a restart only: {}", later.join(", "));
        }
    }
}

fn read(current: &Sources) -> Result<(Sources, Config), Faults> {
    let new = current.reread()?;
    let config = Config::load(&new)?;
    Ok((new, config))
}
