//! JSON Web Tokens (RFC 7519) as grants.
//!
//! The kind of key fixes the algorithm, and the header of a token is only compared with it: neither
//! `none` nor a public key used as an HMAC secret passes. A file that holds a public key in another
//! form than PEM is refused. The signature is checked before any claim is read.
//!
//! ```text
//! {"sub":"ann","exp":1763670000,"wstap":{"observe":true,"subscribe":["news/*"],"publish":["chat"]}}
//! ```

mod claims;
mod compact;
mod jwks;
mod key;
mod unread;

pub use self::claims::ExpectedClaims;
use self::compact::Compact;
pub use self::jwks::{InvalidJwks, Jwks, KeySource};
pub use self::key::InvalidKey;
use self::key::Key;
use super::{Authority, Denied, Grant};

/// The key that tokens are verified with.
///
/// A token is valid if its signature is right and its `exp` lies in the future; a token without
/// `exp` is refused, because it could never be revoked. `nbf` is respected with a tolerance of 30 s.
/// An `aud` must name `wstap`: a token that was issued for another audience is refused (RFC 7519
/// section 4.1.3). `sub` is the user. A token without the claim `wstap` identifies its user and
/// grants nothing.
#[derive(Debug, Clone)]
pub struct JwtKey {
    key: Key,
    expected: ExpectedClaims,
}

impl JwtKey {
    /// Reads a key: a public key as PEM (RSA for RS256, EC P-256 for ES256, Ed25519 for `EdDSA`),
    /// or, if there is no PEM in it, a secret for HS256, without the white space around it.
    ///
    /// # Errors
    ///
    /// If it is neither. A public key in another form (a JWKS, DER, a key of SSH, base64 without
    /// the lines of PEM) is refused rather than used as a secret.
    pub fn read(content: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self { key: Key::read(content)?, expected: ExpectedClaims::default() })
    }

    /// Replaces the values of `aud` and `iss` that tokens are accepted with.
    #[must_use]
    pub fn expecting(self, expected: ExpectedClaims) -> Self {
        Self { expected, ..self }
    }

    /// Returns the name of the algorithm that tokens have to be signed with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.key.algorithms()[0]
    }
}

impl Authority for JwtKey {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let payload = Compact::read(token)?.verified(&self.key)?;
        self.expected.grant(&payload, now)
    }
}

#[cfg(test)]
mod tests;
