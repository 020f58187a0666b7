//! Sets of keys (JWKS, RFC 7517), by their ids. Where the set comes from is the matter of the caller.

use serde::Deserialize;
use serde_json::Value;

use super::claims::ExpectedClaims;
use super::compact::Compact;
use super::key::{Jwk, Key};
use crate::auth::{Authority, Denied, Grant};

/// Keys of a set. Identity providers publish two to ten.
const MAX_KEYS: usize = 100;

/// A set of keys that tokens are verified with.
///
/// A token names its key by `kid`. One without `kid` is accepted if the set has one key of its
/// algorithm only. The kind of a key fixes its algorithm; `jku`, `jwk`, `x5u` and `x5c` in the header
/// of a token are ignored.
#[derive(Debug, Clone, Default)]
pub struct Jwks {
    keys: Vec<Named>,
    expected: ExpectedClaims,
}

#[derive(Debug, Clone)]
struct Named {
    id: Option<String>,
    key: Key,
}

/// Where a set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// A file of this machine, which may hold secrets for HS256 (`"kty":"oct"`).
    File,
    /// A server, whose set everybody may read: secrets in it are skipped.
    Url,
}

/// The error of a text that is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwks {
    /// It has another form.
    #[error(
        "a JWKS is a JSON object such as {{\"keys\":[{{\"kty\":\"RSA\",\"kid\":\"…\",\"n\":\"…\",\"e\":\"AQAB\"}}]}}"
    )]
    Malformed,
    /// It has more keys than a set may have.
    #[error("a JWKS has at most {MAX_KEYS} keys")]
    TooMany,
    /// It has none that verifies tokens.
    #[error(
        "the JWKS has no key that verifies tokens: RSA from 2048 bits, EC P-256, Ed25519, or in a file oct from 32 bytes"
    )]
    NoKey,
    /// It holds a private key.
    #[error("the JWKS holds a private key (\"d\"); the public ones are right")]
    Private,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Jwks {
    /// Reads a set. Keys that verify no tokens of wstap, such as those for encryption and of other
    /// curves, are skipped.
    ///
    /// # Errors
    ///
    /// If it is no set, or if none of its keys verifies tokens.
    pub fn read(content: &[u8], source: KeySource) -> Result<Self, InvalidJwks> {
        let set: Set = serde_json::from_slice(content).map_err(|_| InvalidJwks::Malformed)?;
        if set.keys.len() > MAX_KEYS {
            return Err(InvalidJwks::TooMany);
        }
        let mut keys = Vec::new();
        for value in set.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            if jwk.is_private() {
                return Err(InvalidJwks::Private);
            }
            if source == KeySource::Url && jwk.is_secret() {
                continue;
            }
            if let Some(key) = Key::of_jwk(&jwk) {
                keys.push(Named { id: jwk.kid, key });
            }
        }
        if keys.is_empty() {
            return Err(InvalidJwks::NoKey);
        }
        Ok(Self { keys, expected: ExpectedClaims::default() })
    }

    /// Replaces the values of `aud` and `iss` that tokens are accepted with.
    #[must_use]
    pub fn expecting(self, expected: ExpectedClaims) -> Self {
        Self { expected, ..self }
    }

    /// Returns the names of the algorithms of its keys: `RS256, ES256`.
    #[must_use]
    pub fn algorithms(&self) -> String {
        let mut names: Vec<_> = self.keys.iter().map(|it| it.key.algorithms()[0]).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    /// Returns the number of its keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns whether a token names a key that the set lacks, and would be valid at `now` if its
    /// signature were right. Nothing in it is verified.
    #[must_use]
    pub fn lacks_key_of(&self, token: &str, now: u64) -> bool {
        let Ok(compact) = Compact::read(token) else { return false };
        let Some(id) = compact.key_id() else { return false };
        let usual = ["RS256", "ES256", "EdDSA", "Ed25519"].contains(&compact.algorithm());
        let is_known = self.keys.iter().any(|it| it.id.as_deref() == Some(id));
        let payload = compact.unverified_payload();
        usual && !is_known && payload.is_ok_and(|it| self.expected.grant(&it, now).is_ok())
    }

    /// Returns the key of a token.
    fn key(&self, compact: &Compact<'_>) -> Result<&Key, Denied> {
        let named = self.keys.iter().filter(|it| match compact.key_id() {
            Some(id) => it.id.as_deref() == Some(id),
            None => true,
        });
        let mut fitting =
            named.filter(|it| it.key.algorithms().contains(&compact.algorithm())).map(|it| &it.key);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => {
                let words = "the server has no key with the id (kid) and algorithm of the token";
                Err(Denied(words.to_owned()))
            }
            (Some(_), Some(_)) => {
                let words = "the token does not say which key it is signed with (kid)";
                Err(Denied(words.to_owned()))
            }
        }
    }
}

impl Authority for Jwks {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let compact = Compact::read(token)?;
        let payload = compact.verified(self.key(&compact)?)?;
        self.expected.grant(&payload, now)
    }
}

#[cfg(test)]
mod tests;
