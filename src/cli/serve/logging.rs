//! The logs on stderr.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Replaces the filter of the logs.
#[derive(Clone)]
pub(super) struct LogLevel(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    /// Sets the filter, in the notation of `RUST_LOG`. One that is not valid changes nothing.
    pub(super) fn set(&self, filter: &str) {
        if let Ok(filter) = filter.parse() {
            (self.0)(filter);
        }
    }
}

/// Starts to log. A filter that is not valid is reported, and `info` taken.
pub(super) fn to_stderr(format: LogFormat, filter: &str) -> LogLevel {
    let (filter, fault) = match filter.parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second logger in one process exists in tests only, and the filter of one that is gone
    // cannot be replaced.
    let (_, level) = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            let logs = logs.with_ansi(colours).with_target(false).with_filter_reloading();
            let handle = logs.reload_handle();
            let level = LogLevel(Arc::new(move |filter| drop(handle.reload(filter))));
            (logs.finish().with(filter_fn(has_no_payload)).try_init(), level)
        }
        LogFormat::Json => {
            let logs = logs.json().with_filter_reloading();
            let handle = logs.reload_handle();
            let level = LogLevel(Arc::new(move |filter| drop(handle.reload(filter))));
            (logs.finish().with(filter_fn(has_no_payload)).try_init(), level)
        }
    };
    if let Some(fault) = fault {
        tracing::warn!("RUST_LOG: {fault}; expected a filter such as info or wstap=debug");
    }
    level
}

/// Returns whether a log line may be printed, whatever `RUST_LOG` says. At debug and trace level the
/// libraries log frames, heads and headers; the lines of wstap contain none of these.
fn has_no_payload(line: &tracing::Metadata<'_>) -> bool {
    let own = line.target() == "wstap" || line.target().starts_with("wstap::");
    own || *line.level() <= tracing::Level::INFO
}

/// Logs only the place of a panic: its message may contain data that redaction hides.
pub(super) fn panics_without_message() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map_or_else(|| "at an unknown place".to_owned(), |at| format!("at {at}"));
        tracing::error!("wstap panicked {at}; this is a bug of wstap");
    }));
}
