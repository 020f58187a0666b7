//! The JSON form of a grant: the claim `wstap` of a token, and the middle of a line of a token file.

use std::fmt;

use serde::Deserialize;

use super::{Grant, InvalidPattern, Observe, Pattern};

/// `{"observe":true,"filter":"channel == \"a\"","connect":true,"publish":["news/*"],"subscribe":["*"],"control":false}`.
/// Each member may be missing, which grants nothing. Unknown members are ignored in a token, whose
/// issuer may be newer.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Claim {
    observe: bool,
    filter: Option<String>,
    connect: bool,
    publish: Vec<String>,
    subscribe: Vec<String>,
    control: bool,
}

/// Why a claim is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InvalidClaim {
    Pattern(InvalidPattern),
    FilterWithoutObserve,
}

impl fmt::Display for InvalidClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(fault) => fault.fmt(f),
            Self::FilterWithoutObserve => f.write_str("a filter narrows observe, which is missing"),
        }
    }
}

impl Claim {
    /// Returns the grant, without a user and without an expiry.
    pub(super) fn grant(self) -> Result<Grant, InvalidClaim> {
        let observe = match (self.observe, self.filter) {
            (true, None) => Observe::All,
            (true, Some(filter)) => Observe::Matching(filter.into()),
            (false, None) => Observe::Nothing,
            // Not read as a permission to observe all.
            (false, Some(_)) => return Err(InvalidClaim::FilterWithoutObserve),
        };
        Ok(Grant {
            observe,
            connect: self.connect,
            publish: patterns(&self.publish)?,
            subscribe: patterns(&self.subscribe)?,
            control: self.control,
            ..Grant::default()
        })
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, InvalidClaim> {
    texts.iter().map(|text| text.parse().map_err(InvalidClaim::Pattern)).collect()
}
