//! Why a command fails, and the exit code of it.

use std::io;
use std::process::ExitCode;

use anstyle::AnsiColor;

use crate::config::Faults;

/// The failure of a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line or the configuration is wrong. Exit code 2.
    Usage(String),
    /// Something else failed. Exit code 1.
    Failed(String),
    /// The reader of our output is gone, as behind `| head`. Exit code 0.
    ClosedPipe,
}

impl Failure {
    /// Returns the failure of an operation, such as `cannot start: too many open files`.
    pub(super) fn of(operation: &str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Failed(format!("{operation}: {error}"))
    }

    /// Returns the failure of a write to stdout.
    pub(super) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::Failed(format!("cannot write: {error}"))
        }
    }

    /// Prints the failure, and returns its exit code.
    pub(super) fn report(&self) -> ExitCode {
        let (code, words) = match self {
            Self::Usage(words) => (2, words),
            Self::Failed(words) => (1, words),
            Self::ClosedPipe => return ExitCode::SUCCESS,
        };
        let red = AnsiColor::Red.on_default().bold();
        for line in words.lines() {
            anstream::eprintln!("{red}wstap:{red:#} {line}");
        }
        ExitCode::from(code)
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Usage(faults.to_string())
    }
}

/// Writes to stdout, without colours unless it is a terminal.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = anstream::AutoStream::auto(io::stdout());
    out.write_all(text).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}
