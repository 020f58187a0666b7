//! The audit log of a server: opened at the start, opened again on SIGHUP, and written to its end.

use std::sync::Arc;

use super::failure::Failure;
use crate::audit::{Audit, Log, Writer};
use crate::config::Config;
use crate::hub::Hub;
use crate::redact::Redaction;

/// The audit log of a configuration.
#[derive(Debug, Clone)]
pub(super) struct AuditLog(Option<Arc<Log>>);

impl AuditLog {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub(super) fn open(config: &Config, hub: &Hub) -> Result<Self, Failure> {
        let Some(path) = &config.audit_log else { return Ok(Self(None)) };
        let to = if path == "-" { Writer::Stdout } else { Writer::File(path.into()) };
        let log = Log::open(to, hub.metrics().audit_lost.clone());
        let log = log.map_err(|error| Failure::Usage(format!("audit-log {path}: {error}")))?;
        Ok(Self(Some(Arc::new(log))))
    }

    /// Returns what requests are written with.
    pub(super) fn audit(&self, redaction: &Redaction) -> Audit {
        let redaction = redaction.clone();
        self.0.as_ref().map_or_else(Audit::off, |log| Audit::new(log, redaction))
    }

    /// Opens the file again.
    pub(super) fn reopen(&self) {
        if let Some(log) = &self.0 {
            log.reopen();
        }
    }

    /// Writes what waits.
    pub(super) fn finish(&self) {
        if let Some(log) = &self.0 {
            log.finish();
        }
    }
}
