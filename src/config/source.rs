//! Where the value of a setting comes from, and the faults of a configuration.

use std::fmt;

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
