//! The runtime of a command, and the signals that end it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Runs a future on this thread to its end.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::of("cannot start"))?.block_on(future)
}

/// A signal that ends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// SIGTERM: a supervisor ends the process.
    Terminate,
    /// SIGINT: a person does.
    Interrupt,
}

/// Waits for SIGTERM and SIGINT (Ctrl-C).
pub(super) struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    /// Begins to wait: from now on the signals do not kill the process.
    pub(super) fn new() -> Result<Self, Failure> {
        let signal = |kind| signal(kind).map_err(Failure::of("cannot wait for signals"));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of the signals. Cancel safe.
    pub(super) async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => End::Terminate,
            _ = self.interrupt.recv() => End::Interrupt,
        }
    }
}
