//! The process under a supervisor: sockets that it passes, and what it is notified of. The protocols are
//! those of systemd: `sd_listen_fds(3)` and `sd_notify(3)`. Without a supervisor nothing here does
//! anything.

use std::net::SocketAddr;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;

/// The name of a passed socket (`FileDescriptorName=`) that serves observers only, as `--tap-listen`
/// does. Sockets of any other name serve what `--listen` does.
const OBSERVERS: &str = "tap-listen";

/// Sockets that a supervisor has bound. They are accepted from in place of those that the
/// configuration names.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) traffic: Vec<TcpListener>,
    pub(super) observers: Vec<TcpListener>,
}

impl Passed {
    /// Takes the sockets that were passed to this process.
    ///
    /// # Errors
    ///
    /// If one of them is no TCP socket that listens.
    pub(super) fn take() -> Result<Self, Failure> {
        // Before the descriptors, which are taken out of the environment.
        let names = sd_notify::listen_fds_with_names();
        let mut names = names.into_iter().flatten().map(|(_, name)| name);
        let mut descriptors = ListenFd::from_env();
        let mut passed = Self::default();
        for n in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            let listener = descriptors.take_tcp_listener(n).and_then(|listener| {
                listener.map_or_else(
                    || Err(std::io::ErrorKind::NotFound.into()),
                    |listener| {
                        listener.set_nonblocking(true)?;
                        TcpListener::from_std(listener)
                    },
                )
            });
            let listener = listener.map_err(|error| {
                Failure::Usage(format!(
                    "the socket {name:?} that the supervisor passes cannot be served ({error}); \
                     expected a stream socket with an IP address, such as ListenStream=8080"
                ))
            })?;
            let side = if name == OBSERVERS { &mut passed.observers } else { &mut passed.traffic };
            side.push(listener);
        }
        Ok(passed)
    }

    /// Returns the address of a socket that other machines can reach.
    pub(super) fn exposed(&self) -> Option<SocketAddr> {
        let all = self.traffic.iter().chain(&self.observers);
        let mut addresses = all.filter_map(|listener| listener.local_addr().ok());
        addresses.find(|address| !address.ip().to_canonical().is_loopback())
    }
}

/// Notifies the supervisor that the server accepts connections.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Notifies the supervisor that the server reads its configuration again. [`ready`] ends that.
pub(super) fn reloading() {
    let mut state = vec![NotifyState::Reloading];
    state.extend(NotifyState::monotonic_usec_now());
    notify(&state);
}

/// Notifies the supervisor that the server begins to stop.
pub(super) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Notifies the watchdog of the supervisor, twice as often as it asks for, until `stopped`. The
/// notifications come from a worker of the runtime: they end when it hangs.
pub(super) async fn watchdog(stopped: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut clock = tokio::time::interval(limit / 2);
    loop {
        tokio::select! {
            _ = clock.tick() => notify(&[NotifyState::Watchdog]),
            () = stopped.cancelled() => return,
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the supervisor (NOTIFY_SOCKET)");
    }
}
