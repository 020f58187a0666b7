//! The compact form of a token (RFC 7515 section 7.1), before its signature is verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::key::Key;
use crate::auth::Denied;

/// The longest token that is read. Tokens of identity providers have 1 to 4 KiB, and most servers
/// refuse a header field of more than 8 KiB.
pub(super) const MAX_TOKEN_BYTES: usize = 8 << 10;

/// A token whose signature is not verified yet. It gives its claims out with a key only.
pub(super) struct Compact<'a> {
    header: Header,
    signed: &'a str,
    signature: &'a str,
    payload: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    // RFC 7515 section 4.1.11: a token with an unknown critical extension is invalid.
    crit: Option<Box<RawValue>>,
}

impl<'a> Compact<'a> {
    /// Splits a token, and reads its header.
    pub(super) fn read(token: &'a str) -> Result<Self, Denied> {
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if token.len() > MAX_TOKEN_BYTES || payload.contains('.') {
            return Err(malformed());
        }
        let header = decoded(header)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| malformed())?;
        Ok(Self { header, signed, signature, payload })
    }

    /// Returns the name of the algorithm in the header, which no check relies on alone.
    pub(super) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// Returns the id of the key in the header.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Verifies the signature and returns the payload.
    pub(super) fn verified(&self, key: &Key) -> Result<Vec<u8>, Denied> {
        if !key.algorithms().contains(&self.algorithm()) {
            let words = format!("this server takes tokens of {}", key.algorithms()[0]);
            return Err(Denied(words));
        }
        if self.header.crit.is_some() {
            let words = "this server understands no extensions of tokens (crit)";
            return Err(Denied(words.to_owned()));
        }
        let signature = decoded(self.signature)?;
        if !key.verifies(self.signed.as_bytes(), &signature) {
            return Err(Denied("the signature of the token is not right".to_owned()));
        }
        decoded(self.payload)
    }

    /// Returns the payload, which may be forged.
    pub(super) fn unverified_payload(&self) -> Result<Vec<u8>, Denied> {
        decoded(self.payload)
    }
}

fn malformed() -> Denied {
    Denied("a token is a JSON Web Token: three parts of base64url with dots".to_owned())
}

fn decoded(part: &str) -> Result<Vec<u8>, Denied> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())
}
