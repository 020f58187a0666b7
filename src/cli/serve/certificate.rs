//! The certificate of the server: read at the start, when its files change, and on SIGHUP.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::again::Requests;
use crate::cli::credentials::{Version, version};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::server::Tls;

/// A certificate that is replaced is in use within a second.
const LOOK: Duration = Duration::from_millis(500);

/// Reads the certificate, if the configuration names one.
///
/// # Errors
///
/// If a file cannot be read, or is not right.
pub(super) fn read(config: &Config) -> Result<Option<Tls>, Failure> {
    let tls = config.certificate.clone().map(Tls::read).transpose();
    tls.map_err(|fault| Failure::Usage(fault.to_string()))
}

/// Reads the files again when they change, and when it is asked to, until the server stops. Faulty
/// files change nothing. A certificate is often replaced before its key: a fault is logged if it is
/// still there at the next look.
pub(super) fn watch(
    tls: Tls,
    mut requests: Requests,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let mut known = versions(&tls);
    async move {
        // A fault that the last look has found.
        let mut fresh = false;
        loop {
            let request = tokio::select! {
                () = sleep(LOOK) => None,
                Some(asked) = requests.next() => Some(asked),
                () = stop.cancelled() => return,
            };
            let asked = request.is_some();
            let found = versions(&tls);
            let changed = std::mem::replace(&mut known, found) != found;
            if !(asked || changed || fresh) {
                continue;
            }
            let read = tls.reread();
            fresh = changed && !asked && read.is_err();
            match read {
                Ok(()) => tracing::info!("{}: the certificate was read again", tls.files().cert),
                Err(_) if fresh => {}
                Err(fault) => tracing::error!("{fault}; the certificate stays as it was"),
            }
        }
    }
}

/// Returns what the files are like.
fn versions(tls: &Tls) -> [Option<Version>; 3] {
    let files = tls.files();
    let client_ca = files.client_ca.as_deref().and_then(version);
    [version(&files.cert), version(&files.key), client_ca]
}
