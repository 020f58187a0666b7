//! The claims of a token: when it is valid, for which audience, and what it grants.

use serde::Deserialize;

use crate::auth::claim::Claim;
use crate::auth::{Denied, Grant};
use crate::event::User;

/// Tolerance for `nbf` in seconds: how far the clock of an issuer may be ahead. There is none for
/// `exp`: a token is invalid from that second on.
const MAX_CLOCK_SKEW: f64 = 30.0;

/// The name that `aud` has to contain, in a token that has an `aud`.
const AUDIENCE: &str = "wstap";

/// The values of `aud` and `iss` that tokens are accepted with.
///
/// The default: an `aud` must name `wstap` where a token has one, and every `iss` is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedClaims {
    /// Names of which `aud` must contain one. If it is empty, a token needs no `aud`.
    pub audiences: Vec<String>,
    /// Values of which `iss` must be one. If it is empty, every `iss` is accepted.
    pub issuers: Vec<String>,
}

/// The claims that are read; others are ignored.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    aud: Option<Audience>,
    iss: Option<String>,
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

impl ExpectedClaims {
    fn check(&self, claims: &Claims) -> Result<(), Denied> {
        let audience = claims.aud.as_ref();
        if self.audiences.is_empty() {
            if audience.is_some_and(|it| !it.names(AUDIENCE)) {
                let words = "the token has another audience: its aud does not name wstap";
                return Err(Denied(words.to_owned()));
            }
        } else if !self.audiences.iter().any(|name| audience.is_some_and(|it| it.names(name))) {
            return Err(Denied(format!(
                "the token has another audience: its aud does not name {}",
                self.audiences.join(" or ")
            )));
        }
        if !self.issuers.is_empty() && !claims.iss.iter().any(|iss| self.issuers.contains(iss)) {
            return Err(Denied("the token has another issuer (iss)".to_owned()));
        }
        Ok(())
    }

    /// Returns the grant of the claims of a token at `now`, in seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits, a double 53")]
    pub(super) fn grant(&self, payload: &[u8], now: u64) -> Result<Grant, Denied> {
        let claims: Claims = serde_json::from_slice(payload).map_err(|_| {
            let words =
                "the claims are an object with exp in seconds, and maybe sub, nbf, aud and wstap";
            Denied(words.to_owned())
        })?;
        let now = now as f64;
        if claims.exp.is_nan() || now >= claims.exp.floor() {
            return Err(Denied("the token has expired".to_owned()));
        }
        if claims.nbf.is_some_and(|begin| now + MAX_CLOCK_SKEW < begin) {
            return Err(Denied("the token is not valid yet".to_owned()));
        }
        self.check(&claims)?;
        let user = claims.sub.map(|sub| sub.parse::<User>());
        let user = user.transpose().map_err(|fault| Denied(format!("sub: {fault}")))?;
        let claim = claims.wstap.unwrap_or_default();
        let grant = claim.grant().map_err(|fault| Denied(format!("the claim wstap: {fault}")))?;
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
