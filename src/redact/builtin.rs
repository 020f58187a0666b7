//! The rules of `--redact-defaults`: common secrets, by their key or by their form.

mod cards;
mod keys;
mod looks;
mod providers;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

pub(super) use keys::{Secret, is_secret_parameter, secret};
pub(super) use looks::{offered_subprotocols, subprotocols};

/// Header fields that are credentials.
pub(super) const HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
];

/// Matches every text to which a rule of these files may apply, in one fast search.
pub(super) static PROBE: LazyLock<String> =
    LazyLock::new(|| format!("(?x) {} | {}", looks::PROBE, providers::PROBE));

static IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    let right = "the pattern is one that a test has compiled";
    Regex::new(&PROBE).expect(right)
});

/// Appends the spans of text that has the form of a secret.
pub(super) fn spans(text: &str, spans: &mut Vec<Range<usize>>) {
    if IN_TEXT.is_match(text) {
        looks::spans(text, spans);
        cards::cards(text.as_bytes(), spans);
    }
}

#[cfg(test)]
mod tests;
