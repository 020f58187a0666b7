//! Progress on a terminal. Without a terminal nothing is drawn.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Returns a bar of a known length, with a template of indicatif.
pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    with_style(ProgressBar::new(length), template)
}

/// Returns a bar that moves with time too: for work that waits.
pub(super) fn ticking(length: u64, template: &str) -> ProgressBar {
    let bar = bar(length, template);
    if io::stderr().is_terminal() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

/// Returns a counter for work of unknown length.
pub(super) fn spinner(template: &str) -> ProgressBar {
    let bar = with_style(ProgressBar::new_spinner(), template);
    if io::stderr().is_terminal() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

fn with_style(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.with_style(ProgressStyle::with_template(template).expect("the templates are right"))
}
