//! Where the value of a setting comes from, and the faults of a configuration.

use std::fmt;

use crate::redact::HIDDEN;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A file, and the number of the line in it.
    File(String, usize),
    /// The default of the setting.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(name, line) => write!(f, "{name}, line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The values of one setting as text, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) values: Vec<String>,
    pub(super) source: Source,
}

/// All faults of a configuration, one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl Faults {
    /// Adds a fault.
    pub(super) fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}

/// Returns the value of a setting as it may be shown: without secrets, and without the password and the
/// query of a URL.
pub(super) fn shown(name: &str, value: &str) -> String {
    if name.ends_with("-secret") { HIDDEN.to_owned() } else { without_password(value) }
}

/// Returns a value without the password and the query of a URL, which may hold a key.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let rest = match rest.split_once('?') {
        Some((path, query)) if !query.is_empty() => format!("{path}?{HIDDEN}"),
        _ => rest.to_owned(),
    };
    format!("{scheme}://{authority}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_queries_of_addresses_are_not_printed() {
        for (value, right) in [
            ("https://id.example/keys", "https://id.example/keys"),
            (
                "https://a:b@id.example:1/keys?key=c",
                "https://[redacted]@id.example:1/keys?[redacted]",
            ),
            ("redis://:p@h", "redis://[redacted]@h"),
            ("https://id.example?", "https://id.example?"),
            ("localhost:8080", "localhost:8080"),
            ("what?", "what?"),
        ] {
            assert_eq!(without_password(value), right);
        }
    }
}
