//! How a command reaches a server: the certificates that it trusts.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::proxy::{Dialer, Trust, TrustFlags};

/// The certificates of servers that a command trusts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Reach {
    /// PEM file with the certificates of the authorities that may sign the certificate of the server
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<String>,
    /// Accepts any certificate
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,
}

impl Reach {
    /// Returns what opens connections, each within `limit`. `tls` says whether that takes TLS.
    ///
    /// # Errors
    ///
    /// If the file has no certificates.
    pub(super) fn dialer(&self, tls: bool, limit: Duration) -> Result<Dialer, Failure> {
        let trust = match &self.ca {
            Some(file) => Trust::File(file.clone()),
            None if self.insecure => Trust::Anybody,
            None => Trust::System,
        };
        let dialer = Dialer::new(Vec::new(), tls.then_some(&trust), limit);
        let dialer = dialer.map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(dialer.naming(TrustFlags { ca: "--ca", insecure: "--insecure" }))
    }
}
