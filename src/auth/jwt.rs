//! JSON Web Tokens (RFC 7519) as grants.
//!
//! The kind of key fixes the algorithm, and the header of a token is only compared with it: neither
//! `none` nor a public key used as an HMAC secret passes. A file that holds a public key in another
//! form than PEM is refused. The signature is checked before any claim is read.
//!
//! ```text
//! {"sub":"ann","exp":1763670000,"wstap":{"observe":true,"subscribe":["news/*"],"publish":["chat"]}}
//! ```

mod key;
mod unread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::key::InvalidKey;
use self::key::Key;
use super::claim::Claim;
use super::{Authority, Denied, Grant};
use crate::event::User;

/// The longest token that is read. Tokens of identity providers have 1 to 4 KiB, and most servers
/// refuse a header field of more than 8 KiB.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Tolerance for `nbf` in seconds: how far the clock of an issuer may be ahead. There is none for
/// `exp`: a token is invalid from that second on.
const MAX_CLOCK_SKEW: f64 = 30.0;

/// The name that `aud` has to contain, in a token that has an `aud`.
const AUDIENCE: &str = "wstap";

/// The key that tokens are verified with.
///
/// A token is valid if its signature is right and its `exp` lies in the future; a token without
/// `exp` is refused, because it could never be revoked. `nbf` is respected with a tolerance of 30 s.
/// An `aud` must name `wstap`: a token that was issued for another audience is refused (RFC 7519
/// section 4.1.3). `sub` is the user. A token without the claim `wstap` identifies its user and
/// grants nothing.
#[derive(Debug, Clone)]
pub struct JwtKey(Key);

impl JwtKey {
    /// Reads a key: a public key as PEM (RSA for RS256, EC P-256 for ES256, Ed25519 for `EdDSA`),
    /// or, if there is no PEM in it, a secret for HS256, without the white space around it.
    ///
    /// # Errors
    ///
    /// If it is neither. A public key in another form (a JWKS, DER, a key of SSH, base64 without
    /// the lines of PEM) is refused rather than used as a secret.
    pub fn read(content: &[u8]) -> Result<Self, InvalidKey> {
        Key::read(content).map(Self)
    }

    /// Returns the name of the algorithm that tokens have to be signed with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.0.algorithms()[0]
    }

    /// Verifies the signature and returns the payload.
    fn verified(&self, token: &str) -> Result<Vec<u8>, Denied> {
        let compact = || denied("a token is a JSON Web Token: three parts of base64url with dots");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(compact)?;
        let (header, payload) = signed.split_once('.').ok_or_else(compact)?;
        if token.len() > MAX_TOKEN_BYTES || payload.contains('.') {
            return Err(compact());
        }
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| compact());
        let header = decoded(header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| compact())?;
        if !self.0.algorithms().contains(&&*header.alg) {
            return Err(denied(&format!("this server takes tokens of {}", self.algorithm())));
        }
        // RFC 7515 section 4.1.11: a token with an unknown critical extension is invalid.
        if header.crit.is_some() {
            return Err(denied("this server understands no extensions of tokens (crit)"));
        }
        let signature = decoded(signature)?;
        if !self.0.verifies(signed.as_bytes(), &signature) {
            return Err(denied("the signature of the token is not right"));
        }
        decoded(payload)
    }
}

impl Authority for JwtKey {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits, a double 53")]
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let payload = self.verified(token)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| {
            denied(
                "the claims are an object with exp in seconds, and maybe sub, nbf, aud and wstap",
            )
        })?;
        let now = now as f64;
        if claims.exp.is_nan() || now >= claims.exp.floor() {
            return Err(denied("the token has expired"));
        }
        if claims.nbf.is_some_and(|begin| now + MAX_CLOCK_SKEW < begin) {
            return Err(denied("the token is not valid yet"));
        }
        if claims.aud.is_some_and(|audience| !audience.names(AUDIENCE)) {
            return Err(denied("the token is for somebody else: its aud does not name wstap"));
        }
        let user = claims.sub.map(|sub| sub.parse::<User>());
        let user = user.transpose().map_err(|fault| denied(&format!("sub: {fault}")))?;
        let claim = claims.wstap.unwrap_or_default();
        let grant = claim.grant().map_err(|fault| denied(&format!("the claim wstap: {fault}")))?;
        Ok(Grant { user, expires: Some(seconds(claims.exp)), ..grant })
    }
}

/// Returns whole seconds, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the value is later than now"
)]
fn seconds(time: f64) -> u64 {
    time.floor() as u64
}

fn denied(why: &str) -> Denied {
    Denied(why.to_owned())
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: String,
    #[serde(borrow)]
    crit: Option<&'a RawValue>,
}

/// The claims that are read; others are ignored.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    aud: Option<Audience>,
    wstap: Option<Claim>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

#[cfg(test)]
mod tests;
